"""What `get_stats` tells, put together from the store and this process's counts."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

from llm_cache.stores.base import Counts

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_cache.config import CacheConfig
    from llm_cache.steps import Parts
    from llm_cache.stores.base import Refusals, Total, UsageDay

_SIZES: Final = ("entries", "size_bytes", "value_bytes")


def statistics(parts: Parts, config: CacheConfig, tenant: str | None) -> dict[str, Any]:
    """Counts of this process, and what the store holds and has counted over all of them.

    Of one `tenant`, or of all together.
    """
    parts.usage.flush()

    def is_wanted(counted: Total | UsageDay | Refusals) -> bool:
        return tenant in (None, counted.tenant)

    days = list(filter(is_wanted, parts.store.usage()))
    sums = _Sums()
    for held in filter(is_wanted, parts.store.totals()):
        sizes = (held.entries, held.size_bytes, held.value_bytes)
        sums.add(held.prefix, dict(zip(_SIZES, sizes, strict=True)))
    for day in days:
        sums.add(day.prefix, asdict(day.usage))
    for refused in filter(is_wanted, parts.store.refusals()):
        sums.add_refusals(refused)
    own = parts.usage.of_process()
    return {
        "cache_dir": str(config.cache_dir),
        "memory_entries": len(parts.tier),
        "file_entries": sums.total["entries"],
        "disk_bytes": parts.store.disk_bytes(),
        "max_disk": config.max_disk,
        "since": min((day.day for day in days), default=None),
        "hits": own.hits,
        "misses": own.misses,
        "coalesced": own.coalesced,
        "errors": own.errors,
        "store_pauses": parts.reads.opened + parts.writes.opened,
        "total": _with_rate(sums.total),
        "prefixes": {prefix: _with_rate(some) for prefix, some in sorted(sums.prefixes.items())},
    }


class _Sums:
    """Figures added up, of all and of each prefix; what has no prefix is of all only."""

    def __init__(self) -> None:
        self.total = _empty()
        self.prefixes = defaultdict[str, dict[str, Any]](_empty)

    def add(self, prefix: str, figures: Mapping[str, float]) -> None:
        for sums in self._of(prefix):
            for name, figure in figures.items():
                sums[name] += figure

    def add_refusals(self, refused: Refusals) -> None:
        for sums in self._of(refused.prefix):
            because = sums["not_stored_because"]
            because[refused.reason] = because.get(refused.reason, 0) + refused.times

    def _of(self, prefix: str) -> list[dict[str, Any]]:
        return [self.total, self.prefixes[prefix]] if prefix else [self.total]


def hit_rate(counts: Mapping[str, Any]) -> float | None:
    """The part of hits, stale ones too, in what was asked for, from 0 to 1; None if nothing was.

    What waited for another's generation is left out: it neither hit nor missed.
    """
    hits = counts["hits"] + counts["stale_hits"]
    asked = hits + counts["fallbacks"] + counts["misses"]
    return hits / asked if asked else None


def _with_rate(sums: dict[str, Any]) -> dict[str, Any]:
    return {**sums, "hit_rate": hit_rate(sums)}


def _empty() -> dict[str, Any]:
    return {**dict.fromkeys(_SIZES, 0), **asdict(Counts()), "not_stored_because": {}}
