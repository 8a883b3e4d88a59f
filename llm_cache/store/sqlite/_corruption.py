"""Recognizes a damaged file, moves it aside, and salvages the entries that are sound."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import apsw

from llm_cache.store.sqlite._connection import READ_WRITE, connect, run
from llm_cache.store.sqlite._directory import size_of
from llm_cache.store.sqlite._rows import ENTRY_COLUMNS, OLDER_COLUMNS, DamagedRowError, to_entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from llm_cache.core.entry import Entry

HEADER_BYTES: Final = 100
"""What every SQLite file begins with; it says whose the file is."""
_READ_TOO_LITTLE: Final = frozenset({apsw.SQLITE_IOERR_SHORT_READ, apsw.SQLITE_IOERR_CORRUPTFS})
_TABLES_ARE_GONE: Final = ("no such table", "no such column", "no such index", "malformed")
COMPANIONS: Final = ("-wal", "-shm")
"""What SQLite keeps beside a file: its log, and the index of that."""
_WAYS_TO_NUMBERS: Final = (
    "SELECT number FROM entries NOT INDEXED ORDER BY number",
    "SELECT number FROM entries NOT INDEXED ORDER BY number DESC",
    "SELECT number FROM entries INDEXED BY sqlite_autoindex_entries_1",
    "SELECT number FROM entries INDEXED BY entries_by_use",
)
_LOOKS_FOR_S: Final = 2.0
_STEPS: Final = 10_000
"""Instructions of SQLite's machine between two looks at the clock."""
_DAMAGE: Final = (apsw.Error, UnicodeDecodeError, DamagedRowError)


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


def is_damaged(path: Path) -> bool:
    """Looks the whole file over, with its log, for 2 s at most; what is left then is not trusted.

    An error alone is no proof: a log that somebody removed makes a sound file look damaged, too.
    """
    if is_cut_off(path):
        return True  # SQLite may take it for an empty one
    gives_up_at = time.monotonic() + _LOOKS_FOR_S
    try:
        connection = connect(path, flags=READ_WRITE)
        try:
            connection.set_progress_handler(lambda: time.monotonic() > gives_up_at, _STEPS)
            return run(connection, "PRAGMA integrity_check(1)") != [("ok",)]
        finally:
            connection.close()
    except (apsw.CorruptError, apsw.NotADBError, apsw.FormatError, UnicodeDecodeError):
        return True
    except apsw.InterruptError:
        return True  # it took too long
    except apsw.IOError as error:
        return is_damage_of_file(error)
    except apsw.Error:
        return False  # it is locked, or there is no room, or no memory


def move_aside(path: Path, now: float) -> Path:
    """Renames a file and what SQLite keeps beside it; nobody may be writing to it meanwhile.

    The file goes last: one without its log loses a little, a new one beside an old log is broken.
    """
    aside = _name_beside(path, now)
    for companion in (*COMPANIONS, ""):
        with suppress(FileNotFoundError):
            path.with_name(path.name + companion).rename(aside.with_name(aside.name + companion))
    return aside


def move_leftovers_aside(path: Path) -> None:
    """Renames what SQLite kept beside a file that is gone; nobody may be making a new one."""
    if any(path.with_name(path.name + companion).exists() for companion in COMPANIONS):
        move_aside(path, time.time())


def _name_beside(path: Path, now: float) -> Path:
    name = f"{path.name}.corrupt-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"
    aside = path.with_name(name)
    tries = 1
    while aside.exists():
        tries += 1
        aside = path.with_name(f"{name}-{tries}")
    return aside


def sound_entries(path: Path) -> Iterator[Entry]:
    """The entries of a damaged file whose checksums hold; each once, in no order."""
    if is_cut_off(path):
        return  # SQLite may take it for an empty one, and remove its log
    try:
        connection = connect(path, flags=READ_WRITE)
    except apsw.Error:
        return
    try:
        for number in _numbers(connection):
            with suppress(*_DAMAGE):
                yield from map(to_entry, _row(connection, number))
    finally:
        connection.close()


_ONE: Final = f"SELECT {ENTRY_COLUMNS} FROM entries NOT INDEXED WHERE number = ?"
_ONE_OF_OLDER: Final = f"SELECT {OLDER_COLUMNS} FROM entries NOT INDEXED WHERE number = ?"


def _row(connection: apsw.Connection, number: int) -> list[tuple[Any, ...]]:
    """The row of a number, in a file of this release or of one before."""
    try:
        return run(connection, _ONE, (number,))
    except apsw.SQLError:  # a column is not there
        return run(connection, _ONE_OF_OLDER, (number,))


def _numbers(connection: apsw.Connection) -> set[int]:
    """The numbers of all rows that can be found, from both ends and over the indexes."""
    numbers: set[int] = set()
    for query in _WAYS_TO_NUMBERS:
        # Up to the damage, if there is any on this way.
        with suppress(*_DAMAGE):
            for row in cast("Any", connection).execute(query):
                numbers.add(row[0])
    return numbers
