"""What every store can do. `tests/conformance` holds each of them to it."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum, auto
from typing import TYPE_CHECKING, NamedTuple, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from llm_cache.entry import Entry, EntryInfo
    from llm_cache.keys import Identity
    from llm_cache.policy_table import Policy
    from llm_cache.stamps import Stamps

TRASH_KEPT_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries; every field that is set narrows it, so an empty one selects all."""

    keys: tuple[bytes, ...] | None = None
    key_digits: str | None = None
    prefix: str | None = None
    tenant: str | None = None


EVERYTHING = Selection()


@dataclass(frozen=True, slots=True)
class Group:
    """Entries removed for one reason."""

    why: str
    entries: int
    size_bytes: int
    generation_seconds: float = 0.0


class Removed(int):
    """How many entries were removed; `groups` says why each, `freed_bytes` how much they held."""

    groups: tuple[Group, ...]

    def __new__(cls, groups: Iterable[Group] = ()) -> Self:
        """The sum of `groups`, empty ones left out."""
        kept = tuple(group for group in groups if group.entries)
        self = super().__new__(cls, sum(group.entries for group in kept))
        self.groups = kept
        return self

    @property
    def freed_bytes(self) -> int:
        """Bytes of the removed values, as they were stored."""
        return sum(group.size_bytes for group in self.groups)


@dataclass(slots=True, kw_only=True)
class Counts:
    """Counts of how requests were answered, and what was generated and saved meanwhile."""

    hits: int = 0
    stale_hits: int = 0
    fallbacks: int = 0
    misses: int = 0
    coalesced: int = 0
    bypassed: int = 0
    errors: int = 0
    not_stored: int = 0
    evictions: int = 0
    generations: int = 0
    generation_seconds: float = 0.0
    saved_seconds: float = 0.0
    input_tokens: int = 0
    output_tokens: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    """Generations of unknown cost."""
    saved_input_tokens: int = 0
    saved_output_tokens: int = 0
    saved_usd: float = 0.0
    saved_unpriced: int = 0
    """Answers from the cache, or from another's generation, of unknown cost."""

    def add(self, other: Counts) -> None:
        """Adds every count of `other` to this one."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@dataclass(frozen=True, slots=True)
class UsageDay:
    """The usage of one prefix and model on one day (ISO date, UTC)."""

    day: str
    tenant: str
    prefix: str
    model: str
    usage: Counts


@dataclass(frozen=True, slots=True)
class Refusals:
    """How many values of one prefix were not stored on one day for one reason."""

    day: str
    tenant: str
    prefix: str
    reason: str
    times: int


@dataclass(frozen=True, slots=True)
class Note:
    """Why there is no entry of a key, or of a whole prefix where the key is empty.

    `what` is `refused`, with the reason, or `invalidated`.
    """

    tenant: str
    prefix: str
    key: bytes
    what: str
    reason: str
    at: float


@dataclass(frozen=True, slots=True)
class EntryUse:
    """Hits of one entry since they were last told to the store."""

    key: bytes
    hits: int
    last_used_at: float


class Likeness(NamedTuple):
    """What tells an entry apart: its version, and a digest of each of its params."""

    number: int
    version: str
    param_digests: bytes


@dataclass(frozen=True, slots=True)
class Total:
    """What a store holds of one prefix."""

    tenant: str
    prefix: str
    entries: int
    size_bytes: int
    value_bytes: int


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to generate for a key, and to store what comes of it, until it is voided.

    The token is one that no lease had before it.
    """

    key: bytes
    token: int
    owner: str


class Held(Enum):
    """Why a lease was not given."""

    BY_ANOTHER = auto()
    """Somebody else generates: wait for the answer."""
    IN_A_CIRCLE = auto()
    """Somebody else generates, and waits for what is being generated here."""


