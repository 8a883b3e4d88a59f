"""Opens connections to SQLite, runs statements, and translates errors to StoreError."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import apsw

from llm_cache.core.freshness import share_of
from llm_cache.errors import StoreError

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

BUSY_WAIT_S: Final = 2.0
_PAUSE_S: Final = (0.0001, 0.001)
_LATER_PAUSE_S: Final = (0.001, 0.012)
_PAUSES: Final = 100
"""After so many short pauses come longer ones: somebody keeps the lock, and does not pass it on."""
READ_WRITE: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
READ_ONLY: Final = apsw.SQLITE_OPEN_READONLY | apsw.SQLITE_OPEN_URI
_SETTINGS: Final = (
    (apsw.SQLITE_DBCONFIG_DEFENSIVE, 1),
    (apsw.SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_TRIGGER, 0),
    (apsw.SQLITE_DBCONFIG_ENABLE_VIEW, 0),
)
_LIMITS: Final = ((apsw.SQLITE_LIMIT_ATTACHED, 0), (apsw.SQLITE_LIMIT_LENGTH, 1024**3))


def connect(
    path: Path, *, flags: int = READ_WRITE, options: str = "", wait: BusyHandler | None = None
) -> apsw.Connection:
    """A connection of its own for one thread; `options` are those of SQLite's file names."""
    connection = apsw.Connection(f"file:{_quoted(path)}?{options}", flags=flags)
    for setting, value in _SETTINGS:
        connection.config(setting, value)
    for limit, most in _LIMITS:
        connection.limit(limit, most)
    cast("Any", connection).create_scalar_function("share_of", share_of, 1, deterministic=True)
    connection.set_busy_handler(wait or BusyHandler())
    return connection


class ReadRows(Protocol):
    """Carries out a query and returns all rows."""

    def __call__(self, sql: str, bindings: Any = (), /) -> list[tuple[Any, ...]]:
        """The rows of `sql`. Raises StoreError."""
        ...


class BusyHandler:
    """Waits for another's lock, at most `limit_s`, in steps of random length.

    SQLite's own handler sleeps in fixed steps: two processes in step starve a third.
    """

    def __init__(self) -> None:
        self.limit_s = BUSY_WAIT_S
        self.since: float | None = None
        """Since when another has kept it waiting; None once that is over."""

    def __call__(self, earlier_calls: int) -> bool:
        """Pauses; False once it has waited for so long."""
        now = time.monotonic()
        if earlier_calls == 0 or self.since is None:
            self.since = now
        if now >= self.since + self.limit_s:
            return False
        pause_s = _PAUSE_S if earlier_calls < _PAUSES else _LATER_PAUSE_S
        time.sleep(random.uniform(*pause_s))  # noqa: S311 - jitter, not a secret
        return True


def mode_of(path: Path) -> str:
    """The option that gives a new file the permissions of `path` from its first moment on."""
    return f"modeof={_quoted(path)}"


def _quoted(path: Path) -> str:
    """A path for SQLite's URIs. By its bytes: a directory may have a name that is no text."""
    return "".join(f"%{byte:02x}" for byte in bytes(path))


def run(connection: apsw.Connection, sql: str, bindings: Any = ()) -> list[tuple[Any, ...]]:
    """Carries out `sql` to its end and returns all rows.

    apsw executes lazily: a statement whose rows are not taken has not been carried out.
    """
    cursor = cast("Any", connection).execute(sql, bindings)
    return cast("list[tuple[Any, ...]]", cursor.fetchall())


class store_errors:  # noqa: N801 - used like the context managers of contextlib
    """Turns whatever SQLite or the file system raise into StoreError, in plain words.

    A class, since a generator would take longer than the read it is put around.
    """

    __slots__ = ("_doing", "_path")

    def __init__(self, doing: str, path: Path) -> None:
        self._doing = doing
        self._path = path

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: object, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raises StoreError in place of what it knows."""
        if isinstance(error, apsw.Error | OSError | UnicodeDecodeError):
            msg = f"cannot {self._doing} {self._path}: {_in_words(error)}"
            raise StoreError(msg) from error


def _in_words(error: Exception) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    for kind, words in _WORDS:
        if isinstance(error, kind):
            return words
    return f"SQLite says {error}"


_DAMAGED: Final = "the file is damaged: move it away, and a new one is made"
_WORDS: Final[tuple[tuple[type[Exception], str], ...]] = (
    (apsw.NotADBError, "the file is no database: move it away, or name another cache_dir"),
    (apsw.CorruptError, _DAMAGED),
    (UnicodeDecodeError, _DAMAGED),
    (apsw.FullError, "the disk is full, or the file may not grow: make room"),
    (apsw.BusyError, f"another process kept it locked for {BUSY_WAIT_S:g} s: try again"),
    (apsw.LockedError, "it is locked: try again"),
    (apsw.ReadOnlyError, "it may not be written to: check the permissions of its directory"),
    (apsw.CantOpenError, "it cannot be opened: check the permissions of its directory"),
    (apsw.PermissionsError, "it may not be accessed: check its permissions"),
    (apsw.IOError, "the disk reported an error: check its health and its room"),
)
