"""Listing entries in pages, so that no cursor stays open while the reader thinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llm_cache.keys import ID_DIGITS
from llm_cache.stores.removal import clause
from llm_cache.stores.rows import INFO_COLUMNS, to_info

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_cache.entry import EntryInfo
    from llm_cache.stores.base import Selection
    from llm_cache.stores.connection import Read

PAGE: Final = 500


def pages(read: Read, which: Selection, limit: int | None) -> Iterator[EntryInfo]:
    """The selected entries, by prefix and newest first."""
    where, bindings = clause(which)
    after = ""
    after_bindings: tuple[Any, ...] = ()
    left = limit
    while left is None or left > 0:
        size = PAGE if left is None else min(PAGE, left)
        rows = read(
            f"SELECT number, {INFO_COLUMNS} FROM entries WHERE {where}{after} "  # noqa: S608
            "ORDER BY prefix, created_at DESC, number DESC LIMIT ?",
            (*bindings, *after_bindings, size),
        )
        for row in rows:
            yield to_info(row[1:], id_digits=_id_digits(read, row[1]))
        if len(rows) < size:
            return
        left = None if left is None else left - size
        number, prefix, created_at = rows[-1][0], rows[-1][4], rows[-1][8]
        after = (
            " AND (prefix > ? OR (prefix = ? AND (created_at < ? "
            "OR (created_at = ? AND number < ?))))"
        )
        after_bindings = (prefix, prefix, created_at, created_at, number)


def _id_digits(read: Read, key: bytes) -> int:
    """How many hex digits of `key` tell it from its neighbours in the order of keys; 8 at least."""
    neighbours = read(
        "SELECT (SELECT max(key) FROM entries WHERE key < ?1), "
        "(SELECT min(key) FROM entries WHERE key > ?1)",
        (key,),
    )
    digits, shared = key.hex(), 0
    for neighbour in neighbours[0]:
        if neighbour is not None:
            other = neighbour.hex()
            shared = max(shared, next(i for i in range(64) if digits[i] != other[i]))
    return max(ID_DIGITS, shared + 1)
