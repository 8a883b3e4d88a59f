"""One cache, with a clock that is set."""

import pytest


@pytest.fixture
def cache(make_cache):
    """One cache."""
    return make_cache()
