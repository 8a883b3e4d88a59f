"""A counting provider, caches with a clock of their own, and prefixes that are free again after."""

import pytest

from llm_cache import CacheConfig, LLMCache, claims
from tests.conformance.samples import Clock
from tests.savings.counting import CountingServer, Tally


@pytest.fixture
def clock():
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def directory(tmp_path):
    """Where the caches of a test are."""
    return tmp_path / "cache"


@pytest.fixture
def make_cache(directory, clock):
    """Makes caches on one directory, with settings."""
    made = []

    def make(**settings):
        config = CacheConfig(cache_dir=directory, **settings)
        made.append(LLMCache(config=config, clock=clock))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make_cache):
    """A cache without prices of its own."""
    return make_cache()


@pytest.fixture
def server():
    """A provider that counts what it sells."""
    with CountingServer() as server:
        yield server


@pytest.fixture
def tally(server):
    """What the callers of a test got."""
    return Tally(server)


@pytest.fixture(autouse=True)
def _free_prefixes(monkeypatch):
    monkeypatch.setattr(claims, "_claims", {})
