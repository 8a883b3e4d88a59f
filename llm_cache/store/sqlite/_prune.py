"""Prunes the file: what has expired, what is of no current version, and the least recently used.

A dry run goes the same way, and measures where the other removes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llm_cache.store.records import TRASH_KEPT_S, Group, Removed
from llm_cache.store.sqlite import _trash
from llm_cache.store.sqlite._queries import expired_clauses, measure, unless, used_bytes
from llm_cache.store.sqlite._rows import SIZE
from llm_cache.store.sqlite._sweep import nothing, summed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Container, Iterable, Mapping

    from llm_cache.core.policy_resolution import Policy
    from llm_cache.store.records import Sweep
    from llm_cache.store.sqlite._connection import ReadRows
    from llm_cache.store.sqlite._queries import Clause
    from llm_cache.store.sqlite._sweep import OnSwept, Sweeper

EVICT_TO: Final = 0.9
"""Room is made down to this part of the limit: not every write has to make some then, and indexes
lose less than their share, since their pages stay partly empty."""
PAGE: Final = 2000
_BY_USE: Final = f"""
SELECT number, used_at, {SIZE}, generation_seconds, cost_usd FROM entries
WHERE (used_at, number) > (?, ?) ORDER BY used_at, number LIMIT ?
"""
_EMPTY: Final = """
SELECT (SELECT count(*) FROM sqlite_schema WHERE rootpage > 0) * page_size FROM pragma_page_size
"""
_HELD: Final = f"""
SELECT ifnull(sum(n), 0), ifnull(sum(bytes), 0) FROM (
    SELECT sum(entries) AS n, sum(size_bytes) AS bytes FROM totals
    UNION ALL SELECT count(*), sum({SIZE}) FROM trash)
