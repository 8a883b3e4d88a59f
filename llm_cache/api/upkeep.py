"""What is there to be done about a cache: found quickly, however much is in it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from llm_cache.api.trash import Trash

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_cache.engine.steps import Components

LOOK_AT: Final = 10_000
LOOK_AT_IN_TRASH: Final = 1000
NEW_FOR_S: Final = 3600.0
"""An entry younger than this had no time to be hit."""


class Measured(NamedTuple):
    """Entries and the bytes of their values; there may be more where `is_all` is false."""

    entries: int
    size_bytes: int
    is_all: bool


@dataclass(frozen=True, slots=True)
class Upkeep:
    """What is worth a look.

    `expired` is what `prune` would sweep, of all tenants: None where one was asked about. `unused`
    is by prefix how many entries were never hit, of the 10,000 that were made or used longest ago;
    `unused_is_all` says whether there are no others.
    """

    expired: Measured | None
    trash: Measured
    unused: Mapping[str, int]
    unused_is_all: bool


def upkeep(components: Components, tenant: str | None) -> Upkeep:
    """What is worth a look, of one `tenant` or of all; StoreError if that cannot be told."""
    unused = Counter[str]()
    for some in components.store.unused(components.clock() - NEW_FOR_S, LOOK_AT):
        if tenant in (None, some.tenant):
            unused[some.prefix] += some.entries
    return Upkeep(
        expired=_expired(components) if tenant is None else None,
        trash=_trash(components, tenant),
        unused=dict(sorted(unused.items())),
        unused_is_all=sum(total.entries for total in components.store.totals()) <= LOOK_AT,
    )


def _expired(components: Components) -> Measured:
    groups = components.store.expired(
        components.policies.resolve, components.clock(), look_at=LOOK_AT
    )
    entries = sum(group.entries for group in groups.values())
    return Measured(entries, sum(g.size_bytes for g in groups.values()), entries < LOOK_AT)


def _trash(components: Components, tenant: str | None) -> Measured:
    sizes = [
        trashed.entry.size_bytes
        for trashed in islice(Trash(components, tenant).entries(), LOOK_AT_IN_TRASH)
    ]
    return Measured(len(sizes), sum(sizes), len(sizes) < LOOK_AT_IN_TRASH)
