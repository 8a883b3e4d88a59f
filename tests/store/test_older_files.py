"""A file of an earlier release: it is brought up to date, and nothing in it is lost."""

import random
from dataclasses import replace

import pytest

from llm_cache.core.policy_resolution import NOTHING, Remembered
from llm_cache.store.records import EVERYTHING, Selection
from llm_cache.store.sqlite._corruption import sound_entries
from llm_cache.store.sqlite._rows import to_row
from llm_cache.store.sqlite._schema import MIGRATIONS
from llm_cache.store.sqlite.store import FILE_NAME
from tests.conformance.samples import an_entry, held, keep
from tests.store.older import back_to

OLDER = pytest.mark.parametrize("version", range(2, len(MIGRATIONS)))
MEASURED = {
    "call_ttl": 60.0,
    "generation_seconds": 1.5,
    "model": "m",
    "input_tokens": 3,
    "cost_usd": 0.25,
    "hits": 2,
}
CHECKSUMS = {
    "99a692dd5a2b5e132480df08e615525c": an_entry(1, **MEASURED),
    "24efbfe64b978ba35a48f9fca4f75ebc": an_entry(2),
}
"""What the third schema's release wrote for these entries."""


@pytest.mark.parametrize("checksum", CHECKSUMS)
def test_a_checksum_is_the_one_that_earlier_releases_wrote(checksum):
    """What is remembered since then counts where there is any."""
    assert bytes.fromhex(checksum) in to_row(CHECKSUMS[checksum])
    more = replace(CHECKSUMS[checksum], remembered=Remembered(call_grace=0.0))
    assert bytes.fromhex(checksum) not in to_row(more)


@pytest.fixture
def older(make_store, raw):
    """Makes a file of an older schema, with entries and trash; gives the entries."""

    def make(version):
        store = make_store()
        entries = [an_entry(n, body=f'"{n}"'.encode() * 50) for n in range(200)]
        keep(store, *entries, an_entry("trashed"))
        store.remove(Selection(keys=(an_entry("trashed").key,)), keep=True)
        store.close()
        raw.run(back_to(version))
        return entries

    return make


@OLDER
def test_entries_and_trash_stay(older, make_store, raw, version):
    """Each as it was, with a checksum that holds, and with totals that are right."""
    entries = older(version)
    store = make_store()
    store.open()
    assert raw.value("PRAGMA user_version") == len(MIGRATIONS)
    assert [store.get(entry.key) for entry in entries] == entries
    assert all(info.remembered is NOTHING for info in store.select(EVERYTHING))
    assert [tuple(total) for total in store.totals()] == list(held(store))
    assert store.restore([an_entry("trashed").key]) == [an_entry("trashed").key]
    assert store.get(an_entry("trashed").key) == an_entry("trashed")
    assert [tuple(total) for total in store.totals()] == list(held(store))


@OLDER
@pytest.mark.parametrize("value", ["'text'", "NULL", "7"])
def test_a_damaged_row_keeps_no_file_from_being_brought_up_to_date(
    older, make_store, raw, version, value
):
    """It is dropped when it is asked for, as any other; all else stays."""
    [damaged, *sound] = older(version)
    write_schema(raw, "params BLOB NOT NULL", "params ANY")
    raw.run(f"UPDATE entries SET params = {value} WHERE key = ?", damaged.key)
    write_schema(raw, "params ANY", "params BLOB NOT NULL")
    store = make_store()
    assert store.get(damaged.key) is None
    assert [store.get(entry.key) for entry in sound] == sound
    assert raw.value("PRAGMA user_version") == len(MIGRATIONS)
    assert store.restore([an_entry("trashed").key]) == [an_entry("trashed").key]


def write_schema(raw, before, after):
    """Has a table declared in other words, so that it takes what it would not."""
    with raw.connection() as connection:
        for sql in (
            "PRAGMA writable_schema = ON",
            f"UPDATE sqlite_schema SET sql = replace(sql, '{before}', '{after}')",
            "PRAGMA writable_schema = RESET",
        ):
            connection.execute(sql).fetchall()


@OLDER
def test_sizes_of_an_older_file_are_those_of_value_and_params(older, make_store, raw, version):
    """As it is opened; the column that the checksum is about stays what it was."""
    [first, *_] = older(version)
    before = raw.run("SELECT number, size_bytes, checksum FROM entries")
    store = make_store()
    store.open()
    assert raw.run("SELECT number, size_bytes, checksum FROM entries") == before
    info = next(iter(store.select(Selection(keys=(first.key,)))))
    assert info.size_bytes == len(first.body) + len(first.params_json)
    [total] = store.totals()
    assert total.size_bytes == sum(info.size_bytes for info in store.select(EVERYTHING))


@OLDER
def test_what_is_sound_in_a_damaged_one_is_salvaged(older, place, version):
    """Though it has not the columns of this release, and is not brought up to date any more."""
    entries = older(version)
    path = place / FILE_NAME
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 // 4096 * 4096
    data[middle : middle + 3 * 4096] = random.Random(version).randbytes(3 * 4096)
    path.write_bytes(data)
    found = list(sound_entries(path))
    assert len(found) > len(entries) / 2
    assert all(entry in entries for entry in found)
