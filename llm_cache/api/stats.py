"""What `get_stats` tells, put together from the store and this process's counts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict, fields
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

from llm_cache.store.records import Counts

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llm_cache.config import CacheConfig
    from llm_cache.engine.steps import Components
    from llm_cache.store.records import Refusals, Total, UsageDay

_SIZES: Final = ("entries", "size_bytes", "value_bytes")
_COUNTS: Final = tuple(field.name for field in fields(Counts))
_counts_of: Final = attrgetter(*_COUNTS)


class ModelStats(TypedDict):
    """What is counted of one model: the counts of `Counts`, and the part of hits in them."""

    hits: int
    stale_hits: int
    fallbacks: int
    misses: int
    coalesced: int
    bypassed: int
    errors: int
    not_stored: int
    evictions: int
    generations: int
    generation_seconds: float
    saved_seconds: float
    input_tokens: int
    output_tokens: int
    cost_usd: float
    unpriced: int
    saved_input_tokens: int
    saved_output_tokens: int
    saved_usd: float
    saved_unpriced: int
    hit_rate: float | None
    """From 0 to 1; None where nothing was asked."""


class DayStats(ModelStats):
    """What is counted of one day, and how many values were not stored, by reason."""

    not_stored_because: dict[str, int]


class PrefixStats(DayStats):
    """What is counted and what is held of one prefix, or of all."""

    entries: int
    size_bytes: int
    value_bytes: int


class Places(TypedDict):
    """Where a cache is, and what it takes there of what it may."""

    cache_dir: str
    disk_bytes: int
    max_disk: int


class Stats(Places):
    """What `get_stats` returns.

    `memory_entries`, `hits`, `misses`, `coalesced`, `errors` and `store_pauses` are of this
    process, all else over all of them. `since` is the first day that was counted, in UTC.
    """

    memory_entries: int
    file_entries: int
    since: str | None
    hits: int
    misses: int
    coalesced: int
    errors: int
    store_pauses: int
    total: PrefixStats
    prefixes: dict[str, PrefixStats]


class Breakdown(Places):
    """What `breakdown` returns: counts over all processes, from the day `since` on."""

    since: str | None
    total: PrefixStats
    prefixes: dict[str, PrefixStats]
    models: dict[str, ModelStats]
    days: dict[str, DayStats]


class Amount(NamedTuple):
    """A number of entries, and the bytes of their values and params."""

    entries: int
    size_bytes: int


def amounts_by_prefix(totals: Iterable[Total], tenant: str | None) -> dict[str, Amount]:
    """The amounts that a store holds by prefix, of one `tenant` or of all; no prefix without."""
    held = dict[str, Amount]()
    for total in totals:
        if tenant in (None, total.tenant) and total.entries:
            entries, size_bytes = held.get(total.prefix, (0, 0))
            amount = Amount(entries + total.entries, size_bytes + total.size_bytes)
            held[total.prefix] = amount
    return dict(sorted(held.items()))


def statistics(components: Components, config: CacheConfig, tenant: str | None) -> Stats:
    """Counts of this process, and what the store holds and has counted over all of them.

    Of one `tenant`, or of all together.
    """
    kept = _read(components, tenant)
    sums = kept.by_prefix()
    own = components.usage.of_process(tenant)
    return {
        **_places(components, config),
        "memory_entries": components.tier.entries_of(tenant),
        "file_entries": sums.total["entries"],
        "since": kept.first_day,
        "hits": own.hits,
        "misses": own.misses,
        "coalesced": own.coalesced,
        "errors": own.errors,
        "store_pauses": components.reads.opened + components.writes.opened,
        "total": _with_rate(sums.total),
        "prefixes": _each_with_rate(sums),
    }


def breakdown(
    components: Components, config: CacheConfig, tenant: str | None, *, since: str = ""
) -> Breakdown:
    """What the store holds, and what it has counted from a day on: by prefix, model and day.

    `since` is an ISO date, and so is what is told as `since`: the first day of these counts, or
    None. Days are those of UTC. Sizes are those of now, and only told in total and by prefix.
    """
    everything = _read(components, tenant)
    kept = everything.since(since)
    prefixes = kept.by_prefix()
    models, days = _Figures(lambda: asdict(Counts())), _Figures(_no_counts)
    for day in kept.days:
        values = _counts_of(day.usage)
        models.add(day.model, _COUNTS, values)
        days.add(day.day, _COUNTS, values)
    for refused in kept.refusals:
        days.add_refusals(refused.day, refused)
    first = everything.first_day
    return {
        **_places(components, config),
        "since": max(first, since) if first is not None and kept.days else None,
        "total": _with_rate(prefixes.total),
        "prefixes": _each_with_rate(prefixes),
        "models": _each_with_rate(models),
        "days": _each_with_rate(days),
    }


def hit_rate(counts: Mapping[str, Any]) -> float | None:
    """The part of hits, stale ones too, in what was asked for, from 0 to 1; None if nothing was.

    What waited for another's generation is left out: it neither hit nor missed.
    """
    hits = counts["hits"] + counts["stale_hits"]
    asked = hits + counts["fallbacks"] + counts["misses"]
    return hits / asked if asked else None


class _Kept(NamedTuple):
    """What the store has kept count of."""

    held: list[Total]
    days: list[UsageDay]
    refusals: list[Refusals]

    @property
    def first_day(self) -> str | None:
        return min((day.day for day in self.days), default=None)

    def since(self, day: str) -> _Kept:
        return self._replace(
            days=[each for each in self.days if each.day >= day],
            refusals=[each for each in self.refusals if each.day >= day],
        )

    def by_prefix(self) -> _Figures:
        """Summed up, of all and of each prefix; what has no prefix is of all only."""
        sums = _Figures(_nothing)
        for held in self.held:
            sums.add(held.prefix, _SIZES, (held.entries, held.size_bytes, held.value_bytes))
        for day in self.days:
            sums.add(day.prefix, _COUNTS, _counts_of(day.usage))
        for refused in self.refusals:
            sums.add_refusals(refused.prefix, refused)
        sums.parts.pop("", None)
        return sums


def _read(components: Components, tenant: str | None) -> _Kept:
    components.usage.flush()

    def is_wanted(counted: Total | UsageDay | Refusals) -> bool:
        return tenant in (None, counted.tenant)

    store = components.store
    return _Kept(
        list(filter(is_wanted, store.totals())),
        list(filter(is_wanted, store.usage())),
        list(filter(is_wanted, store.refusals())),
    )


def _places(components: Components, config: CacheConfig) -> Places:
    return {
        "cache_dir": str(config.cache_dir),
        "disk_bytes": components.store.disk_bytes(),
        "max_disk": config.max_disk,
    }


class _Figures:
    """Figures added up, of all and of each part, be it a prefix, a model or a day."""

    def __init__(self, empty: Callable[[], dict[str, Any]]) -> None:
        self.total = empty()
        self.parts = defaultdict[str, dict[str, Any]](empty)

    def add(self, part: str, names: Iterable[str], figures: Iterable[float]) -> None:
        """Adds figures, each under its name."""
        total, own = self.total, self.parts[part]
        for name, figure in zip(names, figures, strict=True):
            if figure:
                total[name] += figure
                own[name] += figure

    def add_refusals(self, part: str, refused: Refusals) -> None:
        """Adds how many values were not stored, by reason."""
        for sums in (self.total, self.parts[part]):
            because = sums["not_stored_because"]
            because[refused.reason] = because.get(refused.reason, 0) + refused.times


def _with_rate(sums: dict[str, Any]) -> Any:
    return {**sums, "hit_rate": hit_rate(sums)}


def _each_with_rate(sums: _Figures) -> dict[str, Any]:
    return {part: _with_rate(some) for part, some in sorted(sums.parts.items())}


def _no_counts() -> dict[str, Any]:
    return {**asdict(Counts()), "not_stored_because": {}}


def _nothing() -> dict[str, Any]:
    return {**dict.fromkeys(_SIZES, 0), **_no_counts()}
