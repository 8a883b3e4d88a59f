"""Writes, removes and checks entries, and keeps the totals right in the same transaction.

All of it is to be called within a write transaction, but for `is_sound`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_cache.core.entry import taken_bytes
from llm_cache.store.records import Group
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._queries import ALL, MEASURES
from llm_cache.store.sqlite._rows import (
    ENTRY_COLUMNS,
    INSERT,
    SIZE,
    DamagedRowError,
    to_entry,
    to_row,
)

if TYPE_CHECKING:
    import apsw

    from llm_cache.core.entry import Entry
    from llm_cache.store.sqlite._queries import Clause

GET: Final = f"SELECT {ENTRY_COLUMNS} FROM entries WHERE key = ?"
_COUNT_AGAIN: Final = f"""
DELETE FROM totals;
INSERT INTO totals (tenant, prefix, entries, size_bytes, value_bytes)
SELECT tenant, prefix, count(*), sum({SIZE}), sum(value_bytes) FROM entries GROUP BY 1, 2;
"""
_INVALIDATIONS: Final = "SELECT value FROM meta WHERE name = 'invalidations'"


def keep(connection: apsw.Connection, entry: Entry) -> None:
    """Replaces the entry of a key."""
    if run(connection, "SELECT 1 FROM entries WHERE key = ?", (entry.key,)):
        drop_if_damaged(connection, entry.key)
        remove(connection, ("key = ?", (entry.key,)), "replaced")
    run(connection, INSERT, to_row(entry))
    sizes = (1, taken_bytes(entry.body, entry.params_json), entry.value_bytes)
    add_to_totals(connection, entry.tenant, entry.prefix, *sizes)


def keep_salvaged(connection: apsw.Connection, entry: Entry) -> bool:
    """Writes an entry of an older file, unless there is one; False if anything was invalidated.

    What was invalidated since may be in the older file: nobody could tell.
    """
    if run(connection, _INVALIDATIONS) != [(0,)]:
        return False
    if not run(connection, "SELECT 1 FROM entries WHERE key = ?", (entry.key,)):
        keep(connection, entry)
    return True


def find_sound(connection: apsw.Connection, key: bytes) -> Entry | None:
    """The entry of a key, if it is there and as it was written."""
    try:
        rows = run(connection, GET, (key,))
        return to_entry(rows[0]) if rows else None
    except (DamagedRowError, UnicodeDecodeError):
        return None


def drop_if_damaged(connection: apsw.Connection, key: bytes) -> None:
    """Drops the row of `key`, unless a sound one has taken its place; to be called in a write.

    The totals are counted anew: what the row says of itself cannot be believed.
    """
    try:
        for row in run(connection, GET, (key,)):
            to_entry(row)
    except (DamagedRowError, UnicodeDecodeError):
        run(connection, "DELETE FROM entries WHERE key = ?", (key,))
        count_again(connection)


def is_sound(connection: apsw.Connection, table: str, number: int) -> bool:
    """Whether a row of `entries` or of the trash is as it was written, or not there any more."""
    sql = f"SELECT {ENTRY_COLUMNS} FROM {table} NOT INDEXED WHERE number = ?"
    try:
        for row in run(connection, sql, (number,)):
            to_entry(row)
    except (DamagedRowError, UnicodeDecodeError):
        return False
    return True


def count_again(connection: apsw.Connection) -> None:
    """Counts the totals anew; to be called in a write."""
    run(connection, _COUNT_AGAIN)


def remove(
    connection: apsw.Connection, condition: Clause, why: str, *, keep_at: float | None = None
) -> Group:
    """Drops what a condition selects; with `keep_at`, an instant, it goes to the trash."""
    where, bindings = condition
    if keep_at is not None:
        run(
            connection,
            f"INSERT OR REPLACE INTO trash (removed_at, {ENTRY_COLUMNS}) "
            f"SELECT ?, {ENTRY_COLUMNS} FROM entries WHERE {where}",
            (keep_at, *bindings),
        )
    gone = run(connection, f"SELECT {MEASURES} FROM entries WHERE {where}", bindings)[0]
    add_up(connection, "entries", condition, sign="-")
    if where == ALL:
        run(connection, "DELETE FROM entries")  # without a condition SQLite need not read the rows
    else:
        run(connection, f"DELETE FROM entries WHERE {where}", bindings)
    run(connection, "DELETE FROM totals WHERE entries <= 0")
    return Group(why, *gone)


_ADD_TO_TOTALS: Final = "INSERT INTO totals (tenant, prefix, entries, size_bytes, value_bytes)"
_SUM_UP: Final = """
ON CONFLICT DO UPDATE SET entries = entries + excluded.entries,
size_bytes = size_bytes + excluded.size_bytes, value_bytes = value_bytes + excluded.value_bytes
"""


def add_up(connection: apsw.Connection, table: str, condition: Clause, *, sign: str = "") -> None:
    """Adds what a condition selects of a table to the totals, or takes it off with a `-`.

    All inside SQLite: in a damaged row even a prefix may be no text.
    """
    where, bindings = condition
    run(
        connection,
        f"{_ADD_TO_TOTALS} SELECT tenant, prefix, {sign}count(*), {sign}sum({SIZE}), "
        f"{sign}sum(value_bytes) FROM {table} WHERE {where} GROUP BY 1, 2 {_SUM_UP}",
        bindings,
    )


def add_to_totals(
    connection: apsw.Connection,
    tenant: str,
    prefix: str,
    entries: int,
    size_bytes: int,
    value_bytes: int,
) -> None:
    """Adds to the totals of a prefix."""
    amounts = (tenant, prefix, entries, size_bytes, value_bytes)
    run(connection, f"{_ADD_TO_TOTALS} VALUES (?, ?, ?, ?, ?) {_SUM_UP}", amounts)
