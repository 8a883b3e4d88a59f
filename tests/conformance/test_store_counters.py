"""`add_usage` adds counts to those that are there; `usage` gives every one back."""

import math
from dataclasses import fields

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_cache.store.records import (
    EVERYTHING,
    Counts,
    EntryUse,
    Note,
    Refusals,
    Selection,
    Unused,
    UsageDay,
)
from tests.conformance.samples import T0, an_entry, keep

NAMES = [field.name for field in fields(Counts)]
FRACTIONS = ("generation_seconds", "saved_seconds", "cost_usd", "saved_usd")


def a_usage(scale: int = 1) -> Counts:
    """A usage in which no two counts are equal."""
    counts = {name: scale * (place + 1) for place, name in enumerate(NAMES)}
    return Counts(**{n: float(c) + scale / 4 if n in FRACTIONS else c for n, c in counts.items()})


def by_group(days):
    """Usage by day, tenant, prefix and model."""
    return {(d.day, d.tenant, d.prefix, d.model): d.usage for d in days}


def test_a_new_store_has_counted_nothing(store):
    """Nothing was asked of it yet."""
    assert store.usage() == []


def test_every_count_comes_back(store):
    """Each field of `Counts` is kept, with its type."""
    store.add_usage([UsageDay("2026-11-22", "t", "p", "m", a_usage())], [])
    [day] = store.usage()
    assert day == UsageDay("2026-11-22", "t", "p", "m", a_usage())
    for name in NAMES:
        assert type(getattr(day.usage, name)) is type(getattr(a_usage(), name)), name


def test_counts_of_one_group_are_added_up(store):
    """What is told later comes on top, field by field."""
    for scale in (1, 10, 100):
        store.add_usage([UsageDay("2026-11-22", "", "p", "", a_usage(scale))], [])
    [day] = store.usage()
    expected = Counts()
    for scale in (1, 10, 100):
        expected.add(a_usage(scale))
    assert day.usage == expected


def test_days_tenants_prefixes_and_models_are_kept_apart(store):
    """A count belongs to one day, tenant, prefix and model."""
    groups = [
        (day, tenant, prefix, model)
        for day in ("2026-11-22", "2026-11-23")
        for tenant in ("", "school")
        for prefix in ("", "p")
        for model in ("", "m")
    ]
    store.add_usage([UsageDay(*g, Counts(hits=n)) for n, g in enumerate(groups)], [])
    assert by_group(store.usage()) == {g: Counts(hits=n) for n, g in enumerate(groups)}
    assert [d.day for d in store.usage()] == sorted(d.day for d in store.usage())


def test_a_group_may_come_twice_in_one_call(store):
    """Counts told together are added as if told one after the other."""
    store.add_usage([UsageDay("2026-11-22", "", "p", "", Counts(misses=1))] * 3, [])
    assert by_group(store.usage()) == {("2026-11-22", "", "p", ""): Counts(misses=3)}


def test_hits_of_entries_are_added_and_the_last_use_is_the_latest(store):
    """Whoever tells later of an earlier hit does not set the last use back."""
    entry, other = an_entry(1), an_entry(2)
    keep(store, entry, other)
    store.add_usage([], [EntryUse(entry.key, 2, T0 + 50)])
    store.add_usage([], [EntryUse(entry.key, 3, T0 + 20)])
    got = store.get(entry.key)
    assert (got.hits, got.used_at) == (5, T0 + 50)
    assert store.get(other.key) == other


def test_hits_of_an_entry_that_went_are_forgotten(store):
    """A hit of what was removed meanwhile makes no entry."""
    store.add_usage(
        [UsageDay("2026-11-22", "", "p", "", Counts(hits=1))], [EntryUse(bytes(32), 1, T0)]
    )
    assert list(store.select(EVERYTHING)) == []
    assert len(store.usage()) == 1


def test_counts_outlive_the_entries(store):
    """Removing everything takes no count away."""
    keep(store, an_entry())
    store.add_usage([UsageDay("2026-11-22", "", "p", "", Counts(hits=7))], [])
    store.remove(EVERYTHING)
    assert by_group(store.usage()) == {("2026-11-22", "", "p", ""): Counts(hits=7)}


def test_an_entry_put_anew_has_no_hits(store):
    """Hits belong to the entry, not to its key."""
    entry = an_entry()
    keep(store, entry)
    store.add_usage([], [EntryUse(entry.key, 2, T0 + 50)])
    keep(store, entry)
    assert store.get(entry.key) == entry


MOST = 2**53 - 1


@pytest.mark.parametrize("count", [MOST, 2**63 - 1, 2**64, 1e300, math.inf])
def test_a_count_never_overflows(store, count):
    """It comes as far as it can and stays there, and what is told with it is counted, too."""
    is_whole = isinstance(count, int)
    largest = Counts(saved_input_tokens=count) if is_whole else Counts(saved_usd=count)
    for _ in range(3):
        days = [
            UsageDay("2026-11-22", "", "large", "", largest),
            UsageDay("2026-11-22", "", "small", "", Counts(hits=1)),
        ]
        store.add_usage(days, [], [Refusals("2026-11-22", "", "p", "empty", 2**63 - 1)])
    found = by_group(store.usage())
    assert found["2026-11-22", "", "small", ""].hits == 3
    of_large = found["2026-11-22", "", "large", ""]
    assert (of_large.saved_input_tokens if is_whole else of_large.saved_usd) == MOST
    assert [refused.times for refused in store.refusals()] == [MOST]


