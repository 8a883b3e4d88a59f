"""Invalidates the memory tiers of all processes by random stamps in a shared file.

There are 256 of them, random and 64 bits long; a key's first byte chooses its own. A slot of the
memory tier remembers the stamp that was there before its entry was read from the store, and is
good only as long as the stamp is still the same. Whoever takes entries away writes fresh ones.
"""

from __future__ import annotations

import errno
import os
import secrets
import threading
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from llm_cache.core.fork_locks import reset_after_fork
from llm_cache.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

STAMP_BYTES: Final = 8
STAMPS: Final = 256
FILE_NAME: Final = "stamps"
_CLOSED: Final = -1


class Stamps(Protocol):
    """The stamps that all users of one store share."""

    def reader(self, key: bytes) -> Callable[[], bytes]:
        """What reads the stamp of `key`, now and later.

        It returns fewer than `STAMP_BYTES` where there is none, and raises OSError if it is gone.
        """
        ...

    def renew(self, keys: Iterable[bytes]) -> None:
        """Writes fresh stamps for some keys. Raises StoreError if it cannot."""
        ...

    def renew_all(self) -> None:
        """Writes fresh stamps for every key. Raises StoreError if it cannot."""
        ...

    def close(self) -> None:
        """Lets go of them: no stamp that was read before is read again."""
        ...


class FileStamps:
    """Stamps in a small file, shared by the processes of one machine.

    They are read with `pread`: about 0.5 µs. A mapped file would be quicker, but one that somebody
    truncates kills every process that has it mapped.
    """

    def __init__(self, path: Path) -> None:
        """Opens the file, or makes it, private; raises OSError if it can do neither.

        Where it may not be written to it is only read.
        """
        self._path = path
        reset_after_fork(self._make_locks)
        flags = os.O_CLOEXEC | os.O_NOFOLLOW
        try:
            self._fd = os.open(path, flags | os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM}:
                raise
            self._fd = os.open(path, flags | os.O_RDONLY)
            return
        try:
            if os.fstat(self._fd).st_size < STAMP_BYTES * STAMPS:
                os.fchmod(self._fd, 0o600)  # whatever the umask took away, the owner needs
                self.renew_all()
        except BaseException:
            self.close()
            raise

    def is_in_place(self) -> bool:
        """Whether others still find this very file."""
        try:
            return self._fd != _CLOSED and os.path.samestat(self._path.stat(), os.fstat(self._fd))
        except OSError:
            return False

    def reader(self, key: bytes) -> Callable[[], bytes]:
        """What reads the stamp of `key`, now and later."""
        return partial(os.pread, self._fd, STAMP_BYTES, key[0] * STAMP_BYTES)

    def renew(self, keys: Iterable[bytes]) -> None:
        """Writes fresh stamps for some keys."""
        for place in {key[0] for key in keys}:
            self._write(secrets.token_bytes(STAMP_BYTES), place * STAMP_BYTES)

    def renew_all(self) -> None:
        """Writes fresh stamps for every key."""
        self._write(secrets.token_bytes(STAMP_BYTES * STAMPS), 0)

    def close(self) -> None:
        """Closes the file; whoever still reads it gets OSError, or bytes of some other file."""
        with self._lock:
            if self._fd != _CLOSED:
                os.close(self._fd)
                self._fd = _CLOSED  # the number may be another file's from now on

    def _make_locks(self) -> None:
        self._lock = threading.Lock()

    def _write(self, stamps: bytes, offset: int) -> None:
        try:
            with self._lock:
                os.pwrite(self._fd, stamps, offset)
        except OSError as error:
            msg = (
                f"cannot write to {self._path}: {error.strerror}; "
                "other processes may serve from memory what was taken away"
            )
            raise StoreError(msg) from error


class ProcessStamps:
    """Stamps of this process alone, for where there is no directory to share them in."""

    def __init__(self) -> None:
        self._stamps = [secrets.token_bytes(STAMP_BYTES) for _ in range(STAMPS)]

    def reader(self, key: bytes) -> Callable[[], bytes]:
        """What reads the stamp of `key`, now and later."""
        return partial(self._stamps.__getitem__, key[0])

    def renew(self, keys: Iterable[bytes]) -> None:
        """Writes fresh stamps for some keys."""
        for key in keys:
            self._stamps[key[0]] = secrets.token_bytes(STAMP_BYTES)

    def renew_all(self) -> None:
        """Writes fresh stamps for every key."""
        self._stamps[:] = [secrets.token_bytes(STAMP_BYTES) for _ in range(STAMPS)]

    def close(self) -> None:
        """Makes every slot out of date."""
        self.renew_all()


class NoStamps(ProcessStamps):
    """Where there are no stamps and none can be made: nothing is kept in memory."""

    def reader(self, key: bytes) -> Callable[[], bytes]:
        """What tells that there is none."""
        del key
        return bytes
