"""Checks the cache directory: whose it is, who may read it, what lies about, its disk.

Nothing is changed by looking. `repair` of what is found changes what is certain to do no harm.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from llm_cache.core.units import format_size, rough_duration
from llm_cache.store.findings import Finding, Level, Repair
from llm_cache.store.sqlite import _liveness
from llm_cache.store.sqlite._database import WARN_PAGES
from llm_cache.store.sqlite._directory import (
    MARKS,
    MOUNTS,
    PRIVATE_FILE,
    prepare_directory,
    refuse_network,
    size_of,
)
from llm_cache.store.sqlite._disk_space import RESERVE_BYTES, RESERVE_NAME, DiskSpace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PRIVATE_DIRECTORY: Final = 0o700
DRAFT_IS_OLD_AFTER_S: Final = 3600.0
FILE_NAME: Final = "cache.db"
NOTHING_IS_KEPT: Final = "every call generates, and nothing is kept"
_OTHERS: Final = 0o077
_DRAFT: Final = re.compile(r"cache\.db\.[0-9a-f]{16}\.new(-wal|-shm|-journal)?")
_UNFINISHED_OWNER: Final = re.compile(r"[0-9a-f]{32}\.new")
_ASIDE: Final = re.compile(r"(cache\.db\.corrupt-.+?)(-wal|-shm)?")
_OURS: Final = re.compile(
    r"cache\.db(-wal|-shm)?|stamps|lock|reserve|"
    f"{'|'.join(map(re.escape, MARKS))}|{_DRAFT.pattern}|{_ASIDE.pattern}"
)
_NAMES_SHOWN: Final = 3
_PAGE_BYTES: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheLocation:
    """Where a cache lies, and what its settings allow there. `mounts` is the table of mounts."""

    directory: Path
    now: float
    allow_shared: bool = False
    allow_network: bool = False
    min_free_bytes: int = 0
    max_bytes: int = 0
    mounts: Path | None = None

    @property
    def file(self) -> Path:
        """The file of the store."""
        return self.directory / FILE_NAME


def is_usable(place: CacheLocation) -> bool:
    """Whether the directory is there, and may be trusted with what is in it."""
    return place.directory.is_dir() and _distrust(place) is None


def check_directory(place: CacheLocation) -> Iterator[Finding]:
    """Whose the directory is, who may come in, and on what disk it lies."""
    path = place.directory
    if not os.path.lexists(path):
        yield _of_none(place)
        return
    if not path.is_dir():
        advice = "remove it, or name another cache_dir"
        yield Finding("directory", Level.FAIL, f"{path} is no directory", advice)
        return
    mode = stat.S_IMODE(os.lstat(path).st_mode)
    repair = Repair("make it private", partial(_make_private, [path])) if _is_own(path) else None
    distrust = _distrust(place)
    if distrust is not None:
        text, _, advice = distrust.partition(": ")
        is_open = mode & stat.S_IWOTH and not path.is_symlink()
        yield Finding("directory", Level.FAIL, text, advice, repair if is_open else None)
    elif mode & _OTHERS and not place.allow_shared:
        text = f"{path} is open to others (mode {mode:04o})"
        yield Finding("directory", Level.WARN, text, f"chmod 700 {path}", repair)
    elif not os.access(path, os.W_OK | os.X_OK):
        is_filled = place.file.exists()
        given = "what is there is given, and nothing more is kept" if is_filled else NOTHING_IS_KEPT
        text = f"{path} may not be written to: {given}"
        level = Level.WARN if is_filled else Level.FAIL
        yield Finding("directory", level, text, "change its permissions, or remount its disk")
    else:
        whose = "shared, as the settings allow" if place.allow_shared else "private"
        yield Finding("directory", Level.OK, f"{path} is {whose}, on a disk of this machine")


def _of_none(place: CacheLocation) -> Finding:
    """Whether a directory that is not there can be made when it is first needed."""
    path = place.directory
    above = next(each for each in path.parents if os.path.lexists(each))
    advice = "name another cache_dir"
    if not above.is_dir():
        text = f"{path} cannot be made, since {above} is no directory: {NOTHING_IS_KEPT}"
        return Finding("directory", Level.FAIL, text, advice)
    if not os.access(above, os.W_OK | os.X_OK):
        text = f"{path} cannot be made, since {above} may not be written to: {NOTHING_IS_KEPT}"
        return Finding("directory", Level.FAIL, text, f"{advice}, or see to it that you may")
    if not place.allow_network:
        try:
            refuse_network(above, place.mounts or MOUNTS)
        except OSError as error:
            text, _, advice = (error.strerror or str(error)).partition(": ")
            return Finding("directory", Level.FAIL, f"{text}: {NOTHING_IS_KEPT}", advice)
    return Finding("directory", Level.OK, f"{path} is not there yet: nothing was kept")


def check_files(place: CacheLocation) -> Iterator[Finding]:
    """Whose the files are, who may read them, and what was left behind."""
    found = [path for path in sorted(place.directory.iterdir()) if _OURS.fullmatch(path.name)]
    inside = place.directory / _liveness.DIRECTORY_NAME
    if os.path.lexists(inside):
        found.append(inside)
        found += sorted(inside.iterdir()) if inside.is_dir() and not inside.is_symlink() else ()
    yield from _check_permissions(place, found)
    yield from _check_drafts(place)
    yield from _check_kept_aside(place)


def check_room(place: CacheLocation) -> Iterator[Finding]:
    """What is free on the disk, the reserve, and the log."""
    facts = os.statvfs(place.directory)
    free_bytes = facts.f_bavail * facts.f_frsize
    left = format_size(place.min_free_bytes)
    text = f"{format_size(free_bytes)} are free"
    if free_bytes < place.min_free_bytes:
        text += f", and {left} are to be left (min_free): nothing more is kept"
        yield Finding("disk", Level.FAIL, text, "make room, or lower min_free")
    else:
        yield Finding("disk", Level.OK, f"{text}; {left} are left to others (min_free)")
    if not place.file.exists():
        return
    reserve = place.directory / RESERVE_NAME
    if size_of(reserve) < RESERVE_BYTES:
        text = f"there is no reserve of {format_size(RESERVE_BYTES)}, for removing on a full disk"
        repair = Repair("set it aside", partial(_set_reserve_aside, place))
        yield Finding("disk", Level.WARN, text, "make room for it", repair)
    log_bytes = size_of(place.file.with_name(f"{FILE_NAME}-wal"))
    if log_bytes > WARN_PAGES * _PAGE_BYTES:
        text = f"the log has grown to {format_size(log_bytes)}: somebody keeps a read of it open"
        yield Finding("log", Level.WARN, text, "end that process, or wait for it")
    else:
        text = f"{format_size(log_bytes)} wait to be moved into the file"
        yield Finding("log", Level.OK, text if log_bytes else "it is empty")


def check_owners(place: CacheLocation) -> Iterator[Finding]:
    """Which processes use it, and what those that died have left."""
    directory = place.directory / _liveness.DIRECTORY_NAME
    if not directory.is_dir():
        return
    live, dead = _liveness.look(place.directory)
    unfinished = [p for p in directory.iterdir() if _UNFINISHED_OWNER.fullmatch(p.name)]
    dead += [path for path in unfinished if _is_old(path, place.now)]
    number = len(live) or "no"
    use = f"{number} process uses it" if len(live) <= 1 else f"{number} processes use it"
    if not dead:
        yield Finding("owners", Level.OK, f"{use} now")
        return
    left = f"{len(dead)} that died left a file" if len(dead) > 1 else "one that died left a file"
    repair = Repair("remove what the dead left", partial(_remove_dead_owners, place, unfinished))
    advice = "nothing: the next that opens it removes it"
    yield Finding("owners", Level.WARN, f"{use} now; {left}", advice, repair)


def _check_permissions(place: CacheLocation, found: Iterable[Path]) -> Iterator[Finding]:
    """Links, files of others, and what others may read."""
    is_all_right = True
    facts = {path: os.lstat(path) for path in found if os.path.lexists(path)}
    links = [path for path, fact in facts.items() if stat.S_ISLNK(fact.st_mode)]
    for path in links:
        is_all_right = False
        text = f"{path} is a link, which may lead anywhere"
        yield Finding("files", Level.FAIL, text, "remove it")
    files = {path: fact for path, fact in facts.items() if path not in links}
    if not place.allow_shared:
        foreign = [path for path, fact in files.items() if fact.st_uid != os.geteuid()]
        if foreign:
            is_all_right = False
            text = f"{_names(foreign)} belong to another user"
            yield Finding("files", Level.WARN, text, "chown them, or name another cache_dir")
        wide = [p for p, fact in files.items() if fact.st_mode & _OTHERS and p not in foreign]
        if wide:
            is_all_right = False
            repair = Repair("make them private", partial(_make_private, wide))
            advice = "chmod 600 them" if len(wide) > 1 else f"chmod 600 {wide[0]}"
            text = f"others may read or write {_names(wide)}"
            yield Finding("files", Level.WARN, text, advice, repair)
    if is_all_right and files:
        yield Finding("files", Level.OK, f"{len(files)} of them, none open to others")


def _check_drafts(place: CacheLocation) -> Iterator[Finding]:
    drafts = [path for path in place.directory.iterdir() if _DRAFT.fullmatch(path.name)]
    drafts = [path for path in drafts if _is_old(path, place.now)]
    if drafts:
        text = f"{_names(drafts)} were left by who was making the file when it died"
        repair = Repair("remove them", partial(_remove, drafts))
        yield Finding("files", Level.WARN, text, "remove them", repair)


def _check_kept_aside(place: CacheLocation) -> Iterator[Finding]:
    """What was damaged once: its sound entries were taken over, and the rest is the user's."""
    aside: dict[str, list[Path]] = {}
    for path in sorted(place.directory.iterdir()):
        if match := _ASIDE.fullmatch(path.name):
            aside.setdefault(match[1], []).append(path)
    for name, paths in aside.items():
        age = rough_duration(place.now - max(os.lstat(path).st_ctime for path in paths))
        size = format_size(sum(map(size_of, paths)))
        text = f"{name}: found damaged and moved aside {age} ago, {size}"
        rm = f"rm {shlex.quote(str(place.directory / name))}*"
        advice = f"its sound entries were taken over; if nothing is missed: {rm}"
        yield Finding("files", Level.WARN, text, advice)


