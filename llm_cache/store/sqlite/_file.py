"""Reopens the database when it is removed, replaced, damaged, or the process forks."""

from __future__ import annotations

import errno
import logging
import threading
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from llm_cache.core.fork_locks import reset_after_fork
from llm_cache.errors import StoreError
from llm_cache.store.sqlite import _corruption
from llm_cache.store.sqlite._connection import BUSY_WAIT_S
from llm_cache.store.sqlite._corruption import is_damage_of_file
from llm_cache.store.sqlite._database import Database, ReplacedError
from llm_cache.store.sqlite._directory import DirectoryLock, inode, take_directory
from llm_cache.store.sqlite._disk_space import is_trouble_of_disk
from llm_cache.store.sqlite._fork import closed_while_forking
from llm_cache.store.sqlite._liveness import Owner
from llm_cache.store.stamps import FILE_NAME as STAMPS_FILE_NAME
from llm_cache.store.stamps import FileStamps, NoStamps, ProcessStamps

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    import apsw

    from llm_cache.store.sqlite._directory import Inode
    from llm_cache.store.sqlite._disk_space import DiskSpace
    from llm_cache.store.stamps import Stamps

_SALVAGE_WAIT_S: Final = 2.0
_TRIES: Final = 20
"""How often in a row the file may be replaced, by forks say, before it is given up; it is repaired
once."""
_log: Final = logging.getLogger("llm_cache")


def _cost(error: Exception) -> int:
    return 1 if isinstance(error, ReplacedError) else _TRIES


