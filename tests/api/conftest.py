"""A cache with a clock of its own, shared by decorated functions; prefixes are free again after."""

import pytest

from llm_cache import CacheConfig, LLMCache, claims, set_cache


class Clock:
    """Epoch seconds that pass when a test says so."""

    def __init__(self):
        self.now = 1_800_000_000.0

    def __call__(self):
        """The instant."""
        return self.now


@pytest.fixture
def clock():
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def make_cache(tmp_path, clock):
    """Makes caches on one directory, with settings."""
    made = []

    def make(**settings):
        config = CacheConfig(cache_dir=tmp_path / "cache", **settings)
        made.append(LLMCache(config=config, clock=clock))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make_cache):
    """A cache that is also the process-wide one."""
    cache = make_cache()
    set_cache(cache)
    yield cache
    set_cache(None)


@pytest.fixture(autouse=True)
def _free_prefixes(monkeypatch):
    monkeypatch.setattr(claims, "_claims", {})
