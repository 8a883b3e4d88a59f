"""Reads the file as it lies there, without making, changing or holding anything."""

from __future__ import annotations

import itertools
import os
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import apsw

from llm_cache.store.records import Selection
from llm_cache.store.sqlite import _trash
from llm_cache.store.sqlite._connection import READ_ONLY, BusyHandler, connect, run, store_errors
from llm_cache.store.sqlite._corruption import COMPANIONS
from llm_cache.store.sqlite._directory import prepare_directory, refuse_link
from llm_cache.store.sqlite._listing import pages
from llm_cache.store.sqlite._queries import clause

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from llm_cache.core.entry import EntryInfo
    from llm_cache.store.sqlite._connection import ReadRows

WAIT_S: Final = 0.1
_READ_WRITE: Final = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_URI
_AS_IF_ALONE: Final = "immutable=1"


class Snapshot:
    """What of a cache may be suggested to who types. Every call may raise StoreError."""

    def __init__(self, read: ReadRows, tenant: str | None) -> None:
        self._read = read
        self._tenant = tenant

    def tenants(self) -> list[str]:
        """Every tenant that has entries, but the default one."""
        return [row[0] for row in self._read("SELECT DISTINCT tenant FROM totals") if row[0]]

    def prefixes(self) -> list[str]:
        """Every prefix that has entries."""
        where, bindings = clause(Selection(tenant=self._tenant))
        sql = f"SELECT DISTINCT prefix FROM totals WHERE {where} ORDER BY prefix"
        return [row[0] for row in self._read(sql, bindings)]

    def models(self) -> list[str]:
        """Every model that was paid for, the one of the last day first."""
        sql = "SELECT model FROM usage WHERE model <> '' GROUP BY model ORDER BY max(day) DESC"
        return [row[0] for row in self._read(sql)]

    def by_id(self, digits: str, limit: int) -> list[EntryInfo]:
        """Entries whose keys begin with these hex digits; without any, the last used ones."""
        if digits:
            which = Selection(key_digits=digits, tenant=self._tenant)
            return list(pages(self._read, which, (), limit))
        return self.last_used(None, limit)

    def last_used(self, prefix: str | None, limit: int) -> list[EntryInfo]:
        """Entries, of one prefix or of all, those first that were used last."""
        where, bindings = clause(Selection(prefix=prefix, tenant=self._tenant))
        order = "used_at" if prefix is None else "created_at"  # what there is an index of
        sql = f"SELECT key FROM entries WHERE {where} ORDER BY {order} DESC LIMIT ?"
        keys = [row[0] for row in self._read(sql, (*bindings, limit))]
        listed = pages(self._read, Selection(keys=tuple(keys)), (), None)
        found = {info.key: info for info in listed}
        return [found[key] for key in keys if key in found]

    def in_trash(self, digits: str, limit: int) -> list[EntryInfo]:
        """Entries in the trash whose keys begin with these hex digits, the last removed first."""
        which = Selection(key_digits=digits or None, tenant=self._tenant)
        return [each.entry for each in itertools.islice(_trash.pages(self._read, which), limit)]


@contextmanager
def snapshot(
    path: Path, *, tenant: str | None, allow_shared: bool, allow_network: bool
) -> Generator[Snapshot | None]:
    """The file at `path`, opened to be read for a moment; None where there is none.

    Raises StoreError where it cannot be read, or its directory is not to be trusted.
    """
    with store_errors("read", path):
        if not path.exists():
            yield None
            return
        # It is there, so that this only looks whom it belongs to.
        prepare_directory(path.parent, allow_shared=allow_shared, allow_network=allow_network)
        refuse_link(path)
        connection = _connect(path)
    try:
        yield Snapshot(partial(_read, path, connection), tenant)
    finally:
        connection.close()


@contextmanager
def opened(path: Path) -> Generator[apsw.Connection]:
    """A connection to look with, beside whoever writes; what is there is left as it was.

    Raises what SQLite raises.
    """
    refuse_link(path)
    log = path.with_name(f"{path.name}-wal")
    had_log = log.exists()
    # Where there is no log, SQLite makes one to read by, and takes it away again.
    if os.access(path.parent, os.W_OK) and os.access(path, os.W_OK):
        connection = connect(path, flags=_READ_WRITE)
    else:
        connection = connect(path, flags=READ_ONLY, options="" if had_log else _AS_IF_ALONE)
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, int(had_log))
        run(connection, "PRAGMA query_only = 1")
        yield connection
    finally:
        connection.close()


def _connect(path: Path) -> apsw.Connection:
    wait = BusyHandler()
    wait.limit_s = WAIT_S
    # Without a log nobody has it open, and reading it as if alone makes no log either. Should
    # somebody come just now, what is read may be wrong, which shows; it is only a suggestion.
    has_log = all(path.with_name(f"{path.name}{end}").exists() for end in COMPANIONS)
    connection = connect(path, flags=READ_ONLY, options="" if has_log else _AS_IF_ALONE, wait=wait)
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    return connection


def _read(
    path: Path,
    connection: apsw.Connection,
    sql: str,
    bindings: Any = (),
) -> list[tuple[Any, ...]]:
    with store_errors("read", path):
        return run(connection, sql, bindings)