class ResilientDatabase:
    """A `Database` that is reopened when it has to be.

    `on_moved_aside` is told, on a thread of its own, where a damaged file was moved to.
    """

    def __init__(
        self,
        path: Path,
        *,
        synchronous: str,
        disk: DiskSpace,
        allow_shared: bool,
        allow_network: bool,
        clock: Callable[[], float],
        on_moved_aside: Callable[[Path], None],
    ) -> None:
        self.path: Final = path
        self.stamps: Stamps = ProcessStamps()
        self.owner: Owner | None = None
        self._stamps_path = path.with_name(STAMPS_FILE_NAME)
        self._synchronous = synchronous
        self._disk = disk
        self._allow_shared = allow_shared
        self._allow_network = allow_network
        self._clock = clock
        self._on_moved_aside = on_moved_aside
        self._database: Database | None = None
        self._left: list[Database] = []
        """Files that are not at the path any more, to be closed where that may take its time."""
        self._salvaging: threading.Thread | None = None
        reset_after_fork(self._make_locks)
        self._is_closed = False
        closed_while_forking(self)

    @property
    def is_open(self) -> bool:
        """Whether a read finds the file open."""
        return self._database is not None

    def open(self) -> Database:
        """The open file; opened, or created, if it is not."""
        database = self._database
        if database is not None:
            return database
        with self._opening:
            if self._is_closed:
                msg = f"{self.path} is closed: open a new cache"
                raise StoreError(msg)
            if self._database is None:
                try:
                    self._database = self._open()
                except ReplacedError:
                    self._database = self._open()
            return self._database

    def read(self, sql: str, bindings: Any = (), *, wait_s: float = BUSY_WAIT_S) -> list[Any]:
        """The rows of a query; none where there is no file, which reading does not make."""
        left = _TRIES
        while True:
            database = self._database
            if database is None:
                if not self._is_closed and not self.path.exists():
                    return []
                database = self.open()
            try:
                return database.read(sql, bindings, wait_s=wait_s)
            except Exception as error:
                if left <= 0 or not self._recovers(database, error):
                    raise
                left -= _cost(error)

    @contextmanager
    def transaction(self) -> Generator[apsw.Connection]:
        """A write transaction on the file that is at the path now."""
        with ExitStack() as stack:
            yield self._begin(stack)

    def _begin(self, stack: ExitStack) -> apsw.Connection:
        left = _TRIES
        while True:
            database = self._open_again_if_in_trouble()
            try:
                return stack.enter_context(database.transaction())
            except Exception as error:
                if left <= 0 or not self._recovers(database, error):
                    raise
                left -= _cost(error)

    def _open_again_if_in_trouble(self) -> Database:
        database = self.open()
        if database.trouble is None:
            return database
        self._let_go(database, is_news=False)
        return self.open()

    def repair(self, error: BaseException | None) -> bool:
        """Replaces the file if `error` says that it is damaged; whether it did."""
        return self._recovers(self._database, error)

    def look(self) -> None:
        """Lets go of a file that is not at its path any more. Never blocks, never raises."""
        database = self._database
        if database is not None and not database.is_in_place():
            self._let_go(database, waits=False)

    def locked_out_since(self) -> float | None:
        """Since when another process has kept a transaction from beginning; None if none does."""
        database = self._database
        return None if database is None else database.locked_out_since()

    def write_log_back(self) -> None:
        """Copies the log into the file, where that is open."""
        if self._database is not None:
            self._database.write_log_back()

    def truncate_log(self) -> None:
        """Moves the whole log into the file, as far as others let it."""
        if self._database is not None:
            self._database.truncate_log()

    def wait_for_salvage(self, timeout_s: float) -> None:
        """Waits for `on_moved_aside` to end, if it was called."""
        if self._salvaging is not None and self._salvaging is not threading.current_thread():
            self._salvaging.join(timeout_s)

    def close(self) -> None:
        """Lets go of everything. Calling it again is harmless."""
        with self._opening:
            if self._is_closed:
                return
            self._is_closed = True
            database, self._database = self._database, None
        self.stamps.close()
        self._close_left()
        if database is not None:
            database.close(checkpoint=True)
        if self.owner is not None:
            self.owner.close()

    def _open(self) -> Database:
        self._close_left()
        take_directory(
            self.path.parent, allow_shared=self._allow_shared, allow_network=self._allow_network
        )
        stamps = self._open_stamps()
        try:
            database = self._open_somehow()
            self._refuse_others(stamps, database)
        except BaseException:
            if stamps is not self.stamps:
                stamps.close()
            raise
        if stamps is not self.stamps:
            # What was kept in memory until now went by the stamps before.
            with suppress(StoreError):
                self.stamps.renew_all()
            self.stamps.close()
            self.stamps = stamps
        return database

    def _refuse_others(self, stamps: Stamps, database: Database) -> None:
        """Raises ReplacedError where the stamps were replaced before the file was open."""
        if isinstance(stamps, FileStamps) and not stamps.is_in_place():
            database.close(checkpoint=False)
            raise ReplacedError

    def _close_left(self) -> None:
        while self._left:
            self._left.pop().close(checkpoint=False)

    def _open_stamps(self) -> Stamps:
        if isinstance(self.stamps, FileStamps) and self.stamps.is_in_place():
            return self.stamps
        try:
            return FileStamps(self._stamps_path)
        except OSError as error:
            if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOENT}:
                raise
            return NoStamps()

    def _open_somehow(self) -> Database:
        """For writing if the disk lets it; if not, for reading: who writes then tries again."""
        try:
            return self._open_for_writing()
        except Exception as error:
            if not is_trouble_of_disk(error):
                raise
        # It may be full: opening takes some KiB.
        self._disk.give_up()
        try:
            return self._open_for_writing()
        except Exception as error:
            if not is_trouble_of_disk(error) or not self.path.exists():
                raise
            return self._open_database(error)

    def _open_for_writing(self) -> Database:
        database = self._open_file()
        if not database.is_read_only and (self.owner is None or not self.owner.is_in_place()):
            if self.owner is not None:
                self.owner.close()
            try:
                self.owner = Owner(self.path.parent)
            except BaseException:
                database.close(checkpoint=False)
                raise
        return database

    def _open_file(self) -> Database:
        seen = inode(self.path)
        try:
            return self._open_database()
        except Exception as error:
            if not is_damage_of_file(error):
                raise
            self._move_aside(error, seen)
        return self._open_database()

    def _open_database(self, trouble: Exception | None = None) -> Database:
        return Database(
            self.path, beside=self._stamps_path, synchronous=self._synchronous, trouble=trouble
        )

    def _recovers(self, database: Database | None, error: BaseException | None) -> bool:
        """Whether to try again, since another file is there now."""
        if database is None:
            return False
        if isinstance(error, ReplacedError):
            self._let_go(database, is_news=not database.is_read_only)
            return True
        if database.is_read_only or not is_damage_of_file(error):
            return False
        was_moved = self._move_aside(error, database.inode)
        self._let_go(database, is_news=not was_moved)
        return True

    def _move_aside(self, error: BaseException | None, seen: Inode) -> bool:
        """Moves the file away if it is the one that was seen, and a check finds it damaged."""
        lock = DirectoryLock(self.path.parent)
        try:
            with lock.held(alone=True):
                if inode(self.path) != seen:
                    return False  # another process was quicker
                if not _corruption.is_damaged(self.path):
                    return False
                aside = _corruption.move_aside(self.path, self._clock())
        finally:
            lock.close()
        _log.warning(
            "%s is damaged (%s): it was moved to %s, and a new one is made", self.path, error, aside
        )
        self._start_salvage(aside)
        return True

    def _start_salvage(self, aside: Path) -> None:
        thread = threading.Thread(
            target=self._on_moved_aside, args=(aside,), name="llm-cache salvage", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:
            _log.warning("%s: nothing of it is salvaged, no thread can be had: %s", aside, error)
        else:
            self._salvaging = thread

    def _let_go(self, database: Database, *, is_news: bool = True, waits: bool = True) -> None:
        if not self._opening.acquire(blocking=waits):
            return  # somebody is at it
        try:
            if self._database is not database:
                return
            self._database = None
            self._left.append(database)
        finally:
            self._opening.release()
        with suppress(StoreError):
            self.stamps.renew_all()
        if is_news:
            _log.warning("%s was removed or replaced: it is opened anew", self.path)

    # Forking: SQLite must have no connection to a file that is open in the process before

    def before_fork(self) -> None:
        """Closes the file, and keeps it closed; whoever wants it waits, and opens it again."""
        self.wait_for_salvage(_SALVAGE_WAIT_S)
        self._opening.acquire()
        if self._database is not None:
            self._left.append(self._database)
            self._database = None
        self._close_left()

    def after_fork_in_parent(self) -> None:
        """Lets the file be opened again."""
        self._opening.release()

    def after_fork_in_child(self) -> None:
        """Makes this useless: what it has is the parent's."""
        self._is_closed = True

    def _make_locks(self) -> None:
        self._opening = threading.Lock()
