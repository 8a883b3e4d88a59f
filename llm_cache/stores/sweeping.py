"""Taking many entries out of the SQLite file: in short transactions, also when its disk is full."""

from __future__ import annotations

import logging
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from llm_cache.errors import StoreError
from llm_cache.stores import eviction, leases, notes
from llm_cache.stores.base import EVERYTHING, TRASH_KEPT_S, Group, Removed
from llm_cache.stores.connection import run
from llm_cache.stores.removal import Clause, clause, expired_clauses, measure, remove
from llm_cache.stores.room import is_full

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import apsw

    from llm_cache.policy_table import Policy
    from llm_cache.stores.base import Selection
    from llm_cache.stores.connection import Read
    from llm_cache.stores.room import Room

T = TypeVar("T")

AT_ONCE: Final = 500
"""Entries removed in one transaction: short ones, so that nobody waits for long."""
AT_ONCE_WHEN_FULL: Final = 25
_log: Final = logging.getLogger("llm_cache")


class Write(Protocol):
    """Has a write carried out in a transaction of its own, and returns what it returns."""

    def __call__(self, doing: str, write: Callable[[apsw.Connection], T], /) -> T:
        """Raises StoreError, which says that one cannot be `doing` it."""
        ...


def _nothing(_: apsw.Connection) -> None:
    pass


