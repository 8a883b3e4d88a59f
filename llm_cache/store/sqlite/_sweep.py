"""Removes many entries in short transactions, also when the disk is full."""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias, TypeVar

from llm_cache.errors import StoreError
from llm_cache.store.records import NONE_OF_TRASH, TRASH_KEPT_S, Group, Removed, Selection
from llm_cache.store.sqlite import _counters, _leases, _trash
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._disk_space import is_full
from llm_cache.store.sqlite._entries import remove
from llm_cache.store.sqlite._queries import Clause, clause, expired_clauses, measure, used_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import apsw

    from llm_cache.core.policy_resolution import Policy
    from llm_cache.store.sqlite._connection import ReadRows
    from llm_cache.store.sqlite._disk_space import DiskSpace

T = TypeVar("T")

AT_ONCE: Final = 500
"""Entries removed in one transaction: short ones, so that nobody waits for long."""
AT_ONCE_WHEN_FULL: Final = 25
_SHRINK: Final = "PRAGMA incremental_vacuum(1000)"
_log: Final = logging.getLogger("llm_cache")


class Write(Protocol):
    """Has a write carried out in a transaction of its own, and returns what it returns."""

    def __call__(self, doing: str, write: Callable[[apsw.Connection], T], /) -> T:
        """Raises StoreError, which says that one cannot be `doing` it."""
        ...


def nothing(_: object) -> None:
    pass


OnSwept: TypeAlias = "Callable[[Group], object]"
"""Told of what went, transaction by transaction."""


