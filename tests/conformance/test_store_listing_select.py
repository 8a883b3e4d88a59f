"""`select` lists entries by prefix, newest first, in pages that the reader never notices."""

import itertools
import threading
from dataclasses import fields, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_cache.core.entry import EntryInfo
from llm_cache.store.records import EVERYTHING, EntryUse, Selection
from tests.conformance.samples import T0, an_entry, keep, keys_of

MANY = 1100
"""More than two pages of any store."""
JOIN_S = 30.0


@pytest.fixture
def many(store):
    """Entries of one prefix, with instants that many of them share, newest last."""
    entries = [an_entry(n, created_at=T0 + n // 7) for n in range(MANY)]
    keep(store, *entries)
    return entries


def in_order(entries):
    """Prefix by prefix, newest first; of equal instants, what was put later first."""
    numbered = enumerate(entries)
    return [
        e.key for _, e in sorted(numbered, key=lambda ne: (ne[1].prefix, -ne[1].created_at, -ne[0]))
    ]


def test_it_lists_by_prefix_and_newest_first(store):
    """The order is that of the prefixes, and within one the newest comes first."""
    entries = [
        an_entry(n, prefix=prefix, created_at=T0 + at)
        for n, (prefix, at) in enumerate(itertools.product("cab", (5, 9, 1)))
    ]
    keep(store, *entries)
    assert keys_of(store.select(EVERYTHING)) == in_order(entries)


def test_entries_of_one_instant_have_an_order(store):
    """Of entries made at the same time, the one that was put last comes first."""
    entries = [an_entry(n) for n in range(10)]
    keep(store, *entries)
    assert keys_of(store.select(EVERYTHING)) == keys_of(reversed(entries))


def test_a_listing_tells_everything_but_the_value(store):
    """What is listed is all that is known of the entry, and not its body."""
    entry = an_entry(
        1,
        tenant="t",
        version="v",
        model="m",
        call_ttl=5.0,
        decorator_ttl=7.0,
        generation_seconds=1.25,
        input_tokens=3,
        output_tokens=4,
        cost_usd=0.5,
        redacted=True,
    )
    keep(store, entry)
    [info] = store.select(EVERYTHING)
    assert type(info) is EntryInfo
    assert {f.name: getattr(info, f.name) for f in fields(EntryInfo)} == {
        f.name: getattr(entry, f.name) for f in fields(EntryInfo)
    }


@pytest.mark.parametrize("limit", [0, 1, 499, 500, 501, 999, 1000, 1001, MANY, MANY + 1, None])
def test_a_limit_holds_over_page_borders(store, many, limit):
    """As many come as were asked for, the first of the order, none twice."""
    listed = keys_of(store.select(EVERYTHING, limit=limit))
    assert listed == in_order(many)[:limit]


@pytest.mark.parametrize(
    "which", [EVERYTHING, Selection(prefix="intro_page"), Selection(tenant="")]
)
def test_all_pages_together_are_all_entries(store, many, which):
    """No entry is left out or repeated where one page ends and the next begins."""
    keep(store, an_entry(prefix="another"), an_entry(prefix="zzz"))
    listed = keys_of(store.select(which))
    expected = in_order([an_entry(prefix="another"), *many, an_entry(prefix="zzz")])
    wanted = expected if which.prefix is None else expected[1:-1]
    assert listed == wanted


def test_pages_end_within_a_prefix_of_many_small_ones(store):
    """Page borders fall anywhere among prefixes, tenants and instants."""
    entries = [
        an_entry(n, prefix=f"p{n % 97}", tenant=str(n % 3), created_at=T0 + n % 5)
        for n in range(MANY)
    ]
    keep(store, *entries)
    assert keys_of(store.select(EVERYTHING)) == in_order(entries)


def test_a_page_border_among_equal_instants_loses_nothing(store):
    """A thousand entries of one instant are all listed once."""
    entries = [an_entry(n) for n in range(MANY)]
    keep(store, *entries)
    assert keys_of(store.select(EVERYTHING)) == keys_of(reversed(entries))


def test_an_entry_removed_while_listing_disturbs_no_other(store, many):
    """What goes from a later page is not listed; every other entry is, once."""
    order = in_order(many)
    listing = store.select(EVERYTHING)
    first = [next(listing).key for _ in range(10)]
    gone = order[5:1000:5]
    assert store.remove(Selection(keys=tuple(gone))).entries == len(gone)
    rest = keys_of(listing)
    listed = first + rest
    assert len(set(listed)) == len(listed)
    assert listed == [key for key in order if key in set(listed)]
    assert set(order) - set(gone) <= set(listed)


def test_the_entry_at_a_page_border_may_go(store, many):
    """Removing the last entry that was read does not end the listing or start it again."""
    order = in_order(many)
    listed = []
    for info in store.select(EVERYTHING):
        listed.append(info.key)
        store.remove(Selection(keys=(info.key,)))
    assert listed == order


def test_an_entry_added_while_listing_disturbs_no_other(store, many):
    """Newer entries may be listed or not; those that were there all come, once."""
    listing = store.select(EVERYTHING)
    first = [next(listing).key for _ in range(3)]
    keep(store, *(an_entry(f"new {n}", created_at=T0 + 9999) for n in range(600)))
    listed = first + keys_of(listing)
    assert len(set(listed)) == len(listed)
    assert [key for key in listed if key in set(keys_of(many))] == in_order(many)


def test_an_entry_replaced_while_listing_disturbs_no_other(store, many):
    """Entries regenerated meanwhile may move; no other is lost or comes twice."""
    order = in_order(many)
    anew = [many[n] for n in range(0, MANY, 9)]
    listing = store.select(EVERYTHING)
    first = [next(listing).key]
    keep(store, *(replace(entry, created_at=T0 + 5000) for entry in anew))
    listed = first + keys_of(listing)
    unmoved = [key for key in order if key not in set(keys_of(anew))]
    assert [key for key in listed if key in set(unmoved)] == unmoved


def test_a_listing_may_be_left_early(store, many):
    """Who stops in the middle holds up nobody: writes go on, and another listing begins anew."""
    listing = store.select(EVERYTHING)
    next(listing)
    keep(store, an_entry("late", created_at=T0 + 5000))
    store.remove(Selection(prefix="none"))
    del listing
    assert next(store.select(EVERYTHING)).key == an_entry("late").key


def test_two_listings_go_side_by_side(store, many):
    """Readers do not share a place in the list."""
    one, other = store.select(EVERYTHING), store.select(EVERYTHING)
    assert all(a.key == b.key for a, b in zip(one, other, strict=True))


def test_a_listing_may_be_read_on_by_another_thread(store, many):
    """A listing is not bound to the thread that began it."""
    listing = store.select(EVERYTHING)
    listed = [next(listing).key for _ in range(5)]
    reader = threading.Thread(target=lambda: listed.extend(keys_of(listing)))
    reader.start()
    reader.join(JOIN_S)
    assert listed == in_order(many)


def test_what_uses_an_entry_shows_in_the_listing(store):
    """Hits and the instant of the last one are listed."""
    entry = an_entry()
    keep(store, entry)
    store.add_usage([], [EntryUse(entry.key, 3, T0 + 60)])
    [info] = store.select(EVERYTHING)
    assert (info.hits, info.last_used_at) == (3, T0 + 60)


# Ids


def key_of_digits(digits: str) -> bytes:
    """A key that begins with these hex digits and goes on with zeros."""
    return bytes.fromhex(digits.ljust(64, "0"))


@pytest.mark.parametrize(
    ("digits", "ids"),
    [
        (["aaaaaaaa", "bbbbbbbb"], ["aaaaaaaa", "bbbbbbbb"]),
        (["aaaaaaa1", "aaaaaaa2"], ["aaaaaaa1", "aaaaaaa2"]),
        (["aaaaaaaa1", "aaaaaaaa2"], ["aaaaaaaa1", "aaaaaaaa2"]),
        (
            ["aaaaaaaabbbb1", "aaaaaaaabbbb2", "aaaaaaaab3"],
            ["aaaaaaaabbbb1", "aaaaaaaabbbb2", "aaaaaaaab3"],
        ),
        (["0" * 63 + "1", "0" * 63 + "2"], ["0" * 63 + "1", "0" * 63 + "2"]),
        (["f" * 63 + "e", "f" * 64], ["f" * 63 + "e", "f" * 64]),
    ],
)
def test_an_id_is_as_long_as_it_takes(store, digits, ids):
    """Eight digits, and more only where another entry shares them: every id selects its entry."""
    entries = [an_entry(n, key=key_of_digits(d)) for n, d in enumerate(digits)]
    keep(store, *entries)
    listed = {info.key: info.id for info in store.select(EVERYTHING)}
    assert [listed[entry.key] for entry in entries] == ids
    for entry in entries:
        assert keys_of(store.select(Selection(key_digits=listed[entry.key]))) == [entry.key]


def test_an_id_looks_at_entries_outside_of_the_selection(store):
    """An id that is shared with another prefix is longer, even where only one prefix is listed."""
    mine = an_entry(1, key=key_of_digits("aaaaaaaa1"))
    other = an_entry(2, prefix="other", tenant="t", key=key_of_digits("aaaaaaaa2"))
    keep(store, mine, other)
    [info] = store.select(Selection(prefix=mine.prefix))
    assert info.id == "aaaaaaaa1"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.sets(st.text("ab", min_size=10, max_size=10), min_size=1, max_size=20))
def test_ids_are_unique_and_no_longer_than_they_must_be(store, ends):
    """No two ids are equal, none begins another, and a digit less would be ambiguous."""
    store.remove(EVERYTHING)
    keys = sorted(key_of_digits("77777" + end) for end in ends)
    keep(store, *(an_entry(n, key=key) for n, key in enumerate(keys)))
    digits = [key.hex() for key in keys]
    for info in store.select(EVERYTHING):
        assert sum(d.startswith(info.id) for d in digits) == 1
        assert len(info.id) >= 8
        if len(info.id) > 8:
            assert sum(d.startswith(info.id[:-1]) for d in digits) > 1
