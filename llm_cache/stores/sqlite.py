"""The store on this machine: one SQLite file in the cache directory."""

from __future__ import annotations

import threading
import time
import weakref
from contextlib import suppress
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

import apsw

from llm_cache.errors import StoreError
from llm_cache.stamps import FILE_NAME as STAMPS_FILE_NAME
from llm_cache.stamps import FileStamps, ProcessStamps
from llm_cache.stores import eviction, schema, usage
from llm_cache.stores.base import EVERYTHING, TRASH_KEPT_S, Group, Removed, Selection, Total
from llm_cache.stores.connection import connect, mode_of, run, store_errors
from llm_cache.stores.damage import GET, drop_if_damaged, is_damage
from llm_cache.stores.directory import prepare_directory
from llm_cache.stores.listing import pages
from llm_cache.stores.removal import (
    Clause,
    add_to_totals,
    clause,
    expired_clauses,
    measure,
    remove,
)
from llm_cache.stores.rows import INSERT, DamagedRowError, to_entry, to_row
from llm_cache.stores.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    from llm_cache.entry import Entry, EntryInfo
    from llm_cache.policy import Policy
    from llm_cache.stamps import Stamps
    from llm_cache.stores.base import EntryUse, UsageDay

T = TypeVar("T")

FILE_NAME: Final = "cache.db"
CLOSE_WAIT_S: Final = 5.0
_AT_ONCE: Final = 500
"""Entries removed in one transaction: short ones, so that nobody waits for long."""


