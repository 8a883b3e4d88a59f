"""Opens one SQLite file: its connections, write transactions and write-ahead log."""

from __future__ import annotations

import errno
import logging
import os
import threading
import weakref
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

import apsw

from llm_cache.core.fork_locks import reset_after_fork
from llm_cache.store.sqlite import _corruption, _schema
from llm_cache.store.sqlite._connection import (
    BUSY_WAIT_S,
    READ_ONLY,
    READ_WRITE,
    BusyHandler,
    connect,
    mode_of,
    run,
)
from llm_cache.store.sqlite._directory import DirectoryLock, inode, refuse_link, size_of

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from llm_cache.store.sqlite._directory import Inode

CHECKPOINT_PAGES: Final = 1024
"""The log is written back into the file when it has grown by so many pages (4 MiB)."""
RESTART_PAGES: Final = 8 * CHECKPOINT_PAGES
"""From here on writers are held up for a moment, so that the log can begin anew: while they go on,
there is always something in it that is not yet in the file."""
WARN_PAGES: Final = 16 * CHECKPOINT_PAGES
_RESTART_WAIT_S: Final = 0.05
_IDLE_WITHIN_S: Final = 2.0
_IMMUTABLE: Final = "immutable=1&"
_log: Final = logging.getLogger("llm_cache")


class ReplacedError(OSError):
    """The file that was opened is not the one at its path any more."""

    def __init__(self) -> None:
        super().__init__(errno.ESTALE, "it was replaced, again and again: try again")


class _ReadConnection:
    """The connection of one thread that reads."""

    __slots__ = ("__weakref__", "connection", "lock", "wait")

    def __init__(self) -> None:
        reset_after_fork(self._make_locks)
        self.wait = BusyHandler()
        self.connection: apsw.Connection | None = None

    def _make_locks(self) -> None:
        self.lock = threading.Lock()


