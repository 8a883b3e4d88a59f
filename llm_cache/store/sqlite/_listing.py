"""Lists entries in pages, so that no cursor stays open while the reader thinks."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llm_cache.core.keys import ID_DIGITS
from llm_cache.errors import StoreError
from llm_cache.store.sqlite._corruption import is_damage_of_row
from llm_cache.store.sqlite._queries import clause
from llm_cache.store.sqlite._rows import INFO_COLUMNS, is_well_typed, to_info

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.core.entry import EntryInfo
    from llm_cache.store.records import Selection
    from llm_cache.store.sqlite._connection import ReadRows

PAGE: Final = 500
_ID_BYTES: Final = ID_DIGITS // 2
_PLACE: Final = "number, created_at"
_NEIGHBOURS: Final = slice(-4, -2)


def columns(table: str, place: str) -> str:
    """What is read of a row: its entry, its neighbours in the order of keys, and its place."""
    return f"""{INFO_COLUMNS},
    (SELECT max(key) FROM {table} AS other WHERE other.key < {table}.key),
    (SELECT min(key) FROM {table} AS other WHERE other.key > {table}.key), {place}"""


_COLUMNS: Final = columns("entries", _PLACE)


def pages(
    read: ReadRows, which: Selection, prefixes: Iterable[str], limit: int | None
) -> Iterator[EntryInfo]:
    """The selected entries of `prefixes`, one after the other, each with its newest first."""
    parts = [which] if _is_by_key(which) else [replace(which, prefix=each) for each in prefixes]
    left = limit
    for part in parts:
        for row in _rows(read, part, left):
            if is_well_typed(row):
                yield to_info(row, id_digits=id_digits(row))
            left = None if left is None else left - 1
        if left == 0:
            return


def _is_by_key(which: Selection) -> bool:
    """Whether the index of keys is the way: few entries, of whatever prefix."""
    return which.keys is not None or which.key_digits is not None


def _rows(read: ReadRows, which: Selection, limit: int | None) -> Iterator[tuple[Any, ...]]:
    where, bindings = clause(which)
    if _is_by_key(which):
        # The + keeps SQLite from another index than that of keys.
        tail = f"WHERE {where} ORDER BY +prefix, created_at DESC, number DESC LIMIT ?"
        yield from readable(read, tail, (*bindings, -1 if limit is None else limit))
        return
    after = ""
    position: tuple[Any, ...] = ()
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        tail = f"WHERE {where}{after} ORDER BY created_at DESC, number DESC LIMIT ?"
        page = (*bindings, *position, size)
        rows = readable(read, tail, page)
        yield from rows
        places = rows
        if len(rows) < size:  # the last page, or one with rows that cannot be read
            places = read(f"SELECT {_PLACE} FROM entries {tail}", page)
            if len(places) < size:
                return
        left = None if left is None else left - size
        number, created_at = places[-1][-2:]
        # The first half is what the index can seek to.
        after = " AND created_at <= ? AND (created_at < ? OR number < ?)"
        position = (created_at, created_at, number)


def readable(
    read: ReadRows,
    tail: str,
    bindings: tuple[Any, ...],
    *,
    table: str = "entries",
    selected: str = _COLUMNS,
) -> list[tuple[Any, ...]]:
    """The rows of a query, without those in which a text is not valid UTF-8."""
    try:
        return read(f"SELECT {selected} FROM {table} {tail}", bindings)
    except StoreError as error:
        if not is_damage_of_row(error.__cause__):
            raise
    numbers = read(f"SELECT number FROM {table} {tail}", bindings)
    if len(numbers) == 1:
        return []
    return [
        row
        for number in numbers
        for row in readable(read, "WHERE number = ?", number, table=table, selected=selected)
    ]


def id_digits(row: tuple[Any, ...]) -> int:
    """How many hex digits of a key tell it from its neighbours in the order of keys; 8 at least."""
    key = row[0]
    most = ID_DIGITS
    for neighbour in row[_NEIGHBOURS]:
        if neighbour is not None and neighbour[:_ID_BYTES] == key[:_ID_BYTES]:
            digits, other = key.hex(), neighbour.hex()
            most = max(most, next(i for i in range(64) if digits[i] != other[i]) + 1)
    return most
