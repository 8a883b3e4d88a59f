"""The counts of use in the SQLite file."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

from llm_cache.core.usage import MOST_COUNT
from llm_cache.store.records import Counts, EntryUse, Note, Refusals, Unused, UsageDay
from llm_cache.store.sqlite import _notes as noted
from llm_cache.store.sqlite._connection import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from llm_cache.store.sqlite._connection import Read

_COUNTS: Final = tuple(field.name for field in fields(Counts))
_ADD: Final = (
    f"INSERT INTO usage (day, tenant, prefix, model, {', '.join(_COUNTS)}) "  # noqa: S608 - our own names
    f"VALUES (?, ?, ?, ?{', ?' * len(_COUNTS)}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = min({name} + excluded.{name}, {MOST_COUNT})" for name in _COUNTS)
)
_USE: Final = (
    f"UPDATE entries SET hits = min(hits + ?, {MOST_COUNT}), used_at = max(used_at, ?) "  # noqa: S608 - our own number
    "WHERE key = ?"
)
_REFUSE: Final = (
    "INSERT INTO refusals (day, tenant, prefix, reason, times) VALUES (?, ?, ?, ?, ?) "  # noqa: S608 - as above
    f"ON CONFLICT DO UPDATE SET times = min(times + excluded.times, {MOST_COUNT})"
)


def add(
    connection: apsw.Connection,
    days: Iterable[UsageDay],
    uses: Iterable[EntryUse],
    refusals: Iterable[Refusals],
    notes: Iterable[Note],
) -> None:
    """Adds counts to those in the file, and notes to those that are there.

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
    noted.add(connection, notes)


def _bounded(count: float) -> float:
    """A count that a column takes, and that can be added to what is there."""
    return min(max(count, 0), MOST_COUNT)


def read(read_rows: Read) -> list[UsageDay]:
    """All counts in the file, by day."""
    rows = read_rows(
        f"SELECT day, tenant, prefix, model, {', '.join(_COUNTS)} FROM usage ORDER BY day, prefix",  # noqa: S608
    )
    return [
        UsageDay(day, tenant, prefix, model, Counts(**dict(zip(_COUNTS, counts, strict=True))))
        for day, tenant, prefix, model, *counts in rows
    ]


def read_refusals(read_rows: Read) -> list[Refusals]:
    """What was not stored, by day and reason."""
    sql = "SELECT day, tenant, prefix, reason, times FROM refusals ORDER BY day, prefix, reason"
    return [Refusals(*row) for row in read_rows(sql)]


def unused(read_rows: Read, made_before: float, look_at: int) -> list[Unused]:
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
