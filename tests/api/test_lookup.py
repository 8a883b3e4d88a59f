"""`lookup`: the value, and how it was come by."""

import asyncio

import pytest

from llm_cache import CacheConfig, CachePolicy, LLMCache, Outcome, Reason, Result
from tests.conformance.samples import Clock

GUARD_S = 20.0
POLICY = CachePolicy(ttl="1h", grace="1h", stale_if_error="3h")


@pytest.fixture
def clock():
    """The cache's clock."""
    return Clock()


@pytest.fixture
def cache(tmp_path, clock):
    """A cache in a fresh directory."""
    with LLMCache(tmp_path / "cache", clock=clock) as cache:
        yield cache


@pytest.fixture(params=["sync", "async"])
def look_up(request, cache):
    """Looks up one value, async or not."""

    def look_up(generator=lambda: "text", **kwargs):
        if request.param == "sync":
            return cache.lookup_sync("p", generator, n=1, **kwargs)
        return asyncio.run(cache.lookup("p", generator, n=1, **kwargs))

    return look_up


def fails():
    """A generator that does."""
    raise ConnectionError


def test_every_outcome_is_told(look_up, cache, clock):
    """From a miss over hits in memory and in the store to an entry that is only fallen back on."""
    made = look_up(policy=POLICY)
    assert (made.value, made.outcome) == ("text", Outcome.MISS)
    assert made.entry.params == {"n": 1}
    for _ in range(2):
        assert look_up(policy=POLICY).outcome is Outcome.HIT
    cache._engine.components.tier.clear()
    hit = look_up(policy=POLICY)
    assert (hit.value, hit.outcome, hit.entry.key) == ("text", "hit", made.entry.key)
    clock.now += 1.5 * 3600
    stale = look_up(fails, policy=POLICY)
    assert (stale.value, stale.outcome) == ("text", "stale")
    assert cache._engine.components.flights.wait_until_stored(GUARD_S)
    clock.now += 3600
    fallback = look_up(fails, policy=POLICY)
    assert (fallback.value, fallback.outcome) == ("text", "fallback")
    assert fallback.entry.value == "text"
    bypass = look_up(ttl=0)
    assert bypass == Result("text", Outcome.BYPASS, None, Reason.TTL_0)
    told = [each.reason for each in (made, hit, stale, fallback)]
    assert told == [
        Reason.NOTHING_STORED,
        Reason.FRESH,
        Reason.IN_GRACE,
        Reason.GENERATOR_FAILS,
    ]


def test_what_cannot_be_kept_has_no_entry(look_up):
    """There is a value all the same."""
    value = object()
    expected = Result(value, Outcome.MISS, None, Reason.NOTHING_STORED, "not the same")
    assert look_up(lambda: value) == expected


def test_an_error_is_raised(look_up):
    """As `get_or_generate` does."""
    with pytest.raises(ConnectionError):
        look_up(fails)


def test_a_disabled_cache_is_bypassed(tmp_path):
    """And says so."""
    with LLMCache(config=CacheConfig(cache_dir=tmp_path, enabled=False)) as cache:
        assert cache.lookup_sync("p", lambda: "text").outcome is Outcome.BYPASS


async def test_tasks_that_waited_are_told(cache):
    """Of many that ask at once, one made it."""
    cache._engine.components.store.open()
    go = asyncio.Event()

    async def generate():
        await go.wait()
        return ["text"]

    tasks = [asyncio.create_task(cache.lookup("p", generate)) for _ in range(10)]
    await asyncio.sleep(0)
    go.set()
    async with asyncio.timeout(GUARD_S):
        results = await asyncio.gather(*tasks)
    assert sorted(result.outcome for result in results) == ["coalesced"] * 9 + ["miss"]
    assert all(result.value == ["text"] for result in results)
    assert len({id(result.value) for result in results}) == 10


def test_a_result_does_not_change(cache):
    """Its outcome reads as a word."""
    result = cache.lookup_sync("p", lambda: 1)
    assert f"{result.outcome}" == "miss"
    with pytest.raises(AttributeError):
        result.value = 2
