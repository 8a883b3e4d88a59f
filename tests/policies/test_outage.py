"""A provider is down for an hour, while a hundred tasks at a time ask for what has expired.

One caller after the other: tests/lookup/test_old_entries.py.
"""

import asyncio

import pytest

from llm_cache import CachePolicy, Outcome
from llm_cache.engine._circuit import LONGEST_PAUSE_S, TRIPS_AFTER

GUARD_S = 30.0
HOUR_S = 3600.0
MINUTE_S = 60.0
CALLERS = 100
KEYS = 10
STALE = CachePolicy(ttl="1h", grace="3h", stale_if_error="3h")
FALLBACK = CachePolicy(ttl="1h", stale_if_error="3h")


class Provider:
    """A model that is down until it is up again; counts how often it is called."""

    def __init__(self):
        self.is_down = True
        self.calls = 0

    async def generate(self):
        """Fails like a provider: not at once, so that others come meanwhile."""
        self.calls += 1
        for _ in range(3):
            await asyncio.sleep(0)
        if self.is_down:
            raise ConnectionError
        return "new"


@pytest.fixture
def provider():
    """One that is down."""
    return Provider()


@pytest.fixture
def cache(make_cache, clock):
    """A cache with ten entries that have just expired; its circuits go by the same clock."""
    cache = make_cache()
    cache._engine.components.generators._monotonic = clock
    for n in range(KEYS):
        cache.put("p", "old", n=n)
    clock.now += HOUR_S
    return cache


async def crowd(cache, provider, policy):
    """A hundred callers at once, ten for each entry; what is made behind has ended then."""
    async with asyncio.timeout(GUARD_S):
        asked = (
            cache.lookup("p", provider.generate, policy=policy, n=n % KEYS) for n in range(CALLERS)
        )
        results = await asyncio.gather(*asked)
        flights = cache._engine.components.flights.under_way()
        await asyncio.gather(*(flight.task for flight in flights if flight.task))
    return results


@pytest.mark.parametrize(
    ("policy", "outcome"), [(STALE, Outcome.STALE), (FALLBACK, Outcome.FALLBACK)]
)
async def test_a_crowd_is_served_through_an_outage(cache, clock, provider, policy, outcome):
    """Every minute for an hour: all of them, and the provider is left alone but for a few tries."""
    for minute in range(60):
        results = await crowd(cache, provider, policy)
        assert {(result.value, result.outcome) for result in results} == {("old", outcome)}
        if minute == 0:
            # Nobody knows yet: one try for each entry, since its callers share it.
            assert provider.calls <= KEYS
        clock.now += MINUTE_S
    # After that one try a pause, whose length doubles up to a minute.
    assert provider.calls <= KEYS + TRIPS_AFTER + HOUR_S / LONGEST_PAUSE_S
    name = {Outcome.STALE: "stale_hits", Outcome.FALLBACK: "fallbacks"}[outcome]
    total = cache.get_stats()["total"]
    assert (total[name], total["misses"], total["generations"]) == (60 * CALLERS, 0, 0)


@pytest.mark.parametrize("policy", [STALE, FALLBACK])
async def test_fresh_answers_return_after_an_outage(cache, clock, provider, policy):
    """With the first try that succeeds; the next crowd has new answers only."""
    for _ in range(30):
        await crowd(cache, provider, policy)
        clock.now += MINUTE_S
    provider.is_down = False
    clock.now += LONGEST_PAUSE_S
    await crowd(cache, provider, policy)
    await crowd(cache, provider, policy)
    results = await crowd(cache, provider, policy)
    assert {(result.value, result.outcome) for result in results} == {("new", Outcome.HIT)}