def test_hits_of_an_entry_never_overflow(store):
    """An entry that has as many as a column can hold is counted on with all others."""
    full, other = an_entry(1, hits=2**63 - 1), an_entry(2)
    keep(store, full, other)
    store.add_usage([], [EntryUse(full.key, 1, T0 + 50), EntryUse(other.key, 1, T0 + 50)])
    assert store.get(full.key).hits == MOST
    assert store.get(other.key).hits == 1


def test_telling_nothing_changes_nothing(store):
    """An empty batch is no trouble."""
    store.add_usage([], [])
    assert store.usage() == []


def test_counts_may_come_from_generators(store):
    """`add_usage` takes any iterables, each read once."""
    entry = an_entry()
    keep(store, entry)
    store.add_usage(
        (UsageDay("2026-11-22", "", p, "", Counts(hits=1)) for p in "ab"),
        (EntryUse(entry.key, 1, T0 + n) for n in range(2)),
    )
    assert len(store.usage()) == 2
    assert store.get(entry.key).hits == 2


COUNTS = st.integers(0, 2**40)
USAGES = st.builds(
    Counts, hits=COUNTS, misses=COUNTS, evictions=COUNTS, saved_seconds=COUNTS.map(float)
)
DAYS = st.lists(
    st.builds(
        UsageDay,
        st.sampled_from(["2026-01-01", "2026-12-31"]),
        st.sampled_from(["", "\u00fc"]),
        st.sampled_from(["", "p", "q"]),
        st.sampled_from(["", "m"]),
        USAGES,
    ),
    max_size=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
@given(batches=st.lists(DAYS, max_size=4))
def test_however_they_are_told_the_counts_add_up(
    make_store, tmp_path_factory, factory, clock, batches
):
    """Any number of batches gives the sums over all of them."""
    store = factory(tmp_path_factory.mktemp("usage"), max_bytes=2**30, clock=clock)
    expected: dict[tuple[str, ...], Counts] = {}
    for batch in batches:
        store.add_usage(batch, [])
        for d in batch:
            expected.setdefault((d.day, d.tenant, d.prefix, d.model), Counts()).add(d.usage)
    assert by_group(store.usage()) == expected
    store.close()


def test_removing_a_prefix_leaves_the_uses_of_others(store):
    """A batch that tells of a gone entry still counts for those that are there."""
    gone, there = an_entry(1, prefix="gone"), an_entry(2)
    keep(store, gone, there)
    store.remove(Selection(prefix="gone"))
    store.add_usage([], [EntryUse(gone.key, 1, T0 + 1), EntryUse(there.key, 1, T0 + 1)])
    assert store.get(there.key).hits == 1


def test_refusals_are_added_up_by_reason(store):
    """How many values were not stored is kept by day, tenant, prefix and reason."""
    store.add_usage([], [], [Refusals("2026-11-22", "", "p", "truncated", 2)])
    store.add_usage([], [], [Refusals("2026-11-22", "", "p", "truncated", 3)])
    store.add_usage([], [], [Refusals("2026-11-22", "t", "p", "truncated", 1)])
    store.add_usage([], [], [Refusals("2026-11-22", "", "p", "empty", 4)])
    assert sorted(store.refusals(), key=lambda r: (r.tenant, r.reason)) == [
        Refusals("2026-11-22", "", "p", "empty", 4),
        Refusals("2026-11-22", "", "p", "truncated", 5),
        Refusals("2026-11-22", "t", "p", "truncated", 1),
    ]


def test_what_was_never_hit_is_counted_by_tenant_and_prefix(store):
    """Hits take an entry out of the count, and so does its age."""
    used = an_entry(1)
    keep(store, used, an_entry(2), an_entry(3, prefix="other"), an_entry(4, tenant="t"))
    keep(store, an_entry(5, created_at=T0 + 50))
    store.add_usage([], [EntryUse(used.key, 2, T0 + 20)])
    assert sorted(store.unused(T0 + 10, 100)) == [
        Unused("", "intro_page", 1),
        Unused("", "other", 1),
        Unused("t", "intro_page", 1),
    ]


def test_no_more_is_looked_at_for_what_was_never_hit(store):
    """Those made or used longest ago are."""
    keep(store, *(an_entry(n, created_at=T0 + n, prefix=f"p{n}") for n in range(5)))
    assert [each.prefix for each in store.unused(T0 + 10, 2)] == ["p0", "p1"]


def test_of_a_key_the_last_note_stays(store):
    """Beside that of its prefix, newest first; those of other keys and tenants are apart."""
    of_prefix = Note("", "p", b"", "invalidated", "", T0 + 2)
    first, last = (Note("", "p", b"k" * 32, "refused", why, T0) for why in ("empty", "truncated"))
    others = [first._replace(key=b"o" * 32), first._replace(tenant="t")]
    for notes in ([first, of_prefix], [last, *others]):
        store.add_usage([], [], notes=notes)
    assert store.notes("", "p", b"k" * 32) == [of_prefix, last]
    assert store.notes("", "p", b"n" * 32) == [of_prefix]
    assert store.notes("", "other", b"k" * 32) == []
