"""A cache that decorated functions share."""

import pytest

from llm_cache import set_cache


@pytest.fixture
def cache(make_cache):
    """A cache that is also the process-wide one."""
    cache = make_cache()
    set_cache(cache)
    yield cache
    set_cache(None)
