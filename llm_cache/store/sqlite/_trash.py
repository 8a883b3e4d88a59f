"""The trash: entries that were removed and may be restored. Look-ups never read it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_cache.store.records import Group, Total, Trashed
from llm_cache.store.sqlite import _leases
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._entries import add_up
from llm_cache.store.sqlite._listing import columns, id_digits, readable
from llm_cache.store.sqlite._queries import MEASURES, clause
from llm_cache.store.sqlite._rows import ENTRY_COLUMNS, SIZE, is_well_typed, to_info

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import apsw

    from llm_cache.store.records import Selection
    from llm_cache.store.sqlite._connection import ReadRows
    from llm_cache.store.sqlite._queries import Clause

PAGE: Final = 500
_PLACE: Final = "number, removed_at"
_COLUMNS: Final = columns("trash", _PLACE)
_THESE: Final = "key IN (SELECT unhex(value) FROM json_each(?))"
_LEFT: Final = f"{_THESE} AND NOT EXISTS (SELECT 1 FROM entries AS e WHERE e.key = trash.key)"


def pages(read: ReadRows, which: Selection) -> Iterator[Trashed]:
    """What is there of a selection, the last removed first, read in pages as it is taken."""
    where, bindings = clause(which)
    after = ""
    position: tuple[Any, ...] = ()
    while True:
        tail = f"WHERE {where}{after} ORDER BY removed_at DESC, number DESC LIMIT ?"
        page = (*bindings, *position, PAGE)
        rows = readable(read, tail, page, table="trash", selected=_COLUMNS)
        for row in rows:
            if is_well_typed(row):
                yield Trashed(to_info(row, id_digits=id_digits(row)), row[-1])
        if len(rows) < PAGE:  # the last page, or one with rows that cannot be read
            rows = read(f"SELECT {_PLACE} FROM trash {tail}", page)
            if len(rows) < PAGE:
                return
        number, removed_at = rows[-1][-2:]
        after = " AND (removed_at, number) < (?, ?)"
        position = (removed_at, number)


def restore(connection: apsw.Connection, keys: Sequence[bytes]) -> list[bytes]:
    """Moves entries back, but for those of which there is a newer one; the keys of what moved.

    What is being generated for these will not be kept. To be called within a write transaction.
    """
    these = (_json(keys),)
    free = run(connection, f"SELECT key FROM trash WHERE {_LEFT}", these)
    moved: list[bytes] = [key for (key,) in free]
    add_up(connection, "trash", (_LEFT, these))
    run(
        connection,
        f"INSERT INTO entries ({ENTRY_COLUMNS}) SELECT {ENTRY_COLUMNS} FROM trash WHERE {_LEFT}",
        these,
    )
    back = (_json(moved),)
    _leases.drop(connection, (_THESE, back))
    run(connection, f"DELETE FROM trash WHERE {_THESE}", back)
    run(connection, f"DELETE FROM notes WHERE {_THESE}", back)
    return moved


def removed_until(instant: float, tenant: str | None = None) -> Clause:
    """The condition that it was removed until an instant, of all or of one tenant."""
    if tenant is None:
        return "removed_at <= ?", (instant,)
    return "removed_at <= ? AND tenant = ?", (instant, tenant)


def forget(connection: apsw.Connection, condition: Clause, at_most: int) -> Group:
    """Deletes so many of what a condition selects. To be called within a write transaction."""
    where, bindings = condition
    these = f"number IN (SELECT number FROM trash WHERE {where} LIMIT {at_most})"
    gone = run(connection, f"SELECT {MEASURES} FROM trash WHERE {these}", bindings)[0]
    run(connection, f"DELETE FROM trash WHERE {these}", bindings)
    return Group("trash", *gone)


def totals(read: ReadRows) -> list[Total]:
    """What is there, by tenant and prefix."""
    sql = (
        f"SELECT tenant, prefix, count(*), sum({SIZE}), sum(value_bytes) "
        "FROM trash GROUP BY 1, 2 ORDER BY 2, 1"
    )
    return [Total(*row) for row in read(sql)]


def _json(keys: Sequence[bytes]) -> str:
    return orjson.dumps([key.hex() for key in keys]).decode()
