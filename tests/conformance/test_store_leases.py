"""Who may generate for a key: one at a time, until it is stored, given back, voided, or dead."""

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from llm_cache.core.keys import Identity, canonical_params
from llm_cache.errors import StoreError
from llm_cache.store.records import EVERYTHING, EntryUse, Held, Lease, Selection
from tests.conformance.samples import PREFIX, T0, an_entry, keep, policies

WAIT_S = 30.0
THREADS = 8


def identity(n=0, *, prefix=PREFIX, tenant=""):
    """What the entry of `n` is known by."""
    return Identity(prefix, canonical_params({"n": n}), "", tenant)


def acquire(store, n=0, *, prefix=PREFIX, tenant="", unfit=None, askers=()):
    """Asks for the lease of `n`."""
    who = identity(n, prefix=prefix, tenant=tenant)
    return store.acquire(who, unfit=unfit, askers=askers)


def granted(store, n=0, **asked):
    """The lease of `n`, which has to be given."""
    lease = acquire(store, n, **asked)
    assert isinstance(lease, Lease)
    return lease


def test_one_at_a_time_gets_it(make_store):
    """Whoever asks next, here or over another way to the same entries, finds it held."""
    here, there = make_store(), make_store()
    lease = granted(here)
    assert lease.key == identity().key
    for store in (here, there):
        assert acquire(store) is Held.BY_ANOTHER
        assert store.is_held(lease.key)
    assert isinstance(acquire(there, 1), Lease), "the lease of another key"


def test_nobody_holds_what_nobody_asked_for(store):
    """A look at a key that was never leased."""
    assert not store.is_held(identity().key)
    assert store.get(identity().key) is None


def test_of_many_that_ask_at_once_one_gets_it(make_store):
    """Threads over two stores, 20 keys."""
    stores = make_store(), make_store()
    together = threading.Barrier(THREADS)

    def ask(thread: int):
        together.wait(WAIT_S)
        return [acquire(stores[thread % 2], n) for n in range(20)]

    with ThreadPoolExecutor(THREADS) as pool:
        answers = list(pool.map(ask, range(THREADS), timeout=WAIT_S))
    for n in range(20):
        assert sum(isinstance(answer[n], Lease) for answer in answers) == 1
        assert sum(answer[n] is Held.BY_ANOTHER for answer in answers) == THREADS - 1


def test_putting_ends_it(store):
    """The entry is kept and the lease free again, in one step."""
    lease = granted(store)
    assert store.put(an_entry(), lease=lease)
    assert not store.is_held(lease.key)
    assert store.get(lease.key) == an_entry()
    assert not store.put(an_entry(body=b'"again"'), lease=lease)
    assert store.get(lease.key) == an_entry()


def test_an_entry_that_came_meanwhile_is_given_instead(store):
    """Unless it is the one that was found unfit, however often that was used since."""
    keep(store, an_entry())
    assert acquire(store) == an_entry()
    assert acquire(store, unfit=an_entry(body=b'"another"')) == an_entry()
    assert not store.is_held(identity().key)
    store.add_usage([], [EntryUse(identity().key, 3, T0 + 1)])
    lease = granted(store, unfit=an_entry())
    assert store.put(an_entry(body=b'"newer"'), lease=lease)
    assert store.get(lease.key).body == b'"newer"'


def test_giving_it_back_frees_it(make_store):
    """Nothing was made: the next one may try."""
    here, there = make_store(), make_store()
    lease = granted(here)
    here.release(lease)
    again = granted(here)
    assert again.token != lease.token
    here.release(again)
    granted(here, 1)  # behind the release
    granted(there)


def test_giving_back_what_is_anothers_changes_nothing(make_store):
    """A release that comes late, or twice, takes nobody else's lease away."""
    here, there = make_store(), make_store()
    lease = granted(here)
    here.release(lease)
    granted(here, 1)  # behind the release
    granted(there)
    here.release(lease)
    granted(here, 2)  # behind that one, too
    assert acquire(here) is Held.BY_ANOTHER


def test_tokens_only_grow(make_store):
    """Over all stores of the entries, and after they were closed."""
    tokens = []
    for n in range(3):
        store = make_store()
        tokens += [granted(store, (n, m)).token for m in range(5)]
        store.close()
    assert tokens == sorted(set(tokens))


@pytest.mark.parametrize(
    "which",
    [
        EVERYTHING,
        Selection(prefix=PREFIX),
        Selection(tenant=""),
        Selection(keys=(identity().key,)),
        Selection(prefix=PREFIX, tenant=""),
    ],
    ids=repr,
)
@pytest.mark.parametrize("to_trash", [False, True])
@pytest.mark.parametrize("over_another", [False, True])
def test_removing_voids_it(make_store, which, to_trash, over_another):
    """What was begun before is not kept, though there was no entry to remove."""
    store = make_store()
    remover = make_store() if over_another else store
    lease = granted(store)
    assert remover.remove(which, keep=to_trash).entries == 0
    assert not store.is_held(lease.key)
    assert not store.put(an_entry(), lease=lease)
    assert store.get(lease.key) is None
    assert store.put(an_entry(), lease=granted(store))


