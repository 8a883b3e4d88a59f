"""The cache directory: private to its user."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def prepare_directory(path: Path) -> None:
    """Makes the directory, for its user only, if it is not there. Raises OSError if it cannot."""
    if path.is_dir():
        return
    for place in (path, *path.parents):
        if place.exists() and not place.is_dir():
            raise NotADirectoryError(errno.ENOTDIR, f"{place} is a file: name another cache_dir")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    # Whatever the umask took away, the owner needs.
    path.chmod(0o700)