class Database:
    """The file at `path`, opened, or made if it is not there.

    Where nothing may be written it is opened for reading, and `is_read_only`.
    """

    def __init__(
        self, path: Path, *, beside: Path, synchronous: str, trouble: Exception | None = None
    ) -> None:
        """`beside` is a file whose permissions are the file's, and that is replaced with it.

        `trouble` is what kept it from being opened for writing before: now it is to be read.
        """
        self.path: Final = path
        self._synchronous = synchronous
        self._is_closed = False
        reset_after_fork(self._make_locks)
        self._of_thread = threading.local()
        self._readers: weakref.WeakSet[_ReadConnection] = weakref.WeakSet()
        self._checkpoint_at = CHECKPOINT_PAGES
        self._log_pages = 0
        self._log_path: Final = path.with_name(f"{path.name}-wal")
        self._looked_at = (
            path,
            self._log_path,
            path.with_name(f"{path.name}-shm"),
            beside,
        )
        self._seen: tuple[Inode, ...] = (None,)
        self._writes_over: apsw.Connection | None = None
        self._write_wait = BusyHandler()
        self._lock: DirectoryLock | None = None
        self.trouble: Final = trouble
        self.is_read_only: Final = trouble is not None or not _may_write(path)
        self._options = "" if self.is_read_only else f"{mode_of(beside)}&"
        refuse_link(path)
        if self.is_read_only:
            self._find_way_to_read()
        else:
            self._prepare_to_write()

    def is_in_place(self) -> bool:
        """Whether the file, its log and what is beside it are still those that were opened."""
        return self._look() == self._seen

    @property
    def inode(self) -> Inode:
        """The file that was opened."""
        return self._seen[0]

    def read(self, sql: str, bindings: Any = (), *, wait_s: float = BUSY_WAIT_S) -> list[Any]:
        """All rows of a query, over a connection of this thread; waits so long for a lock."""
        try:
            reader: _ReadConnection = self._of_thread.reader
        except AttributeError:
            reader = self._of_thread.reader = self._new_reader()
        with reader.lock:
            connection = reader.connection
            if connection is None:
                connection = reader.connection = self._connect(reader.wait)
            if self._options == _IMMUTABLE and not self.is_in_place():
                raise ReplacedError  # somebody writes to it, unheard
            reader.wait.limit_s = wait_s
            return run(connection, sql, bindings)

    @contextmanager
    def transaction(self) -> Generator[apsw.Connection]:
        """The connection that writes, in a transaction that begins at once and is committed.

        Nobody moves the file away meanwhile. ReplacedError if that has happened before.
        """
        with self._writing:
            connection = self._writes_over
            if self._lock is None:
                raise self.trouble or apsw.ReadOnlyError
            if connection is None:
                raise ReplacedError
            with self._lock.held(alone=False):
                if not self.is_in_place():
                    raise ReplacedError
                try:
                    run(connection, "BEGIN IMMEDIATE")
                finally:
                    self._write_wait.since = None
                try:
                    yield connection
                    run(connection, "COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        run(connection, "ROLLBACK")
                    raise

    def locked_out_since(self) -> float | None:
        """Since when another process has kept a transaction from beginning; None if none does."""
        by_move = None if self._lock is None else self._lock.waits_since
        return self._write_wait.since or by_move

    def write_log_back(self) -> None:
        """Moves the log into the file if it has grown; waits for others 50 ms at most."""
        if self._log_pages < self._checkpoint_at:
            return
        with self._writing:
            self._write_wait.limit_s = _RESTART_WAIT_S
            try:
                is_busy, pages = self._checkpoint("PASSIVE")
                # Another may be at it, or may just have done it: the log is short again.
                if pages >= RESTART_PAGES and not is_busy:
                    self._checkpoint("RESTART")
            finally:
                self._write_wait.limit_s = BUSY_WAIT_S
                self._write_wait.since = None
        self._checkpoint_at = pages + CHECKPOINT_PAGES

    def truncate_log(self) -> None:
        """Moves the whole log into the file and frees its room, if others and the disk let it."""
        with self._writing, suppress(apsw.Error):
            self._checkpoint("TRUNCATE")

    def _checkpoint(self, how: str) -> tuple[bool, int]:
        """Whether somebody else was in the way, and how many pages the log has."""
        if self._writes_over is None:
            return True, 0
        try:
            [[is_busy, pages, _]] = run(self._writes_over, f"PRAGMA wal_checkpoint({how})")
        except (apsw.BusyError, apsw.LockedError):
            return True, self._log_pages
        return bool(is_busy), max(pages, 0) or self._log_pages

    def close(self, *, checkpoint: bool) -> None:
        """Closes every connection, for each of which it waits 2 s at most, and opens no other.

        Without `checkpoint` the file is left as it is.
        """
        with self._gate:
            if self._is_closed:
                return
            self._is_closed = True
            readers = list(self._readers)
        locks = [self._writing, *(reader.lock for reader in readers)]
        held = [lock for lock in locks if lock.acquire(timeout=_IDLE_WITHIN_S)]
        for reader in readers:
            _close(reader.connection)
            reader.connection = None
        if self._writes_over is not None:
            leave = not (checkpoint and self.is_in_place())
            # Neither can be done while a thread is stuck in it, which then closes it.
            with suppress(apsw.Error, OSError):
                self._writes_over.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(leave))
                self._save_lost_log(self._writes_over)
            _close(self._writes_over)
            self._writes_over = None
        if self._lock is not None:
            self._lock.close()
        for lock in held:
            lock.release()

    def _save_lost_log(self, connection: apsw.Connection) -> None:
        """Where somebody removed the log, it is still open here, and nobody has begun another."""
        if self._lock is None or self._log_path.exists():
            return
        with self._lock.held(alone=True):
            if inode(self.path) == self.inode and not self._log_path.exists():
                run(connection, "PRAGMA wal_checkpoint(PASSIVE)")

    def _make_locks(self) -> None:
        self._gate = threading.Lock()
        """Held while a connection is opened, so that none is once this is closed."""
        self._writing = threading.Lock()
        """Held while the one connection that writes does so."""

    def _prepare_to_write(self) -> None:
        with suppress(FileNotFoundError):
            # Before there is a trace of ours beside it.
            _schema.refuse_foreign(self.path)
        self._lock = DirectoryLock(self.path.parent)
        try:
            makes = not self.path.exists()
            with self._lock.held(alone=makes):
                self._prepare_file(may_make=makes)
                self._writes_over = self._connect(self._write_wait, writes=True)
                # A first read: from now on the log is there, and stays while this is open.
                run(self._writes_over, "SELECT 1 FROM meta LIMIT 1")
                self._seen = self._look()
        except BaseException:
            self.close(checkpoint=False)
            raise

    def _prepare_file(self, *, may_make: bool) -> None:
        if not self.path.exists():
            if not may_make:
                raise ReplacedError  # just now: only who is alone may make it
            # The log of a file that is gone would be taken for that of the new one.
            _corruption.move_leftovers_aside(self.path)
            _schema.make(self.path, options=self._options)
        with _closing(connect(self.path, options=self._options)) as connection:
            _schema.prepare(connection, path=str(self.path))

    def _find_way_to_read(self) -> None:
        """Finds out how to read a file that may not be written to."""
        _schema.refuse_foreign(self.path)
        try:
            with _closing(self._connect(BusyHandler())) as connection:
                _schema.refuse_other_versions(connection, str(self.path))
        except (apsw.CantOpenError, apsw.IOError):
            # Without a log nothing is missing from the file; one that comes shows in `_look`.
            if size_of(self._log_path):
                raise
            self._options = _IMMUTABLE
        self._seen = self._look()

    def _new_reader(self) -> _ReadConnection:
        reader = _ReadConnection()
        with self._gate:
            self._readers.add(reader)
        return reader

    def _connect(self, wait: BusyHandler, *, writes: bool = False) -> apsw.Connection:
        flags = READ_ONLY if self.is_read_only else READ_WRITE
        with self._gate:
            if self._is_closed:
                raise ReplacedError
            connection = connect(self.path, flags=flags, options=self._options, wait=wait)
        if not writes:
            # Only the one that writes moves the log into the file.
            connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        else:
            run(connection, f"PRAGMA synchronous = {self._synchronous}")
            run(connection, f"PRAGMA journal_size_limit = {RESTART_PAGES * 4096}")
            run(connection, "PRAGMA wal_autocheckpoint = 0")
            connection.set_wal_hook(self._note_log_pages)
        return connection

    def _note_log_pages(self, _: apsw.Connection, __: str, pages: int) -> int:
        if pages < self._log_pages:
            self._checkpoint_at = CHECKPOINT_PAGES
        if self._log_pages < WARN_PAGES <= pages:
            _log.warning(
                "the log of %s has grown to %d MiB: somebody keeps a read of it open",
                self.path,
                pages * 4 // 1024,
            )
        self._log_pages = pages
        return apsw.SQLITE_OK

    def _look(self) -> tuple[Inode, ...]:
        found = tuple(map(inode, self._looked_at))
        return (*found, (0, size_of(self._log_path))) if self._options == _IMMUTABLE else found


def _may_write(path: Path) -> bool:
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


@contextmanager
def _closing(connection: apsw.Connection) -> Generator[apsw.Connection]:
    try:
        yield connection
    finally:
        connection.close()


def _close(connection: apsw.Connection | None) -> None:
    # One that a stuck thread is using right now is closed with that thread.
    with suppress(apsw.Error):
        if connection is not None:
            connection.close()
