"""What `get_stats` tells, put together from the store and this process's counts."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from llm_cache.stores.base import Usage

if TYPE_CHECKING:
    from llm_cache.config import CacheConfig
    from llm_cache.steps import Parts


def statistics(parts: Parts, config: CacheConfig) -> dict[str, Any]:
    """Counts of this process, and what the store holds and has counted over all of them."""
    parts.usage.flush()
    days = parts.store.usage()
    prefixes: dict[str, dict[str, Any]] = {}
    for total in parts.store.totals():
        held = prefixes.setdefault(total.prefix, _empty())
        held["entries"] += total.entries
        held["size_bytes"] += total.size_bytes
        held["value_bytes"] += total.value_bytes
    sums: dict[str, Usage] = {}
    for day in days:
        sums.setdefault(day.prefix, Usage()).add(day.usage)
    everything = _empty()
    for prefix, usage in sums.items():
        target = prefixes.setdefault(prefix, _empty()) if prefix else _empty()
        target.update(asdict(usage))
    total_usage = Usage()
    for usage in sums.values():
        total_usage.add(usage)
    for held in prefixes.values():
        for name in ("entries", "size_bytes", "value_bytes"):
            everything[name] += held[name]
    everything.update(asdict(total_usage))
    own = parts.usage.of_process()
    return {
        "cache_dir": str(config.cache_dir),
        "memory_entries": len(parts.tier),
        "file_entries": everything["entries"],
        "disk_bytes": parts.store.disk_bytes(),
        "max_disk": config.max_disk,
        "since": min((day.day for day in days), default=None),
        "hits": own.hits,
        "misses": own.misses,
        "coalesced": own.coalesced,
        "errors": own.errors,
        "store_pauses": parts.reads.opened + parts.writes.opened,
        "total": everything,
        "prefixes": dict(sorted(prefixes.items())),
    }


def _empty() -> dict[str, Any]:
    return {"entries": 0, "size_bytes": 0, "value_bytes": 0, **asdict(Usage())}