class Store(Protocol):
    """A durable map of keys to entries.

    Every call is synchronous and may be made from any thread; every one raises StoreError when the
    store cannot do it, and has then changed nothing. A damaged entry is never given out.
    """

    is_local: bool
    """Whether a read is so quick that an event loop may make it inline."""

    @property
    def is_open(self) -> bool:
        """Whether it is ready; opening may take long, and happens off the event loop."""
        ...

    @property
    def stamps(self) -> Stamps:
        """What tells the memory tiers in front of it that entries were taken away."""
        ...

    def open(self) -> None:
        """Makes the store ready, creating it if need be. Calling it again is harmless."""
        ...

    def get(self, key: bytes) -> Entry | None:
        """The entry under `key`, whatever its age."""
        ...

    def acquire(
        self,
        identity: Identity,
        *,
        suffices: Callable[[Entry], bool],
        askers: Sequence[Lease] = (),
    ) -> Lease | Entry | Held:
        """The lease of a key, or the entry that has come meanwhile if it `suffices`.

        A lease lasts while its holder lives and renews it. `askers` are the leases of those whose
        generators wait for this one. StoreError if that is not told within 250 ms.
        """
        ...

    def is_held(self, key: bytes) -> bool:
        """Whether somebody who lives holds the lease of `key`; a quick look, for who waits."""
        ...

    def release(self, lease: Lease) -> None:
        """Gives a lease back, without waiting for that."""
        ...

    def put(self, entry: Entry, *, lease: Lease | None = None) -> bool:
        """Keeps `entry` in place of the one before, and ends the lease, in one transaction.

        False, and nothing kept, if the lease was voided or given to another. Without one the entry
        is kept in any case, and voids the lease of whoever generates for its key.
        """
        ...

    def remove(self, which: Selection, *, keep: bool = False) -> Removed:
        """Drops entries, at once for every later `get`; `keep` moves them to the trash.

        Leases of the selection are voided: what is being generated will not be kept.
        """
        ...

    def prune(self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool) -> Removed:
        """Drops what is expired at `now` under the policy of its prefix, and old trash."""
        ...

    def make_room(
        self, policy_of: Callable[[str], Policy], now: float, *, dry_run: bool
    ) -> Removed:
        """Brings the store under its size limit: old trash, the expired, then the least used."""
        ...

    def select(self, which: Selection, *, limit: int | None = None) -> Iterator[EntryInfo]:
        """The entries of a selection by prefix, newest first, read in pages as they are taken."""
        ...

    def totals(self) -> list[Total]:
        """What is held, by tenant and prefix; at a cost that does not grow with the entries."""
        ...

    def expired(self, policy_of: Callable[[str], Policy], now: float) -> dict[str, Group]:
        """By prefix, what `prune` would sweep."""
        ...

    def add_usage(
        self,
        days: Iterable[UsageDay],
        uses: Iterable[EntryUse],
        refusals: Iterable[Refusals] = (),
        notes: Iterable[Note] = (),
    ) -> None:
        """Adds counts to those kept, over all processes."""
        ...

    def usage(self) -> list[UsageDay]:
        """Every count kept."""
        ...

    def refusals(self) -> list[Refusals]:
        """How many values were not stored, and why."""
        ...

    def notes(self, tenant: str, prefix: str, key: bytes) -> list[Note]:
        """What is noted of a key and of its prefix, newest first."""
        ...

    def likenesses(self, tenant: str, prefix: str) -> Iterator[Likeness]:
        """What tells the entries of a prefix apart, read in pages as it is taken."""
        ...

    def entry(self, number: int) -> EntryInfo | None:
        """The entry that a likeness is of, if it is still there."""
        ...

    def disk_bytes(self) -> int:
        """Bytes the store takes up."""
        ...

    def look(self) -> None:
        """Looks whether the store was removed or replaced; if so, it is open no more, and empty.

        To be called every 250 ms by who answers from memory. Never blocks, never raises.
        """
        ...

    def close(self) -> None:
        """Finishes what was begun and lets go of the store. Calling it again is harmless."""
        ...
