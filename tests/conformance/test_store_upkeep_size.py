"""`make_room` holds the size limit: the expired go first, then what was not used for longest."""

from dataclasses import replace

import pytest

from llm_cache.core.keys import canonical_params
from llm_cache.core.policy_resolution import Remembered
from llm_cache.store.records import EVERYTHING, EntryUse
from tests.conformance.samples import (
    T0,
    an_entry,
    big_entry,
    held,
    keep,
    keys_of,
    policies,
    sized,
)

LIMIT = 1024**2
SIZE = 20_000
"""Bytes of one value: the limit holds about fifty of them."""


@pytest.fixture
def small(make_store):
    """A store for 1 MiB."""
    store = make_store(max_bytes=LIMIT)
    store.open()
    return store


def test_under_the_limit_nothing_goes(small):
    """A store with room is left alone, expired entries or not."""
    keep(small, *(big_entry(n, SIZE) for n in range(10)))
    assert small.make_room(policies("1h"), T0 + 9999, dry_run=False).entries == 0
    assert len(list(small.select(EVERYTHING))) == 10


def test_the_expired_go_before_the_least_used(small):
    """Where sweeping the expired is enough, nothing that is fresh has to go."""
    fresh = [big_entry(n, SIZE, created_at=T0) for n in range(30)]
    old = [big_entry(100 + n, SIZE, created_at=T0 - 7200, used_at=T0) for n in range(60)]
    keep(small, *fresh, *old)
    removed = small.make_room(policies("1h"), T0 + 1, dry_run=False)
    assert {group.why: group.entries for group in removed.groups} == {"expired": 60}
    assert sorted(keys_of(small.select(EVERYTHING))) == sorted(keys_of(fresh))


def test_what_is_still_served_does_not_go_as_expired(small):
    """What the entries remember counts: of them go as few as have to, and the least used."""
    said = Remembered(decorator_grace=86_400.0)
    keep(small, *(big_entry(n, SIZE, used_at=T0 + n, remembered=said) for n in range(60)))
    removed = small.make_room(policies("1h"), T0 + 7200, dry_run=False)
    assert [group.why for group in removed.groups] == ["evicted"]
    assert 0 < removed.entries < 30


def test_the_least_recently_used_go_first(small):
    """Without anything expired, those go that were not hit for longest."""
    entries = [big_entry(n, SIZE, created_at=T0 + n) for n in range(60)]
    keep(small, *entries)
    used = entries[:10]
    small.add_usage([], [EntryUse(e.key, 1, T0 + 1000) for e in used])
    removed = small.make_room(policies("forever"), T0 + 2000, dry_run=False)
    assert {group.why for group in removed.groups} == {"evicted"}
    left = set(keys_of(small.select(EVERYTHING)))
    in_order = [*entries[10:], *used]
    assert left == set(keys_of(in_order[int(removed) :]))
    assert set(keys_of(used)) <= left


def test_no_more_goes_than_has_to(small):
    """One value too many does not cost half of the store."""
    entries = [big_entry(n, SIZE, created_at=T0 + n) for n in range(51)]
    keep(small, *entries)
    removed = small.make_room(policies("forever"), T0 + 100, dry_run=False)
    assert 0 < removed.entries <= 12


def test_large_params_count(small):
    """Whoever asks with long prompts fills the store with them: as many go as their size says."""
    long = canonical_params({"prompt": "x" * 20_000})
    entries = [replace(an_entry(n), params_json=long) for n in range(60)]
    keep(small, *(sized(replace(entry, used_at=T0 + n)) for n, entry in enumerate(entries)))
    [total] = small.totals()
    assert total.size_bytes == sum(len(entry.body) + len(long) for entry in entries)
    removed = small.make_room(policies("forever"), T0 + 100, dry_run=False)
    assert removed.freed_bytes > int(removed) * 20_000
    assert 0 < removed.entries < 30


@pytest.mark.parametrize("size_bytes", [5_000, 50_000, 200_000])
def test_the_newest_entry_survives(small, size_bytes):
    """What was just stored is the last to go, whatever the values' size."""
    for n in range(4 * LIMIT // size_bytes):
        newest = big_entry(n, size_bytes, created_at=T0 + n)
        keep(small, newest)
        small.make_room(policies("forever"), T0 + n, dry_run=False)
        assert small.get(newest.key) == newest
    assert sum(info.size_bytes for info in small.select(EVERYTHING)) <= LIMIT


def test_the_limit_is_held(small):
    """However much is put, what is held stays under the limit once room was made."""
    for n in range(150):
        keep(small, big_entry(n, SIZE, created_at=T0 + n))
        small.make_room(policies("forever"), T0 + n, dry_run=False)
        assert sum(total.size_bytes for total in small.totals()) <= LIMIT
    assert sum(total.size_bytes for total in small.totals()) > LIMIT // 2


def test_making_room_twice_is_making_it_once(small):
    """Where room was made there is room."""
    keep(small, *(big_entry(n, SIZE) for n in range(80)))
    assert small.make_room(policies("forever"), T0, dry_run=False).entries > 0
    assert small.make_room(policies("forever"), T0, dry_run=False).entries == 0


@pytest.mark.parametrize("expired", [0, 10, 40, 90])
def test_a_dry_run_says_what_would_go_and_removes_nothing(small, expired):
    """The dry run's answer is that of the real run."""
    keep(
        small,
        *(big_entry(n, SIZE, created_at=T0 - 7200) for n in range(expired)),
        *(big_entry(n, SIZE, created_at=T0 + n) for n in range(expired, 90)),
    )
    dry = small.make_room(policies("1h"), T0 + 100, dry_run=True)
    assert len(list(small.select(EVERYTHING))) == 90
    removed = small.make_room(policies("1h"), T0 + 100, dry_run=False)
    assert [(g.why, g.entries) for g in dry.groups] == [(g.why, g.entries) for g in removed.groups]


def test_the_trash_goes_before_any_entry(small):
    """What an operator threw away counts against the limit, and makes room first."""
    keep(small, *(big_entry(n, SIZE, prefix="thrown_away") for n in range(40)))
    small.remove(EVERYTHING, keep=True)
    fresh = [big_entry(n, SIZE) for n in range(30)]
    keep(small, *fresh)
    assert small.make_room(policies("forever"), T0, dry_run=False).entries == 0
    assert sorted(keys_of(small.select(EVERYTHING))) == sorted(keys_of(fresh))


def test_the_totals_follow(small):
    """What went is not counted any more."""
    keep(small, *(big_entry(n, SIZE, tenant=str(n % 3)) for n in range(80)))
    small.make_room(policies("forever"), T0, dry_run=False)
    told = [(t.tenant, t.prefix, t.entries, t.size_bytes, t.value_bytes) for t in small.totals()]
    assert told == list(held(small))
