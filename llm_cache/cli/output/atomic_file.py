"""Writes files atomically: to a temporary file that replaces the target."""

from __future__ import annotations

import contextlib
import os
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from collections.abc import Generator


@contextlib.contextmanager
def atomic_writer(path: Path, *, mode: int = 0o600) -> Generator[BinaryIO]:
    """A file that takes the place of `path` when the block has ended; by default only its user's.

    If the block fails or is interrupted, what was at `path` stays, and nothing else is left. What
    is no file (a pipe, `/dev/null`) is written to directly. OSErrors name `path`.
    """
    target = Path(os.path.realpath(path))  # a link stays one
    try:
        if target.exists() and not target.is_file():
            with target.open("wb") as stream:
                yield stream
        else:
            with _temporary(target, mode) as file:
                yield file
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise


@contextlib.contextmanager
def _temporary(target: Path, mode: int) -> Generator[BinaryIO]:
    partial = target.with_name(f".llm-cache-{secrets.token_hex(8)}.part")
    descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            yield file
            os.fchmod(descriptor, mode)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise
    _fsync_directory(target.parent)


def _fsync_directory(directory: Path) -> None:
    """Makes the new name durable, where the file system supports it."""
    with contextlib.suppress(OSError):
        descriptor = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
