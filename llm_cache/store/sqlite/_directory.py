"""Makes, checks and locks the cache directory: private to its user, on a local disk."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Generator

LOCK_NAME: Final = "lock"
LOCK_WAIT_S: Final = 5.0
_LOOK_EVERY_S: Final = 0.005
PRIVATE_FILE: Final = 0o600
MARKS: Final = {
    "CACHEDIR.TAG": "Signature: 8a477f597d28d172789f06886806bc55\n"
    "# Answers that llm-cache keeps; backups may leave this directory out.\n"
    "# What the first line is for: https://bford.info/cachedir/\n",
    ".gitignore": "# Answers that llm-cache keeps, with what was asked: nothing to commit.\n*\n",
}
"""Files of a directory that was made for a cache, by name: what tells others to leave it out."""
MOUNTS: Final = Path("/proc/self/mountinfo")
NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "fuse.ceph",
        "fuse.glusterfs",
        "fuse.s3fs",
        "fuse.sshfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "smb3",
        "smbfs",
    }
)


def prepare_directory(
    path: Path, *, allow_shared: bool, allow_network: bool, mounts: Path | None = None
) -> None:
    """Makes the directory, for its user only, if it is not there, and looks whether to trust it.

    Raises OSError if it cannot be made, is a link or somebody else's, or lies on a network.
    """
    if not path.is_dir():
        for place in (path, *path.parents):
            if place.exists() and not place.is_dir():
                raise NotADirectoryError(
                    errno.ENOTDIR, f"{place} is a file: name another cache_dir"
                )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(mode=0o700, exist_ok=True)
        # Whatever the umask took away, the owner needs.
        path.chmod(0o700)
    if not allow_shared:
        _refuse_untrusted(path, os.lstat(path))
    if not allow_network:
        refuse_network(path, mounts or MOUNTS)


def take_directory(path: Path, *, allow_shared: bool, allow_network: bool) -> None:
    """As `prepare_directory`, and has backups and git leave it out if it is empty, as a new one is.

    Whatever keeps it from that, the cache is as good without.
    """
    prepare_directory(path, allow_shared=allow_shared, allow_network=allow_network)
    with suppress(OSError):
        if not any(path.iterdir()):
            for name, text in MARKS.items():
                _write_new(path / name, text)


def _write_new(path: Path, text: str) -> None:
    """Writes a file that is not there yet, for its user only: whole, or not at all."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_FILE)
    try:
        os.fchmod(fd, PRIVATE_FILE)  # whatever the umask took away, the owner needs
        os.write(fd, text.encode())
    except OSError:
        path.unlink()
        raise
    finally:
        os.close(fd)


def refuse_link(path: Path) -> None:
    """Raises OSError if a file of ours is a link, which may lead anywhere."""
    if path.is_symlink():
        raise OSError(errno.ELOOP, f"{path} is a link: remove it, or name another cache_dir")


def _refuse_untrusted(path: Path, facts: os.stat_result) -> None:
    way_out = (
        "name another cache_dir, or say allow_shared_dir = true if you trust who can write there"
    )
    if stat.S_ISLNK(facts.st_mode):
        raise OSError(errno.ELOOP, f"{path} is a link: {way_out}")
    if facts.st_uid != os.geteuid():
        raise PermissionError(errno.EPERM, f"{path} belongs to another user: {way_out}")
    if facts.st_mode & stat.S_IWOTH:
        raise PermissionError(errno.EPERM, f"{path} may be written to by anybody: {way_out}")


def refuse_network(path: Path, mounts: Path) -> None:
    """Raises OSError if a directory lies on a network."""
    if sys.platform != "linux":
        return  # only Linux tells without a command being run
    kind = _file_system(path.resolve(), mounts.read_bytes())
    if kind in NETWORK_FILE_SYSTEMS:
        msg = (
            f"{path} is on a network ({kind}), where locks are not to be trusted: name a cache_dir "
            "on a disk of this machine, or say allow_network_fs = true if only one machine uses it"
        )
        raise OSError(errno.ENOTSUP, msg)


def _file_system(path: Path, mount_table: bytes) -> str:
    """The type of the file system a path is on, from the kernel's table (proc(5), mountinfo)."""
    found, longest = "", -1
    for line in mount_table.splitlines():
        mount, _, source = line.partition(b" - ")
        point = os.fsdecode(mount.split()[4].replace(b"\\040", b" "))
        # Of two on one place the later hides the earlier.
        if path.is_relative_to(point) and len(point) >= longest:
            found, longest = os.fsdecode(source.split()[0]), len(point)
    return found


Inode = tuple[int, int] | None
"""Device and inode of a file; None where there is none."""


def inode(path: Path) -> Inode:
    """What tells a file from another that comes to its path."""
    try:
        facts = os.stat(path)  # noqa: PTH116 - Path.stat takes twice as long
    except OSError:
        return None
    return facts.st_dev, facts.st_ino


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


class DirectoryLock:
    """Held shared while the file is written to, and alone while it is moved away.

    It is a `flock`, so that the threads of a process exclude each other, too.
    """

    def __init__(self, directory: Path) -> None:
        """Raises OSError if there is no lock and none can be made."""
        self.waits_since: float | None = None
        """Since when another has kept this waiting; None if nobody does."""
        path = directory / LOCK_NAME
        refuse_link(path)
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            with suppress(PermissionError):  # another user's, in a directory that is shared
                os.fchmod(self._fd, 0o600)
        except OSError as error:
            if error.errno not in {errno.EROFS, errno.EACCES, errno.EPERM}:
                raise
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    @contextmanager
    def held(self, *, alone: bool) -> Generator[None]:
        """Waits for it, 5 s at most; raises TimeoutError after that."""
        try:
            self._take(fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        finally:
            self.waits_since = None
        try:
            yield
        finally:
            fcntl.flock(self._fd, fcntl.LOCK_UN)

    def _take(self, how: int) -> None:
        while True:
            try:
                fcntl.flock(self._fd, how | fcntl.LOCK_NB)
            except BlockingIOError:
                now = time.monotonic()
                self.waits_since = self.waits_since or now
                if now >= self.waits_since + LOCK_WAIT_S:
                    msg = "another process has been making or moving it for 5 s: try again"
                    raise TimeoutError(errno.ETIMEDOUT, msg) from None
                time.sleep(_LOOK_EVERY_S)
            else:
                return

    def close(self) -> None:
        os.close(self._fd)
