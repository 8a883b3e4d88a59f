"""A cache of this process, beside those of its children."""

from pathlib import Path

import pytest

from llm_cache import LLMCache


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The directory of the cache; not there yet."""
    return tmp_path / "cache"


@pytest.fixture
def cache(place):
    """A cache of this process on the same directory."""
    with LLMCache(place) as cache:
        yield cache
