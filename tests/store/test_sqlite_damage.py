"""A damaged row is a miss and goes; it is never an answer, and never in anybody's way."""

import struct
import threading
from dataclasses import fields

import pytest

from llm_cache import LLMCache
from llm_cache.core.entry import EntryInfo
from llm_cache.errors import StoreError
from llm_cache.store.records import EVERYTHING, Selection
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._entries import keep as put_entry
from tests.conformance.samples import T0, Clock, an_entry, held, keep, keys_of, policies

WAIT_S = 30.0
BLOBS = ("request", "params", "checksum", "value")
TEXTS = ("tenant", "prefix", "version", "encoding", "model")
INTS = ("variant", "redacted", "size_bytes", "value_bytes", "input_tokens", "output_tokens")
REALS = ("created_at", "call_ttl", "decorator_ttl", "generation_seconds", "cost_usd")
COLUMNS = ("key", *BLOBS, *TEXTS, *INTS, *REALS)


def full_entry(n=1):
    """An entry with something in every column."""
    return an_entry(
        n,
        tenant="school",
        version="v2",
        variant=3,
        redacted=True,
        call_ttl=3600.5,
        decorator_ttl=7200.25,
        generation_seconds=1.75,
        model="small-model",
        input_tokens=11,
        output_tokens=22,
        cost_usd=0.125,
        hits=4,
        used_at=T0 + 5,
    )


