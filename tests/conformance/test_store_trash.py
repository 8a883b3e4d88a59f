"""What was removed with `keep` is in the trash, and can be taken back once, as it was."""

from dataclasses import replace

import pytest

from llm_cache.core.keys import Identity, canonical_params
from llm_cache.store.records import EVERYTHING, Lease, Selection
from llm_cache.store.sqlite._trash import PAGE
from tests.conformance.samples import T0, an_entry, held, keep, keys_of


def trashed(store, which=EVERYTHING) -> list[bytes]:
    """The keys of what is in the trash, in its order."""
    return [each.entry.key for each in store.trashed(which)]


def throw_away(store, *entries) -> None:
    """Keeps entries and removes them again, to the trash."""
    keep(store, *entries)
    store.remove(Selection(keys=tuple(entry.key for entry in entries)), keep=True)


def test_trash_of_a_new_store_is_empty(store):
    """Nothing is in it, and nothing comes of asking for it."""
    assert trashed(store) == []
    assert store.restore([an_entry().key]) == []


def test_trash_tells_everything_but_the_value(store, clock):
    """All that a listing tells of an entry, and when it came there."""
    keep(store, an_entry(1, hits=3, used_at=T0 + 5, model="m", cost_usd=0.5, call_ttl=60.0))
    (before,) = store.select(EVERYTHING)
    clock.now = T0 + 77
    store.remove(EVERYTHING, keep=True)
    assert list(store.trashed(EVERYTHING)) == [(before, T0 + 77)]


def test_trash_has_the_last_removed_first(store, clock):
    """By the instant of the removal, over more than one page."""
    entries = [an_entry(n) for n in range(PAGE + 3)]
    late, early = entries[:5], entries[5:]
    throw_away(store, *early)
    clock.now = T0 + 1
    throw_away(store, *late)
    found = trashed(store)
    assert set(found[:5]) == set(keys_of(late))
    assert sorted(found[5:]) == sorted(keys_of(early))


@pytest.mark.parametrize(
    ("which", "expected"),
    [
        (Selection(prefix="word"), {2, 3}),
        (Selection(tenant="t"), {3}),
        (Selection(prefix="word", tenant=""), {2}),
        (Selection(keys=(an_entry(1).key, an_entry("none").key)), {1}),
        (Selection(key_digits=an_entry(1).key.hex()[:9]), {1}),
        (Selection(prefix="none"), set()),
    ],
    ids=["prefix", "tenant", "prefix and tenant", "keys", "digits", "nothing"],
)
def test_trash_is_selected_as_entries_are(store, which, expected):
    """By prefix, tenant, keys and the first digits of a key."""
    entries = {1: an_entry(1), 2: an_entry(2, prefix="word")}
    entries[3] = an_entry(3, prefix="word", tenant="t")
    throw_away(store, *entries.values())
    assert set(trashed(store, which)) == {entries[n].key for n in expected}


def test_ids_in_the_trash_are_as_long_as_they_need_to_be(store):
    """Where two keys share 8 digits, their ids have more."""
    alike = [replace(an_entry(n), key=b"\x12\x34\x56\x78" + bytes([n] * 28)) for n in (1, 2)]
    throw_away(store, *alike, an_entry(3))
    ids = {each.entry.id for each in store.trashed(EVERYTHING)}
    assert ids == {"1234567801", "1234567802", an_entry(3).id}


def test_restored_entry_is_as_it_was(store):
    """Value, measurements and hits; the trash is without it."""
    entry = an_entry(1, hits=3, used_at=T0 + 5, model="m", cost_usd=0.5, call_ttl=60.0, tenant="t")
    throw_away(store, entry, an_entry(2))
    assert store.restore([entry.key]) == [entry.key]
    assert store.get(entry.key) == entry
    assert trashed(store) == [an_entry(2).key]
    assert store.totals() == list(held(store))


def test_restoring_twice_restores_once(store):
    """The second time there is nothing to take back."""
    throw_away(store, an_entry())
    assert store.restore([an_entry().key] * 2) == [an_entry().key]
    assert store.restore([an_entry().key]) == []
    assert [total.entries for total in store.totals()] == [1]


def test_what_was_made_anew_stays(store):
    """The newer one is kept, and the older one stays in the trash; the others come back."""
    throw_away(store, an_entry(1, body=b'"older"'), an_entry(2))
    keep(store, an_entry(1, body=b'"newer"'))
    assert store.restore([an_entry(1).key, an_entry(2).key]) == [an_entry(2).key]
    assert store.get(an_entry(1).key).value == "newer"
    assert trashed(store) == [an_entry(1).key]


def test_older_one_comes_back_once_the_newer_is_gone_for_good(store):
    """A removal without `keep` leaves what lies in the trash."""
    throw_away(store, an_entry(body=b'"older"'))
    keep(store, an_entry(body=b'"newer"'))
    store.remove(Selection(keys=(an_entry().key,)))
    assert store.restore([an_entry().key]) == [an_entry().key]
    assert store.get(an_entry().key).value == "older"


def test_restored_entry_can_be_removed_and_restored_again(store):
    """There and back, as often as one likes."""
    throw_away(store, an_entry(hits=7))
    for _ in range(3):
        assert store.restore([an_entry().key]) == [an_entry().key]
        assert store.remove(EVERYTHING, keep=True).entries == 1
    assert [each.entry.hits for each in store.trashed(EVERYTHING)] == [7]


def test_what_is_being_generated_meanwhile_is_not_kept_over_it(store):
    """Whoever began before the restoring keeps nothing, as after a `put` by hand."""
    throw_away(store, an_entry())
    lease = store.acquire(Identity(an_entry().prefix, canonical_params({"n": 0})))
    assert isinstance(lease, Lease)
    store.restore([an_entry().key])
    assert not store.put(an_entry(body=b'"late"'), lease=lease)
    assert store.get(an_entry().key) == an_entry()


def test_lease_of_what_does_not_come_back_stands(store):
    """Of an entry that is not in the trash, or was regenerated."""
    lease = store.acquire(Identity(an_entry().prefix, canonical_params({"n": 0})))
    store.restore([an_entry().key])
    assert store.put(an_entry(body=b'"made"'), lease=lease)


def test_nothing_is_noted_of_what_is_back(store, clock):
    """That an entry was invalidated is no reason for anything any more."""
    throw_away(store, an_entry())
    assert store.notes("", an_entry().prefix, an_entry().key) != []
    store.restore([an_entry().key])
    assert store.notes("", an_entry().prefix, an_entry().key) == []


def test_another_store_of_the_same_entries_sees_it_at_once(store, make_store):
    """What one process restores, another has."""
    throw_away(store, an_entry())
    other = make_store()
    other.open()
    assert other.get(an_entry().key) is None
    store.restore([an_entry().key])
    assert other.get(an_entry().key) == an_entry()
    assert other.restore([an_entry().key]) == []
