"""Creates the schema of the file, migrates older ones, and refuses foreign files."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import apsw

from llm_cache.errors import StoreError
from llm_cache.store.sqlite._connection import READ_ONLY, connect, run
from llm_cache.store.sqlite._corruption import HEADER_BYTES, is_cut_off
from llm_cache.store.sqlite._directory import size_of
from llm_cache.store.sqlite._liveness import is_used

if TYPE_CHECKING:
    from pathlib import Path

APPLICATION_ID: Final = 0x4C4C4D43  # "LLMC"

ENTRY_COLUMNS: Final = """
    key BLOB NOT NULL UNIQUE,
    request BLOB NOT NULL,
    tenant TEXT NOT NULL,
    prefix TEXT NOT NULL,
    version TEXT NOT NULL,
    variant INTEGER NOT NULL,
    params BLOB NOT NULL,
    redacted INTEGER NOT NULL,
    param_digests BLOB NOT NULL,
    encoding TEXT NOT NULL,
    size_bytes INTEGER NOT NULL,
    value_bytes INTEGER NOT NULL,
    checksum BLOB NOT NULL,
    created_at REAL NOT NULL,
    call_ttl REAL,
    decorator_ttl REAL,
    generation_seconds REAL,
    model TEXT,
    input_tokens INTEGER,
    output_tokens INTEGER,
    cost_usd REAL,
    worth REAL,
    hits INTEGER NOT NULL,
    used_at REAL NOT NULL,
    value BLOB NOT NULL
"""
# The value comes last: what reads only the columns before it never touches its pages.

_FIRST: Final = f"""
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

CREATE TABLE entries (number INTEGER PRIMARY KEY, {ENTRY_COLUMNS}) STRICT;
CREATE INDEX entries_by_prefix ON entries (prefix, created_at);
CREATE INDEX entries_by_call_ttl ON entries (prefix, created_at + call_ttl)
    WHERE call_ttl IS NOT NULL;
CREATE INDEX entries_by_decorator_ttl ON entries (prefix, created_at + decorator_ttl)
    WHERE decorator_ttl IS NOT NULL AND call_ttl IS NULL;
CREATE INDEX entries_by_own_age ON entries (prefix, created_at)
    WHERE decorator_ttl IS NULL AND call_ttl IS NULL;
CREATE INDEX entries_by_use ON entries (used_at);
CREATE INDEX entries_by_params ON entries (tenant, prefix, version, param_digests);

CREATE TABLE trash (number INTEGER PRIMARY KEY, removed_at REAL NOT NULL, {ENTRY_COLUMNS}) STRICT;
CREATE INDEX trash_by_removal ON trash (removed_at);

CREATE TABLE totals (
    tenant TEXT NOT NULL,
    prefix TEXT NOT NULL,
    entries INTEGER NOT NULL,
    size_bytes INTEGER NOT NULL,
    value_bytes INTEGER NOT NULL,
    PRIMARY KEY (prefix, tenant)
) STRICT, WITHOUT ROWID;

