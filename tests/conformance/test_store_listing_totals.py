"""`totals` always equal what is there."""

import pytest

from llm_cache.store.records import EVERYTHING, Lease, Selection, Total
from tests.conformance.samples import T0, an_entry, big_entry, held, keep, policies

PARAMS_BYTES = len(b'{"n":1}')


def told(store):
    """The totals as tuples, in order."""
    return [(t.tenant, t.prefix, t.entries, t.size_bytes, t.value_bytes) for t in store.totals()]


def test_an_empty_store_has_no_totals(store):
    """What holds nothing has nothing to tell of."""
    assert store.totals() == []


def test_totals_count_entries_and_bytes_by_tenant_and_prefix(store):
    """Stored bytes, of value and params, and bytes before compression are summed up apart."""
    keep(
        store,
        an_entry(1, body=b"12345", value_bytes=50),
        an_entry(2, body=b"123", value_bytes=30),
        an_entry(1, tenant="school", body=b"1"),
        an_entry(1, prefix="a", body=b""),
    )
    assert store.totals() == [
        Total("", "a", 1, PARAMS_BYTES, 0),
        Total("", "intro_page", 2, 8 + 2 * PARAMS_BYTES, 80),
        Total("school", "intro_page", 1, 1 + PARAMS_BYTES, 1),
    ]


@pytest.mark.parametrize(
    "change",
    [
        lambda s: keep(s, an_entry(1, body=b"another size", value_bytes=77)),
        lambda s: s.put(an_entry(77), lease=Lease(an_entry(77).key, 1, "nobody")),
        lambda s: s.remove(Selection(keys=(an_entry(1).key,))),
        lambda s: s.remove(Selection(keys=(an_entry(1).key,)), keep=True),
        lambda s: s.remove(Selection(prefix="intro_page")),
        lambda s: s.remove(Selection(tenant="school")),
        lambda s: s.remove(EVERYTHING),
        lambda s: s.remove(EVERYTHING, keep=True),
        lambda s: s.prune(policies("1h"), T0 + 3600, dry_run=False),
        lambda s: s.prune(policies("1h"), T0 + 3600, dry_run=True),
        lambda s: s.make_room(policies("1h"), T0, dry_run=False),
    ],
    ids=[
        "replaced", "not kept", "one removed", "one kept", "prefix", "tenant", "everything",
        "everything kept", "pruned", "dry run", "room",
    ],
)  # fmt: skip
def test_totals_follow_every_change(store, change):
    """After each kind of change, the totals are what a listing sums up to."""
    keep(
        store,
        *(
            an_entry(n, prefix=p, tenant=t)
            for n in range(3)
            for p in ("intro_page", "b")
            for t in ("", "school")
        ),
    )
    change(store)
    assert told(store) == list(held(store))


def test_a_key_that_moves_to_another_prefix_moves_its_total(store):
    """Where an entry replaces one of another prefix or tenant, both totals are right."""
    key = an_entry().key
    keep(store, an_entry(1, key=key), an_entry(2))
    keep(store, an_entry(3, key=key, prefix="b", tenant="school"))
    assert told(store) == list(held(store))
    assert [(t.prefix, t.entries) for t in store.totals()] == [("b", 1), ("intro_page", 1)]


def test_what_holds_nothing_any_more_has_no_total(store):
    """A prefix whose last entry went is gone from the totals."""
    keep(store, an_entry(prefix="a"), an_entry(prefix="b"))
    store.remove(Selection(prefix="a"))
    assert [total.prefix for total in store.totals()] == ["b"]


def test_entries_without_bytes_are_counted(store):
    """Empty values count as entries, and their params for what they take."""
    keep(store, *(an_entry(n, body=b"") for n in range(3)))
    assert store.totals() == [Total("", "intro_page", 3, 3 * PARAMS_BYTES, 0)]
    store.remove(Selection(keys=(an_entry(0).key,)))
    assert store.totals() == [Total("", "intro_page", 2, 2 * PARAMS_BYTES, 0)]


def test_totals_are_right_after_evicting(make_store):
    """What capacity took away is not counted."""
    store = make_store(max_bytes=1024**2)
    keep(store, *(big_entry(n, 30_000, prefix=f"p{n % 3}") for n in range(60)))
    assert store.make_room(policies("forever"), T0, dry_run=False).entries > 0
    assert told(store) == list(held(store))


def test_disk_bytes_tell_what_is_taken_up(store):
    """A store that holds a megabyte takes up at least that."""
    before = store.disk_bytes()
    keep(store, *(big_entry(n, 100_000) for n in range(10)))
    assert before >= 0
    assert store.disk_bytes() >= before + 900_000