class SqliteStore:
    """Entries in `cache.db` under a directory of their own, private to the user.

    Reads go over a connection for each thread, writes over one thread of their own, many to a
    transaction; a write returns when it is committed.
    """

    is_local = True

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int,
        full_durability: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path: Final = directory.absolute() / FILE_NAME
        self._stamps_path: Final = self.path.with_name(STAMPS_FILE_NAME)
        self.stamps: Stamps = ProcessStamps()
        self.is_open = False
        self._max_bytes = max_bytes
        self._synchronous = "FULL" if full_durability else "NORMAL"
        self._clock = clock
        self._writer = Writer(self._connect)
        self._of_thread = threading.local()
        self._readers: weakref.WeakSet[apsw.Connection] = weakref.WeakSet()
        self._opening = threading.Lock()
        self._is_closed = False
        self.damaged_rows = 0

    def open(self) -> None:
        """Makes the store ready, creating it if need be. Calling it again is harmless."""
        if self.is_open:
            return
        with self._opening, store_errors("open", self.path):
            if self._is_closed:
                msg = f"{self.path} is closed: open a new cache"
                raise StoreError(msg)
            if not self.is_open:
                prepare_directory(self.path.parent)
                stamps = FileStamps(self._stamps_path)
                try:
                    self._prepare_file()
                except BaseException:
                    stamps.close()
                    raise
                # What was kept in memory until now reads the stamps of this process alone.
                self.stamps.renew_all()
                self.stamps = stamps
                self.is_open = True

    def get(self, key: bytes) -> Entry | None:
        """The entry under `key`, whatever its age; one that is damaged is dropped, not given."""
        try:
            rows = self._read(GET, (key,))
            return to_entry(rows[0]) if rows else None
        except DamagedRowError:
            pass
        except StoreError as error:
            if not is_damage(error.__cause__):
                raise
        self.damaged_rows += 1
        self._submit(lambda c: drop_if_damaged(c, key))
        return None

    def put(self, entry: Entry, *, wanted: Callable[[], bool]) -> bool:
        """Keeps `entry` in place of the one before; False if it was not `wanted` any more."""
        row = to_row(entry)

        def write(connection: apsw.Connection) -> bool:
            if not wanted():
                return False
            drop_if_damaged(connection, entry.key)
            remove(connection, ("key = ?", (entry.key,)), "replaced")
            run(connection, INSERT, row)
            sizes = (1, len(entry.body), entry.value_bytes)
            add_to_totals(connection, entry.tenant, entry.prefix, *sizes)
            return True

        return self._write("write to", write)

    def remove(self, which: Selection, *, keep: bool = False) -> Removed:
        """Drops entries, at once for every later `get`; `keep` moves them to the trash."""
        keep_at = self._clock() if keep else None
        groups: list[Group] = []
        for part in _parts(which):
            take_out = partial(remove, condition=clause(part), why="invalidated", keep_at=keep_at)
            groups.append(self._write("delete from", take_out))
        if which == EVERYTHING and not keep:
            self._write("delete from", lambda c: run(c, "DELETE FROM trash"))
        self._give_back()
        return Removed(_summed(groups))

    def prune(self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool) -> Removed:
        """Drops what is expired at `now` under the policy of its prefix, and old trash."""
        if dry_run:
            return Removed(_summed(self.expired(policy_of, now).values()))
        groups = [
            group
            for prefix in self._prefixes()
            for condition in expired_clauses(prefix, policy_of(prefix), now)
            for group in self._sweep(condition, "expired")
        ]
        self._empty_trash(now - TRASH_KEPT_S)
        self._give_back()
        return Removed(_summed(groups))

    def make_room(
        self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool
    ) -> Removed:
        """Brings the store under its size limit: old trash, the expired, then the least used."""
        used_bytes = self._used_bytes()
        if used_bytes <= self._max_bytes:
            return Removed()
        if not dry_run:
            self._empty_trash(now)
        used_bytes = self._used_bytes() - eviction.trash_bytes(self._read)
        if used_bytes <= self._max_bytes:
            return Removed()
        expired = [c for p in self._prefixes() for c in expired_clauses(p, policy_of(p), now)]
        excess_bytes = used_bytes - int(self._max_bytes * eviction.EVICT_TO)
        plan = eviction.plan(self._read, expired, excess_bytes)
        if dry_run:
            return Removed((plan.expired, plan.evicted))
        groups = list(self.prune(policy_of, now, dry_run=False).groups)
        for some in _batched(plan.numbers):
            which: Clause = (f"number IN ({', '.join('?' * len(some))})", some)
            groups.append(
                self._write("delete from", partial(remove, condition=which, why="evicted"))
            )
        self._give_back()
        return Removed(_summed(groups))

    def select(self, which: Selection, *, limit: int | None = None) -> Iterator[EntryInfo]:
        """The entries of a selection by prefix, newest first, read in pages as they are taken."""
        prefixes = self._prefixes() if which.prefix is None else [which.prefix]
        yield from pages(self._read, which, prefixes, limit)

    def totals(self) -> list[Total]:
        """What is held, by tenant and prefix."""
        sql = "SELECT tenant, prefix, entries, size_bytes, value_bytes FROM totals ORDER BY 2, 1"
        return [Total(*row) for row in self._read(sql)]

    def expired(self, policy_of: Callable[[str], Policy], now: float) -> dict[str, Group]:
        """By prefix, what `prune` would sweep."""
        found: dict[str, Group] = {}
        for prefix in self._prefixes():
            conditions = expired_clauses(prefix, policy_of(prefix), now)
            groups = [measure(self._read, c, "expired") for c in conditions]
            found[prefix] = _summed(groups)[0]
        return {prefix: group for prefix, group in found.items() if group.entries}

    def add_usage(self, days: Iterable[UsageDay], uses: Iterable[EntryUse]) -> None:
        """Adds counts to those kept, over all processes."""
        taken_days, taken_uses = list(days), list(uses)
        self._write("write to", lambda c: usage.add(c, taken_days, taken_uses))

    def usage(self) -> list[UsageDay]:
        """Every count kept."""
        return usage.read(self._read)

    def disk_bytes(self) -> int:
        """Bytes of the file that are in use, and of its write-ahead log."""
        log = self.path.with_name(FILE_NAME + "-wal")
        with store_errors("measure", self.path):
            return self._used_bytes() + (log.stat().st_size if log.exists() else 0)

    def close(self) -> None:
        """Finishes what was begun, for up to 5 s, and lets go of the file."""
        with self._opening:
            if self._is_closed:
                return
            self._is_closed = True
            self.is_open = False
        self._writer.close(CLOSE_WAIT_S)
        self.stamps.close()
        for reader in list(self._readers):
            # One that another thread is using right now is closed with that thread.
            with suppress(apsw.ThreadingViolationError):
                reader.close()

    def _prepare_file(self) -> None:
        if self.path.exists():
            schema.refuse_foreign(self.path)
        else:
            schema.make(self.path, options=mode_of(self._stamps_path))
        connection = self._connect()
        try:
            schema.prepare(connection, path=str(self.path))
        finally:
            connection.close()

    def _connect(self) -> apsw.Connection:
        connection = connect(self.path, options=mode_of(self._stamps_path))
        run(connection, f"PRAGMA synchronous = {self._synchronous}")
        return connection

    def _reader(self) -> apsw.Connection:
        if not self.is_open:
            self.open()
        try:
            reader: apsw.Connection = self._of_thread.reader
        except AttributeError:
            reader = self._of_thread.reader = self._connect()
            self._readers.add(reader)
        return reader

    def _read(self, sql: str, bindings: Any = ()) -> list[tuple[Any, ...]]:  # noqa: ANN401
        """The rows of a query; none where there is no file, which reading does not make."""
        with store_errors("read", self.path):
            if not self.is_open and not self._is_closed and not self.path.exists():
                return []
            return run(self._reader(), sql, bindings)

    def _submit(self, write: Callable[[apsw.Connection], T]) -> Future[T]:
        self.open()
        return self._writer.submit(write)

    def _write(self, doing: str, write: Callable[[apsw.Connection], T]) -> T:
        with store_errors(doing, self.path):
            return self._submit(write).result()

    def _prefixes(self) -> list[str]:
        return [row[0] for row in self._read("SELECT DISTINCT prefix FROM totals ORDER BY prefix")]

    def _used_bytes(self) -> int:
        sql = (
            "SELECT (page_count - freelist_count) * page_size "
            "FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
        )
        rows = self._read(sql)
        return int(rows[0][0]) if rows else 0

    def _sweep(self, condition: Clause, why: str) -> Iterator[Group]:
        """Drops what a condition selects, in short transactions, so that nobody waits for long."""
        where, bindings = condition
        some = f"number IN (SELECT number FROM entries WHERE {where} LIMIT {_AT_ONCE})"  # noqa: S608
        while True:
            group = self._write("delete from", lambda c: remove(c, (some, bindings), why))
            yield group
            if group.entries < _AT_ONCE:
                return

    def _empty_trash(self, before: float) -> None:
        sql = "DELETE FROM trash WHERE removed_at <= ?"
        self._write("delete from", lambda c: run(c, sql, (before,)))

    def _give_back(self) -> None:
        """Gives the pages that have come free back to the file system, a few at a time."""
        self._submit(lambda c: run(c, "PRAGMA incremental_vacuum(1000)"))


def _parts(which: Selection) -> list[Selection]:
    if which.keys is None:
        return [which]
    return [replace(which, keys=some) for some in _batched(which.keys)]


def _batched(items: tuple[T, ...]) -> list[tuple[T, ...]]:
    return [items[at : at + _AT_ONCE] for at in range(0, len(items), _AT_ONCE)]


def _summed(groups: Iterable[Group]) -> list[Group]:
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