class Sweeper:
    """Removes entries over `read` and `write`."""

    def __init__(
        self,
        read: ReadRows,
        write: Write,
        disk: DiskSpace,
        *,
        truncate_log: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        self._read = read
        self._write = write
        self._disk = disk
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
        gone = NONE_OF_TRASH
        if keep:
            self.empty_trash(now - TRASH_KEPT_S, None)
        if which == Selection(tenant=which.tenant) and not keep:
            gone = self.empty_trash(math.inf, which.tenant)
        self.give_back()
        return Removed(summed(groups), gone)

    def take_out(self, numbers: tuple[int, ...], why: str, on_swept: OnSwept) -> Group:
        """Drops the entries of these numbers, in short transactions."""
        groups: list[Group] = []
        for some in _batched(numbers):
            which: Clause = (f"number IN ({', '.join('?' * len(some))})", some)
            groups.append(self._take_out(which, why))
            on_swept(groups[-1])
        return Group.total(why, groups)

    def sweep(
        self,
        condition: Clause,
        why: str,
        *,
        on_swept: OnSwept = nothing,
        keep_at: float | None = None,
        at_once: int = AT_ONCE,
    ) -> Group:
        """Drops what a condition selects, in short transactions, so that nobody waits for long.

        With `keep_at`, an instant, it goes to the trash. `on_swept` is told of each transaction.
        """
        where, bindings = condition

        def some(at_once: int, connection: apsw.Connection) -> Group:
            these = f"number IN (SELECT number FROM entries WHERE {where} LIMIT {at_once})"
            return remove(connection, (these, bindings), why, keep_at=keep_at)

        return Group.total(why, self._in_parts(some, on_swept, at_once))

    def empty_trash(
        self, until: float, tenant: str | None = None, on_swept: OnSwept = nothing
    ) -> Group:
        """Forgets what was removed until an instant, of all or of one tenant."""
        condition = _trash.removed_until(until, tenant)

        def some(at_once: int, connection: apsw.Connection) -> Group:
            return _trash.forget(connection, condition, at_once)

        if not self.is_there(condition, table="trash"):
            return Group("trash", 0, 0)
        return Group.total("trash", self._in_parts(some, on_swept, AT_ONCE))

    def is_there(self, condition: Clause, *, table: str = "entries") -> bool:
        """Whether a condition selects anything: a write that has nothing to do is one too many."""
        where, bindings = condition
        return bool(self._read(f"SELECT 1 FROM {table} WHERE {where} LIMIT 1", bindings))

    def expired(
        self, policy_of: Callable[[str], Policy], now: float, look_at: int | None = None
    ) -> dict[str, Group]:
        """By prefix, what `prune` would sweep; with `look_at`, so many entries of it at most."""
        found: dict[str, Group] = {}
        left = look_at
        for prefix in self.prefixes():
            groups: list[Group] = []
            for condition in expired_clauses(prefix, policy_of(prefix), now):
                groups.append(measure(self._read, condition, "expired", look_at=left))
                left = None if left is None else left - groups[-1].entries
            found[prefix] = Group.total("expired", groups)
        return {prefix: group for prefix, group in found.items() if group.entries}

    def _take_out(
        self,
        condition: Clause,
        why: str,
        *,
        keep_at: float | None = None,
        before: Callable[[apsw.Connection], None] = nothing,
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
        return self.sweep(condition, why, keep_at=keep_at, at_once=AT_ONCE_WHEN_FULL)

    def _in_parts(
        self, take: Callable[[int, apsw.Connection], Group], on_swept: OnSwept, at_once: int
    ) -> Iterator[Group]:
        """What goes by `take`, which takes so many at most, until there is nothing more."""
        while True:
            try:
                group = self._write("delete from", partial(take, at_once))
            except StoreError as error:
                if not is_full(error.__cause__) or at_once == AT_ONCE_WHEN_FULL:
                    raise
                self._free_reserve()
                at_once = AT_ONCE_WHEN_FULL
                continue
            if at_once == AT_ONCE_WHEN_FULL:
                self._truncate_log()
            on_swept(group)
            yield group
            if group.entries < at_once:
                return

    def _free_reserve(self) -> None:
        _log.warning("the disk is full: the reserve is used to remove entries")
        self._disk.give_up()
        self._truncate_log()

    def prefixes(self) -> list[str]:
        """Every prefix of which there are entries."""
        return [row[0] for row in self._read("SELECT DISTINCT prefix FROM totals ORDER BY prefix")]

    def move_together(self, down_to_bytes: float) -> None:
        """Fills up pages that are partly empty, in short transactions, until the file is so small.

        Where entries go that stood between others their pages stay, with room that no new entry
        takes: those are put behind the last one.
        """
        with suppress(StoreError):  # what was removed is removed all the same
            last = self._read("SELECT ifnull(max(number), 0) FROM entries")
            while last and used_bytes(self._read) > down_to_bytes:
                if not self._write("write to", partial(_put_behind, until=last[0][0])):
                    return

    def sweep_leftovers(self, now: float) -> None:
        """Drops leases of the dead and old notes."""
        self._write("delete from", _leases.sweep)
        self._write("delete from", lambda c: _counters.forget_old_notes(c, now))

    def give_back(self) -> None:
        """Gives pages that have come free back to the file system, a few at a time."""
        with suppress(StoreError):  # what was removed is removed all the same
            self._write("shrink", lambda c: run(c, _SHRINK))

    def give_all_back(self) -> None:
        """Gives all of them back, in short transactions."""
        left = self._free_pages()
        while left:
            self.give_back()
            before, left = left, self._free_pages()
            if left >= before:
                return  # somebody else frees more, or it cannot be done

    def _free_pages(self) -> int:
        rows = self._read("PRAGMA freelist_count")
        return int(rows[0][0]) if rows else 0


def _put_behind(connection: apsw.Connection, until: int) -> int:
    """Moves the first entries, of numbers up to `until`, behind the last one; how many."""
    [[last]] = run(connection, "SELECT ifnull(max(number), 0) FROM entries")
    first = "SELECT number FROM entries WHERE number <= ? ORDER BY number LIMIT ?"
    numbers = run(connection, first, (until, AT_ONCE))
    for new, (number,) in enumerate(numbers, last + 1):
        run(connection, "UPDATE entries SET number = ? WHERE number = ?", (new, number))
    return len(numbers)


def _void(connection: apsw.Connection, which: Selection, now: float) -> None:
    """Voids the leases of a selection, and notes what is removed."""
    condition = clause(which)
    _leases.drop(connection, condition)
    _counters.note_invalidated(connection, which, condition, now)
    run(connection, "UPDATE meta SET value = value + 1 WHERE name = 'invalidations'")


def _parts(which: Selection) -> list[Selection]:
    if which.keys is None:
        return [which]
    return [replace(which, keys=some) for some in _batched(which.keys)]


def _batched(items: tuple[T, ...]) -> list[tuple[T, ...]]:
    return [items[at : at + AT_ONCE] for at in range(0, len(items), AT_ONCE)]


def summed(groups: Iterable[Group]) -> tuple[Group, ...]:
    """One group for each reason that any entry went for, in the order they first come."""
    parts: dict[str, list[Group]] = {}
    for group in groups:
        parts.setdefault(group.why, []).append(group)
    sums = [Group.total(why, some) for why, some in parts.items()]
    return tuple(group for group in sums if group.entries)
