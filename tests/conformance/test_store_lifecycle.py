"""A store opens when it is needed, may be opened and closed again and again, and keeps its word."""

import threading

import pytest

from llm_cache.errors import StoreError
from llm_cache.store.records import EVERYTHING, Counts, EntryUse, Selection, UsageDay
from tests.conformance.samples import T0, an_entry, keep, policies

JOIN_S = 30.0
OPERATIONS = {
    "get": lambda s: s.get(an_entry().key),
    "put": lambda s: s.put(an_entry()),
    "remove": lambda s: s.remove(EVERYTHING),
    "remove and keep": lambda s: s.remove(Selection(prefix="p"), keep=True),
    "prune": lambda s: s.prune(policies(), T0, dry_run=False),
    "prune, dry run": lambda s: s.prune(policies(), T0, dry_run=True),
    "make_room": lambda s: s.make_room(policies(), T0, dry_run=False),
    "select": lambda s: list(s.select(EVERYTHING)),
    "totals": lambda s: s.totals(),
    "expired": lambda s: s.expired(policies(), T0),
    "add_usage": lambda s: s.add_usage([UsageDay("2026-11-22", "", "p", "", Counts())], []),
    "add_usage of entries": lambda s: s.add_usage([], [EntryUse(bytes(32), 1, T0)]),
    "usage": lambda s: s.usage(),
    "unused": lambda s: s.unused(T0, 5),
    "disk_bytes": lambda s: s.disk_bytes(),
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_call_works_before_open(make_store, name):
    """A store that nobody opened opens itself."""
    OPERATIONS[name](make_store())


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_call_works_on_an_empty_store(store, name):
    """Nothing kept is nothing wrong."""
    OPERATIONS[name](store)


@pytest.mark.parametrize("name", OPERATIONS)
def test_every_call_after_close_is_a_store_error(store, name):
    """A closed store says that it is closed; it does not open itself again."""
    keep(store, an_entry())
    store.close()
    with pytest.raises(StoreError, match="closed"):
        OPERATIONS[name](store)


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_store_closed_by_another_thread_is_closed(store, name):
    """It does not matter which thread closes: no other goes on as before."""
    keep(store, an_entry())
    store.get(an_entry().key)
    closer = threading.Thread(target=store.close)
    closer.start()
    closer.join(JOIN_S)
    with pytest.raises(StoreError, match="closed"):
        OPERATIONS[name](store)


def test_a_store_that_was_never_opened_is_closed_too(make_store):
    """Closing comes first: nothing is opened after it."""
    store = make_store()
    store.close()
    with pytest.raises(StoreError, match="closed"):
        store.get(an_entry().key)
    with pytest.raises(StoreError, match="closed"):
        keep(store, an_entry())


def test_a_listing_under_way_ends_with_a_store_error(store):
    """What was not read when the store closed is not read any more."""
    keep(store, *(an_entry(n) for n in range(1100)))
    listing = store.select(EVERYTHING)
    next(listing)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        list(listing)


def test_a_new_store_is_not_open(make_store):
    """Making one touches nothing; `open` makes it ready."""
    store = make_store()
    assert store.is_open is False
    store.open()
    assert store.is_open is True


def test_a_closed_store_is_not_open(store):
    """`is_open` says whether it is ready."""
    store.close()
    assert store.is_open is False


def test_open_twice_and_close_twice_are_harmless(make_store):
    """Whoever is not sure may call them again."""
    store = make_store()
    store.open()
    keep(store, an_entry())
    store.open()
    assert store.get(an_entry().key) == an_entry()
    store.close()
    store.close()


def test_many_threads_may_open_at_once(make_store):
    """The first use may come from several threads."""
    store = make_store()
    together = threading.Barrier(8)
    errors = []

    def use(n: int) -> None:
        together.wait(JOIN_S)
        try:
            keep(store, an_entry(n))
        except BaseException as error:  # noqa: BLE001 - reported below
            errors.append(error)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    assert errors == []
    assert store.totals()[0].entries == 8


def test_many_stores_may_open_one_place_at_once(make_store):
    """Of several that find nothing there yet, one makes it and all can use it."""
    stores = [make_store() for _ in range(6)]
    together = threading.Barrier(len(stores))
    errors = []

    def use(n: int) -> None:
        together.wait(JOIN_S)
        try:
            keep(stores[n], an_entry(n))
        except BaseException as error:  # noqa: BLE001 - reported below
            errors.append(error)

    threads = [threading.Thread(target=use, args=(n,)) for n in range(len(stores))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(JOIN_S)
    assert errors == []
    assert stores[0].totals()[0].entries == len(stores)


def test_what_was_kept_is_there_after_opening_again(make_store):
    """Entries, totals and counts outlive the store object."""
    before = make_store()
    entries = [an_entry(n, tenant=str(n % 2)) for n in range(20)]
    keep(before, *entries)
    before.add_usage(
        [UsageDay("2026-11-22", "", "p", "m", Counts(hits=3, saved_seconds=1.5))],
        [EntryUse(entries[0].key, 4, T0 + 9)],
    )
    totals, usage = before.totals(), before.usage()
    before.close()
    after = make_store()
    assert after.totals() == totals
    assert after.usage() == usage
    assert [after.get(entry.key) for entry in entries[1:]] == entries[1:]
    assert (after.get(entries[0].key).hits, after.get(entries[0].key).used_at) == (4, T0 + 9)


def test_two_stores_over_one_place_see_each_others_entries_at_once(make_store):
    """What one has put or removed, the other finds or misses at its next look."""
    one, other = make_store(), make_store()
    for n in range(20):
        keep(one, an_entry(n))
        assert other.get(an_entry(n).key) == an_entry(n)
        assert other.remove(Selection(keys=(an_entry(n).key,))).entries == 1
        assert one.get(an_entry(n).key) is None
    assert one.totals() == other.totals() == []


def test_two_stores_over_one_place_share_their_stamps(make_store):
    """What one renews, the other reads."""
    one, other = make_store(), make_store()
    one.open()
    other.open()
    key = an_entry().key
    read, read_other = one.stamps.reader(key), other.stamps.reader(key)
    before = read()
    assert read_other() == before
    one.stamps.renew((key,))
    assert read_other() == read() != before


def test_closing_one_store_leaves_the_other(make_store):
    """Stores over one place are closed each on its own."""
    one, other = make_store(), make_store()
    keep(one, an_entry())
    other.open()
    one.close()
    assert other.get(an_entry().key) == an_entry()
    keep(other, an_entry(2))
