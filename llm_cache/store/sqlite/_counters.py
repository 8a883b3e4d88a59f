"""Counters of use, and notes on why a key has no entry.

The writing functions are to be called within a write transaction.
"""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

from llm_cache.core.usage import MOST_COUNT
from llm_cache.store.records import Counts, EntryUse, Note, Refusals, Unused, UsageDay
from llm_cache.store.sqlite._connection import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from llm_cache.store.records import Selection
    from llm_cache.store.sqlite._connection import ReadRows
    from llm_cache.store.sqlite._queries import Clause

_COUNTS: Final = tuple(field.name for field in fields(Counts))
_ADD: Final = (
    f"INSERT INTO usage (day, tenant, prefix, model, {', '.join(_COUNTS)}) "
    f"VALUES (?, ?, ?, ?{', ?' * len(_COUNTS)}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = min({name} + excluded.{name}, {MOST_COUNT})" for name in _COUNTS)
)
_USE: Final = (
    f"UPDATE entries SET hits = min(hits + ?, {MOST_COUNT}), used_at = max(used_at, ?) "
    "WHERE key = ?"
)
_REFUSE: Final = (
    "INSERT INTO refusals (day, tenant, prefix, reason, times) VALUES (?, ?, ?, ?, ?) "
    f"ON CONFLICT DO UPDATE SET times = min(times + excluded.times, {MOST_COUNT})"
)

NOTES_KEPT_S: Final = 7 * 86_400.0
_NOTED_AT_MOST: Final = 1000
_INVALIDATED: Final = "invalidated"
_NOTE_COLUMNS: Final = "tenant, prefix, key, what, reason, at"
_NOTE: Final = f"INSERT OR REPLACE INTO notes ({_NOTE_COLUMNS})"
_OF_ALL: Final = b""


def add(
    connection: apsw.Connection,
    days: Iterable[UsageDay],
    uses: Iterable[EntryUse],
    refusals: Iterable[Refusals],
    notes: Iterable[Note],
) -> None:
    """Adds counts to those in the file; a note replaces the one before on its key.

    None fails for its size, since all that is counted later would be told together with it: a file
    may hold entries with any numbers, and a sum that overflows is no INTEGER any more.
    """
    for day in days:
        counts = [_bounded(getattr(day.usage, name)) for name in _COUNTS]
        run(connection, _ADD, (day.day, day.tenant, day.prefix, day.model, *counts))
    for use in uses:
        run(connection, _USE, (_bounded(use.hits), use.last_used_at, use.key))
    for some in refusals:
        times = _bounded(some.times)
        run(connection, _REFUSE, (some.day, some.tenant, some.prefix, some.reason, times))
    for note in notes:
        values = (note.tenant, note.prefix, note.key, note.what, note.reason, note.at)
        run(connection, f"{_NOTE} VALUES (?, ?, ?, ?, ?, ?)", values)


def _bounded(count: float) -> float:
    """A count that a column takes, and that can be added to what is there."""
    return min(max(count, 0), MOST_COUNT)


def read(read_rows: ReadRows) -> list[UsageDay]:
    """All counts in the file, by day."""
    rows = read_rows(
        f"SELECT day, tenant, prefix, model, {', '.join(_COUNTS)} FROM usage ORDER BY day, prefix",
    )
    return [
        UsageDay(day, tenant, prefix, model, Counts(**dict(zip(_COUNTS, counts, strict=True))))
        for day, tenant, prefix, model, *counts in rows
    ]


def read_refusals(read_rows: ReadRows) -> list[Refusals]:
    """What was not stored, by day and reason."""
    sql = "SELECT day, tenant, prefix, reason, times FROM refusals ORDER BY day, prefix, reason"
    return [Refusals(*row) for row in read_rows(sql)]


def unused(read_rows: ReadRows, made_before: float, look_at: int) -> list[Unused]:
    """How many were never hit of those that were made or used longest ago."""
    # As blobs: in a damaged row a text may be none.
    rows = read_rows(
        "SELECT CAST(tenant AS BLOB), CAST(prefix AS BLOB), count(*) FROM "
        "(SELECT tenant, prefix, hits, created_at FROM entries ORDER BY used_at LIMIT ?) "
        "WHERE hits = 0 AND created_at < ? GROUP BY 1, 2",
        (look_at, made_before),
    )
    return [
        Unused(tenant.decode(errors="replace"), prefix.decode(errors="replace"), entries)
        for tenant, prefix, entries in rows
    ]


def note_invalidated(
    connection: apsw.Connection, which: Selection, condition: Clause, now: float
) -> None:
    """Notes what is just about to be invalidated: the keys, or the prefixes where it is all."""
    where, bindings = condition
    if which.keys is not None or which.key_digits is not None:
        rows = f"SELECT tenant, prefix, key, ?, '', ? FROM entries WHERE {where} LIMIT ?"
        run(connection, f"{_NOTE} {rows}", (_INVALIDATED, now, *bindings, _NOTED_AT_MOST))
        return
    rows = f"SELECT tenant, prefix, ?, ?, '', ? FROM totals WHERE {where}"
    run(connection, f"{_NOTE} {rows}", (_OF_ALL, _INVALIDATED, now, *bindings))


def forget_old_notes(connection: apsw.Connection, now: float) -> None:
    """Forgets what is too old to matter."""
    run(connection, "DELETE FROM notes WHERE at <= ?", (now - NOTES_KEPT_S,))


def notes_of(read: ReadRows, tenant: str, prefix: str, key: bytes) -> list[Note]:
    """What is noted of a key and of its prefix, newest first."""
    sql = (
        f"SELECT {_NOTE_COLUMNS} FROM notes "
        "WHERE prefix = ? AND tenant = ? AND key IN (?, ?) ORDER BY at DESC"
    )
    return [Note(*row) for row in read(sql, (prefix, tenant, key, _OF_ALL))]
