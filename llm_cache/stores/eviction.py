"""Which entries go when the SQLite file outgrows its limit: the expired, then the least used."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llm_cache.stores.base import Group

if TYPE_CHECKING:
    from llm_cache.stores.connection import Read
    from llm_cache.stores.removal import Clause

EVICT_TO: Final = 0.9
"""Room is made down to this part of the limit, so that not every write has to make some."""
_ROW_BYTES: Final = 1000
"""What a row takes beside value and params: its other columns, its indexes, half-empty pages."""
_COST: Final = f"size_bytes + length(params) + {_ROW_BYTES}"


@dataclass(frozen=True, slots=True)
class Eviction:
    """What has to go: the expired, and the rows of these numbers."""

    expired: Group
    evicted: Group
    numbers: tuple[int, ...]


def trash_bytes(read: Read) -> int:
    """About what the trash takes of the file."""
    rows = read(f"SELECT ifnull(sum({_COST}), 0) FROM trash")  # noqa: S608 - our own names
    return int(rows[0][0]) if rows else 0  # where the file is gone


def plan(read: Read, expired: list[Clause], excess_bytes: int) -> Eviction:
    """What has to go for the file to lose about `excess_bytes`, if `expired` goes first."""
    where, bindings = _any_of(expired)
    measures = (
        "count(*), ifnull(sum(size_bytes), 0), ifnull(sum(generation_seconds), 0.0), "
        f"ifnull(sum({_COST}), 0)"
    )
    found = read(f"SELECT {measures} FROM entries WHERE number IN ({where})", bindings)  # noqa: S608
    nothing: tuple[Any, ...] = (0, 0, 0.0, 0)
    *swept, swept_bytes = found[0] if found else nothing
    # Row by row up to where enough has gone: a running sum, so that no more is read than goes.
    rows = read(
        "SELECT number, size_bytes, seconds FROM ("  # noqa: S608 - our own conditions
        f"SELECT number, size_bytes, ifnull(generation_seconds, 0.0) AS seconds, {_COST} AS cost, "
        f"sum({_COST}) OVER (ORDER BY used_at, number) AS freed FROM entries "
        f"WHERE number NOT IN ({where})) WHERE freed - cost < ?",
        (*bindings, excess_bytes - swept_bytes),
    )
    evicted = Group("evicted", len(rows), sum(row[1] for row in rows), sum(row[2] for row in rows))
    return Eviction(Group("expired", *swept), evicted, tuple(row[0] for row in rows))


def _any_of(conditions: list[Clause]) -> Clause:
    parts = [f"SELECT number FROM entries WHERE {where}" for where, _ in conditions]  # noqa: S608
    bindings = tuple(value for _, values in conditions for value in values)
    return " UNION ALL ".join(parts) or "SELECT 0 WHERE false", bindings
