"""`prune` and `expired` sweep what `judge` finds past its retention, and nothing else."""

import math
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_cache.core.freshness import Freshness, judge, share_of
from llm_cache.core.policy import CachePolicy
from llm_cache.core.policy_resolution import NOTHING, Policy, PolicyTable, Remembered
from llm_cache.store.records import EVERYTHING, TRASH_KEPT_S, Group, Selection
from tests.conformance.samples import T0, an_entry, held, keep, keys_of, policies

SECONDS = st.integers(0, 40).map(lambda eighths: eighths / 8)
"""Exact in binary, so that no rounding decides at the very border of a ttl."""
TTLS = SECONDS | st.just(math.inf)
MAYBE_TTLS = st.none() | TTLS
JITTERS = st.sampled_from([0.0, 0.5])
FIELDS = ("ttl_jitter", "grace", "stale_if_error")
REMEMBERED = st.just(NOTHING) | st.builds(
    Remembered,
    **dict.fromkeys(("call_ttl_jitter", "decorator_ttl_jitter"), st.none() | JITTERS),
    **dict.fromkeys(
        [f"{who}_{f}" for who in ("call", "decorator") for f in FIELDS[1:]], MAYBE_TTLS
    ),
)
PREFIXES = ("intro_page", "word_problem", "other")

ENTRIES = st.lists(
    st.tuples(
        st.sampled_from(PREFIXES),
        SECONDS,
        MAYBE_TTLS,
        MAYBE_TTLS,
        st.sampled_from(["", "t"]),
        REMEMBERED,
    ),
    max_size=12,
)
DURATIONS = st.none() | SECONDS.map(lambda seconds: f"{seconds}s") | st.just("forever")
SOURCE = st.builds(
    CachePolicy,
    ttl=DURATIONS,
    ttl_jitter=st.none() | JITTERS,
    grace=DURATIONS,
    stale_if_error=DURATIONS,
)


def resolved(of_prefix, of_defaults, builtin_ttl):
    """The policy of a prefix, from what a file says of it and of all."""
    table = PolicyTable(prefixes={"p": of_prefix}, defaults=of_defaults)
    return replace(table.resolve("p"), builtin_ttl=builtin_ttl)


POLICIES = st.fixed_dictionaries(dict.fromkeys(PREFIXES, st.builds(resolved, SOURCE, SOURCE, TTLS)))


def said(entry, policy, field) -> float:
    """What holds of a field: by the call, the file's prefix, the decorator, or the rest."""
    nearest = (
        getattr(entry.remembered, f"call_{field}"),
        getattr(policy, f"said_{field}").prefix,
        getattr(entry.remembered, f"decorator_{field}"),
        getattr(policy, f"said_{field}").defaults,
    )
    return next((value for value in nearest if value is not None), 0.0)


def is_expired(entry, policy, now) -> bool:
    """Whether an entry is past its retention: its ttl and the larger of the graces."""
    ttl, _ = policy.ttl(entry.call_ttl, entry.decorator_ttl)
    jitter, grace, stale_if_error = (said(entry, policy, field) for field in FIELDS)
    kept = max(grace, stale_if_error) if ttl else 0.0
    return now >= entry.created_at + ttl * (1 - jitter * share_of(entry.key)) + kept


def is_of_future(entry, policy, now) -> bool:
    """Whether an entry of no ttl is not served, and not swept either before its time comes."""
    return now < entry.created_at and policy.ttl(entry.call_ttl, entry.decorator_ttl)[0] == 0


def made(specs):
    """The entries of what hypothesis chose."""
    return [
        an_entry(
            n,
            prefix=prefix,
            tenant=tenant,
            created_at=T0 + age,
            call_ttl=call_ttl,
            decorator_ttl=decorator_ttl,
            remembered=remembered,
            generation_seconds=1.5,
        )
        for n, (prefix, age, call_ttl, decorator_ttl, tenant, remembered) in enumerate(specs)
    ]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(specs=ENTRIES, by_prefix=POLICIES, at=SECONDS.map(lambda seconds: T0 + 2 * seconds))
def test_prune_sweeps_exactly_what_is_expired(store, specs, by_prefix, at):
    """Whatever the sources of the ttl are, `expired`, a dry run, `prune` and `judge` agree."""
    store.remove(EVERYTHING)
    entries = made(specs)
    keep(store, *entries)
    gone = [e for e in entries if is_expired(e, by_prefix[e.prefix], at)]
    left = [e for e in entries if e not in gone]

    found = store.expired(by_prefix.__getitem__, at)
    assert {prefix: g.entries for prefix, g in found.items()} == {
        prefix: n for prefix in PREFIXES if (n := sum(e.prefix == prefix for e in gone))
    }
    dry = store.prune(by_prefix.__getitem__, at, dry_run=True)
    assert len(list(store.select(EVERYTHING))) == len(entries)

    removed = store.prune(by_prefix.__getitem__, at, dry_run=False)
    assert removed.entries == dry.entries == len(gone)
    assert removed.groups == dry.groups
    assert removed.freed_bytes == sum(e.size_bytes for e in gone)
    assert sorted(keys_of(store.select(EVERYTHING))) == sorted(keys_of(left))
    assert [
        (t.tenant, t.prefix, t.entries, t.size_bytes, t.value_bytes) for t in store.totals()
    ] == (list(held(store)))
    for entry in entries:
        is_missing = judge(entry, by_prefix[entry.prefix], at) is Freshness.MISSING
        assert is_missing == (entry in gone or is_of_future(entry, by_prefix[entry.prefix], at))


