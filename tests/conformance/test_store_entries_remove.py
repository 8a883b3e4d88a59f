"""`remove` drops exactly what a selection says, at once, and tells how much it was."""

import pytest

from llm_cache.store.records import EVERYTHING, Group, Selection
from tests.conformance.samples import an_entry, held, keep, keys_of

PREFIXES = ("intro_page", "word_problem", "word_problem/hard")
TENANTS = ("", "school")


@pytest.fixture
def entries(store):
    """Three entries for each of three prefixes and two tenants, in the store."""
    made = [
        an_entry(n, prefix=prefix, tenant=tenant, generation_seconds=float(n))
        for prefix in PREFIXES
        for tenant in TENANTS
        for n in range(3)
    ]
    keep(store, *made)
    return made


SELECTIONS = {
    "everything": (EVERYTHING, lambda e: True),
    "prefix": (Selection(prefix="word_problem"), lambda e: e.prefix == "word_problem"),
    "tenant": (Selection(tenant="school"), lambda e: e.tenant == "school"),
    "empty tenant": (Selection(tenant=""), lambda e: e.tenant == ""),
    "prefix and tenant": (
        Selection(prefix="intro_page", tenant="school"),
        lambda e: (e.prefix, e.tenant) == ("intro_page", "school"),
    ),
    "keys": (
        Selection(keys=(an_entry(0).key, an_entry(2, tenant="school").key)),
        lambda e: e.key in (an_entry(0).key, an_entry(2, tenant="school").key),
    ),
    "keys within a prefix": (
        Selection(
            keys=(an_entry(0).key, an_entry(1, prefix="word_problem").key), prefix=PREFIXES[0]
        ),
        lambda e: e.key == an_entry(0).key,
    ),
    "one key twice": (
        Selection(keys=(an_entry(1).key, an_entry(1).key)),
        lambda e: e.key == an_entry(1).key,
    ),
    "no key": (Selection(keys=()), lambda e: False),
    "a key that is not there": (Selection(keys=(bytes(32),)), lambda e: False),
    "a prefix that is not there": (Selection(prefix="word"), lambda e: False),
    "digits": (
        Selection(key_digits=an_entry(0).key.hex()[:9]),
        lambda e: e.key == an_entry(0).key,
    ),
    "all digits": (
        Selection(key_digits=an_entry(1).key.hex()),
        lambda e: e.key == an_entry(1).key,
    ),
    "no digits": (Selection(key_digits=""), lambda e: True),
}


@pytest.mark.parametrize("name", SELECTIONS)
@pytest.mark.parametrize("keep_them", [False, True], ids=["removed", "kept in the trash"])
def test_remove_drops_exactly_what_is_selected(store, entries, name, keep_them):
    """What the selection says is gone, all else is there, and the answer counts it."""
    which, is_selected = SELECTIONS[name]
    gone = [entry for entry in entries if is_selected(entry)]
    left = [entry for entry in entries if not is_selected(entry)]
    removed = store.remove(which, keep=keep_them)
    assert removed.entries == len(gone)
    assert removed.freed_bytes == sum(entry.size_bytes for entry in gone)
    assert sum(g.generation_seconds for g in removed.groups) == sum(
        entry.generation_seconds for entry in gone
    )
    assert all(store.get(entry.key) is None for entry in gone)
    assert all(store.get(entry.key) == entry for entry in left)
    assert sorted(keys_of(store.select(EVERYTHING))) == sorted(keys_of(left))


@pytest.mark.parametrize("name", SELECTIONS)
def test_select_lists_exactly_what_remove_drops(store, entries, name):
    """One selection means the same to both."""
    which, is_selected = SELECTIONS[name]
    listed = keys_of(store.select(which))
    assert sorted(listed) == sorted(e.key for e in entries if is_selected(e))
    assert store.remove(which).entries == len(listed)


@pytest.mark.parametrize("digits", range(1, 20))
def test_any_number_of_digits_selects(store, digits):
    """An odd number of hex digits says as much as an even one."""
    match = an_entry(1, key=bytes.fromhex("abcdef0123456789" * 4))
    other = an_entry(2, key=bytes.fromhex("b" + "abcdef0123456789" * 3 + "abcdef012345678"))
    keep(store, match, other)
    assert keys_of(store.select(Selection(key_digits=match.key.hex()[:digits]))) == [match.key]


def test_digits_reach_the_ends_of_all_keys(store):
    """The first and the last key there can be are selected by their digits."""
    first, last = an_entry(1, key=bytes(32)), an_entry(2, key=b"\xff" * 32)
    keep(store, first, last)
    assert keys_of(store.select(Selection(key_digits="0"))) == [first.key]
    assert keys_of(store.select(Selection(key_digits="f"))) == [last.key]


def test_thousands_of_keys_are_removed_in_one_call(store):
    """No number of keys is too much for a selection."""
    entries = [an_entry(n) for n in range(1200)]
    keep(store, *entries[:700])
    assert store.remove(Selection(keys=tuple(keys_of(entries)))).entries == 700
    assert list(store.select(EVERYTHING)) == []


def test_thousands_of_keys_are_listed_in_one_call(store):
    """No number of keys is too much for a listing."""
    entries = [an_entry(n) for n in range(700)]
    keep(store, *entries)
    many = tuple(an_entry(n).key for n in range(40_000))
    assert sorted(keys_of(store.select(Selection(keys=many)))) == sorted(keys_of(entries))


def test_removing_again_removes_nothing(store, entries):
    """What is gone is not counted a second time."""
    assert store.remove(EVERYTHING).entries == len(entries)
    removed = store.remove(EVERYTHING)
    assert removed.entries == 0
    assert removed.groups == ()
    assert removed.freed_bytes == 0


def test_the_answer_says_why(store, entries):
    """What the user dropped is one group, with its sums."""
    removed = store.remove(Selection(prefix="intro_page", tenant=""))
    sizes = sum(e.size_bytes for e in entries if (e.prefix, e.tenant) == ("intro_page", ""))
    assert removed.groups == (Group("invalidated", 3, sizes, 3.0, unpriced=3),)


def test_what_was_removed_can_be_put_again(store):
    """Neither removing nor the trash keeps a later entry out."""
    entry = an_entry()
    for keep_it in (False, True, True, False):
        keep(store, entry)
        assert store.get(entry.key) == entry
        assert store.remove(Selection(keys=(entry.key,)), keep=keep_it).entries == 1
        assert store.get(entry.key) is None


def test_the_trash_is_not_counted_as_held(store, entries):
    """Neither a listing nor the totals tell of what is in the trash."""
    store.remove(Selection(prefix="intro_page"), keep=True)
    store.remove(EVERYTHING, keep=True)
    assert list(store.select(EVERYTHING)) == []
    assert store.totals() == list(held(store)) == []
