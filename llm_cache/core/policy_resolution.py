"""Resolves the policy of a prefix from its sources, field by field."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llm_cache.core.policy import (
    DEFAULT_LOCK_TIMEOUT_S,
    POLICY_FIELDS,
    UNSET,
    CachePolicy,
    Mode,
    StoreParams,
    check_policy,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


BUILTIN_PREFIXES: Final[Mapping[str, CachePolicy]] = {
    "intro_page": CachePolicy(ttl="7d"),
    "word_problem": CachePolicy(ttl="24h"),
}


def lock_timeout_for(timeout_s: float) -> float:
    """How long a caller waits for another's generation, where nobody says."""
    return DEFAULT_LOCK_TIMEOUT_S if math.isinf(timeout_s) else timeout_s


class TtlSource(StrEnum):
    """Which source decided a ttl, or what beside it says how long an entry is served."""

    CALL = "call"
    PREFIX = "prefix"
    DECORATOR = "decorator"
    DEFAULTS = "defaults"
    BUILTIN = "built-in"


class Remembered(NamedTuple):
    """What the code that made an entry said of its retention, beside the ttl; None is nothing."""

    call_ttl_jitter: float | None = None
    decorator_ttl_jitter: float | None = None
    call_grace: float | None = None
    decorator_grace: float | None = None
    call_stale_if_error: float | None = None
    decorator_stale_if_error: float | None = None


NOTHING: Final = Remembered()
"""The one that says nothing, for most entries."""


@dataclass(frozen=True, slots=True)
class Said:
    """What each source says of one field; None where it says nothing."""

    call: float | None = None
    prefix: float | None = None
    decorator: float | None = None
    defaults: float | None = None

    def nearest(
        self, made_with_call: float | None, made_with_decorator: float | None, builtin: float
    ) -> tuple[float, TtlSource]:
        """What holds for an entry that was made with such a call and decorator, and who said it."""
        for value, source in (
            (self.call, TtlSource.CALL),
            (made_with_call, TtlSource.CALL),
            (self.prefix, TtlSource.PREFIX),
            (self.decorator, TtlSource.DECORATOR),
            (made_with_decorator, TtlSource.DECORATOR),
            (self.defaults, TtlSource.DEFAULTS),
        ):
            if value is not None:
                return value, source
        return builtin, TtlSource.BUILTIN


