"""Keeps room on the disk free, and a reserve for deleting when it is full."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import apsw

from llm_cache.core.units import format_size

if TYPE_CHECKING:
    from pathlib import Path

RESERVE_NAME: Final = "reserve"
RESERVE_BYTES: Final = 4 * 1024**2
"""Enough for the log of a transaction that deletes: a DELETE needs room before it gives any."""


class DiskSpace:
    """The room around the files of a directory."""

    def __init__(self, directory: Path, *, min_free_bytes: int) -> None:
        self._directory = directory
        self._reserve = directory / RESERVE_NAME
        self._min_free_bytes = min_free_bytes
        self._is_set_aside = False

    def check(self, wanted_bytes: int) -> None:
        """Raises OSError if less than the least would be left free once so much is written."""
        try:
            facts = os.statvfs(self._directory)
        except FileNotFoundError:
            return  # it was removed: whoever writes makes it anew
        free_bytes = facts.f_bavail * facts.f_frsize
        if free_bytes < self._min_free_bytes + wanted_bytes:
            msg = (
                f"only {format_size(free_bytes)} are free on its disk, and "
                f"{format_size(self._min_free_bytes)} are to be left (min_free): make room"
            )
            raise OSError(errno.ENOSPC, msg)

    def set_aside(self) -> None:
        """Has the reserve there, if there is room for it."""
        if self._is_set_aside:
            return
        try:
            fd = os.open(
                self._reserve, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError:
            return
        try:
            if os.fstat(fd).st_size < RESERVE_BYTES:
                os.fchmod(fd, 0o600)  # whatever the umask took away, the owner needs
                _allocate(fd, RESERVE_BYTES)
            self._is_set_aside = True
        except OSError:
            self.give_up()
        finally:
            os.close(fd)

    def give_up(self) -> None:
        """Frees the reserve."""
        self._is_set_aside = False
        with suppress(OSError):
            self._reserve.unlink()


def is_full(error: BaseException | None) -> bool:
    """Whether an error tells that the disk is full."""
    if isinstance(error, OSError):
        return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
    return isinstance(error, apsw.FullError)


def is_trouble_of_disk(error: BaseException | None) -> bool:
    """Whether an error tells that the disk does not do what it should: it is full, or it fails."""
    if isinstance(error, OSError) and error.errno == errno.EIO:
        return True
    return is_full(error) or isinstance(error, apsw.IOError)


def _allocate(fd: int, size: int) -> None:
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(fd, 0, size)
    else:
        os.pwrite(fd, bytes(size), 0)
