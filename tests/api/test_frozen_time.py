"""A test that puts another `time.time` in place sets the age of everything."""

import time

import pytest

from llm_cache import Freshness, LLMCache, cached_llm_call
from tests.conformance.samples import T0, Clock

HOUR_S = 3600.0


@pytest.fixture
def cache(tmp_path):
    """A cache with the clock that every cache has."""
    with LLMCache(tmp_path / "cache") as cache:
        yield cache


@pytest.fixture
def frozen(cache, monkeypatch):
    """What `time.time` is from now on, as libraries for tests freeze it: the cache is there."""
    clock = Clock(T0)
    monkeypatch.setattr(time, "time", clock)
    return clock


def test_entries_are_dated_by_it_and_expire_by_it(cache, frozen):
    """In memory and in the store."""
    made = []
    for n in (1, 2, 3):
        cache.get_or_generate_sync("p", lambda: made.append(1) or "text", ttl="1h")
        assert (len(made), cache.peek("p").created_at) == (n, frozen.now)
        cache.get_or_generate_sync("p", lambda: made.append(1) or "text", ttl="1h")
        assert len(made) == n
        frozen.now += 2 * HOUR_S


def test_a_decorated_function_goes_by_it(cache, frozen):
    """Its hits in memory as well."""
    made = []

    @cached_llm_call("page", ttl="1h", cache=cache)
    def page(subject):
        made.append(subject)
        return subject

    page("math"), page("math")
    frozen.now += HOUR_S - 1
    page("math")
    assert len(made) == 1
    frozen.now += 2
    page("math")
    assert len(made) == 2


def test_what_manages_the_cache_goes_by_it(cache, frozen):
    """What it says of an entry, and what it sweeps."""
    cache.put("p", "text", ttl="1h")
    entry = cache.peek("p")
    assert cache.judge(entry) is Freshness.FRESH
    frozen.now += 2 * HOUR_S
    assert cache.judge(entry) is Freshness.MISSING
    assert cache.prune().entries == 1
