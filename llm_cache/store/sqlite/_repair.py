"""Repairs what checks of the file find, while other processes use it."""

from __future__ import annotations

import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import apsw

from llm_cache.core.freshness import wall_clock
from llm_cache.store.sqlite import _corruption, _leases
from llm_cache.store.sqlite._connection import run, store_errors
from llm_cache.store.sqlite._corruption import is_damage_of_file
from llm_cache.store.sqlite._directory import inode
from llm_cache.store.sqlite._disk_space import DiskSpace
from llm_cache.store.sqlite._entries import count_again as _count_again
from llm_cache.store.sqlite._entries import is_sound, keep_salvaged
from llm_cache.store.sqlite._file import ResilientDatabase

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from llm_cache.store.sqlite.check_files import CacheLocation


def open_once(place: CacheLocation) -> str:
    """Opens it as every process does, which brings it up to date."""
    with _opened(place):
        pass
    return "it is up to date now"


def count_again(place: CacheLocation) -> str:
    """Counts the totals anew."""
    with _opened(place) as database, database.transaction() as connection:
        _count_again(connection)
    return "they were counted again"


def drop_damaged_rows(place: CacheLocation, table: str, numbers: list[int]) -> str:
    """Drops rows, unless they are sound by now; where SQLite cannot, the file is damaged."""
    try:
        with _opened(place) as database, database.transaction() as connection:
            gone = [number for number in numbers if not is_sound(connection, table, number)]
            for number in gone:
                run(connection, f"DELETE FROM {table} WHERE number = ?", (number,))
            _count_again(connection)
    except Exception as error:
        if not is_damage_of_file(error.__cause__):
            raise
        return move_damaged_aside(place)
    return f"{len(gone):,} were dropped"


def drop_dead_leases(place: CacheLocation) -> str:
    """Drops the leases that nobody holds any more."""
    with _opened(place) as database, database.transaction() as connection:
        owner = database.owner
        rows = run(connection, "SELECT key, owner, token, boot, deadline FROM leases")
        dead = [
            row[0]
            for row in rows
            if owner is not None and not _leases.is_live(row[1:], owner.is_alive)
        ]
        for key in dead:
            _leases.drop(connection, ("key = ?", (key,)))
    return f"{len(dead):,} were removed"


def move_damaged_aside(place: CacheLocation) -> str:
    """Moves the file aside, and waits until what is sound in it was taken over."""
    aside: list[Path] = []
    seen = inode(place.file)
    with _opened(place, aside) as database:
        if inode(place.file) == seen:  # opening it did not meet the damage
            database.repair(apsw.CorruptError("it was looked over"))
            database.open()
        database.wait_for_salvage(threading.TIMEOUT_MAX)
        [[entries]] = database.read("SELECT count(*) FROM entries")
    if not aside:
        return "another process already repaired it"
    return f"it was moved to {aside[0].name}, and {entries:,} sound entries were taken over"


@contextmanager
def _opened(place: CacheLocation, aside: list[Path] | None = None) -> Generator[ResilientDatabase]:
    """The file, opened to be written to. Raises StoreError; `aside` is told what was moved."""

    def rescued(path: Path) -> None:
        if aside is not None:
            aside.append(path)
        _take_over(database, path)

    database = ResilientDatabase(
        place.file,
        synchronous="FULL",
        disk=DiskSpace(place.directory, min_free_bytes=place.min_free_bytes),
        allow_shared=place.allow_shared,
        allow_network=place.allow_network,
        clock=wall_clock,
        on_moved_aside=rescued,
    )
    try:
        with store_errors("repair", place.file):
            database.open()
            yield database
    finally:
        database.wait_for_salvage(threading.TIMEOUT_MAX)
        database.close()


def _take_over(database: ResilientDatabase, aside: Path) -> None:
    """Keeps the sound entries of a file, until something is invalidated."""
    for entry in _corruption.sound_entries(aside):
        with database.transaction() as connection:
            if not keep_salvaged(connection, entry):
                return
        database.write_log_back()
