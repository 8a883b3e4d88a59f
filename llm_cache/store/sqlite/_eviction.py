"""Which entries go when the SQLite file outgrows a limit: those not used for longest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llm_cache.store.records import Group
from llm_cache.store.sqlite._rows import SIZE

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

    from llm_cache.store.sqlite._connection import Read

EVICT_TO: Final = 0.9
"""Room is made down to this part of the limit: not every write has to make some then, and indexes
lose less than their share, since their pages stay partly empty."""
PAGE: Final = 2000
_BY_USE: Final = f"""
SELECT number, used_at, {SIZE}, generation_seconds, cost_usd FROM entries
WHERE (used_at, number) > (?, ?) ORDER BY used_at, number LIMIT ?
"""  # noqa: S608 - our own names
_USED: Final = """
SELECT (page_count - freelist_count) * page_size,
(SELECT count(*) FROM sqlite_schema WHERE rootpage > 0) * page_size
FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
_HELD: Final = f"""
SELECT ifnull(sum(n), 0), ifnull(sum(bytes), 0) FROM (
    SELECT sum(entries) AS n, sum(size_bytes) AS bytes FROM totals
    UNION ALL SELECT count(*), sum({SIZE}) FROM trash)
"""  # noqa: S608 - as above


@dataclass(frozen=True, slots=True)
class Room:
    """How much of the file is in use, and about how much of that an entry takes.

    Beside its value and params every entry has other columns, places in indexes and half-empty
    pages: all of the file that is none of the two nor empty table, shared out evenly.
    """

    used_bytes: int
    beside_bytes: float

    @classmethod
    def measured(cls, read: Read) -> Room:
        """As it is now."""
        used_bytes, empty_bytes = _first(read(_USED), (0, 0))
        entries, held_bytes = _first(read(_HELD), (0, 0))
        beside = max(used_bytes - empty_bytes - held_bytes, 0)
        return cls(int(used_bytes), beside / max(entries, 1))

    def taken_by(self, groups: Iterable[Group]) -> float:
        """About how many bytes of the file come free when these groups go."""
        return sum(group.size_bytes + group.entries * self.beside_bytes for group in groups)


def used_bytes(read: Read) -> int:
    """Bytes of the file that are in use."""
    return int(_first(read(_USED), (0, 0))[0])


def least_used(
    read: Read, room: Room, excess_bytes: float, going: Container[int]
) -> tuple[Group, tuple[int, ...]]:
    """Those that have to go for the file to lose about `excess_bytes`, and their numbers.

    `going` are numbers of entries that go anyway.
    """
    numbers: list[int] = []
    pages: list[Group] = []
    place: tuple[Any, ...] = (float("-inf"), 0)
    while excess_bytes > 0:
        page = read(_BY_USE, (*place, PAGE))
        taken: list[Group] = []
        for number, _, size_bytes, seconds, usd in page:
            if number in going:
                continue
            numbers.append(number)
            taken.append(_alone(size_bytes, seconds, usd))
            excess_bytes -= room.taken_by(taken[-1:])
            if excess_bytes <= 0:
                break
        pages.append(Group.total("evicted", taken))
        if len(page) < PAGE:
            break
        place = (page[-1][1], page[-1][0])
    return Group.total("evicted", pages), tuple(numbers)


def _alone(size_bytes: int, seconds: float | None, usd: float | None) -> Group:
    untimed, unpriced = int(seconds is None), int(usd is None)
    return Group("evicted", 1, size_bytes, seconds or 0.0, usd or 0.0, untimed, unpriced)


def _first(rows: Sequence[tuple[Any, ...]], otherwise: tuple[Any, ...]) -> tuple[Any, ...]:
    return rows[0] if rows else otherwise  # none where the file is gone
