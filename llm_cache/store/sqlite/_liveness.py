"""Tells live processes from dead ones by record locks, and deadlines by the clock since boot.

Each process holds a POSIX record lock on a file of its own. The lock goes with the process, however
it ends, also while a child of it lives on (a `flock` would stay with the child).
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import secrets
import struct
import sys
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path
from typing import Final

DIRECTORY_NAME: Final = "owners"
_NAME: Final = re.compile(r"[0-9a-f]{32}")
_UNFINISHED: Final = ".new"
_own: Final[set[str]] = set()
"""The names of this process. Their files are never opened again: closing any descriptor of a file
drops every record lock that the process holds on it."""


class Owner:
    """This process's name among those that use a directory, and its way to look at the others."""

    def __init__(self, directory: Path) -> None:
        """Takes a new name, and sweeps those of the dead. Raises OSError if it cannot."""
        self._directory = directory / DIRECTORY_NAME
        with suppress(FileExistsError):
            self._directory.mkdir(mode=0o700)
            self._directory.chmod(0o700)  # whatever the umask took away, the owner needs
        self.name: Final = secrets.token_hex(16)
        # Before there is a file of that name: whoever in this process finds one that it does not
        # know as its own opens it to look, and drops the lock by closing it again.
        _own.add(self.name)
        try:
            self._fd = self._take_name()
        except BaseException:
            _own.discard(self.name)
            raise
        with suppress(OSError):
            self._sweep()

    def is_alive(self, name: str) -> bool:
        """Whether the process of that name still lives; a name that is none is dead."""
        return _is_alive(self._directory, name)

    def is_in_place(self) -> bool:
        """Whether others still find this name."""
        return self._path.exists()

    def close(self) -> None:
        """Gives the name up: who looks from now on finds it dead."""
        if self.name in _own:
            with suppress(OSError):
                self._path.unlink()
            os.close(self._fd)
            _own.discard(self.name)

    @property
    def _path(self) -> Path:
        return self._directory / self.name

    def _take_name(self) -> int:
        # Locked before it has its name: nobody ever sees it unlocked and takes it for dead.
        unfinished = self._path.with_name(self.name + _UNFINISHED)
        fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            os.fchmod(fd, 0o600)
            fcntl.lockf(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unfinished.rename(self._path)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            os.close(fd)
            raise
        return fd

    def _sweep(self) -> None:
        _, dead = look(self._directory.parent)
        for path in dead:
            with suppress(OSError):
                path.unlink()


def is_used(directory: Path) -> bool:
    """Whether a cache has been open in a directory: the names come after the file."""
    names = directory / DIRECTORY_NAME
    return names.is_dir() and not names.is_symlink()


def look(directory: Path) -> tuple[list[str], list[Path]]:
    """The names of those that live, and the files that the dead have left."""
    live: list[str] = []
    dead: list[Path] = []
    for path in sorted((directory / DIRECTORY_NAME).iterdir()):
        if not _NAME.fullmatch(path.name):
            continue
        if _is_alive(path.parent, path.name):
            live.append(path.name)
        else:
            dead.append(path)
    return live, dead


def _is_alive(owners: Path, name: str) -> bool:
    if name in _own:
        return True
    if not _NAME.fullmatch(name):
        return False
    try:
        fd = os.open(owners / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        # Whoever cannot be looked at, for want of descriptors say, is not dead for that.
        return error.errno not in {errno.ENOENT, errno.ELOOP}
    try:
        return _is_locked(fd)
    finally:
        os.close(fd)


def forget_after_fork() -> None:
    """In a forked child: the names are the parent's, whose locks the child does not hold."""
    _own.clear()


os.register_at_fork(after_in_child=forget_after_fork)


# How the kernel has it: type, whence, start, length, pid; macOS: start, length, pid, type, whence.
_IS_MACOS: Final = sys.platform == "darwin"
_FLOCK: Final = struct.Struct("qqihh" if _IS_MACOS else "hhqqi4x")
_TYPE_AT: Final = 3 if _IS_MACOS else 0
_ANY_LOCK: Final = (
    _FLOCK.pack(0, 0, 0, fcntl.F_WRLCK, os.SEEK_SET)
    if _IS_MACOS
    else _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
)


def _is_locked(fd: int) -> bool:
    """Whether another process holds a lock on the file; asked without taking it."""
    flock = _FLOCK.unpack(fcntl.fcntl(fd, fcntl.F_GETLK, _ANY_LOCK))
    return int(flock[_TYPE_AT]) != fcntl.F_UNLCK


# No wall clock, and the same for all processes: what their deadlines go by

_CLOCK: Final[int] = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Seconds since the machine was started, sleep included (on macOS, CLOCK_MONOTONIC counts it)."""
_NAME_BYTES: Final = 64


def seconds_since_boot() -> float:
    """An instant that means the same in every process of this boot and time namespace."""
    return time.clock_gettime(_CLOCK)


@lru_cache(maxsize=1)
def boot_id() -> str:
    """What names this boot and time namespace: an instant of another means nothing here."""
    if sys.platform == "linux":
        boot = Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
        try:
            return f"{boot} {Path('/proc/self/ns/time').readlink()}"
        except OSError:  # a kernel that has no time namespaces
            return boot
    return _boot_session()


def _boot_session() -> str:
    import ctypes

    name, size = ctypes.create_string_buffer(_NAME_BYTES), ctypes.c_size_t(_NAME_BYTES)
    system = ctypes.CDLL(None, use_errno=True)
    if system.sysctlbyname(b"kern.bootsessionuuid", name, ctypes.byref(size), None, 0):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return name.value.decode("ascii")
