"""Who gives out the leases of one file, and keeps those of this process alive."""

from __future__ import annotations

import concurrent.futures
from typing import TYPE_CHECKING, Final

from llm_cache.errors import StoreError
from llm_cache.store.records import Held, Lease
from llm_cache.store.sqlite import _leases
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._heartbeat import heartbeat
from llm_cache.store.sqlite._insertion import find_sound

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    import apsw

    from llm_cache.core.entry import Entry
    from llm_cache.core.keys import Identity
    from llm_cache.store.sqlite._file import LiveDatabase
    from llm_cache.store.sqlite._writer import Writer

_LOOK_EVERY_S: Final = 0.05


class Lessor:
    """Grants leases in transactions of the writer; the process's heartbeat renews those held."""

    def __init__(self, live: LiveDatabase, writer: Writer, lease_s: float) -> None:
        self._live = live
        self._writer = writer
        self._lease_s = lease_s
        self._held: dict[int, Lease] = {}
        self.beat_every_s: float = lease_s / 3

    def acquire(
        self, identity: Identity, unfit: Entry | None, askers: Sequence[Lease]
    ) -> Lease | Entry | Held:
        """What `Store.acquire` says, of an open file."""
        granted = self._patiently(identity, unfit, askers)
        if isinstance(granted, Lease):
            self._held[granted.token] = granted
            heartbeat().hold(self)
        return granted

    def release(self, lease: Lease) -> None:
        """Gives a lease back, without waiting for that."""
        self.let_go(lease)
        self._writer.submit(lambda c: _leases.give_back(c, lease))

    def let_go(self, lease: Lease) -> None:
        """The lease is over: it is not renewed any more."""
        self._held.pop(lease.token, None)

    @property
    def is_holding(self) -> bool:
        """Whether there are leases to renew."""
        return bool(self._held)

    def beat(self) -> None:
        """Renews the leases that are held, without waiting for that."""
        owner, tokens = self._live.owner, list(self._held)
        if owner is not None and tokens:
            self._writer.submit(lambda c: _leases.renew(c, tokens, owner.name, self._lease_s))

    def _patiently(
        self, identity: Identity, unfit: Entry | None, askers: Sequence[Lease]
    ) -> Lease | Entry | Held:
        """Waits as long as writes come to their ends, however many there are before."""
        granting = self._writer.submit(lambda c: self._grant(c, identity, unfit, askers))
        while True:
            concurrent.futures.wait([granting], _LOOK_EVERY_S)
            if granting.done():
                return granting.result()
            if self._writer.is_stuck():
                granting.add_done_callback(self._release_late)
                msg = f"cannot take a lease in {self._live.path}: it is busy with another write"
                raise StoreError(msg)

    def _release_late(self, granting: Future[Lease | Entry | Held]) -> None:
        """What nobody waits for any more is given back."""
        if granting.exception() is None and isinstance(lease := granting.result(), Lease):
            self.release(lease)

    def _grant(
        self,
        connection: apsw.Connection,
        identity: Identity,
        unfit: Entry | None,
        askers: Sequence[Lease],
    ) -> Lease | Entry | Held:
        owner = self._live.owner
        if owner is None:
            msg = f"{self._live.path} may not be written to"
            raise StoreError(msg)
        entry = find_sound(connection, identity.key)
        found: Lease | Entry
        if entry is not None and not _is_that(entry, unfit):
            found = entry
        else:
            held = _leases.holder(lambda sql, b=(): run(connection, sql, b), identity.key)
            if _leases.is_live(held, owner.is_alive):
                waits = _leases.wait_for(connection, identity.key, askers)
                return Held.BY_ANOTHER if waits else Held.IN_A_CIRCLE
            found = _leases.grant(connection, identity, owner, self._lease_s)
        _leases.wait_no_more(connection, identity.key, askers)
        return found


def _is_that(entry: Entry, other: Entry | None) -> bool:
    """Whether two are the same entry, however often it was used since."""
    return other is not None and (entry.created_at, entry.encoding, entry.body) == (
        other.created_at,
        other.encoding,
        other.body,
    )
