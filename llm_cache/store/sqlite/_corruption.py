"""What does not hold any more what was once written: a row, or the file as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import apsw

from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._directory import size_of
from llm_cache.store.sqlite._rows import ENTRY_COLUMNS, SIZE, DamagedRowError, to_entry

if TYPE_CHECKING:
    from pathlib import Path

GET: Final = f"SELECT {ENTRY_COLUMNS} FROM entries WHERE key = ?"  # noqa: S608 - our own names
_COUNT_AGAIN: Final = f"""
DELETE FROM totals;
INSERT INTO totals (tenant, prefix, entries, size_bytes, value_bytes)
SELECT tenant, prefix, count(*), sum({SIZE}), sum(value_bytes) FROM entries GROUP BY 1, 2;
"""  # noqa: S608 - our own names
HEADER_BYTES: Final = 100
"""What every SQLite file begins with; it says whose the file is."""
_READ_TOO_LITTLE: Final = frozenset({apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS})
_TABLES_ARE_GONE: Final = ("no such table", "no such column", "no such index", "malformed")


def is_cut_off(path: Path) -> bool:
    """Whether a file ends before its header does, and is not empty."""
    return 0 < size_of(path) < HEADER_BYTES


def is_damage_of_row(error: BaseException | None) -> bool:
    """Whether an error tells of a damaged row: apsw raises this one for a text that is none."""
    return isinstance(error, UnicodeDecodeError)


def is_damage_of_file(error: BaseException | None) -> bool:
    """Whether an error tells that the file as a whole is not what was written."""
    match error:
        case apsw.CorruptError() | apsw.NotADBError() | apsw.FormatError():
            return True
        case apsw.IOError():
            return getattr(error, "extendedresult", None) in _READ_TOO_LITTLE
        case apsw.SQLError():
            # Our statements are right: it is the tables that are not there.
            return any(words in str(error) for words in _TABLES_ARE_GONE)
        case _:
            return False


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
    sql = f"SELECT {ENTRY_COLUMNS} FROM {table} NOT INDEXED WHERE number = ?"  # noqa: S608 - our own names
    try:
        for row in run(connection, sql, (number,)):
            to_entry(row)
    except (DamagedRowError, UnicodeDecodeError):
        return False
    return True


def count_again(connection: apsw.Connection) -> None:
    """Counts the totals anew; to be called in a write."""
    run(connection, _COUNT_AGAIN)