@pytest.mark.parametrize(
    "which",
    [Selection(prefix="other"), Selection(tenant="acme"), Selection(keys=(identity(1).key,))],
    ids=repr,
)
def test_removing_others_leaves_it(store, which):
    """A lease that is not of the selection stands."""
    lease = granted(store)
    store.remove(which)
    assert store.is_held(lease.key)
    assert store.put(an_entry(), lease=lease)


def test_pruning_and_making_room_leave_it(make_store):
    """Sweeping what is old says nothing about what is being made."""
    store = make_store(max_bytes=1)
    lease = granted(store)
    store.prune(policies(), 1e12, dry_run=False)
    store.make_room(policies(), 1e12, dry_run=False)
    assert store.is_held(lease.key)
    assert store.put(an_entry(), lease=lease)


def test_putting_without_one_voids_it(store):
    """What was put by hand stands: a generation that began before does not replace it."""
    lease = granted(store)
    keep(store, an_entry(body=b'"by hand"'))
    assert not store.is_held(lease.key)
    assert not store.put(an_entry(), lease=lease)
    assert store.get(lease.key).body == b'"by hand"'


def test_a_voided_one_goes_to_the_next(make_store):
    """Who asks after an invalidation does not wait for what was begun before it."""
    here, there = make_store(), make_store()
    old = granted(here)
    there.remove(Selection(prefix=PREFIX))
    new = granted(there)
    assert new.token > old.token
    assert not here.put(an_entry(body=b'"old"'), lease=old)
    assert there.is_held(new.key)
    assert there.put(an_entry(), lease=new)
    assert here.get(new.key) == an_entry()


def test_who_closes_holds_nothing_any_more(make_store):
    """Its leases are free at once, long before they would have run out."""
    here, there = make_store(), make_store()
    lease = granted(here)
    assert acquire(there) is Held.BY_ANOTHER
    here.close()
    assert not there.is_held(lease.key)
    granted(there)


def test_a_lease_is_of_its_tenant(store):
    """Another tenant's is another key's; removing one's leaves the other's."""
    ours, theirs = granted(store, tenant="us"), granted(store, tenant="them")
    store.remove(Selection(tenant="them"))
    assert not store.put(an_entry(tenant="them"), lease=theirs)
    assert store.put(an_entry(tenant="us"), lease=ours)


def test_a_circle_is_told(make_store):
    """A waits for B's lease while B asks for A's: B is told so, and nobody waits for ever."""
    here, there = make_store(), make_store()
    a, b = granted(here, "a"), granted(there, "b")
    assert acquire(here, "b", askers=[a]) is Held.BY_ANOTHER
    assert acquire(there, "a", askers=[b]) is Held.IN_A_CYCLE
    # And again: asking changed nothing.
    assert acquire(there, "a", askers=[b]) is Held.IN_A_CYCLE
    assert acquire(here, "b", askers=[a]) is Held.BY_ANOTHER


def test_a_circle_over_others_is_told(make_store):
    """A waits for B, B for C, C asks for A."""
    stores = [make_store() for _ in "abc"]
    a, b, c = (granted(store, name) for store, name in zip(stores, "abc", strict=True))
    assert acquire(stores[0], "b", askers=[a]) is Held.BY_ANOTHER
    assert acquire(stores[1], "c", askers=[b]) is Held.BY_ANOTHER
    assert acquire(stores[2], "a", askers=[c]) is Held.IN_A_CYCLE
    assert acquire(stores[2], "b", askers=[c]) is Held.IN_A_CYCLE


def test_who_waited_and_got_it_waits_no_more(make_store):
    """The circle is gone once what was waited for has come."""
    here, there = make_store(), make_store()
    a, b = granted(here, "a"), granted(there, "b")
    assert acquire(here, "b", askers=[a]) is Held.BY_ANOTHER
    assert there.put(an_entry("b"), lease=b)
    assert acquire(here, "b", askers=[a]) == an_entry("b")
    again = granted(there, "b", unfit=an_entry("b"))
    assert acquire(there, "a", askers=[again]) is Held.BY_ANOTHER


def test_two_that_wait_for_one_are_no_circle(make_store):
    """A and B both wait for C: C is told nothing."""
    store = make_store()
    a, b, c = (granted(store, name) for name in "abc")
    assert acquire(store, "c", askers=[a]) is Held.BY_ANOTHER
    assert acquire(store, "c", askers=[b]) is Held.BY_ANOTHER
    assert isinstance(acquire(store, "d", askers=[c]), Lease)


def test_a_closed_store_gives_none(store):
    """And takes none: whoever still has one is told."""
    lease = granted(store)
    store.close()
    with pytest.raises(StoreError, match="closed"):
        acquire(store, 1)
    with pytest.raises(StoreError, match="closed"):
        store.put(an_entry(), lease=lease)
    with pytest.raises(StoreError, match="closed"):
        store.release(lease)
