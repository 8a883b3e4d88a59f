"""What a prune takes, in which order; that its dry run says the same; that it may be ended."""

import random
import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_cache.core.freshness import Freshness, judge
from llm_cache.core.policy import CachePolicy
from llm_cache.core.policy_resolution import PolicyTable
from llm_cache.store.records import EVERYTHING, TRASH_KEPT_S, Group, Selection, Sweep
from llm_cache.store.sqlite._prune import PAGE, FileUsage, least_used
from llm_cache.store.sqlite._queries import used_bytes
from llm_cache.store.sqlite._sweep import AT_ONCE
from llm_cache.store.sqlite.store import SqliteStore
from tests.conformance.samples import T0, an_entry, big_entry, held, keep, keys_of, policies

MIB = 1024**2
NEVER = policies("forever")
BY_PREFIX = PolicyTable(
    prefixes={"a": CachePolicy(ttl="1h"), "b": CachePolicy(ttl="1h", grace="1h")},
    defaults=CachePolicy(ttl="2h"),
).resolve


def put_many(store, entries):
    """Keeps them in one transaction."""
    store._writer.submit(lambda c: _keep(c, entries)).result(30)


def _keep(connection, entries):
    from llm_cache.store.sqlite._entries import keep

    for entry in entries:
        keep(connection, entry)


def state(store):
    """All that a prune may change."""
    return (
        sorted(keys_of(store.select(EVERYTHING))),
        sorted(trashed.entry.key for trashed in store.trashed(EVERYTHING)),
        store.totals(),
    )


ENTRIES = st.lists(
    st.builds(
        lambda prefix, version, age_h, used_h, size, seconds, usd, ttl: {
            "prefix": prefix,
            "version": version,
            "created_at": T0 - age_h * 3600.0,
            "used_at": T0 - min(used_h, age_h) * 3600.0,
            "body": b'"' + b"x" * size + b'"',
            "generation_seconds": seconds,
            "cost_usd": usd,
            **ttl,
        },
        st.sampled_from("abc"),
        st.sampled_from(["", "1", "2"]),
        st.integers(0, 12),
        st.integers(0, 12),
        st.sampled_from([10, 3000, 60_000]),
        st.sampled_from([None, 0.5, 2.0]),
        st.sampled_from([None, 0.25]),
        st.sampled_from([{}, {"call_ttl": 7200.0}, {"decorator_ttl": 14_400.0}]),
    ),
    max_size=30,
)


@settings(max_examples=40, deadline=None)
@given(
    ENTRIES,
    st.integers(0, 10),
    st.sampled_from([0.0, TRASH_KEPT_S - 60, TRASH_KEPT_S + 60]),
    st.sampled_from([None, {"a": {"1"}}, {"a": {""}, "c": {"2"}}]),
    st.sampled_from([None, 200_000, 500_000, 10 * MIB]),
)
def test_a_dry_run_says_what_the_run_does(made, thrown_away, trash_age_s, current, max_bytes):
    """Whatever there is: the same groups and the same trash, and nothing is changed before."""
    entries = [an_entry(n, **fields) for n, fields in enumerate(made)]
    with tempfile.TemporaryDirectory() as place:
        now = [T0 - trash_age_s]
        store = SqliteStore(Path(place) / "cache", max_bytes=MIB, clock=lambda: now[0])
        store.open()
        put_many(store, entries)
        gone = tuple(entry.key for entry in entries[:thrown_away])
        if gone:
            store.remove(Selection(keys=gone), keep=True)
        sweep = Sweep(current=current, max_bytes=max_bytes)
        before = state(store)
        dry = store.prune(BY_PREFIX, T0, dry_run=True, sweep=sweep)
        assert state(store) == before
        removed = store.prune(BY_PREFIX, T0, dry_run=False, sweep=sweep)
        assert removed.groups == dry.groups
        assert removed.trash == dry.trash
        left = list(store.select(EVERYTHING))
        assert len(before[0]) - len(left) == removed.entries
        for info in left:
            assert judge(info, BY_PREFIX(info.prefix), T0) is not Freshness.MISSING
            assert current is None or info.version in current.get(info.prefix, {info.version})
        told = [
            (t.tenant, t.prefix, t.entries, t.size_bytes, t.value_bytes) for t in store.totals()
        ]
        assert told == list(held(store))
        store.close()


