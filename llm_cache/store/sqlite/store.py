"""Stores entries in one SQLite file in the cache directory."""

from __future__ import annotations

import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from llm_cache.core.freshness import wall_clock
from llm_cache.errors import StoreError
from llm_cache.store.records import PLAIN, Removed, Selection, Total
from llm_cache.store.sqlite import _counters, _leases, _trash
from llm_cache.store.sqlite._connection import BUSY_WAIT_S, store_errors
from llm_cache.store.sqlite._corruption import is_damage_of_file, is_damage_of_row, sound_entries
from llm_cache.store.sqlite._disk_space import DiskSpace
from llm_cache.store.sqlite._entries import (
    GET,
    drop_if_damaged,
    find_sound,
    keep,
    keep_salvaged,
)
from llm_cache.store.sqlite._file import ResilientDatabase
from llm_cache.store.sqlite._leases import LeaseManager
from llm_cache.store.sqlite._listing import pages
from llm_cache.store.sqlite._prune import Pruner
from llm_cache.store.sqlite._queries import used_bytes
from llm_cache.store.sqlite._rows import DamagedRowError, to_entry
from llm_cache.store.sqlite._sweep import Sweeper
from llm_cache.store.sqlite._writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    import apsw

    from llm_cache.core.entry import Entry, EntryInfo
    from llm_cache.core.keys import Identity
    from llm_cache.core.policy_resolution import Policy
    from llm_cache.store.records import (
        EntryUse,
        Group,
        Held,
        Lease,
        Note,
        Refusals,
        Sweep,
        Trashed,
        Unused,
        UsageDay,
    )
    from llm_cache.store.stamps import Stamps

T = TypeVar("T")

FILE_NAME: Final = "cache.db"
LEASE_S: Final = 15.0
CLOSE_WAIT_S: Final = 5.0
QUICK_WAIT_S: Final = 0.02
"""How long a look-up waits for a lock: it may be made on an event loop."""
_log: Final = logging.getLogger("llm_cache")


