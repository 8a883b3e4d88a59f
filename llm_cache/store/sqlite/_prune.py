"""Pruning the SQLite file: what is expired, of no current version, or too much, and in that order.

A dry run goes the same way, and measures where the other removes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from llm_cache.store.records import TRASH_KEPT_S, Group, Removed
from llm_cache.store.sqlite import _eviction, _trash
from llm_cache.store.sqlite._removal import expired_clauses, measure, unless
from llm_cache.store.sqlite._sweep import nothing, summed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from llm_cache.core.policy_resolution import Policy
    from llm_cache.store.records import Sweep
    from llm_cache.store.sqlite._connection import Read
    from llm_cache.store.sqlite._removal import Clause
    from llm_cache.store.sqlite._sweep import OnSwept, Sweeper


class Pruner:
    """Sweeps what is of no use, and keeps the file under a limit."""

    def __init__(self, sweeper: Sweeper, read: Read, *, max_bytes: int) -> None:
        self._sweeper: Final = sweeper
        self._read: Final = read
        self._max_bytes: Final = max_bytes

    def make_room(
        self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool
    ) -> Removed:
        """Prunes if the file is over its limit."""
        if _eviction.used_bytes(self._read) <= self._max_bytes:
            return Removed()
        task = _Task(policy_of, now, {}, self._max_bytes)
        if dry_run:
            return self._carry_out(task, _Measuring(self._read))
        removed = self._carry_out(task, _Removing(self._sweeper, nothing))
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
        task = _Task(policy_of, now, sweep.current or {}, limit)
        if dry_run:
            return self._carry_out(task, _Measuring(self._read))
        removed = self._carry_out(task, _Removing(self._sweeper, sweep.on_swept or nothing))
        if any(group.why == "evicted" for group in removed.groups):
            self._sweeper.move_together(limit)
        self._sweeper.give_all_back()
        return removed

    def _carry_out(self, task: _Task, way: _Way) -> Removed:
        room = _eviction.Room.measured(self._read)
        is_over = room.used_bytes > task.limit_bytes
        gone = way.empty_trash(task.now if is_over else task.now - TRASH_KEPT_S)
        expired = self._expired(task)
        groups = [way.sweep(condition, "expired") for condition in expired]
        orphans = self._orphans(task)
        groups += [way.sweep(condition, "orphaned") for condition in orphans]
        left_bytes = room.used_bytes - room.taken_by([gone, *groups])
        if left_bytes > task.limit_bytes:
            going = self._numbers([*expired, *orphans])
            excess_bytes = left_bytes - task.limit_bytes * _eviction.EVICT_TO
            groups.append(way.evict(*_eviction.least_used(self._read, room, excess_bytes, going)))
        way.end(task.now)
        return Removed(summed(groups), gone)

    def _expired(self, task: _Task) -> list[Clause]:
        return [
            condition
            for prefix in self._sweeper.prefixes()
            for condition in expired_clauses(prefix, task.policy_of(prefix), task.now)
            if self._sweeper.is_there(condition)
        ]

    def _orphans(self, task: _Task) -> list[Clause]:
        """What is not expired and of no current version of its prefix."""
        return [
            unless(condition, expired_clauses(prefix, task.policy_of(prefix), task.now))
            for prefix, versions in task.current.items()
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
            for (number,) in self._read(f"SELECT number FROM entries WHERE {where}", bindings)  # noqa: S608 - our own conditions
        }


@dataclass(frozen=True, slots=True)
class _Task:
    """What one prune is about."""

    policy_of: Callable[[str], Policy]
    now: float
    current: Mapping[str, Collection[str]]
    """By prefix, the versions that stay; prefixes that are not named are left alone."""
    limit_bytes: int


class _Way(Protocol):
    """Has things go; or only says what would go, and does nothing."""

    def empty_trash(self, until: float) -> Group: ...

    def sweep(self, condition: Clause, why: str) -> Group: ...

    def evict(self, group: Group, numbers: tuple[int, ...]) -> Group: ...

    def end(self, now: float) -> None: ...


class _Measuring:
    """A dry run."""

    def __init__(self, read: Read) -> None:
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


class _Removing:
    """The real thing."""

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
