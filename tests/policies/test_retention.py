"""An entry remembers what the code that made it said of its retention: all who judge it agree."""

import math

import pytest

from llm_cache import CachePolicy, Freshness, LLMCache, cached_llm_call
from llm_cache.api.importer import Importer
from llm_cache.core.policy_resolution import NOTHING, Remembered
from llm_cache.transfer.jsonl import to_line
from tests.conformance.samples import T0

HOUR_S = 3600.0
DAY_S = 24 * HOUR_S
POLICY = CachePolicy(ttl="1h", grace="1d", stale_if_error="30d")
STATES = [
    (0.0, Freshness.FRESH),
    (HOUR_S, Freshness.STALE),
    (HOUR_S + DAY_S, Freshness.FALLBACK),
    (HOUR_S + 30 * DAY_S, Freshness.MISSING),
]
"""Of an entry under `POLICY`, by its age."""


def make_by_decorator(cache, policy=POLICY):
    """The entry of a decorated function."""

    @cached_llm_call("p", policy=policy, cache=cache)
    def page(n: int) -> str:
        return f"page {n}"

    page(1)


def make_by_call(cache, policy=POLICY):
    """The entry of a call."""
    cache.get_or_generate_sync("p", lambda: "page 1", policy=policy, n=1)


def make_by_put(cache, policy=POLICY):
    """An entry that was put."""
    cache.put("p", "page 1", policy=policy, n=1)


WAYS = pytest.mark.parametrize("make", [make_by_decorator, make_by_call, make_by_put])


def left(cache):
    """How many entries there are."""
    return sum(total.entries for total in cache._engine.components.store.totals())


@WAYS
@pytest.mark.parametrize(("age", "state"), STATES)
def test_who_knows_the_files_only_judges_as_the_application_does(
    make_cache, clock, make, age, state
):
    """A cache of another process: its judge, `peek`, `why` and `prune`, dry or not."""
    make(make_cache())
    other = make_cache()
    clock.now = T0 + age
    [entry] = other.entries()
    assert other.judge(entry) is state
    assert (other.peek("p", n=1) is None) == (state is Freshness.MISSING)
    assert other.why("p", n=1).entry is not None
    expected = 1 if state is Freshness.MISSING else 0
    assert other.prune(dry_run=True).entries == other.prune().entries == expected
    assert left(other) == 1 - expected


@WAYS
def test_a_later_request_that_says_nothing_serves_it_as_long(make_cache, clock, make):
    """As with a ttl: what was said when it was made holds for the entry."""
    make(make_cache())
    clock.now = T0 + 2 * HOUR_S
    cache = make_cache()
    result = cache.lookup_sync("p", lambda: "anew", n=1)
    assert (result.value, result.outcome) == ("page 1", "stale")
    assert cache._engine.components.flights.wait_until_stored(20.0)


@WAYS
def test_a_later_request_overrides_it(make_cache, clock, make):
    """What a call says holds for that call."""
    make(make_cache())
    clock.now = T0 + 2 * HOUR_S
    none = CachePolicy(grace="0s", stale_if_error="0s")
    assert make_cache().peek("p", policy=none, n=1) is None


@pytest.mark.parametrize(
    ("make", "is_overridden"),
    [(make_by_decorator, True), (make_by_call, False)],
    ids=["decorator", "call"],
)
def test_the_file_overrides_the_decorator_and_not_the_call(make_cache, clock, make, is_overridden):
    """At once, and on what is there: shorter and longer."""
    make(make_cache())
    of_prefix = {"grace": "0s", "stale_if_error": "2h"}
    shorter = make_cache(prefixes={"p": of_prefix})
    clock.now = T0 + 2 * HOUR_S
    [entry] = shorter.entries()
    assert shorter.judge(entry) is (Freshness.FALLBACK if is_overridden else Freshness.STALE)
    clock.now = T0 + 4 * HOUR_S
    assert shorter.prune(dry_run=True).entries == is_overridden
    longer = make_cache(prefixes={"p": {"grace": "forever"}})
    clock.now = T0 + 300 * DAY_S
    assert longer.prune(dry_run=True).entries == (not is_overridden)


def test_what_the_file_says_of_all_gives_way_to_it(make_cache, clock):
    """`[defaults]` come after the decorator, also where they would keep it for longer."""
    make_by_decorator(make_cache(), CachePolicy(ttl="1h", grace="0s", stale_if_error="0s"))
    other = make_cache(defaults={"grace": "forever"})
    clock.now = T0 + 2 * HOUR_S
    assert other.prune().entries == 1