def test_orphans_go_before_what_is_still_good(make_store):
    """Where sweeping them is enough, nothing that is current has to go."""
    store = make_store(max_bytes=MIB)
    store.open()
    current = [big_entry(n, 20_000, version="2", used_at=T0 - 99) for n in range(30)]
    orphans = [big_entry(n, 20_000, version="1", used_at=T0) for n in range(40)]
    put_many(store, [*current, *orphans])
    removed = store.prune(NEVER, T0, dry_run=False, sweep=Sweep(current={"intro_page": {"2"}}))
    assert Counter({group.why: group.entries for group in removed.groups}) == {"orphaned": 40}
    assert sorted(keys_of(store.select(EVERYTHING))) == sorted(keys_of(current))


def test_nothing_goes_twice(make_store):
    """What goes as expired or orphaned is not evicted, too; a dry run knows that."""
    store = make_store(max_bytes=MIB)
    store.open()
    expired = [big_entry(n, 40_000, created_at=T0 - 7200) for n in range(10)]
    orphans = [big_entry(n, 30_000, version="1", used_at=T0 - 99) for n in range(10, 20)]
    current = [big_entry(n, 20_000, version="2", used_at=T0 + n) for n in range(20, 80)]
    put_many(store, [*expired, *orphans, *current])
    sweep = Sweep(current={"intro_page": {"", "2"}})
    dry = store.prune(policies("1h"), T0, dry_run=True, sweep=sweep)
    removed = store.prune(policies("1h"), T0, dry_run=False, sweep=sweep)
    assert dry.groups == removed.groups
    *others, evicted = removed.groups
    assert [(g.why, g.entries) for g in others] == [("expired", 10), ("orphaned", 10)]
    left = sorted(keys_of(store.select(EVERYTHING)))
    assert left == sorted(entry.key for entry in current[evicted.entries :])


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_size_that_nothing_fits_into_takes_everything(store, dry_run):
    """And is the end of it."""
    put_many(store, [an_entry(n) for n in range(PAGE + 1)])
    removed = store.prune(NEVER, T0, dry_run=dry_run, sweep=Sweep(max_bytes=1))
    assert [(g.why, g.entries) for g in removed.groups] == [("evicted", PAGE + 1)]


def test_where_the_expired_are_enough_nothing_else_goes(make_store):
    """Not even where the file stays fuller than a sweep of the least used would leave it."""
    store = make_store(max_bytes=MIB)
    store.open()
    put_many(store, [big_entry(n, 20_000) for n in range(43)])
    put_many(store, [big_entry(n, 20_000, created_at=T0 - 7200) for n in range(50, 60)])
    assert used_bytes(store._read) > MIB
    removed = store.prune(policies("1h"), T0, dry_run=False)
    assert [(group.why, group.entries) for group in removed.groups] == [("expired", 10)]


@pytest.mark.parametrize("size_bytes", [200, 2000, 20_000])
@pytest.mark.parametrize("max_bytes", [MIB, 2 * MIB])
def test_the_file_is_brought_under_a_size(store, size_bytes, max_bytes):
    """Also where those go that stand between others, and no more than has to.

    Of tiny values it is indexes that take most of the room, and they are not so exact.
    """
    count = 4 * MIB // (size_bytes + 500)
    made = random.Random(size_bytes)
    entries = [
        big_entry(n, size_bytes, created_at=T0 - 9e5, used_at=T0 - made.random() * 1e5)
        for n in range(count)
    ]
    put_many(store, entries)
    full_bytes = used_bytes(store._read)
    removed = store.prune(NEVER, T0, dry_run=False, sweep=Sweep(max_bytes=max_bytes))
    assert used_bytes(store._read) <= max_bytes * (1.05 if size_bytes == 200 else 1)
    assert (count - removed.entries) / count > 0.8 * max_bytes / full_bytes
    in_order = sorted(entries, key=lambda entry: entry.used_at)
    assert set(keys_of(store.select(EVERYTHING))) == {e.key for e in in_order[removed.entries :]}
    for entry in in_order[removed.entries :]:
        assert store.get(entry.key) == entry


def test_a_size_goes_before_max_disk(make_store):
    """One above it keeps what `max_disk` would not."""
    store = make_store(max_bytes=MIB)
    store.open()
    put_many(store, [big_entry(n, 20_000) for n in range(80)])
    assert store.prune(NEVER, T0, dry_run=True).entries > 0
    assert store.prune(NEVER, T0, dry_run=False, sweep=Sweep(max_bytes=4 * MIB)).entries == 0


def test_room_comes_back_to_the_file_system(store):
    """The file is as small as what is left in it, however many pages come free."""
    put_many(store, [big_entry(n, 50_000) for n in range(200)])
    store._file.truncate_log()
    assert store.path.stat().st_size > 9 * MIB
    assert store.prune(policies("1h"), T0 + 3600, dry_run=False).entries == 200
    store._file.truncate_log()
    assert store.path.stat().st_size < MIB / 4


