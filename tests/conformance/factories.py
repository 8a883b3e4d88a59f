"""Every store there is, by name: here a new one joins the conformance suite.

A factory gets a directory of its own, the size limit in bytes and a clock, and returns a store that
is not open yet. Called twice with one directory it returns two stores of the same entries, as two
processes would have them:

    def my_store(place: Path, *, max_bytes: int, clock: Callable[[], float]) -> MyStore:
        return MyStore(place / "entries", max_bytes=max_bytes, clock=clock)

    FACTORIES["mine"] = my_store

Every test of this directory then runs for it, too, by the fixtures `store` and `make_store`. A
store is written part by part (`llm_cache.store.protocol`), each with tests of its own:
`test_store_entries_*`, `_listing_*`, `_leases`, `_trash`, `_counters`, `_upkeep_*`; the other
modules are about the whole.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from llm_cache.store.protocol import Store
from llm_cache.store.sqlite.store import SqliteStore


class Factory(Protocol):
    """Makes a store of the entries that are kept at a place."""

    def __call__(self, place: Path, *, max_bytes: int, clock: Callable[[], float]) -> Store:
        """A store that is not open yet."""
        ...


def sqlite(place: Path, *, max_bytes: int, clock: Callable[[], float]) -> Store:
    """The store on this machine: one SQLite file."""
    return SqliteStore(place / "cache", max_bytes=max_bytes, clock=clock)


FACTORIES: dict[str, Factory] = {"sqlite": sqlite}
