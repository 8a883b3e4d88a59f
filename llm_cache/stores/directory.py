"""The cache directory: private to its user."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def prepare_directory(path: Path) -> None:
    """Makes the directory, for its user only, if it is not there. Raises OSError if it cannot."""
    if path.is_dir():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir(mode=0o700, exist_ok=True)
    # Whatever the umask took away, the owner needs.
    path.chmod(0o700)