_SILENCE: Final = Said()


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A prefix's policy with every source merged; durations in seconds.

    What decides about retention stays in layers beside, since an entry remembers what the call and
    the decorator said that made it: whoever judges the entry without them (the CLI) must come to
    the same answer. `fresh_only` serves nothing past its ttl, whoever says what of that.
    """

    call_ttl: float | None = None
    prefix_ttl: float | None = None
    decorator_ttl: float | None = None
    defaults_ttl: float | None = None
    builtin_ttl: float = POLICY_FIELDS["ttl"].default
    ttl_jitter: float = POLICY_FIELDS["ttl_jitter"].default
    grace: float = POLICY_FIELDS["grace"].default
    stale_if_error: float = POLICY_FIELDS["stale_if_error"].default
    said_ttl_jitter: Said = _SILENCE
    said_grace: Said = _SILENCE
    said_stale_if_error: Said = _SILENCE
    fresh_only: bool = False
    version: str = POLICY_FIELDS["version"].default
    timeout: float = POLICY_FIELDS["timeout"].default
    lock_timeout: float = DEFAULT_LOCK_TIMEOUT_S
    mode: Mode = Mode.LIVE
    cache_if: Callable[[Any], bool] | None = None
    store_if: tuple[str, ...] = POLICY_FIELDS["store_if"].default
    store_params: StoreParams = POLICY_FIELDS["store_params"].default
    secret_params: tuple[str, ...] = POLICY_FIELDS["secret_params"].default
    public_params: tuple[str, ...] = POLICY_FIELDS["public_params"].default
    keeps: bool = field(init=False)
    """Whether requests may be answered from the cache, or kept in it."""
    remembered: Remembered = field(init=False)
    """What an entry that is made under it remembers."""

    def __post_init__(self) -> None:
        """Works out what every request asks for."""
        object.__setattr__(self, "keeps", self.mode is not Mode.OFF and self.ttl()[0] > 0)
        jitter, grace, fallback = self.said_ttl_jitter, self.said_grace, self.said_stale_if_error
        layers = (
            *(jitter.call, jitter.decorator, grace.call, grace.decorator),
            *(fallback.call, fallback.decorator),
        )
        object.__setattr__(
            self, "remembered", NOTHING if layers == NOTHING else Remembered(*layers)
        )

    def ttl(
        self, made_with_call_ttl: float | None = None, made_with_decorator_ttl: float | None = None
    ) -> tuple[float, TtlSource]:
        """The ttl in seconds, and who decided it, of an entry made with the given ttls."""
        call_ttl = made_with_call_ttl if self.call_ttl is None else self.call_ttl
        if call_ttl is not None:
            return call_ttl, TtlSource.CALL
        if self.prefix_ttl is not None:
            return self.prefix_ttl, TtlSource.PREFIX
        decorator_ttl = (
            made_with_decorator_ttl if self.decorator_ttl is None else self.decorator_ttl
        )
        if decorator_ttl is not None:
            return decorator_ttl, TtlSource.DECORATOR
        if self.defaults_ttl is not None:
            return self.defaults_ttl, TtlSource.DEFAULTS
        return self.builtin_ttl, TtlSource.BUILTIN

    def jitter_of(self, said: Remembered) -> float:
        """By how much of it the ttl of an entry that remembers `said` may be shorter."""
        if said is NOTHING:
            return self.ttl_jitter
        return self.said_ttl_jitter.nearest(
            said.call_ttl_jitter, said.decorator_ttl_jitter, self.ttl_jitter
        )[0]

    def grace_of(self, said: Remembered) -> tuple[float, TtlSource]:
        """Seconds after its ttl that an entry is served while it is refreshed, and who said so."""
        return self.said_grace.nearest(said.call_grace, said.decorator_grace, self.grace)

    def stale_if_error_of(self, said: Remembered) -> tuple[float, TtlSource]:
        """Seconds after its ttl that an entry is served if generating fails, and who said so."""
        return self.said_stale_if_error.nearest(
            said.call_stale_if_error, said.decorator_stale_if_error, self.stale_if_error
        )


@dataclass(frozen=True, slots=True)
class PolicyTable:
    """What the configuration in force says about each prefix.

    `mode` is that of `[cache]`; `mode_of_environment` overrides every mode of a file or a
    decorator, and all others if it is `replay`.
    """

    prefixes: Mapping[str, CachePolicy] = field(default_factory=dict[str, CachePolicy])
    defaults: CachePolicy = UNSET
    mode: Mode = Mode.LIVE
    mode_of_environment: Mode | None = None

    def resolve(
        self,
        prefix: str,
        *,
        call: CachePolicy | None = None,
        decorator: CachePolicy | None = None,
        mode_in_block: Mode | None = None,
    ) -> Policy:
        """The policy of `prefix` for one call, of a function decorated with `decorator`."""
        call = UNSET if call is None else check_policy(call)
        decorator = decorator or UNSET
        from_file = self.prefixes.get(prefix, UNSET)
        nearest = (call, from_file, decorator, self.defaults)
        merged: dict[str, Any] = {}
        for source in reversed(nearest):
            merged |= source.said()
        builtin_ttl = BUILTIN_PREFIXES.get(prefix, UNSET).ttl
        merged["builtin_ttl"] = POLICY_FIELDS["ttl"].default if builtin_ttl is None else builtin_ttl
        merged.setdefault("timeout", POLICY_FIELDS["timeout"].default)
        merged.setdefault("lock_timeout", lock_timeout_for(merged["timeout"]))
        merged["mode"] = self._mode(call.mode, mode_in_block, nearest[1:])

        def said(name: str) -> Said:
            return Said(*(getattr(source, name) for source in nearest))

        merged.pop("ttl", None)
        return Policy(
            call_ttl=call.ttl,
            prefix_ttl=from_file.ttl,
            decorator_ttl=decorator.ttl,
            defaults_ttl=self.defaults.ttl,
            said_ttl_jitter=said("ttl_jitter"),
            said_grace=said("grace"),
            said_stale_if_error=said("stale_if_error"),
            **merged,
        )

    def _mode(
        self, of_call: Mode | None, of_block: Mode | None, others: tuple[CachePolicy, ...]
    ) -> Mode:
        of_environment = self.mode_of_environment
        if of_environment is Mode.REPLAY:
            return of_environment  # no code loosens what a test run is under
        nearest = (of_call, of_block, of_environment, *(source.mode for source in others))
        return next((mode for mode in nearest if mode is not None), self.mode)
