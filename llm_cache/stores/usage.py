"""The counts of use in the SQLite file."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

from llm_cache.stores import notes as noted
from llm_cache.stores.base import Counts, EntryUse, Note, Refusals, Unused, UsageDay
from llm_cache.stores.connection import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from llm_cache.stores.connection import Read

_COUNTS: Final = tuple(field.name for field in fields(Counts))
_ADD: Final = (
    f"INSERT INTO usage (day, tenant, prefix, model, {', '.join(_COUNTS)}) "  # noqa: S608 - our own names
    f"VALUES (?, ?, ?, ?{', ?' * len(_COUNTS)}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTS)
)
_REFUSE: Final = (
    "INSERT INTO refusals (day, tenant, prefix, reason, times) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT DO UPDATE SET times = times + excluded.times"
)


def add(
    connection: apsw.Connection,
    days: Iterable[UsageDay],
    uses: Iterable[EntryUse],
    refusals: Iterable[Refusals],
    notes: Iterable[Note],
) -> None:
    """Adds counts to those in the file, and notes to those that are there."""
    for day in days:
        counts = [getattr(day.usage, name) for name in _COUNTS]
        run(connection, _ADD, (day.day, day.tenant, day.prefix, day.model, *counts))
    for use in uses:
        run(
            connection,
            "UPDATE entries SET hits = hits + ?, used_at = max(used_at, ?) WHERE key = ?",
            (use.hits, use.last_used_at, use.key),
        )
    for some in refusals:
        run(connection, _REFUSE, (some.day, some.tenant, some.prefix, some.reason, some.times))
    noted.add(connection, notes)


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
