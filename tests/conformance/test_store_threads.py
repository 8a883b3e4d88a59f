"""Every call may be made from any thread, and what one thread did every other sees at once."""

import itertools
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_cache.store.records import EVERYTHING, Counts, EntryUse, Selection, UsageDay
from tests.conformance.samples import T0, an_entry, held, keep, policies

THREADS = 8
WAIT_S = 30.0


@pytest.fixture
def threads():
    """Threads that outlive a call, so that each keeps what the store keeps for it."""
    with ThreadPoolExecutor(THREADS) as pool:
        yield pool


def all_at_once(pool, call):
    """What `call(n)` returns on each of the threads, begun together."""
    together = threading.Barrier(THREADS)

    def run(n: int):
        together.wait(WAIT_S)
        return call(n)

    return [f.result(WAIT_S) for f in [pool.submit(run, n) for n in range(THREADS)]]


def test_a_put_is_seen_by_other_threads_at_once(store, threads):
    """When `put` has returned, `get` on a thread that has read before gives the entry."""
    all_at_once(threads, lambda _: store.get(an_entry(0).key))
    for n in range(50):
        keep(store, an_entry(n))
        seen = all_at_once(threads, lambda _, n=n: store.get(an_entry(n).key))
        assert seen == [an_entry(n)] * THREADS


def test_a_removal_is_seen_by_other_threads_at_once(store, threads):
    """When `remove` has returned, no thread gets the entry."""
    for n in range(50):
        keep(store, an_entry(n))
        all_at_once(threads, lambda _, n=n: store.get(an_entry(n).key))
        store.remove(Selection(keys=(an_entry(n).key,)))
        assert all_at_once(threads, lambda _, n=n: store.get(an_entry(n).key)) == [None] * THREADS


def test_many_threads_put_without_losing_any(store, threads):
    """Every entry that was put from any thread is there, and counted."""

    def put(thread: int) -> None:
        keep(store, *(an_entry((thread, n)) for n in range(40)))

    all_at_once(threads, put)
    for thread, n in itertools.product(range(THREADS), range(40)):
        assert store.get(an_entry((thread, n)).key) is not None
    assert store.totals()[0].entries == THREADS * 40


def test_many_threads_put_one_key(store, threads):
    """One of them is there in the end, whole, and it is counted once."""
    versions = [an_entry("same", body=b"%d" % n * (n + 1) * 50) for n in range(THREADS)]

    def put(thread: int) -> None:
        for _ in range(20):
            keep(store, versions[thread])
            assert store.get(versions[0].key) in versions

    all_at_once(threads, put)
    assert store.get(versions[0].key) in versions
    [total] = store.totals()
    assert (total.entries, total.size_bytes) == (1, store.get(versions[0].key).size_bytes)


def test_of_many_removers_one_is_told_of_it(store, threads):
    """An entry is removed once: the answers add up to what was there."""
    keep(store, *(an_entry(n) for n in range(100)))
    removed = all_at_once(threads, lambda _: store.remove(EVERYTHING))
    assert sum(one.entries for one in removed) == 100


def test_counts_told_from_many_threads_add_up(store, threads):
    """No count is lost to another that came at the same time."""
    keep(store, an_entry())

    def tell(_: int) -> None:
        for _ in range(25):
            store.add_usage(
                [UsageDay("2026-11-22", "", "p", "", Counts(hits=1, saved_seconds=0.5))],
                [EntryUse(an_entry().key, 1, T0 + 1)],
            )

    all_at_once(threads, tell)
    [day] = store.usage()
    assert day.usage == Counts(hits=THREADS * 25, saved_seconds=THREADS * 12.5)
    assert store.get(an_entry().key).hits == THREADS * 25


def test_everything_at_once_keeps_the_totals_right(store, threads):
    """Whatever threads do to a store together, the totals are what is there in the end."""

    def work(thread: int) -> None:
        for n in range(30):
            prefix = f"p{(n + thread) % 3}"
            entry = an_entry(n % 7, prefix=prefix, tenant=str(thread % 2), created_at=T0 - n)
            keep(store, entry)
            match n % 6:
                case 0:
                    store.remove(Selection(prefix=prefix), keep=thread % 2 == 0)
                case 1:
                    store.prune(policies("10s"), T0, dry_run=False)
                case 2:
                    list(store.select(EVERYTHING))
                case 3:
                    store.remove(Selection(keys=(entry.key,)))
                case _:
                    store.totals()

    all_at_once(threads, work)
    told = [(t.tenant, t.prefix, t.entries, t.size_bytes, t.value_bytes) for t in store.totals()]
    assert told == list(held(store))


def test_two_stores_write_at_the_same_time(make_store, threads):
    """Writers of two stores over one place wait for each other and lose nothing."""
    stores = [make_store(), make_store()]
    for store in stores:
        store.open()

    def put(thread: int) -> None:
        keep(stores[thread % 2], *(an_entry((thread, n)) for n in range(30)))

    all_at_once(threads, put)
    assert stores[0].totals() == stores[1].totals()
    assert stores[0].totals()[0].entries == THREADS * 30