CREATE TABLE leases (
    key BLOB PRIMARY KEY,
    owner TEXT NOT NULL,
    token INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    deadline REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE usage (
    day TEXT NOT NULL,
    tenant TEXT NOT NULL,
    prefix TEXT NOT NULL,
    model TEXT NOT NULL,
    hits INTEGER NOT NULL DEFAULT 0,
    stale_hits INTEGER NOT NULL DEFAULT 0,
    fallbacks INTEGER NOT NULL DEFAULT 0,
    misses INTEGER NOT NULL DEFAULT 0,
    coalesced INTEGER NOT NULL DEFAULT 0,
    bypassed INTEGER NOT NULL DEFAULT 0,
    errors INTEGER NOT NULL DEFAULT 0,
    not_stored INTEGER NOT NULL DEFAULT 0,
    evictions INTEGER NOT NULL DEFAULT 0,
    generations INTEGER NOT NULL DEFAULT 0,
    generation_seconds REAL NOT NULL DEFAULT 0,
    input_tokens INTEGER NOT NULL DEFAULT 0,
    output_tokens INTEGER NOT NULL DEFAULT 0,
    cost_usd REAL NOT NULL DEFAULT 0,
    saved_seconds REAL NOT NULL DEFAULT 0,
    saved_input_tokens INTEGER NOT NULL DEFAULT 0,
    saved_output_tokens INTEGER NOT NULL DEFAULT 0,
    saved_usd REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (day, tenant, prefix, model)
) STRICT, WITHOUT ROWID;
"""

_LEASES: Final = """
DROP TABLE leases;
CREATE TABLE leases (
    key BLOB PRIMARY KEY,
    tenant TEXT NOT NULL,
    prefix TEXT NOT NULL,
    owner TEXT NOT NULL,
    token INTEGER NOT NULL UNIQUE,
    boot TEXT NOT NULL,
    deadline REAL NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE waits (
    token INTEGER NOT NULL,
    for_key BLOB NOT NULL,
    PRIMARY KEY (token, for_key)
) STRICT, WITHOUT ROWID;

INSERT INTO meta (name, value) VALUES ('fence', abs(random() >> 16)), ('invalidations', 0);
"""
# The counter of tokens begins anywhere: a token of a file that was replaced means nothing here.

_SAVINGS: Final = """
ALTER TABLE usage ADD COLUMN unpriced INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage ADD COLUMN saved_unpriced INTEGER NOT NULL DEFAULT 0;

CREATE TABLE refusals (
    day TEXT NOT NULL,
    tenant TEXT NOT NULL,
    prefix TEXT NOT NULL,
    reason TEXT NOT NULL,
    times INTEGER NOT NULL,
    PRIMARY KEY (day, tenant, prefix, reason)
) STRICT, WITHOUT ROWID;

CREATE TABLE notes (
    tenant TEXT NOT NULL,
    prefix TEXT NOT NULL,
    key BLOB NOT NULL,
    what TEXT NOT NULL,
    reason TEXT NOT NULL,
    at REAL NOT NULL,
    PRIMARY KEY (prefix, tenant, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX notes_by_time ON notes (at);
"""
# A note with an empty key is about the whole prefix.

_REMEMBERED: Final = """
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = substr(sql, 1, length(sql) - length(') STRICT')) ||
    ', call_ttl_jitter REAL, decorator_ttl_jitter REAL, call_grace REAL, decorator_grace REAL,'
    || ' call_stale_if_error REAL, decorator_stale_if_error REAL) STRICT'
    WHERE type = 'table' AND name IN ('entries', 'trash');
PRAGMA writable_schema = RESET;
CREATE INDEX entries_by_jitter ON entries (prefix, created_at)
    WHERE call_ttl_jitter IS NOT NULL OR decorator_ttl_jitter IS NOT NULL;
"""
# What ALTER TABLE would do six times for each, but of a STRICT table that reads every row, and a
# single damaged one would keep the file from being brought up to date for ever. The index tells
# other connections that the schema has changed.
# Behind the value: one that is NULL is known from the head of its row, and of a large value the map
# of pages leads past what is between.

_SIZES: Final = """
UPDATE totals SET size_bytes = size_bytes + held.params_bytes
FROM (SELECT tenant, prefix, sum(length(params)) AS params_bytes FROM entries GROUP BY 1, 2) AS held
WHERE held.tenant = totals.tenant AND held.prefix = totals.prefix;
"""
# A size is that of value and params. The column of an entry is still that of its value, over which
# its checksum is: no row has to be written anew.

_NO_DIGESTS: Final = """
DROP INDEX entries_by_params;
PRAGMA writable_schema = ON;
UPDATE sqlite_schema SET sql = replace(sql, 'param_digests BLOB NOT NULL', 'param_digests BLOB')
    WHERE type = 'table' AND name IN ('entries', 'trash');
PRAGMA writable_schema = RESET;
"""
# `param_digests` and `worth` are not written any more. Dropping them would rewrite every row with
# its value (8 s for 560 MB), with as much room for the log: a full disk would keep the file from
# being opened, and so from being pruned. A NULL takes one byte.

MIGRATIONS: Final = (_FIRST, _LEASES, _SAVINGS, _REMEMBERED, _SIZES, _NO_DIGESTS)
"""Only ever appended to: the file's `user_version` says how many of them it has had."""


def make(path: Path, *, options: str) -> None:
    """Makes the file, whole from its first moment on; if another came first, theirs stands."""
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}.new")
    try:
        connection = connect(draft, options=options)
        try:
            prepare(connection, path=str(path))
        finally:
            connection.close()
        with suppress(FileExistsError):
            os.link(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def refuse_foreign(path: Path) -> None:
    """Raises StoreError if the file says it is not ours, without leaving a trace beside or in it.

    What else may be wrong with it only shows together with its log; but one that is cut off within
    its header says nothing: in a directory of ours it is damaged (apsw.CorruptError).
    """
    if not path.stat().st_size:
        return
    if is_cut_off(path):
        _refuse_unless_of_ours(path)
    connection = connect(path, flags=READ_ONLY, options="immutable=1")
    try:
        # Not what its log says: one that is ours is marked so before it has one.
        [[application]] = run(connection, "PRAGMA application_id")
        [[version]] = run(connection, "PRAGMA user_version")
    except apsw.Error:
        return  # damaged; or its log is being moved into it, which happens page by page
    finally:
        connection.close()
    _refuse_other_than_ours(str(path), application, version)


def _refuse_unless_of_ours(path: Path) -> None:
    """Raises what is true of a file that does not say whose it is: it is ours, or it is not."""
    if not is_used(path.parent):
        msg = f"{path} is too short to be a database: name another cache_dir, or move it away"
        raise StoreError(msg)
    msg = f"it ends after {size_of(path)} of the {HEADER_BYTES} bytes of its header"
    raise apsw.CorruptError(msg)


def prepare(connection: apsw.Connection, *, path: str) -> None:
    """Brings the file to the newest schema; StoreError, and nothing touched, if it is not ours."""
    version = _version_of_ours(connection, path)
    if version == 0:
        # Only an empty file takes the first; the mark comes before there is a log.
        run(connection, "PRAGMA auto_vacuum = INCREMENTAL")
        run(connection, f"PRAGMA application_id = {APPLICATION_ID}")
        run(connection, "PRAGMA journal_mode = WAL")
    if version < len(MIGRATIONS):
        _migrate(connection, path)
    refuse_other_tables(connection, path)


def refuse_other_tables(connection: apsw.Connection, path: str) -> None:
    """Raises StoreError if the file, of the newest schema, has more or other tables than ours."""
    if _tables(connection) != _tables_as_made():
        msg = (
            f"{path} has tables, triggers or views that are not ours: "
            "name another cache_dir, or move it away"
        )
        raise StoreError(msg)


def _migrate(connection: apsw.Connection, path: str) -> None:
    # For the statements below alone, which may write the schema itself.
    connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 0)
    try:
        _migrate_at_once(connection, path)
    finally:
        run(connection, "PRAGMA writable_schema = OFF")
        connection.config(apsw.SQLITE_DBCONFIG_DEFENSIVE, 1)


def _migrate_at_once(connection: apsw.Connection, path: str) -> None:
    run(connection, "BEGIN IMMEDIATE")
    try:
        # Another process may have come first: look again under the lock.
        for migration in MIGRATIONS[_version_of_ours(connection, path) :]:
            run(connection, migration)
        run(connection, f"PRAGMA user_version = {len(MIGRATIONS)}")
        run(connection, "COMMIT")
    except BaseException:
        run(connection, "ROLLBACK")
        raise


def _tables(connection: apsw.Connection) -> frozenset[tuple[str, ...]]:
    """Everything a schema declares, but for what SQLite makes for itself."""
    rows = run(connection, "SELECT type, name, tbl_name, sql FROM sqlite_schema")
    return frozenset(row for row in rows if not row[1].startswith("sqlite_"))


@lru_cache(maxsize=1)
def _tables_as_made() -> frozenset[tuple[str, ...]]:
    connection = apsw.Connection(":memory:")
    for migration in MIGRATIONS:
        run(connection, migration)
    return _tables(connection)


def refuse_other_versions(connection: apsw.Connection, path: str) -> None:
    """Raises StoreError if the file, which may not be written to, has not the newest schema."""
    version = _version_of_ours(connection, path)
    if version != len(MIGRATIONS):
        msg = (
            f"{path} was made by an older release (schema {version}) and may not be written to: "
            "open it once where it may"
        )
        raise StoreError(msg)


_MARKS: Final = """
SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)
FROM pragma_application_id, pragma_user_version
"""


def _version_of_ours(connection: apsw.Connection, path: str) -> int:
    # In one statement: another process may be making the file right now.
    application, version, tables = run(connection, _MARKS)[0]
    if application or version or tables:
        _refuse_other_than_ours(path, application, version)
    return int(version)


def _refuse_other_than_ours(path: str, application: int, version: int) -> None:
    if application != APPLICATION_ID:
        msg = f"{path} is a database of something else: name another cache_dir, or move it away"
        raise StoreError(msg)
    if version > len(MIGRATIONS):
        msg = (
            f"{path} was made by a newer release (schema {version}, this one knows "
            f"{len(MIGRATIONS)}): upgrade llm-cache, or name another cache_dir"
        )
        raise StoreError(msg)