class Sweeper:
    """Removes entries over `read` and `write`."""

    def __init__(
        self,
        read: Read,
        write: Write,
        room: Room,
        *,
        max_bytes: int,
        truncate_log: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._read = read
        self._write = write
        self._room = room
        self._max_bytes = max_bytes
        self._truncate_log = truncate_log
        self._clock = clock

    def remove(self, which: Selection, *, keep: bool) -> Removed:
        """Drops entries; `keep` moves them to the trash."""
        now = self._clock()
        groups = [
            self._take_out(
                clause(part),
                "invalidated",
                keep_at=now if keep else None,
                before=partial(_void, which=part, now=now),
            )
            for part in _parts(which)
        ]
        if which == EVERYTHING and not keep:
            self._write("delete from", lambda c: run(c, "DELETE FROM trash"))
        self._give_back()
        return Removed(summed(groups))

    def prune(self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool) -> Removed:
        """Drops what is expired, old trash, and leases of the dead."""
        if dry_run:
            return Removed(summed(self.expired(policy_of, now).values()))
        groups = [
            self._sweep(condition, "expired")
            for prefix in self.prefixes()
            for condition in expired_clauses(prefix, policy_of(prefix), now)
        ]
        self._empty_trash(now - TRASH_KEPT_S)
        self._write("delete from", leases.sweep)
        self._write("delete from", lambda c: notes.sweep(c, now))
        self._give_back()
        return Removed(summed(groups))

    def make_room(
        self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool
    ) -> Removed:
        """Brings the file under its limit: old trash, the expired, then the least used."""
        used_bytes = self.used_bytes()
        if used_bytes <= self._max_bytes:
            return Removed()
        if not dry_run:
            self._empty_trash(now)
        used_bytes = self.used_bytes() - eviction.trash_bytes(self._read)
        if used_bytes <= self._max_bytes:
            return Removed()
        expired = [c for p in self.prefixes() for c in expired_clauses(p, policy_of(p), now)]
        excess_bytes = used_bytes - int(self._max_bytes * eviction.EVICT_TO)
        plan = eviction.plan(self._read, expired, excess_bytes)
        if dry_run:
            return Removed((plan.expired, plan.evicted))
        groups = list(self.prune(policy_of, now, dry_run=False).groups)
        for some in _batched(plan.numbers):
            which: Clause = (f"number IN ({', '.join('?' * len(some))})", some)
            groups.append(self._take_out(which, "evicted"))
        self._give_back()
        return Removed(summed(groups))

    def expired(self, policy_of: Callable[[str], Policy], now: float) -> dict[str, Group]:
        """By prefix, what `prune` would sweep."""
        found: dict[str, Group] = {}
        for prefix in self.prefixes():
            conditions = expired_clauses(prefix, policy_of(prefix), now)
            groups = [measure(self._read, c, "expired") for c in conditions]
            found[prefix] = summed(groups)[0]
        return {prefix: group for prefix, group in found.items() if group.entries}

    def used_bytes(self) -> int:
        """Bytes of the file that are in use."""
        sql = (
            "SELECT (page_count - freelist_count) * page_size "
            "FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        )
        rows = self._read(sql)
        return int(rows[0][0]) if rows else 0

    def _take_out(
        self,
        condition: Clause,
        why: str,
        *,
        keep_at: float | None = None,
        before: Callable[[apsw.Connection], None] = _nothing,
    ) -> Group:
        """Drops what a condition selects in one transaction, or in several if the disk is full.

        `before` comes first, in the same transaction.
        """

        def at_once(connection: apsw.Connection) -> Group:
            before(connection)
            return remove(connection, condition, why, keep_at=keep_at)

        try:
            return self._write("delete from", at_once)
        except StoreError as error:
            if not is_full(error.__cause__):
                raise
        self._free_reserve()
        self._write("delete from", before)
        return self._sweep(condition, why, keep_at=keep_at, at_once=AT_ONCE_WHEN_FULL)

    def _sweep(
        self, condition: Clause, why: str, *, keep_at: float | None = None, at_once: int = AT_ONCE
    ) -> Group:
        """Drops what a condition selects, in short transactions, so that nobody waits for long."""
        where, bindings = condition
        groups: list[Group] = []
        while True:
            some = f"number IN (SELECT number FROM entries WHERE {where} LIMIT {at_once})"  # noqa: S608
            write = partial(remove, condition=(some, bindings), why=why, keep_at=keep_at)
            try:
                groups.append(self._write("delete from", write))
            except StoreError as error:
                if not is_full(error.__cause__) or at_once == AT_ONCE_WHEN_FULL:
                    raise
                self._free_reserve()
                at_once = AT_ONCE_WHEN_FULL
                continue
            if at_once == AT_ONCE_WHEN_FULL:
                self._truncate_log()
            if groups[-1].entries < at_once:
                return summed(groups)[0]

    def _free_reserve(self) -> None:
        _log.warning("the disk is full: the reserve is used to remove entries")
        self._room.give_up()
        self._truncate_log()

    def prefixes(self) -> list[str]:
        """Every prefix of which there are entries."""
        return [row[0] for row in self._read("SELECT DISTINCT prefix FROM totals ORDER BY prefix")]

    def _empty_trash(self, before: float) -> None:
        sql = "DELETE FROM trash WHERE removed_at <= ?"
        self._write("delete from", lambda c: run(c, sql, (before,)))

    def _give_back(self) -> None:
        """Gives pages that have come free back to the file system, a few at a time."""
        with suppress(StoreError):  # what was removed is removed all the same
            self._write("shrink", lambda c: run(c, "PRAGMA incremental_vacuum(1000)"))


def _void(connection: apsw.Connection, which: Selection, now: float) -> None:
    """Sees to it that what is being generated is not kept, and notes what goes."""
    condition = clause(which)
    leases.drop(connection, condition)
    notes.invalidated(connection, which, condition, now)
    run(connection, "UPDATE meta SET value = value + 1 WHERE name = 'invalidations'")


def _parts(which: Selection) -> list[Selection]:
    if which.keys is None:
        return [which]
    return [replace(which, keys=some) for some in _batched(which.keys)]


def _batched(items: tuple[T, ...]) -> list[tuple[T, ...]]:
    return [items[at : at + AT_ONCE] for at in range(0, len(items), AT_ONCE)]


def summed(groups: Iterable[Group]) -> list[Group]:
    """One group for each reason, in the order the reasons first come."""
    sums: dict[str, Group] = {}
    for g in groups:
        s = sums.get(g.why, Group(g.why, 0, 0))
        sums[g.why] = Group(
            g.why,
            s.entries + g.entries,
            s.size_bytes + g.size_bytes,
            s.generation_seconds + g.generation_seconds,
        )
    return list(sums.values())
