"""About what warming takes: by the counts that are kept, else by the entries, else unknown."""

import pytest

from llm_cache import CacheConfig, Generated, LLMCache, Usage, cached_llm_call
from llm_cache.core.usage import Paid
from llm_cache.core.values.codec import UNTYPED
from llm_cache.engine.generation import new_entry
from llm_cache.functions import registry
from llm_cache.store.records import Counts, UsageDay
from llm_cache.warm.estimate import Past, outlook, past_of
from llm_cache.warm.plan import PlannedSet

PRICES = {"priced": {"input": 1.0, "output": 2.0}}


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache that knows the price of one model."""
    monkeypatch.setattr(registry, "_claims", {})
    with LLMCache(config=CacheConfig(cache_dir=tmp_path, prices=PRICES)) as opened:
        yield opened


def past(cache, prefix="p"):
    """What is known of a prefix."""
    return past_of(cache._engine.components, [prefix])[prefix]


def count(cache, day, model="m", **amounts):
    """Keeps counts of a day."""
    days = [UsageDay(day, "", "p", model, Counts(**amounts))]
    cache._engine.components.store.add_usage(days, [])


def put(cache, n, seconds=None, **usage):
    """Keeps an entry as if making it had taken so long."""
    call = cache._engine.call("p", lambda: None, None, {"n": n}, {}, UNTYPED)
    cache._engine.components.store.put(
        new_entry(cache._engine.components, call, Paid("text", Usage(**usage), seconds))
    )


def test_counts_tell_what_a_generation_took(cache):
    """On average, with the model that made most."""
    count(cache, "2026-11-01", generations=4, generation_seconds=8.0, cost_usd=0.5)
    count(cache, "2026-11-01", "n", generations=1, generation_seconds=2.0, cost_usd=0.125)
    assert past(cache) == Past("m", 2.0, 0.125)


def test_generations_of_unknown_cost_are_left_out_of_the_average(cache):
    """They took time all the same."""
    count(cache, "2026-11-01", generations=4, generation_seconds=8.0, cost_usd=0.5, unpriced=3)
    assert past(cache) == Past("m", 2.0, 0.5)


def test_what_was_of_late_counts(cache):
    """A hundred generations are enough to tell."""
    count(cache, "2026-01-01", "old", generations=900, generation_seconds=9000.0, cost_usd=900.0)
    count(cache, "2026-11-01", generations=60, generation_seconds=60.0, cost_usd=6.0)
    count(cache, "2026-11-02", generations=40, generation_seconds=140.0, cost_usd=4.0)
    assert past(cache) == Past("m", 2.0, 0.1)


def test_costs_that_were_unknown_are_worked_out_by_the_prices_of_now(cache):
    """Who sets a price needs no new generation for an estimate."""
    count(
        cache, "2026-11-01", "priced", generations=2, unpriced=2, generation_seconds=1.0,
        input_tokens=1_000_000, output_tokens=500_000,
    )  # fmt: skip
    assert past(cache) == Past("priced", 0.5, 1.0)


def test_entries_tell_where_nothing_was_counted(cache):
    """As those of an import; what they know nothing of stays unknown."""
    put(cache, 1, 2.0, cost_usd=0.5, model="m")
    put(cache, 2, 4.0, model="m")
    put(cache, 3)
    assert past(cache) == Past("m", 3.0, 0.5)


def test_nothing_is_known_of_a_new_prefix(cache):
    """Nor of one that was never made by a generation."""
    assert past(cache) == Past(None, None, None)
    put(cache, 1)
    assert past(cache) == Past(None, None, None)


def planned(cache, total, **more):
    """A set of so many that are missing."""
    text = cached_llm_call("p", cache=cache, shared=True)(lambda n: Generated(f"{n}"))
    (one,) = cache.warm_plan({text: [{"n": n} for n in range(total)]}).sets
    return PlannedSet(one.prefix, one.items, is_async=False, **more)


@pytest.mark.parametrize(
    ("total", "concurrency", "per_second", "seconds"),
    [(9, 4, None, 6.0), (8, 4, None, 4.0), (1, 4, None, 2.0), (9, 4, 1.0, 10.0), (9, 4, 50.0, 6.0)],
)
def test_time_is_that_of_calls_beside_each_other(cache, total, concurrency, per_second, seconds):
    """As many as run at a time, and no faster than the rate of the set."""
    one = planned(cache, total, concurrency=concurrency, calls_per_second=per_second)
    seen = outlook(one, Past("m", 2.0, 0.25), refresh=False)
    assert (seen.seconds, seen.cost_usd) == (seconds, 0.25 * total)
    assert (seen.to_make, seen.missing, seen.at_a_time) == (total, total, min(total, concurrency))


def test_what_is_fresh_takes_nothing_unless_it_is_made_anew(cache):
    """Neither time nor money."""
    for n in range(3):
        cache.put("p", "text", n=n)
    one = planned(cache, 3)
    seen = outlook(one, Past("m", 2.0, 0.25), refresh=False)
    assert (seen.fresh, seen.to_make, seen.seconds, seen.cost_usd) == (3, 0, 0.0, 0.0)
    seen = outlook(one, Past("m", 2.0, 0.25), refresh=True)
    assert (seen.fresh, seen.to_make, seen.seconds, seen.cost_usd) == (3, 3, 2.0, 0.75)


def test_what_is_not_known_stays_unknown(cache):
    """It is None, never 0."""
    seen = outlook(planned(cache, 3), Past(), refresh=False)
    assert (seen.model, seen.seconds, seen.cost_usd) == (None, None, None)
