"""What is known about one entry beyond itself: its ttl and who decided it, and what it saved."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_cache.cli.listing import state_of
from llm_cache.policy_table import TtlSource
from llm_cache.units import FOREVER

if TYPE_CHECKING:
    from llm_cache.cache import LLMCache
    from llm_cache.config import CacheConfig
    from llm_cache.entry import Entry


@dataclass(frozen=True, slots=True)
class Provenance:
    """An entry, with what the configuration says of it; instants and durations in seconds."""

    entry: Entry
    state: str
    ttl: float
    ttl_source: TtlSource
    ttl_origin: str
    expires_at: float
    now: float

    @classmethod
    def of(cls, entry: Entry, cache: LLMCache, config: CacheConfig) -> Provenance:
        """What is known about `entry` now."""
        ttl, source = cache.ttl_of(entry)
        return cls(
            entry=entry,
            state=state_of(cache, entry),
            ttl=ttl,
            ttl_source=source,
            ttl_origin=_origin(entry.prefix, source, config),
            expires_at=cache.expires_at(entry),
            now=time.time(),
        )

    @property
    def saved_seconds(self) -> float | None:
        """How long its hits would have waited without it."""
        seconds = self.entry.generation_seconds
        return None if seconds is None else seconds * self.entry.hits

    @property
    def saved_usd(self) -> float | None:
        """What its hits would have cost without it."""
        return None if self.entry.cost_usd is None else self.entry.cost_usd * self.entry.hits

    def as_json(self) -> dict[str, object]:
        """The same for a program; null for no end and for what is not known."""
        return {
            "ttl_seconds": None if self.ttl == FOREVER else self.ttl,
            "ttl_source": self.ttl_source.value,
            "ttl_origin": self.ttl_origin,
            "saved_seconds": self.saved_seconds,
            "saved_usd": self.saved_usd,
            "encoding": self.entry.encoding,
            "redacted": self.entry.redacted,
        }


def _origin(prefix: str, source: TtlSource, config: CacheConfig) -> str:
    """Where a ttl was decided: `cache.toml:14 [prefixes.intro_page]`, `the call`, `built-in`."""
    from llm_cache.config.problems import dotted

    match source:
        case TtlSource.CALL | TtlSource.DECORATOR:
            return f"the {source.value}"
        case TtlSource.BUILTIN:
            return source.value
        case TtlSource.PREFIX | TtlSource.DEFAULTS:
            path = ("prefixes", prefix) if source is TtlSource.PREFIX else ("defaults",)
            return f"{config.origin(dotted((*path, 'ttl')))} [{dotted(path)}]"
