"""What a store can do, in parts; `tests/conformance` has tests for each of them.

Every call is synchronous and may be made from any thread; every one raises StoreError when the
store cannot do it, and has then changed nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from llm_cache.store.records import PLAIN

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from llm_cache.core.entry import Entry, EntryInfo
    from llm_cache.core.keys import Identity
    from llm_cache.core.policy_resolution import Policy
    from llm_cache.store.records import (
        EntryUse,
        Group,
        Held,
        Lease,
        Note,
        Refusals,
        Removed,
        Selection,
        Sweep,
        Total,
        Trashed,
        Unused,
        UsageDay,
    )
    from llm_cache.store.stamps import Stamps


class EntryStore(Protocol):
    """A durable map of keys to entries. A damaged entry is never returned."""

    def get(self, key: bytes) -> Entry | None:
        """The entry under `key`, whatever its age."""
        ...

    def put(self, entry: Entry, *, lease: Lease | None = None) -> bool:
        """Replaces the entry of a key and ends the lease, in one transaction.

        False, and nothing stored, if the lease was voided or given to another. Without one the
        entry is stored in any case, and voids the lease of whoever generates for its key.
        """
        ...

    def remove(self, which: Selection, *, keep: bool = False) -> Removed:
        """Removes entries, at once for every later `get`; `keep` moves them to the trash.

        Leases of the selection are voided: what is being generated will not be stored.
        """
        ...

    def merge(self, entries: Sequence[Entry]) -> list[Entry]:
        """Stores those entries that are newer than what is there, in one transaction; which.

        An entry that is stored voids the lease of whoever generates for its key.
        """
        ...


class LeaseStore(Protocol):
    """Leases: one generation at a time for a key, over all processes."""

    def acquire(
        self,
        identity: Identity,
        *,
        unfit: Entry | None = None,
        askers: Sequence[Lease] = (),
    ) -> Lease | Entry | Held:
        """The lease of a key, or the entry that is stored there, unless that is `unfit`.

        Whether an entry is an answer is for the caller to judge, outside of the transaction; if it
        is none, the caller asks again with that entry as `unfit`.

        A lease lasts while its holder lives and renews it. `askers` are the leases of those whose
        generators wait for this one. StoreError if that is not known within 250 ms.
        """
        ...

    def is_held(self, key: bytes) -> bool:
        """Whether a live process holds the lease of `key`; quick, for who waits."""
        ...

    def release(self, lease: Lease) -> None:
        """Gives a lease back, without waiting for that."""
        ...


class TrashStore(Protocol):
    """Entries that were removed and may be restored."""

    def trashed(self, which: Selection) -> Iterator[Trashed]:
        """The trash of a selection, the last removed first, read in pages as it is taken."""
        ...

    def restore(self, keys: Sequence[bytes]) -> list[bytes]:
        """Takes entries back from the trash, in one transaction; the keys of those.

        An entry that was regenerated since stays, and so does the older one in the trash. What is
        being generated for those that are taken back will not be stored.
        """
        ...

    def trash_totals(self) -> list[Total]:
        """What is in the trash, by tenant and prefix."""
        ...


class ListingStore(Protocol):
    """What is stored: entries without their values, and totals."""

    def select(self, which: Selection, *, limit: int | None = None) -> Iterator[EntryInfo]:
        """The entries of a selection by prefix, newest first, read in pages as they are taken."""
        ...

    def totals(self) -> list[Total]:
        """What is held, by tenant and prefix; at a cost that does not grow with the entries."""
        ...


class CounterStore(Protocol):
    """Counters of use, summed over all processes, and notes on keys without an entry."""

    def add_usage(
        self,
        days: Iterable[UsageDay],
        uses: Iterable[EntryUse],
        refusals: Iterable[Refusals] = (),
        notes: Iterable[Note] = (),
    ) -> None:
        """Adds counts to those stored, and replaces notes."""
        ...

    def usage(self) -> list[UsageDay]:
        """Every count, by day, tenant, prefix and model."""
        ...

    def refusals(self) -> list[Refusals]:
        """How many values were not stored, and why."""
        ...

    def unused(self, made_before: float, look_at: int) -> list[Unused]:
        """How many entries were never hit of the `look_at` that were made or used longest ago.

        Those made since `made_before`, an instant, are left out.
        """
        ...

    def notes(self, tenant: str, prefix: str, key: bytes) -> list[Note]:
        """The notes on a key and on its prefix, newest first."""
        ...


class UpkeepStore(Protocol):
    """Dropping what has expired, and keeping to a size limit."""

    def prune(
        self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool, sweep: Sweep = PLAIN
    ) -> Removed:
        """Drops old trash, what is expired at `now`, and the least used above the size limit.

        The trash goes whole, and first, where the store is over that limit. A dry run says the same
        and removes nothing.
        """
        ...

    def make_room(
        self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool
    ) -> Removed:
        """As `prune`, if the store is over its size limit; quick if it is not."""
        ...

    def expired(
        self, policy_of: Callable[[str], Policy], now: float, *, look_at: int | None = None
    ) -> dict[str, Group]:
        """By prefix, what `prune` would sweep; with `look_at`, so many entries of it at most."""
        ...

    def disk_bytes(self) -> int:
        """Bytes the store takes up."""
        ...


class Store(EntryStore, LeaseStore, TrashStore, ListingStore, CounterStore, UpkeepStore, Protocol):
    """All of it, with a life cycle."""

    is_local: bool
    """Whether a read is so quick that an event loop may make it inline."""

    @property
    def is_open(self) -> bool:
        """Whether it is ready; opening may take long, and happens off the event loop."""
        ...

    @property
    def stamps(self) -> Stamps:
        """What tells the memory tiers in front of it that entries were removed."""
        ...

    def open(self) -> None:
        """Makes the store ready, creating it if need be. Calling it again is harmless."""
        ...

    def look(self) -> None:
        """Looks whether the store was removed or replaced; if so, it is open no more, and empty.

        To be called every 250 ms by who answers from memory. Never blocks, never raises.
        """
        ...

    def close(self) -> None:
        """Finishes what was begun and closes the store. Calling it again is harmless."""
        ...
