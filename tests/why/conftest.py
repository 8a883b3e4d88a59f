"""Caches on one directory, with a clock that is set; prefixes that are free again after."""

import pytest

from llm_cache import CacheConfig, LLMCache, claims, load_config
from tests.conformance.samples import Clock


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
def load_cache(tmp_path, directory, clock):
    """Makes caches on the same directory as a file says."""
    made = []

    def load(text):
        file = tmp_path / "cache.toml"
        file.write_text(text)
        config = load_config(file, cache_dir=directory, environ={})
        made.append(LLMCache(config=config, clock=clock))
        return made[-1]

    yield load
    for cache in made:
        cache.close()


@pytest.fixture
def cache(make_cache):
    """One cache."""
    return make_cache()


@pytest.fixture(autouse=True)
def _free_prefixes(monkeypatch):
    monkeypatch.setattr(claims, "_claims", {})