@WAYS
def test_a_jitter_of_the_code_is_remembered(make_cache, clock, make):
    """An entry ends for all at the same instant, which the key decides."""
    policy = CachePolicy(ttl="1h", ttl_jitter=0.9)
    make(make_cache(), policy)
    other = make_cache()
    [entry] = other.entries()
    ends = other.expires_at(entry)
    assert T0 + 0.1 * HOUR_S <= ends < T0 + HOUR_S
    clock.now = ends - 0.001
    assert (other.judge(entry), other.prune().entries) == (Freshness.FRESH, 0)
    clock.now = ends
    assert (other.judge(entry), other.prune().entries) == (Freshness.MISSING, 1)


def test_a_jitter_of_the_file_overrides_the_decorators(make_cache, clock):
    """None at all, here."""
    make_by_decorator(make_cache(), CachePolicy(ttl="1h", ttl_jitter=0.9))
    other = make_cache(prefixes={"p": {"ttl_jitter": 0.0}})
    clock.now = T0 + HOUR_S - 0.001
    assert other.prune().entries == 0
    clock.now = T0 + HOUR_S
    assert other.prune().entries == 1


def test_a_ttl_of_zero_is_served_no_longer_whoever_says_what(make_cache, clock):
    """Where the file says not to keep it, nothing serves it, and a prune sweeps it."""
    make_by_decorator(make_cache())
    other = make_cache(prefixes={"p": {"ttl": 0}})
    [entry] = other.entries()
    assert (other.judge(entry), other.prune().entries) == (Freshness.MISSING, 1)


def test_most_entries_remember_nothing(make_cache):
    """Neither what a file says, nor what nobody does."""
    cache = make_cache(prefixes={"p": {"grace": "1d", "ttl_jitter": 0.1}})
    make_by_decorator(cache, None)
    [entry] = cache.entries()
    assert entry.remembered is NOTHING


def test_the_trash_remembers(make_cache, clock):
    """What comes back is served as before."""
    cache = make_cache()
    make_by_decorator(cache)
    cache.invalidate_prefix("p", keep=True)
    [trashed] = cache.trash.entries()
    assert cache.trash.restore([trashed.entry.key])
    [entry] = cache.entries()
    assert entry.remembered == trashed.entry.remembered
    assert entry.remembered == Remembered(
        decorator_grace=DAY_S, decorator_stale_if_error=30 * DAY_S
    )


def test_an_export_remembers(make_cache, tmp_path):
    """In another cache it is served as here."""
    cache = make_cache()
    make_by_call(cache, CachePolicy(grace="forever", ttl_jitter=0.25))
    lines = to_line(cache.peek("p", n=1)).encode()
    with LLMCache(tmp_path / "other", clock=cache._engine.components.clock) as other:
        assert list(Importer(other, trust=False, dry_run=False).take([lines])) == []
        [entry] = other.entries()
    assert entry.remembered == Remembered(call_ttl_jitter=0.25, call_grace=math.inf)


@pytest.mark.parametrize("changed", Remembered._fields)
def test_damage_in_what_is_remembered_is_seen(make_cache, changed):
    """A checksum covers it, where it is set and where it is not."""
    cache = make_cache()
    for policy in (POLICY, CachePolicy(ttl="1h")):
        make_by_call(cache, policy)
        cache._engine.components.tier.clear()
        write = f"UPDATE entries SET {changed} = ifnull({changed}, 0) + 1"
        cache._engine.components.store._write(
            "write to", lambda c, sql=write: c.execute(sql).fetchall()
        )
        assert cache._engine.components.store.get(next(cache.entries()).key) is None
        cache.clear_all()


async def test_to_warm_is_to_make_what_is_past_its_ttl_whatever_it_remembers(make_cache, clock):
    """And what is made remembers what the decorator says, as any other."""
    cache = make_cache()
    page = cached_llm_call("p", policy=POLICY, cache=cache)(lambda n: f"page {n}")
    page(n=1)
    clock.now = T0 + 2 * HOUR_S
    report = await cache.warm({page: [{"n": 1}]})
    assert report.made == 1
    [entry] = cache.entries()
    assert (entry.created_at, entry.remembered.decorator_grace) == (clock.now, DAY_S)