"""


class Pruner:
    """Removes what has expired, and keeps the file under a limit."""

    def __init__(self, sweeper: Sweeper, read: ReadRows, *, max_bytes: int) -> None:
        self._sweeper: Final = sweeper
        self._read: Final = read
        self._max_bytes: Final = max_bytes

    def make_room(
        self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool
    ) -> Removed:
        """Prunes if the file is over its limit."""
        if used_bytes(self._read) <= self._max_bytes:
            return Removed()
        plan = _PrunePlan(policy_of, now, {}, self._max_bytes)
        if dry_run:
            return self._carry_out(plan, _DryRun(self._read))
        removed = self._carry_out(plan, _RealRun(self._sweeper, nothing))
        self._sweeper.give_back()
        return removed

    def prune(
        self,
        policy_of: Callable[[str], Policy],
        now: float,
        sweep: Sweep,
        *,
        dry_run: bool,
    ) -> Removed:
        """Drops old trash, the expired, orphans, and the least used above a limit."""
        limit = self._max_bytes if sweep.max_bytes is None else sweep.max_bytes
        plan = _PrunePlan(policy_of, now, sweep.current or {}, limit)
        if dry_run:
            return self._carry_out(plan, _DryRun(self._read))
        removed = self._carry_out(plan, _RealRun(self._sweeper, sweep.on_swept or nothing))
        if any(group.why == "evicted" for group in removed.groups):
            self._sweeper.move_together(limit)
        self._sweeper.give_all_back()
        return removed

    def _carry_out(self, plan: _PrunePlan, executor: _DryRun | _RealRun) -> Removed:
        usage = FileUsage.measured(self._read)
        is_over = usage.used_bytes > plan.limit_bytes
        gone = executor.empty_trash(plan.now if is_over else plan.now - TRASH_KEPT_S)
        expired = self._expired(plan)
        groups = [executor.sweep(condition, "expired") for condition in expired]
        orphans = self._orphans(plan)
        groups += [executor.sweep(condition, "orphaned") for condition in orphans]
        left_bytes = usage.used_bytes - usage.taken_by([gone, *groups])
        if left_bytes > plan.limit_bytes:
            going = self._numbers([*expired, *orphans])
            excess_bytes = left_bytes - plan.limit_bytes * EVICT_TO
            groups.append(executor.evict(*least_used(self._read, usage, excess_bytes, going)))
        executor.end(plan.now)
        return Removed(summed(groups), gone)

    def _expired(self, plan: _PrunePlan) -> list[Clause]:
        return [
            condition
            for prefix in self._sweeper.prefixes()
            for condition in expired_clauses(prefix, plan.policy_of(prefix), plan.now)
            if self._sweeper.is_there(condition)
        ]

    def _orphans(self, plan: _PrunePlan) -> list[Clause]:
        """What is not expired and of no current version of its prefix."""
        return [
            unless(condition, expired_clauses(prefix, plan.policy_of(prefix), plan.now))
            for prefix, versions in plan.current.items()
            for condition in self._of_other_versions(prefix, versions)
        ]

    def _of_other_versions(self, prefix: str, versions: Collection[str]) -> list[Clause]:
        """A condition for each version of a prefix but these, in the order of their index."""
        held = self._read(
            "SELECT tenant, version FROM totals JOIN entries USING (tenant, prefix) "
            "WHERE prefix = ? GROUP BY 1, 2",
            (prefix,),
        )
        where = "tenant = ? AND prefix = ? AND version = ?"
        return [(where, (tenant, prefix, v)) for tenant, v in held if v not in versions]

    def _numbers(self, conditions: list[Clause]) -> set[int]:
        """What conditions select; nothing any more where that was removed."""
        return {
            number
            for where, bindings in conditions
            for (number,) in self._read(f"SELECT number FROM entries WHERE {where}", bindings)
        }


@dataclass(frozen=True, slots=True)
class _PrunePlan:
    policy_of: Callable[[str], Policy]
    now: float
    current: Mapping[str, Collection[str]]
    """By prefix, the versions that stay; prefixes that are not named are left alone."""
    limit_bytes: int


class _DryRun:
    """Measures what would go, and removes nothing."""

    def __init__(self, read: ReadRows) -> None:
        self._read = read

    def empty_trash(self, until: float) -> Group:
        return measure(self._read, _trash.removed_until(until), "trash", table="trash")

    def sweep(self, condition: Clause, why: str) -> Group:
        return measure(self._read, condition, why)

    def evict(self, group: Group, numbers: tuple[int, ...]) -> Group:
        del numbers
        return group

    def end(self, now: float) -> None:
        pass


class _RealRun:
    """Removes in short transactions."""

    def __init__(self, sweeper: Sweeper, on_swept: OnSwept) -> None:
        self._sweeper = sweeper
        self._on_swept = on_swept

    def empty_trash(self, until: float) -> Group:
        return self._sweeper.empty_trash(until, on_swept=self._on_swept)

    def sweep(self, condition: Clause, why: str) -> Group:
        return self._sweeper.sweep(condition, why, on_swept=self._on_swept)

    def evict(self, group: Group, numbers: tuple[int, ...]) -> Group:
        return self._sweeper.take_out(numbers, group.why, self._on_swept)

    def end(self, now: float) -> None:
        self._sweeper.sweep_leftovers(now)


@dataclass(frozen=True, slots=True)
class FileUsage:
    """How much of the file is in use, and about how much of that an entry takes.

    Beside its value and params every entry has other columns, places in indexes and half-empty
    pages: all of the file that is none of the two nor empty table, shared out evenly.
    """

    used_bytes: int
    beside_bytes: float

    @classmethod
    def measured(cls, read: ReadRows) -> FileUsage:
        used = used_bytes(read)
        [[empty_bytes]] = read(_EMPTY) or [(0,)]  # no row where the file is gone
        [[entries, held_bytes]] = read(_HELD) or [(0, 0)]
        return cls(used, max(used - empty_bytes - held_bytes, 0) / max(entries, 1))

    def taken_by(self, groups: Iterable[Group]) -> float:
        """About how many bytes of the file come free when these groups go."""
        return sum(group.size_bytes + group.entries * self.beside_bytes for group in groups)


def least_used(
    read: ReadRows, usage: FileUsage, excess_bytes: float, going: Container[int]
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
            excess_bytes -= usage.taken_by(taken[-1:])
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