def _distrust(place: CacheLocation) -> str | None:
    """Why the directory, which is there, is not to be used, and what to do."""
    try:
        prepare_directory(
            place.directory,
            allow_shared=place.allow_shared,
            allow_network=place.allow_network,
            mounts=place.mounts,
        )
    except OSError as error:
        return error.strerror or str(error)
    return None


def _is_own(path: Path) -> bool:
    return os.lstat(path).st_uid == os.geteuid()


def _is_old(path: Path, now: float) -> bool:
    try:
        return now - os.lstat(path).st_mtime > DRAFT_IS_OLD_AFTER_S
    except FileNotFoundError:
        return False


def _names(paths: list[Path]) -> str:
    shown = ", ".join(path.name for path in paths[:_NAMES_SHOWN])
    return shown if len(paths) <= _NAMES_SHOWN else f"{shown} and {len(paths) - _NAMES_SHOWN} more"


def _make_private(paths: list[Path]) -> str:
    for path in paths:
        mode = os.lstat(path).st_mode
        # Never through a link: who may write here could put one in its place only as its owner.
        if not stat.S_ISLNK(mode):
            path.chmod(PRIVATE_DIRECTORY if stat.S_ISDIR(mode) else PRIVATE_FILE)
    return "nobody else may now"


def _remove(paths: list[Path]) -> str:
    for path in paths:
        path.unlink(missing_ok=True)
    return f"removed {_names(paths)}"


def _remove_dead_owners(place: CacheLocation, unfinished: list[Path]) -> str:
    _, dead = _liveness.look(place.directory)
    return _remove([*dead, *(path for path in unfinished if _is_old(path, place.now))])


def _set_reserve_aside(place: CacheLocation) -> str:
    disk = DiskSpace(place.directory, min_free_bytes=place.min_free_bytes)
    disk.check(RESERVE_BYTES)
    disk.set_aside()
    if size_of(place.directory / RESERVE_NAME) < RESERVE_BYTES:
        msg = f"there was no room for {place.directory / RESERVE_NAME}"
        raise OSError(msg)
    return "it is set aside now"