class SqliteStore:
    """Entries in `cache.db` under a directory of their own, private to the user.

    Reads go over a connection for each thread, writes over one thread of their own, many to a
    transaction; a write returns when it is committed. Leases are renewed by the process's
    heartbeat while they are held.
    """

    is_local = True

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int,
        full_durability: bool = False,
        min_free_bytes: int = 0,
        lease_s: float = LEASE_S,
        allow_shared_dir: bool = False,
        allow_network_fs: bool = False,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        self.path: Final = directory.absolute() / FILE_NAME
        self._disk = DiskSpace(self.path.parent, min_free_bytes=min_free_bytes)
        self._file = ResilientDatabase(
            self.path,
            synchronous="FULL" if full_durability else "NORMAL",
            disk=self._disk,
            allow_shared=allow_shared_dir,
            allow_network=allow_network_fs,
            clock=clock,
            on_moved_aside=self._salvage,
        )
        self._writer = Writer(
            self._file.transaction,
            after_commit=self._file.write_log_back,
            locked_out_since=self._file.locked_out_since,
        )
        self._sweeper = Sweeper(
            self._read,
            self._write,
            self._disk,
            truncate_log=self._file.truncate_log,
            clock=clock,
        )
        self._pruner = Pruner(self._sweeper, self._read, max_bytes=max_bytes)
        self.leases: Final = LeaseManager(self._file, self._writer, lease_s)
        self._clock = clock

    @property
    def is_open(self) -> bool:
        """Whether a look-up has not to open anything."""
        return self._file.is_open

    @property
    def stamps(self) -> Stamps:
        """What tells the memory tiers in front of it that entries were taken away."""
        return self._file.stamps

    def open(self) -> None:
        """Makes the store ready, creating it if need be. Calling it again is harmless."""
        with store_errors("open", self.path):
            self._file.open()

    def look(self) -> None:
        """Looks whether the file was removed or replaced; if so, it is open no more."""
        self._file.look()

    def get(self, key: bytes) -> Entry | None:
        """The entry under `key`, whatever its age; one that is damaged is dropped, not given."""
        try:
            rows = self._read(GET, (key,), wait_s=QUICK_WAIT_S)
            return to_entry(rows[0]) if rows else None
        except DamagedRowError:
            pass
        except StoreError as error:
            if not is_damage_of_row(error.__cause__):
                raise
        self._writer.submit(lambda c: drop_if_damaged(c, key))
        return None

    def acquire(
        self,
        identity: Identity,
        *,
        unfit: Entry | None = None,
        askers: Sequence[Lease] = (),
    ) -> Lease | Entry | Held:
        """The lease of a key, or the entry that is stored there, unless that is `unfit`."""
        with store_errors("take a lease in", self.path):
            self._file.open()
            # Where nothing can be kept, nobody is to wait for anybody.
            self._disk.check(0)
            try:
                return self.leases.acquire(identity, unfit, askers)
            except Exception as error:
                if not (is_damage_of_file(error) and self._file.repair(error)):
                    raise
                self._file.open()
                return self.leases.acquire(identity, unfit, askers)

    def is_held(self, key: bytes) -> bool:
        """Whether somebody who lives holds the lease of `key`."""
        row = _leases.holder(partial(self._read, wait_s=QUICK_WAIT_S), key)
        owner = self._file.owner
        return owner is not None and _leases.is_live(row, owner.is_alive)

    def release(self, lease: Lease) -> None:
        """Gives a lease back, without waiting for that."""
        self.leases.release(lease)

    def put(self, entry: Entry, *, lease: Lease | None = None) -> bool:
        """Keeps `entry` in place of the one before; False if its lease was voided."""

        def write(connection: apsw.Connection) -> bool:
            if lease is None:
                _leases.drop(connection, ("key = ?", (entry.key,)))
            elif not _leases.give_back(connection, lease):
                return False
            keep(connection, entry)
            return True

        try:
            self._make_sure_of_room(entry.size_bytes)
            was_kept = self._write("write to", write)
        except BaseException:  # whatever it is, nobody is to wait for what will not come
            if lease is not None:
                with suppress(StoreError):
                    self.release(lease)
            raise
        if lease is not None:
            self.leases.let_go(lease)
        self._disk.set_aside()
        return was_kept

    def remove(self, which: Selection, *, keep: bool = False) -> Removed:
        """Drops entries, at once for every later `get`; `keep` moves them to the trash."""
        return self._sweeper.remove(which, keep=keep)

    def trashed(self, which: Selection) -> Iterator[Trashed]:
        """What is in the trash of a selection, the last removed first, read as it is taken."""
        return _trash.pages(self._read, which)

    def restore(self, keys: Sequence[bytes]) -> list[bytes]:
        """Takes entries back from the trash, but for those of which there is a newer one."""
        return self._write("write to", lambda c: _trash.restore(c, keys))

    def merge(self, entries: Sequence[Entry]) -> list[Entry]:
        """Keeps entries where there is none that is as new; which those are."""
        self._make_sure_of_room(sum(entry.size_bytes for entry in entries))
        return self._write("write to", lambda c: _merge(c, entries))

    def trash_totals(self) -> list[Total]:
        """What is in the trash, by tenant and prefix."""
        return _trash.totals(self._read)

    def prune(
        self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool, sweep: Sweep = PLAIN
    ) -> Removed:
        """Drops what is of no use at `now`, and what is too much."""
        return self._pruner.prune(policy_of, now, sweep, dry_run=dry_run)

    def make_room(
        self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool
    ) -> Removed:
        """As `prune`, if the store is over its size limit."""
        return self._pruner.make_room(policy_of, now, dry_run=dry_run)

    def select(self, which: Selection, *, limit: int | None = None) -> Iterator[EntryInfo]:
        """The entries of a selection by prefix, newest first, read in pages as they are taken."""
        prefixes = self._sweeper.prefixes() if which.prefix is None else [which.prefix]
        yield from pages(self._read, which, prefixes, limit)

    def totals(self) -> list[Total]:
        """What is held, by tenant and prefix."""
        sql = "SELECT tenant, prefix, entries, size_bytes, value_bytes FROM totals ORDER BY 2, 1"
        return [Total(*row) for row in self._read(sql)]

    def expired(
        self, policy_of: Callable[[str], Policy], now: float, *, look_at: int | None = None
    ) -> dict[str, Group]:
        """By prefix, what `prune` would sweep."""
        return self._sweeper.expired(policy_of, now, look_at)

    def add_usage(
        self,
        days: Iterable[UsageDay],
        uses: Iterable[EntryUse],
        refusals: Iterable[Refusals] = (),
        notes: Iterable[Note] = (),
    ) -> None:
        """Adds counts to those kept, over all processes."""
        taken = list(days), list(uses), list(refusals), list(notes)
        self._write("write to", lambda c: _counters.add(c, *taken))

    def usage(self) -> list[UsageDay]:
        """Every count kept."""
        return _counters.read(self._read)

    def refusals(self) -> list[Refusals]:
        """How many values were not stored, and why."""
        return _counters.read_refusals(self._read)

    def unused(self, made_before: float, look_at: int) -> list[Unused]:
        """How many were never hit of those that were made or used longest ago."""
        return _counters.unused(self._read, made_before, look_at)

    def notes(self, tenant: str, prefix: str, key: bytes) -> list[Note]:
        """What is noted of a key and of its prefix, newest first."""
        return _counters.notes_of(self._read, tenant, prefix, key)

    def disk_bytes(self) -> int:
        """Bytes of the file that are in use, and of its write-ahead log."""
        log = self.path.with_name(FILE_NAME + "-wal")
        with store_errors("measure", self.path):
            return used_bytes(self._read) + (log.stat().st_size if log.exists() else 0)

    def close(self) -> None:
        """Finishes what was begun, for up to 5 s, and lets go of the file."""
        self._file.wait_for_salvage(CLOSE_WAIT_S)
        self._writer.close(CLOSE_WAIT_S)
        self.leases.close()
        self._file.close()

    def _read(
        self,
        sql: str,
        bindings: Any = (),
        *,
        wait_s: float = BUSY_WAIT_S,
    ) -> list[tuple[Any, ...]]:
        with store_errors("read", self.path):
            return self._file.read(sql, bindings, wait_s=wait_s)

    def _make_sure_of_room(self, size_bytes: int) -> None:
        with store_errors("write to", self.path):
            self._file.open()
            self._disk.check(size_bytes)

    def _write(self, doing: str, write: Callable[[apsw.Connection], T]) -> T:
        with store_errors(doing, self.path):
            self._file.open()
            try:
                return self._writer.carry_out(write)
            except Exception as error:
                if not (is_damage_of_file(error) and self._file.repair(error)):
                    raise
            self._file.open()
            return self._writer.carry_out(write)

    def _salvage(self, aside: Path) -> None:
        """Takes over what is sound in a damaged file, until something is invalidated."""
        salvaged = 0
        try:
            for entry in sound_entries(aside):
                if not self._write("write to", partial(keep_salvaged, entry=entry)):
                    _log.warning("%s: something was invalidated: the rest is left there", aside)
                    break
                salvaged += 1
        except StoreError as error:
            _log.warning("%s: not all of it could be salvaged: %s", aside, error)
        _log.warning("%s: %d entries were salvaged", aside, salvaged)


def _merge(connection: apsw.Connection, entries: Iterable[Entry]) -> list[Entry]:
    """Stores the entries that are newer than what is there, and voids the leases of their keys."""
    stored: list[Entry] = []
    for entry in entries:
        there = find_sound(connection, entry.key)
        if there is None or there.created_at < entry.created_at:
            _leases.drop(connection, ("key = ?", (entry.key,)))
            keep(connection, entry)
            stored.append(entry)
    return stored
