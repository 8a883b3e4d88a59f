"""File systems of a test's own: a small disk, and one that may only be read."""

import os
import resource
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

SMALL_MIB = 24


@contextmanager
def small_disk(directory: Path) -> Iterator[Path]:
    """An ext4 file system of 24 MiB in a file, mounted; needs root.

    Its blocks are those of a large disk: SQLite writes into each 4 KiB of the index of its log, so
    that no write to the mapped file can fail; smaller blocks leave holes, and end the process.
    """
    if os.geteuid() != 0 or not Path("/sbin/mkfs.ext4").exists():
        pytest.skip("only root can mount a file system")
    image, mounted = directory / "disk.img", directory / "disk"
    with image.open("wb") as file:
        file.truncate(SMALL_MIB * 1024**2)
    mounted.mkdir()
    subprocess.run(["/sbin/mkfs.ext4", "-q", "-F", "-m", "0", "-b", "4096", str(image)], check=True)
    done = subprocess.run(["/bin/mount", "-o", "loop", str(image), str(mounted)], check=False)
    if done.returncode:
        pytest.skip("no file system can be mounted here")
    try:
        yield mounted
    finally:
        subprocess.run(["/bin/umount", "-l", str(mounted)], check=True)


def may_only_be_read(mounted: Path) -> None:
    """Takes the right to write from a mounted file system."""
    subprocess.run(["/bin/mount", "-o", "remount,ro", str(mounted)], check=True)


def fails_from_now_on(mounted: Path) -> None:
    """The kernel takes the file system for broken, and lets nobody write to it any more."""
    subprocess.run(["/bin/mount", "-o", "remount,abort", str(mounted)], check=False)
    with pytest.raises(OSError, match="Read-only file system"):
        (mounted / "probe").touch()


def fill(directory: Path) -> Path:
    """Writes a file until nothing more fits on the disk."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1024**2, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return filler


@contextmanager
def largest_file(size_bytes: int) -> Iterator[Callable[[], None]]:
    """No file of this process grows beyond a size, until what is given is called."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def lift() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)

    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, before[1]))
    try:
        yield lift
    finally:
        lift()
        signal.signal(signal.SIGXFSZ, handler)
