"""Records that stores take and return: selections, groups of entries, counters, leases."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from llm_cache.core.entry import EntryInfo
    from llm_cache.core.keys import Identity

TRASH_KEPT_S = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Which entries; every field that is set narrows it, so an empty one selects all."""

    keys: tuple[bytes, ...] | None = None
    key_digits: str | None = None
    prefix: str | None = None
    tenant: str | None = None

    def covers(self, identity: Identity) -> bool:
        """Whether what is generated for `identity` will be one of them; by key, prefix, tenant."""
        return (
            (self.keys is None or identity.key in self.keys)
            and self.prefix in (None, identity.prefix)
            and self.tenant in (None, identity.tenant)
        )


EVERYTHING = Selection()


class Group(NamedTuple):
    """Entries removed for one reason, and what making them took as far as that is known."""

    why: str
    entries: int
    size_bytes: int
    generation_seconds: float = 0.0
    cost_usd: float = 0.0
    untimed: int = 0
    """Entries that nobody knows the time of."""
    unpriced: int = 0
    """Entries of unknown cost."""

    @classmethod
    def total(cls, why: str, groups: Iterable[Group]) -> Group:
        """The sum of groups."""
        parts = list(groups)
        return cls(
            why,
            sum(part.entries for part in parts),
            sum(part.size_bytes for part in parts),
            sum(part.generation_seconds for part in parts),
            sum(part.cost_usd for part in parts),
            sum(part.untimed for part in parts),
            sum(part.unpriced for part in parts),
        )


NONE_OF_TRASH: Final = Group("trash", 0, 0)


@dataclass(frozen=True, slots=True)
class Removed:
    """What was removed, by the reason why; true if anything was, and `int()` is how many entries.

    `trash` is what went of those that were in the trash already: they are not counted.
    """

    groups: tuple[Group, ...] = ()
    trash: Group = NONE_OF_TRASH

    @property
    def entries(self) -> int:
        """How many entries were removed."""
        return sum(group.entries for group in self.groups)

    @property
    def freed_bytes(self) -> int:
        """Bytes of the removed values and params, as they were stored."""
        return sum(group.size_bytes for group in self.groups)

    def __bool__(self) -> bool:
        return self.entries > 0

    def __int__(self) -> int:
        return self.entries

    def __str__(self) -> str:
        return str(self.entries)

    def __format__(self, spec: str) -> str:
        return format(self.entries, spec)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """What a prune is to do beside dropping what is expired.

    Args:
        current: by prefix, the versions that are current: entries of others go, too.
        max_bytes: a size limit in place of the store's own.
        on_swept: told of what went, part by part; what it raises ends the sweep.
    """

    current: Mapping[str, Collection[str]] | None = None
    max_bytes: int | None = None
    on_swept: Callable[[Group], object] | None = None


PLAIN: Final = Sweep()
"""No more than that."""


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


class UsageDay(NamedTuple):
    """The usage of one prefix and model on one day (ISO date, UTC)."""

    day: str
    tenant: str
    prefix: str
    model: str
    usage: Counts


class Refusals(NamedTuple):
    """How many values of one prefix were not stored on one day for one reason."""

    day: str
    tenant: str
    prefix: str
    reason: str
    times: int


class Note(NamedTuple):
    """Why there is no entry of a key, or of a whole prefix where the key is empty.

    `what` is `refused`, with the reason, or `invalidated`.
    """

    tenant: str
    prefix: str
    key: bytes
    what: str
    reason: str
    at: float


class EntryUse(NamedTuple):
    """Hits of one entry since they were last told to the store."""

    key: bytes
    hits: int
    last_used_at: float


class Unused(NamedTuple):
    """How many entries of a prefix were never hit."""

    tenant: str
    prefix: str
    entries: int


class Trashed(NamedTuple):
    """An entry in the trash, and the instant it came there."""

    entry: EntryInfo
    removed_at: float


class Total(NamedTuple):
    """What a store holds of one prefix."""

    tenant: str
    prefix: str
    entries: int
    size_bytes: int
    value_bytes: int


class Lease(NamedTuple):
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
    IN_A_CYCLE = auto()
    """Somebody else generates, and waits for what is being generated here."""