def flipped(content, bit):
    """What a column holds, with one bit of its bytes turned around."""
    match content:
        case bytes():
            place = bit % (8 * len(content))
            damaged = bytearray(content)
            damaged[place // 8] ^= 1 << (place % 8)
            return bytes(damaged)
        case str():
            return flipped(content.encode(), bit)
        case int():
            return content ^ (1 << bit % 31)
        case float():
            return struct.unpack("<d", flipped(struct.pack("<d", content), bit % 56))[0]


def damage(raw, column, bit, entry):
    """Flips a bit of one column of an entry's row, as a bad disk would."""
    content = raw.value(f"SELECT {column} FROM entries WHERE key = ?", entry.key)
    damaged = flipped(content, bit)
    assert damaged != content
    cast = "CAST(? AS TEXT)" if isinstance(content, str) else "?"
    raw.run(f"UPDATE entries SET {column} = {cast} WHERE key = ?", damaged, entry.key)


def drained(store):
    """The store, once it has carried out what it began on its own account."""
    store.remove(Selection(keys=()))
    store._writer.submit(lambda _: None).result(WAIT_S)
    return store


def rows(raw):
    """How many rows there are in the table of entries."""
    return raw.value("SELECT count(*) FROM entries")


@pytest.mark.parametrize("bit", [0, 5, 7, 13, 55], ids=lambda bit: f"bit {bit}")
@pytest.mark.parametrize("column", [c for c in COLUMNS if c != "key"])
def test_a_flipped_bit_is_a_miss_and_the_row_goes(store, raw, column, bit):
    """In whatever column it is, the entry is not given, and its neighbour is untouched."""
    entry, neighbour = full_entry(1), full_entry(2)
    keep(store, entry, neighbour)
    damage(raw, column, bit, entry)
    assert store.get(entry.key) is None
    drained(store)
    assert rows(raw) == 1
    assert store.get(neighbour.key) == neighbour


@pytest.mark.parametrize("bit", [0, 100, 255])
def test_a_flipped_bit_in_the_key_gives_no_answer_to_either_key(store, raw, bit):
    """Neither who asks for the old key nor who asks for the damaged one gets the value."""
    entry = full_entry()
    keep(store, entry)
    damage(raw, "key", bit, entry)
    assert store.get(entry.key) is None
    assert store.get(flipped(entry.key, bit)) is None
    drained(store)
    assert rows(raw) == 0


def test_every_single_bit_of_a_value_counts(store, raw):
    """No bit of a value can turn around without being noticed."""
    entry = an_entry(body=b'"A short answer."')
    for bit in range(8 * len(entry.body)):
        keep(store, entry)
        damage(raw, "value", bit, entry)
        assert store.get(entry.key) is None, bit


@pytest.mark.parametrize("cut", [0, 1, 5])
def test_a_value_that_was_cut_off_is_a_miss(store, raw, cut):
    """A shorter value is not a value."""
    entry = an_entry()
    keep(store, entry)
    raw.run("UPDATE entries SET value = substr(value, 1, ?)", cut)
    assert store.get(entry.key) is None


def test_two_values_that_changed_places_are_misses(store, raw):
    """A value under another's key is no answer, as whole as it may be."""
    one, other = an_entry(1), an_entry(2)
    keep(store, one, other)
    raw.run("UPDATE entries SET key = ? WHERE key = ?", bytes(32), one.key)
    raw.run("UPDATE entries SET key = ? WHERE key = ?", one.key, other.key)
    raw.run("UPDATE entries SET key = ? WHERE key = ?", other.key, bytes(32))
    assert store.get(one.key) is None
    assert store.get(other.key) is None


@pytest.mark.parametrize("bit", [0, 7], ids=["still text", "no text any more"])
@pytest.mark.parametrize("column", TEXTS + INTS + REALS)
def test_a_damaged_row_can_be_replaced(store, raw, column, bit):
    """A new value takes the place of the damaged row, whether or not anybody saw the damage."""
    entry = full_entry()
    keep(store, entry)
    damage(raw, column, bit, entry)
    keep(store, entry)
    assert store.get(entry.key) == entry
    assert rows(raw) == 1


@pytest.mark.parametrize("bit", [0, 7], ids=["still text", "no text any more"])
@pytest.mark.parametrize("column", COLUMNS)
def test_a_damaged_row_stops_no_other_call(store, raw, column, bit):
    """Listing, sweeping and removing go on around it."""
    entry, good = full_entry(1), full_entry(2)
    keep(store, entry, good)
    damage(raw, column, bit, entry)
    assert good.key in keys_of(store.select(EVERYTHING))
    store.expired(policies(), T0)
    assert store.remove(Selection(keys=(good.key,))).entries == 1
    store.prune(policies(), T0 + 9e9, dry_run=False)
    store.remove(EVERYTHING)
    assert rows(raw) == 0


@pytest.mark.parametrize("column", ["tenant", "prefix", "size_bytes", "value_bytes"])
def test_the_totals_are_right_once_a_damaged_row_went(store, raw, column):
    """What was damaged in the row is not taken off the totals of those that are left."""
    entry, good = full_entry(1), full_entry(2)
    keep(store, entry, good)
    damage(raw, column, 0, entry)
    assert store.get(entry.key) is None
    drained(store)
    told = [(t.tenant, t.prefix, t.entries, t.size_bytes, t.value_bytes) for t in store.totals()]
    assert told == list(held(store))


def test_what_was_put_meanwhile_does_not_go_with_the_damage(store, raw):
    """Who sees damage while a new value is on its way drops the damaged row, not the new one."""
    entry = an_entry()
    keep(store, entry)
    damage(raw, "value", 3, entry)
    go = threading.Event()
    store._writer.submit(lambda _: go.wait(WAIT_S))
    putting = store._writer.submit(lambda c: put_entry(c, entry))
    assert store.get(entry.key) is None
    go.set()
    putting.result(WAIT_S)
    drained(store)
    assert store.get(entry.key) == entry


def test_a_lookup_makes_a_damaged_value_again(place, raw, make_store):
    """The application never sees the damage: the generator runs, and its value is kept."""
    with LLMCache(place) as cache:
        assert cache.get_or_generate_sync("intro_page", lambda: "first", n=1) == "first"
    [key] = [row[0] for row in raw.run("SELECT key FROM entries")]
    damage(raw, "value", 9, an_entry(key=key))
    with LLMCache(place) as cache:
        assert cache.get_or_generate_sync("intro_page", lambda: "again", n=1) == "again"
    assert rows(raw) == 1
    store = make_store()
    assert store.get(key).value == "again"


@pytest.mark.parametrize("column", ["model", "tenant", "prefix"])
def test_a_lookup_makes_a_value_again_whose_row_is_no_text_any_more(place, raw, column):
    """Damage that keeps SQLite's own reader from the row does not block its key for ever."""
    with LLMCache(place) as cache:
        cache.get_or_generate_sync("intro_page", lambda: "first", n=1)
    raw.run(f"UPDATE entries SET {column} = CAST(x'ff61' AS TEXT)")
    with LLMCache(place) as cache:
        assert cache.get_or_generate_sync("intro_page", lambda: "again", n=1) == "again"
    with LLMCache(place) as cache:
        assert cache.get_or_generate_sync("intro_page", lambda: "third", n=1) == "again"


# Types


def retype(raw, column, content):
    """Puts something of another type into a column, as only damage can: the table is STRICT."""
    with raw.connection() as connection:
        run(connection, "PRAGMA writable_schema = ON")
        sql = run(connection, "SELECT sql FROM sqlite_schema WHERE name = 'entries'")[0][0]
        lax = sql.replace("STRICT", "").replace("NOT NULL", "")
        update = "UPDATE sqlite_schema SET sql = ? WHERE name = 'entries'"
        run(connection, update, (lax,))
    with raw.connection() as connection:
        run(connection, f"UPDATE entries SET {column} = ?", (content,))
        run(connection, "PRAGMA writable_schema = ON")
        run(connection, update, (sql,))


CONFUSED = [
    *((column, "text") for column in (*INTS, *REALS, "hits", "used_at")),
    *((column, b"\xff\x00") for column in (*INTS, *REALS, *TEXTS, "hits", "used_at")),
    *((column, "text") for column in BLOBS),
    *((column, None) for column in (*BLOBS, "prefix", "encoding", "created_at", "hits")),
    *((column, 7) for column in BLOBS),
    *((column, 2.5) for column in ("variant", "size_bytes")),
    ("hits", -1),
    ("redacted", 2),
]


@pytest.mark.parametrize(
    ("column", "content"), CONFUSED, ids=[f"{c} is {content!r}" for c, content in CONFUSED]
)
def test_a_value_of_another_type_is_a_miss_and_the_row_goes(make_store, raw, column, content):
    """Text where a number belongs, or nothing where something does, is damage like any other."""
    before = make_store()
    keep(before, full_entry())
    before.close()
    retype(raw, column, content)
    store = make_store()
    assert store.get(full_entry().key) is None
    drained(store)
    assert rows(raw) == 0
    keep(store, full_entry())
    assert store.get(full_entry().key) == full_entry()


@pytest.mark.parametrize(
    ("column", "content"), CONFUSED, ids=[f"{c} is {content!r}" for c, content in CONFUSED]
)
def test_a_value_of_another_type_breaks_no_listing(make_store, raw, column, content):
    """What is listed has the types it should have, or is left out."""
    before = make_store()
    keep(before, full_entry())
    before.close()
    retype(raw, column, content)
    store = make_store()
    keep(store, an_entry("good"))
    listed = list(store.select(EVERYTHING))
    assert an_entry("good").key in keys_of(listed)
    good = full_entry()
    for info in listed:
        for field in fields(EntryInfo):
            value = getattr(info, field.name)
            assert value is None or type(value) is type(getattr(good, field.name)), field.name


def test_damage_that_sqlite_sees_is_a_store_error(store, place):
    """A page of rubbish is told as trouble of the store: no other error comes out of it."""
    keep(store, *(an_entry(n, body=b"x" * 3000) for n in range(50)))
    store.close()
    path = place / "cache.db"
    content = bytearray(path.read_bytes())
    for offset in range(4096 * 4, len(content) - 4096, 4096 * 3):
        content[offset : offset + 200] = b"\xa5" * 200
    path.write_bytes(bytes(content))
    again = type(store)(place, max_bytes=2**30, clock=Clock())
    answers = []
    for n in range(50):
        try:
            answers.append(again.get(an_entry(n).key))
        except StoreError:
            answers.append(None)
    again.close()
    assert all(a is None or a == an_entry(n, body=b"x" * 3000) for n, a in enumerate(answers))