def test_prefixes_may_be_very_many(make_store):
    """Each has conditions of its own: they are not put into one statement."""
    store = make_store(max_bytes=MIB)
    store.open()
    put_many(store, [big_entry(n, 3000, prefix=f"p{n}") for n in range(600)])
    assert store.make_room(policies("1h"), T0, dry_run=True).entries > 0
    assert store.make_room(policies("1h"), T0, dry_run=False).entries > 0
    assert used_bytes(store._read) <= MIB


def test_it_tells_what_went_part_by_part(store):
    """The parts are transactions of their own, and add up."""
    put_many(store, [an_entry(n) for n in range(2 * AT_ONCE + 1)])
    parts = []
    removed = store.prune(
        policies("1h"), T0 + 3600, dry_run=False, sweep=Sweep(on_swept=parts.append)
    )
    assert [part.entries for part in parts] == [AT_ONCE, AT_ONCE, 1]
    assert Group.total("expired", parts) == removed.groups[0]


def test_an_interruption_keeps_what_was_swept(store):
    """The totals are those of what is left; the next prune goes on."""
    entries = [an_entry(n) for n in range(2 * AT_ONCE)]
    put_many(store, entries)

    def interrupt(_):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.prune(policies("1h"), T0 + 3600, dry_run=False, sweep=Sweep(on_swept=interrupt))
    told = [(t.tenant, t.prefix, t.entries, t.size_bytes, t.value_bytes) for t in store.totals()]
    assert told == list(held(store))
    assert told[0][2] == AT_ONCE
    assert store.prune(policies("1h"), T0 + 3600, dry_run=False).entries == AT_ONCE


def test_nothing_to_sweep_is_not_written(store):
    """A prefix of which nothing is expired costs a look, and no transaction."""
    keep(store, *(an_entry(n, prefix=f"p{n}") for n in range(50)))
    swept = []
    store.prune(NEVER, T0, dry_run=False, sweep=Sweep(on_swept=swept.append))
    assert swept == []


@pytest.mark.parametrize("age_s", [TRASH_KEPT_S - 60, TRASH_KEPT_S + 60])
def test_what_goes_from_the_trash_is_told_apart(store, clock, age_s):
    """It is no entry any more: it does not count as removed."""
    keep(store, an_entry(1, cost_usd=0.5), an_entry(2))
    store.remove(Selection(keys=(an_entry(1).key,)), keep=True)
    expected = 1 if age_s > TRASH_KEPT_S else 0
    for dry_run in (True, False):
        removed = store.prune(NEVER, T0 + age_s, dry_run=dry_run)
        assert (removed.entries, removed.groups, removed.trash.entries) == (0, (), expected)
        assert removed.trash.cost_usd == 0.5 * expected


def test_a_full_trash_is_emptied_in_parts(store, raw):
    """However much was thrown away, nobody waits for one long transaction."""
    put_many(store, [an_entry(n) for n in range(AT_ONCE + 1)])
    store.remove(EVERYTHING, keep=True)
    parts = []
    late = T0 + TRASH_KEPT_S + 1
    removed = store.prune(NEVER, late, dry_run=False, sweep=Sweep(on_swept=parts.append))
    assert [part.entries for part in parts] == [AT_ONCE, 1]
    assert removed.trash == Group.total("trash", parts)
    assert raw.run("SELECT count(*) FROM trash") == [(0,)]


def test_clearing_tells_what_the_trash_held(store):
    """Of one tenant, or of all."""
    entries = [an_entry(n, tenant=tenant) for tenant in ("a", "b") for n in range(2)]
    keep(store, *entries)
    store.remove(Selection(keys=tuple(entry.key for entry in entries[::2])), keep=True)
    assert [(t.tenant, t.entries) for t in store.trash_totals()] == [("a", 1), ("b", 1)]
    removed = store.remove(Selection(tenant="a"))
    assert (removed.entries, removed.trash.entries) == (1, 1)
    assert [(t.tenant, t.entries) for t in store.trash_totals()] == [("b", 1)]


@pytest.mark.parametrize("others", [0, 2 * PAGE])
def test_no_more_of_a_full_store_is_read_than_goes(store, others):
    """What was used lately is not looked at to find what was not."""
    put_many(store, [big_entry(n, 20_000, used_at=T0 - n) for n in range(20)])
    put_many(store, [an_entry(n, prefix="other", used_at=T0 + n) for n in range(others)])
    usage, read = FileUsage.measured(store._read), []

    def reading(sql, bindings=()):
        rows = store._read(sql, bindings)
        read.extend(rows)
        return rows

    group, numbers = least_used(reading, usage, 100_000, going=())
    assert group.entries == len(numbers) <= 5
    assert len(read) <= PAGE
