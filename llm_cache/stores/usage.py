"""The counts of use in the SQLite file."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Final

from llm_cache.stores.base import EntryUse, Usage, UsageDay
from llm_cache.stores.connection import run

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from llm_cache.stores.connection import Read

_COUNTS: Final = tuple(field.name for field in fields(Usage))
_ADD: Final = (
    f"INSERT INTO usage (day, tenant, prefix, model, {', '.join(_COUNTS)}) "  # noqa: S608 - our own names
    f"VALUES (?, ?, ?, ?{', ?' * len(_COUNTS)}) ON CONFLICT DO UPDATE SET "
    + ", ".join(f"{name} = {name} + excluded.{name}" for name in _COUNTS)
)


def add(connection: apsw.Connection, days: Iterable[UsageDay], uses: Iterable[EntryUse]) -> None:
    """Adds counts to those in the file."""
    for day in days:
        counts = [getattr(day.usage, name) for name in _COUNTS]
        run(connection, _ADD, (day.day, day.tenant, day.prefix, day.model, *counts))
    for use in uses:
        run(
            connection,
            "UPDATE entries SET hits = hits + ?, used_at = max(used_at, ?) WHERE key = ?",
            (use.hits, use.last_used_at, use.key),
        )


def read(read_rows: Read) -> list[UsageDay]:
    """All counts in the file, by day."""
    rows = read_rows(
        f"SELECT day, tenant, prefix, model, {', '.join(_COUNTS)} FROM usage ORDER BY day, prefix",  # noqa: S608
    )
    return [
        UsageDay(day, tenant, prefix, model, Usage(**dict(zip(_COUNTS, counts, strict=True))))
        for day, tenant, prefix, model, *counts in rows
    ]
