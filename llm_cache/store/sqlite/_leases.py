"""Leases in the SQLite file: who may generate for a key, and until when.

Every function but `is_live` and `holder` is to be called within a write transaction.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from llm_cache.store.records import Lease
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._liveness import boot_id, seconds_since_boot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import apsw

    from llm_cache.core.keys import Identity
    from llm_cache.store.sqlite._connection import Read
    from llm_cache.store.sqlite._liveness import Owner
    from llm_cache.store.sqlite._removal import Clause

Row = tuple[str, int, str, float]
"""Owner, token, boot and deadline."""
_LOOK: Final = "SELECT owner, token, boot, deadline FROM leases WHERE key = ?"
_NEXT: Final = "UPDATE meta SET value = value + 1 WHERE name = 'fence' RETURNING value"
_OWN: Final = "key = ? AND token = ? AND owner = ?"
_SWEPT_AFTER_S: Final = 3600.0
# Who waits for whom, from lease to lease: a generator waits with the token of its own.
_WAITED_FOR: Final = """
WITH RECURSIVE chain (key) AS (
    VALUES (?) UNION
    SELECT waits.for_key FROM chain JOIN leases USING (key) JOIN waits USING (token)
) SELECT 1 FROM chain JOIN leases USING (key) WHERE token IN (SELECT value FROM json_each(?))
"""


def holder(read: Read, key: bytes) -> Row | None:
    """The lease of a key, whether its holder still lives or not."""
    rows = read(_LOOK, (key,))
    return rows[0] if rows else None


def is_live(row: Row | None, is_alive: Callable[[str], bool]) -> bool:
    """Whether a lease still stands: its deadline is ahead, and its owner lives."""
    if row is None:
        return False
    owner, _, boot, deadline = row
    return boot == boot_id() and seconds_since_boot() < deadline and is_alive(owner)


def grant(connection: apsw.Connection, identity: Identity, owner: Owner, length_s: float) -> Lease:
    """Gives out the lease of a key, in place of whatever stood there."""
    token = int(run(connection, _NEXT)[0][0])
    drop(connection, ("key = ?", (identity.key,)))
    run(
        connection,
        "INSERT INTO leases (key, tenant, prefix, owner, token, boot, deadline) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            identity.key,
            identity.tenant,
            identity.prefix,
            owner.name,
            token,
            boot_id(),
            seconds_since_boot() + length_s,
        ),
    )
    return Lease(identity.key, token, owner.name)


def give_back(connection: apsw.Connection, lease: Lease) -> bool:
    """Ends a lease; False if it was ended, or given to another, before."""
    own = (lease.key, lease.token, lease.owner)
    gone = run(connection, f"DELETE FROM leases WHERE {_OWN} RETURNING token", own)  # noqa: S608
    run(connection, "DELETE FROM waits WHERE token = ?", (lease.token,))
    return bool(gone)


def drop(connection: apsw.Connection, condition: Clause) -> None:
    """Voids leases: what is being generated under them will not be stored."""
    where, bindings = condition
    some = f"SELECT token FROM leases WHERE {where}"  # noqa: S608 - our own conditions
    run(connection, f"DELETE FROM waits WHERE token IN ({some})", bindings)  # noqa: S608
    run(connection, f"DELETE FROM leases WHERE {where}", bindings)  # noqa: S608


def renew(connection: apsw.Connection, tokens: Iterable[int], owner: str, length_s: float) -> None:
    """Puts the deadlines of an owner's leases off."""
    run(
        connection,
        "UPDATE leases SET deadline = ? "
        "WHERE owner = ? AND token IN (SELECT value FROM json_each(?))",
        (seconds_since_boot() + length_s, owner, _json(tokens)),
    )


def wait_for(connection: apsw.Connection, key: bytes, askers: Iterable[Lease]) -> bool:
    """Notes that the holders of `askers` wait for the lease of `key`.

    False, and nothing noted, if that lease's holder waits, directly or over others, for them.
    """
    tokens = [lease.token for lease in askers]
    if run(connection, _WAITED_FOR, (key, _json(tokens))):
        return False
    for token in tokens:
        run(connection, "INSERT OR IGNORE INTO waits (token, for_key) VALUES (?, ?)", (token, key))
    return True


def wait_no_more(connection: apsw.Connection, key: bytes, askers: Iterable[Lease]) -> None:
    """Takes back what `wait_for` noted."""
    tokens = _json(lease.token for lease in askers)
    run(
        connection,
        "DELETE FROM waits WHERE for_key = ? AND token IN (SELECT value FROM json_each(?))",
        (key, tokens),
    )


def sweep(connection: apsw.Connection) -> None:
    """Removes what the dead left behind long ago."""
    past = ("boot <> ? OR deadline < ?", (boot_id(), seconds_since_boot() - _SWEPT_AFTER_S))
    drop(connection, past)
    run(connection, "DELETE FROM waits WHERE token NOT IN (SELECT token FROM leases)")


def _json(tokens: Iterable[int]) -> str:
    return orjson.dumps(list(tokens)).decode()
