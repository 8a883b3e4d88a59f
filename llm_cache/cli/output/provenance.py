"""Resolves what applies to an entry: its ttl and the setting it came from, and what it saved."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_cache.cli.output.entries import state_of
from llm_cache.cli.output.formatting import iso
from llm_cache.core.freshness import Freshness, share_of
from llm_cache.core.policy import POLICY_FIELDS
from llm_cache.core.policy_resolution import TtlSource
from llm_cache.core.units import DURATION, FOREVER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_cache.api.cache import LLMCache
    from llm_cache.config import CacheConfig
    from llm_cache.core.entry import Entry
    from llm_cache.core.policy_resolution import Policy


@dataclass(frozen=True, slots=True)
class Extension:
    """How long an entry is still served past its ttl, by which setting, and where that was set."""

    state: Freshness
    until: float
    setting: str
    seconds: float
    origin: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """An entry, with what the configuration says of it; instants and durations in seconds."""

    entry: Entry
    state: str
    policy: Policy
    ttl: float
    ttl_source: TtlSource
    ttl_origin: str
    expires_at: float
    given: tuple[Extension, ...]
    now: float

    @classmethod
    def of(cls, entry: Entry, cache: LLMCache, config: CacheConfig) -> Provenance:
        """What is known about `entry` now."""
        ttl, source = cache.ttl_of(entry)
        policy = cache.policy_of(entry.prefix)
        expires_at = cache.expires_at(entry)
        return cls(
            entry=entry,
            state=state_of(cache, entry),
            policy=policy,
            ttl=ttl,
            ttl_source=source,
            ttl_origin=_origin(entry.prefix, "ttl", source, config),
            expires_at=expires_at,
            given=tuple(_extensions_of(entry, policy, expires_at, config)) if ttl > 0 else (),
            now=time.time(),
        )

    @property
    def jitter_seconds(self) -> float:
        """By how much its ttl is shorter, so that not all end together."""
        if self.ttl == FOREVER:
            return 0.0
        return self.ttl * self.policy.jitter_of(self.entry.remembered) * share_of(self.entry.key)

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
        until = {given.state: iso(given.until) for given in self.given}
        origins = {given.state: given.origin for given in self.given}
        return {
            "ttl_seconds": None if self.ttl == FOREVER else self.ttl,
            "ttl_source": self.ttl_source.value,
            "ttl_origin": self.ttl_origin,
            "stale_until": until.get(Freshness.STALE),
            "fallback_until": until.get(Freshness.FALLBACK),
            "stale_origin": origins.get(Freshness.STALE),
            "fallback_origin": origins.get(Freshness.FALLBACK),
            "policy": _policy_as_json(self.policy),
            "call_ttl_seconds": _as_json(self.entry.call_ttl),
            "decorator_ttl_seconds": _as_json(self.entry.decorator_ttl),
            **_remembered_as_json(self.entry),
            "saved_seconds": self.saved_seconds,
            "saved_usd": self.saved_usd,
            "encoding": self.entry.encoding,
            "redacted": self.entry.redacted,
            "request": self.entry.request.hex(),
        }


def _extensions_of(
    entry: Entry, policy: Policy, expires_at: float, config: CacheConfig
) -> Iterator[Extension]:
    """How long an entry is served past its ttl, the first to end first."""
    if expires_at == FOREVER:
        return
    given_s = 0.0
    for state, setting, (seconds, source) in (
        (Freshness.STALE, "grace", policy.grace_of(entry.remembered)),
        (Freshness.FALLBACK, "stale_if_error", policy.stale_if_error_of(entry.remembered)),
    ):
        if seconds > given_s:
            origin = _origin(entry.prefix, setting, source, config)
            yield Extension(state, expires_at + seconds, setting, seconds, origin)
            given_s = seconds


def _remembered_as_json(entry: Entry) -> dict[str, object]:
    """What the code that made an entry said of its retention, beside the ttls."""
    said = entry.remembered._asdict()
    return {
        name if name.endswith("jitter") else f"{name}_seconds": _as_json(value)
        for name, value in said.items()
    }


def _policy_as_json(policy: Policy) -> dict[str, object]:
    """What applies to a prefix beside the ttl."""
    return {
        f"{name}_seconds" if field.kind is DURATION else name: _as_json(getattr(policy, name))
        if field.kind is DURATION
        else field.kind.plain(getattr(policy, name))
        for name, field in POLICY_FIELDS.items()
        if field.in_files and name != "ttl"
    }


def _as_json(seconds: float | None) -> float | str | None:
    """Seconds for a program, where null means that nothing was said."""
    return "forever" if seconds == FOREVER else seconds


def _origin(prefix: str, setting: str, source: TtlSource, config: CacheConfig) -> str:
    """Where a setting was decided: `the call`, `cache.toml:14 [prefixes.intro_page]` and so on."""
    from llm_cache.config.problems import dotted

    if source in {TtlSource.CALL, TtlSource.DECORATOR}:
        return f"the {source.value}"
    if source is TtlSource.BUILTIN:
        return source.value
    path = ("prefixes", prefix) if source is TtlSource.PREFIX else ("defaults",)
    return f"{config.origin(dotted((*path, setting)))} [{dotted(path)}]"