@pytest.mark.parametrize("look_at", [0, 3, 7, 20])
def test_what_is_expired_can_be_looked_at_in_part(store, look_at):
    """No more entries are measured than that, over all prefixes."""
    keep(store, *(an_entry(n, prefix=prefix) for prefix in "ab" for n in range(5)))
    found = store.expired(policies("1s"), T0 + 100, look_at=look_at)
    assert sum(group.entries for group in found.values()) == min(look_at, 10)


@pytest.mark.parametrize("ttl", ["7d", "24h", "1ms", "90.1s", "8.7h"])
@pytest.mark.parametrize("source", ["call_ttl", "decorator_ttl", "prefix", "defaults"])
def test_prune_takes_nothing_that_is_fresh(store, source, ttl):
    """One step of the clock before an entry's end, it is fresh and stays; after it, it goes."""
    said = CachePolicy(ttl=ttl)
    table = PolicyTable(
        prefixes={"intro_page": said} if source == "prefix" else {},
        defaults=said if source == "defaults" else CachePolicy(),
    )
    entry = an_entry(
        created_at=T0 + 0.123456,
        **({source: said.ttl} if source.endswith("_ttl") else {}),
    )
    keep(store, entry)
    ends_at = entry.created_at + said.ttl
    last_fresh, first_gone = ends_at - 1e-5, ends_at + 1e-5
    assert judge(entry, table.resolve("intro_page"), last_fresh) is Freshness.FRESH
    assert store.prune(table.resolve, last_fresh, dry_run=False).entries == 0
    assert store.get(entry.key) == entry
    assert store.prune(table.resolve, first_gone, dry_run=False).entries == 1


def test_what_is_kept_for_ever_is_never_swept(store):
    """An entry with the ttl `forever` stays, whoever said it."""
    keep(
        store,
        an_entry(1, call_ttl=math.inf),
        an_entry(2, decorator_ttl=math.inf),
        an_entry(3, prefix="word_problem"),
    )
    far = T0 + 1e12
    assert store.prune(policies("1h", word_problem="forever"), far, dry_run=False).entries == 0


def test_a_ttl_of_the_call_goes_before_the_prefixs(store):
    """What a call said about its entry holds against the file; the file against the decorator."""
    short_call = an_entry(1, call_ttl=10.0)
    long_call = an_entry(2, call_ttl=1000.0)
    by_decorator = an_entry(3, decorator_ttl=1000.0)
    keep(store, short_call, long_call, by_decorator)
    policy_of = policies(intro_page="100s")
    assert store.prune(policy_of, T0 + 50, dry_run=False).entries == 1
    assert store.get(short_call.key) is None
    assert store.prune(policy_of, T0 + 150, dry_run=False).entries == 1
    assert keys_of(store.select(EVERYTHING)) == [long_call.key]


def test_stale_and_fallback_entries_are_retained(store):
    """What may still be served, if only when generating fails, is not swept."""
    entry = an_entry()
    keep(store, entry)
    policy = Policy(defaults_ttl=10.0, grace=5.0, stale_if_error=20.0)
    assert store.prune(lambda _: policy, T0 + 29.9, dry_run=False).entries == 0
    assert store.prune(lambda _: policy, T0 + 30.0, dry_run=False).entries == 1


def test_an_entry_from_the_future_is_left_alone(store):
    """A clock that was set back makes nothing expired."""
    entry = an_entry(created_at=T0 + 10_000)
    keep(store, entry)
    assert store.prune(policies("1h"), T0, dry_run=False).entries == 0
    assert store.get(entry.key) == entry


def test_prune_sweeps_every_tenant(store):
    """A policy is of a prefix, whatever the tenant."""
    keep(store, *(an_entry(tenant=tenant) for tenant in ("", "a", "b")))
    assert store.prune(policies("1h"), T0 + 3600, dry_run=False).entries == 3
    assert store.totals() == []


def test_prune_sweeps_thousands(store):
    """The answer counts all of them in one group, however many steps it took."""
    known = [an_entry(n, generation_seconds=0.5, cost_usd=0.25) for n in range(1000)]
    unknown = [an_entry(n) for n in range(1000, 1300)]
    keep(store, *known, *unknown, an_entry(prefix="word_problem"))
    removed = store.prune(policies("2h", intro_page="1h"), T0 + 3600, dry_run=False)
    sizes = sum(e.size_bytes for e in (*known, *unknown))
    assert removed.groups == (Group("expired", 1300, sizes, 500.0, 250.0, 300, 300),)
    assert [t.prefix for t in store.totals()] == ["word_problem"]


def test_a_dry_run_removes_nothing(store):
    """Neither an entry nor the old trash goes on a dry run."""
    entry = an_entry()
    keep(store, entry)
    assert store.prune(policies("1h"), T0 + 3600, dry_run=True).entries == 1
    assert store.get(entry.key) == entry


def test_an_empty_store_has_nothing_to_sweep(store):
    """`prune` of nothing is nothing."""
    assert store.prune(policies(), T0 + TRASH_KEPT_S, dry_run=False).entries == 0
    assert store.expired(policies(), T0) == {}


def test_what_is_in_the_trash_is_not_expired(store):
    """`expired` and `prune` tell of entries; the trash goes silently."""
    keep(store, an_entry())
    store.remove(Selection(prefix="intro_page"), keep=True)
    late = T0 + 10 * TRASH_KEPT_S
    assert store.expired(policies("1h"), late) == {}
    assert store.prune(policies("1h"), late, dry_run=False).entries == 0
