"""Leases with fencing tokens: which process may generate for a key, and until when.

Every function but `is_live` and `holder` is to be called within a write transaction.
"""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Final

import orjson

from llm_cache.errors import StoreError
from llm_cache.store.records import Held, Lease
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._entries import find_sound
from llm_cache.store.sqlite._heartbeat import heartbeat
from llm_cache.store.sqlite._liveness import boot_id, seconds_since_boot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from concurrent.futures import Future

    import apsw

    from llm_cache.core.entry import Entry
    from llm_cache.core.keys import Identity
    from llm_cache.store.sqlite._connection import ReadRows
    from llm_cache.store.sqlite._file import ResilientDatabase
    from llm_cache.store.sqlite._liveness import Owner
    from llm_cache.store.sqlite._queries import Clause
    from llm_cache.store.sqlite._writer import Writer

Row = tuple[str, int, str, float]
"""Owner, token, boot and deadline."""
_LOOK: Final = "SELECT owner, token, boot, deadline FROM leases WHERE key = ?"
_NEXT: Final = "UPDATE meta SET value = value + 1 WHERE name = 'fence' RETURNING value"
_OWN: Final = "key = ? AND token = ? AND owner = ?"
_SWEPT_AFTER_S: Final = 3600.0
_LOOK_EVERY_S: Final = 0.05
# Who waits for whom, from lease to lease: a generator waits with the token of its own.
_WAITED_FOR: Final = """
WITH RECURSIVE chain (key) AS (
    VALUES (?) UNION
    SELECT waits.for_key FROM chain JOIN leases USING (key) JOIN waits USING (token)
) SELECT 1 FROM chain JOIN leases USING (key) WHERE token IN (SELECT value FROM json_each(?))
"""


class LeaseManager:
    """Grants leases in transactions of the writer; the process's heartbeat renews those held."""

    def __init__(self, file: ResilientDatabase, writer: Writer, lease_s: float) -> None:
        self._file = file
        self._writer = writer
        self._lease_s = lease_s
        self._held: dict[int, Lease] = {}
        self._is_closed = False
        self.beat_every_s: float = lease_s / 3

    def acquire(
        self, identity: Identity, unfit: Entry | None, askers: Sequence[Lease]
    ) -> Lease | Entry | Held:
        """The lease of a key, or the entry there, or why neither: see `LeaseStore.acquire`."""
        granted = self._patiently(identity, unfit, askers)
        if isinstance(granted, Lease):
            self._held[granted.token] = granted
            heartbeat().hold(self)
        return granted

    def release(self, lease: Lease) -> None:
        """Gives a lease back, without waiting for that."""
        self.let_go(lease)
        self._writer.submit(lambda c: give_back(c, lease))

    def let_go(self, lease: Lease) -> None:
        """Stops renewing a lease."""
        self._held.pop(lease.token, None)

    @property
    def is_holding(self) -> bool:
        return bool(self._held) and not self._is_closed

    def beat(self) -> None:
        """Renews the leases that are held, without waiting for that."""
        owner, tokens = self._file.owner, list(self._held)
        if owner is not None and tokens:
            self._writer.submit(lambda c: renew(c, tokens, owner.name, self._lease_s))

    def close(self) -> None:
        """Renews nothing any more: the heartbeat ends if nobody else holds a lease."""
        self._is_closed = True
        heartbeat().drop(self)

    def _patiently(
        self, identity: Identity, unfit: Entry | None, askers: Sequence[Lease]
    ) -> Lease | Entry | Held:
        """Waits for the grant while writes before it complete, until the writer is stuck."""
        granting = self._writer.submit(lambda c: self._grant(c, identity, unfit, askers))
        while True:
            concurrent.futures.wait([granting], _LOOK_EVERY_S)
            if granting.done():
                return granting.result()
            if self._writer.is_stuck():
                granting.add_done_callback(self._release_late)
                msg = f"cannot take a lease in {self._file.path}: it is busy with another write"
                raise StoreError(msg)

    def _release_late(self, granting: Future[Lease | Entry | Held]) -> None:
        """Gives back a lease that was granted after its caller gave up."""
        if granting.exception() is None and isinstance(lease := granting.result(), Lease):
            self.release(lease)

    def _grant(
        self,
        connection: apsw.Connection,
        identity: Identity,
        unfit: Entry | None,
        askers: Sequence[Lease],
    ) -> Lease | Entry | Held:
        owner = self._file.owner
        if owner is None:
            msg = f"{self._file.path} may not be written to"
            raise StoreError(msg)
        entry = find_sound(connection, identity.key)
        found: Lease | Entry
        if entry is not None and not _is_that(entry, unfit):
            found = entry
        else:
            held = holder(lambda sql, b=(): run(connection, sql, b), identity.key)
            if is_live(held, owner.is_alive):
                waits = wait_for(connection, identity.key, askers)
                return Held.BY_ANOTHER if waits else Held.IN_A_CYCLE
            found = grant(connection, identity, owner, self._lease_s)
        wait_no_more(connection, identity.key, askers)
        return found


def _is_that(entry: Entry, other: Entry | None) -> bool:
    """Whether two are the same entry, however often it was used since."""
    return other is not None and (entry.created_at, entry.encoding, entry.body) == (
        other.created_at,
        other.encoding,
        other.body,
    )


def holder(read: ReadRows, key: bytes) -> Row | None:
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
    """Grants the lease of a key, with a new fencing token, in place of any before."""
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
    gone = run(connection, f"DELETE FROM leases WHERE {_OWN} RETURNING token", own)
    run(connection, "DELETE FROM waits WHERE token = ?", (lease.token,))
    return bool(gone)


def drop(connection: apsw.Connection, condition: Clause) -> None:
    """Voids leases: what is being generated under them will not be stored."""
    where, bindings = condition
    some = f"SELECT token FROM leases WHERE {where}"
    run(connection, f"DELETE FROM waits WHERE token IN ({some})", bindings)
    run(connection, f"DELETE FROM leases WHERE {where}", bindings)


def renew(connection: apsw.Connection, tokens: Iterable[int], owner: str, length_s: float) -> None:
    """Extends the deadlines of an owner's leases."""
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
