"""Writing an entry into the SQLite file, with the totals kept right in the same transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_cache.core.entry import taken_bytes
from llm_cache.store.sqlite import _leases
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._corruption import GET, drop_if_damaged
from llm_cache.store.sqlite._removal import add_to_totals, remove
from llm_cache.store.sqlite._rows import INSERT, DamagedRowError, to_entry, to_row

if TYPE_CHECKING:
    from collections.abc import Iterable

    import apsw

    from llm_cache.core.entry import Entry

_INVALIDATIONS: Final = "SELECT value FROM meta WHERE name = 'invalidations'"


def keep(connection: apsw.Connection, entry: Entry) -> None:
    """Writes an entry in place of the one before."""
    if run(connection, "SELECT 1 FROM entries WHERE key = ?", (entry.key,)):
        drop_if_damaged(connection, entry.key)
        remove(connection, ("key = ?", (entry.key,)), "replaced")
    run(connection, INSERT, to_row(entry))
    sizes = (1, taken_bytes(entry.body, entry.params_json), entry.value_bytes)
    add_to_totals(connection, entry.tenant, entry.prefix, *sizes)


def keep_newer(connection: apsw.Connection, entries: Iterable[Entry]) -> list[Entry]:
    """Writes those entries of which there is none that is as new; which those are.

    Who is generating for one of their keys will not have it kept.
    """
    kept: list[Entry] = []
    for entry in entries:
        there = find_sound(connection, entry.key)
        if there is None or there.created_at < entry.created_at:
            _leases.drop(connection, ("key = ?", (entry.key,)))
            keep(connection, entry)
            kept.append(entry)
    return kept


def keep_salvaged(connection: apsw.Connection, entry: Entry) -> bool:
    """Writes an entry of an older file, unless there is one; False if anything was invalidated.

    What was invalidated since may be in the older file: nobody could tell.
    """
    if run(connection, _INVALIDATIONS) != [(0,)]:
        return False
    if not run(connection, "SELECT 1 FROM entries WHERE key = ?", (entry.key,)):
        keep(connection, entry)
    return True


def find_sound(connection: apsw.Connection, key: bytes) -> Entry | None:
    """The entry of a key, if it is there and as it was written."""
    try:
        rows = run(connection, GET, (key,))
        return to_entry(rows[0]) if rows else None
    except (DamagedRowError, UnicodeDecodeError):
        return None
