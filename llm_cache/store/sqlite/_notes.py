"""Why there is no entry, as far as that was noted: for who asks why a request missed.

The writing functions are to be called within a write transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_cache.store.records import Note
from llm_cache.store.sqlite._connection import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from llm_cache.store.records import Selection
    from llm_cache.store.sqlite._connection import Read
    from llm_cache.store.sqlite._removal import Clause

KEPT_S: Final = 7 * 86_400.0
MOST_OF_ONE_REMOVAL: Final = 1000
INVALIDATED: Final = "invalidated"
_COLUMNS: Final = "tenant, prefix, key, what, reason, at"
_INSERT: Final = f"INSERT OR REPLACE INTO notes ({_COLUMNS})"
_OF_ALL: Final = b""


def add(connection: apsw.Connection, notes: Iterable[Note]) -> None:
    """Notes something of keys, in place of what was noted of them before."""
    for note in notes:
        values = (note.tenant, note.prefix, note.key, note.what, note.reason, note.at)
        run(connection, f"{_INSERT} VALUES (?, ?, ?, ?, ?, ?)", values)


def invalidated(
    connection: apsw.Connection, which: Selection, condition: Clause, now: float
) -> None:
    """Notes what is just about to be invalidated: the keys, or the prefixes where it is all."""
    where, bindings = condition
    if which.keys is not None or which.key_digits is not None:
        rows = f"SELECT tenant, prefix, key, ?, '', ? FROM entries WHERE {where} LIMIT ?"  # noqa: S608 - our own conditions
        run(connection, f"{_INSERT} {rows}", (INVALIDATED, now, *bindings, MOST_OF_ONE_REMOVAL))
        return
    rows = f"SELECT tenant, prefix, ?, ?, '', ? FROM totals WHERE {where}"  # noqa: S608
    run(connection, f"{_INSERT} {rows}", (_OF_ALL, INVALIDATED, now, *bindings))


def sweep(connection: apsw.Connection, now: float) -> None:
    """Forgets what is too old to matter."""
    run(connection, "DELETE FROM notes WHERE at <= ?", (now - KEPT_S,))


def of(read: Read, tenant: str, prefix: str, key: bytes) -> list[Note]:
    """What is noted of a key and of its prefix, newest first."""
    sql = (
        f"SELECT {_COLUMNS} FROM notes "  # noqa: S608 - our own names
        "WHERE prefix = ? AND tenant = ? AND key IN (?, ?) ORDER BY at DESC"
    )
    return [Note(*row) for row in read(sql, (prefix, tenant, key, _OF_ALL))]
