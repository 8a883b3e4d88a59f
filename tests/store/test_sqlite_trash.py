"""What is kept on removal lies in the trash, whole, until it is old or room is needed."""

import pytest

from llm_cache.store.records import EVERYTHING, TRASH_KEPT_S, Selection
from llm_cache.store.sqlite._rows import ENTRY_COLUMNS
from tests.conformance.samples import T0, an_entry, keep, policies


def trash(raw):
    """Every column of the trash that an entry has."""
    return raw.run(f"SELECT {ENTRY_COLUMNS} FROM trash ORDER BY key")


def test_an_entry_lies_in_the_trash_as_it_was(store, raw, clock):
    """Not a column is lost, and it is known when it was thrown away."""
    keep(store, an_entry(1, tenant="t", call_ttl=5.0, model="m"), an_entry(2))
    before = raw.run(f"SELECT {ENTRY_COLUMNS} FROM entries ORDER BY key")
    clock.now = T0 + 77
    store.remove(EVERYTHING, keep=True)
    assert trash(raw) == before
    assert raw.run("SELECT DISTINCT removed_at FROM trash") == [(T0 + 77,)]


def test_what_is_not_kept_is_not_in_the_trash(store, raw):
    """A removal without `keep` is one for good, and leaves what was in the trash before."""
    keep(store, an_entry(1), an_entry(2))
    store.remove(Selection(keys=(an_entry(1).key,)), keep=True)
    store.remove(Selection(keys=(an_entry(2).key,)))
    assert [row[0] for row in trash(raw)] == [an_entry(1).key]


def test_the_trash_keeps_what_was_thrown_away_last(store, raw, clock):
    """An entry regenerated and thrown away again takes the older one's place, with its instant."""
    keep(store, an_entry(body=b'"old"'))
    store.remove(EVERYTHING, keep=True)
    clock.now = T0 + 100
    keep(store, an_entry(body=b'"new"'))
    assert store.remove(EVERYTHING, keep=True).entries == 1
    assert raw.run("SELECT value, removed_at FROM trash") == [(b'"new"', T0 + 100)]


def test_clearing_everything_empties_the_trash(store, raw):
    """`clear` means all of it."""
    keep(store, an_entry(1), an_entry(2))
    store.remove(Selection(keys=(an_entry(1).key,)), keep=True)
    assert store.remove(EVERYTHING).entries == 1
    assert trash(raw) == []


@pytest.mark.parametrize(("age", "left"), [(TRASH_KEPT_S - 1, 1), (TRASH_KEPT_S + 1, 0)])
def test_prune_empties_what_is_older_than_seven_days(store, raw, clock, age, left):
    """The trash is kept for a week, whatever the ttl of its entries."""
    keep(store, an_entry(call_ttl=1.0))
    store.remove(EVERYTHING, keep=True)
    store.prune(policies("forever"), T0 + age, dry_run=True)
    assert len(trash(raw)) == 1
    store.prune(policies("forever"), T0 + age, dry_run=False)
    assert len(trash(raw)) == left


def test_a_lookup_never_reads_the_trash(store):
    """What was thrown away is not found under its key, its digits or its prefix."""
    keep(store, an_entry())
    store.remove(EVERYTHING, keep=True)
    assert store.get(an_entry().key) is None
    assert list(store.select(Selection(key_digits=an_entry().key.hex()))) == []
    assert store.remove(Selection(prefix=an_entry().prefix)).entries == 0


def test_making_room_empties_the_trash_first(store, raw, make_store):
    """The trash goes, young as it is, before any entry does."""
    keep(store, *(an_entry(n, body=b"x" * 50_000) for n in range(40)))
    store.remove(EVERYTHING, keep=True)
    keep(store, an_entry("fresh"))
    small = make_store(max_bytes=1024**2)
    assert small.make_room(policies("forever"), T0, dry_run=False).entries == 0
    assert trash(raw) == []
    assert small.get(an_entry("fresh").key) is not None
