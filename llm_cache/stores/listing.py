"""Listing entries in pages, so that no cursor stays open while the reader thinks."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llm_cache.keys import ID_DIGITS
from llm_cache.stores.removal import clause
from llm_cache.stores.rows import INFO_COLUMNS, to_info

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.entry import EntryInfo
    from llm_cache.stores.base import Selection
    from llm_cache.stores.connection import Read

PAGE: Final = 500


def pages(
    read: Read, which: Selection, prefixes: Iterable[str], limit: int | None
) -> Iterator[EntryInfo]:
    """The selected entries of `prefixes`, one after the other, each with its newest first."""
    left = limit
    for prefix in prefixes:
        for row in _rows(read, replace(which, prefix=prefix), left):
            yield to_info(row[1:], id_digits=_id_digits(read, row[1]))
            left = None if left is None else left - 1
        if left == 0:
            return


def _rows(read: Read, which: Selection, limit: int | None) -> Iterator[tuple[Any, ...]]:
    where, bindings = clause(which)
    after = ""
    position: tuple[Any, ...] = ()
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        rows = read(
            f"SELECT number, {INFO_COLUMNS} FROM entries WHERE {where}{after} "  # noqa: S608
            "ORDER BY created_at DESC, number DESC LIMIT ?",
            (*bindings, *position, size),
        )
        yield from rows
        if len(rows) < size:
            return
        left = None if left is None else left - size
        number, created_at = rows[-1][0], rows[-1][8]
        # The first half is what the index can seek to.
        after = " AND created_at <= ? AND (created_at < ? OR number < ?)"
        position = (created_at, created_at, number)


def _id_digits(read: Read, key: bytes) -> int:
    """How many hex digits of `key` tell it from its neighbours in the order of keys; 8 at least."""
    neighbours = read(
        "SELECT (SELECT max(key) FROM entries WHERE key < ?1), "
        "(SELECT min(key) FROM entries WHERE key > ?1)",
        (key,),
    )
    digits, shared = key.hex(), 0
    for neighbour in filter(None, itertools.chain(*neighbours)):
        other = neighbour.hex()
        shared = max(shared, next(i for i in range(64) if digits[i] != other[i]))
    return max(ID_DIGITS, shared + 1)
