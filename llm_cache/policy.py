"""How a prefix is treated, and which of several sources decides.

Each field is decided by the nearest source that says something: the call, `[prefixes.X]` of the
file, the decorator, `[defaults]` of the file, the built-in values. So what an operator writes in
`cache.toml` overrides what a decorator says, at once and on what is already stored.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from llm_cache.errors import ConfigError
from llm_cache.units import Duration, format_duration, hours_to_seconds, to_seconds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

DAY_S: Final = 86_400.0
DEFAULT_TTL_S: Final = DAY_S
DEFAULT_TIMEOUT_S: Final = 300.0
_DURATIONS: Final = ("ttl", "grace", "stale_if_error", "timeout", "lock_timeout")


@dataclass(frozen=True, slots=True, init=False)
class CachePolicy:
    """What one source says about a prefix; a field left out is decided by the next source.

    Args:
        ttl: how long an entry is fresh: `"7d"`, a timedelta, `"forever"`; 0 means "do not keep".
        ttl_hours: the same as a number of hours; not together with `ttl`.
        grace: how long after its ttl an entry is still given, while one generation makes it anew.
        stale_if_error: how long after its ttl an entry is given when the generator fails.
        version: the revision of how the content is made; part of the key.
        timeout: how long a generator may run, `"forever"` for no limit.
        lock_timeout: how long a caller waits for another's generation before it makes its own.

    Raises:
        ConfigError: a duration is negative, has no unit, or is over 100 years.
    """

    ttl: float | None
    grace: float | None
    stale_if_error: float | None
    version: str | None
    timeout: float | None
    lock_timeout: float | None

    def __init__(
        self,
        *,
        ttl: Duration | None = None,
        ttl_hours: float | None = None,
        grace: Duration | None = None,
        stale_if_error: Duration | None = None,
        version: str | None = None,
        timeout: Duration | None = None,
        lock_timeout: Duration | None = None,
    ) -> None:
        if ttl is not None and ttl_hours is not None:
            msg = "ttl and ttl_hours are both given: keep one of them"
            raise ConfigError(msg)
        if version is not None and not isinstance(version, str):
            msg = f"version={version!r} is not a str: write it as text"
            raise ConfigError(msg)
        put = object.__setattr__
        seconds = _seconds("ttl", ttl)
        put(self, "ttl", _hours(ttl_hours) if seconds is None else seconds)
        put(self, "grace", _seconds("grace", grace))
        put(self, "stale_if_error", _seconds("stale_if_error", stale_if_error))
        put(self, "version", version)
        put(self, "timeout", _seconds("timeout", timeout))
        put(self, "lock_timeout", _seconds("lock_timeout", lock_timeout))

    def over(self, other: CachePolicy) -> CachePolicy:
        """One policy of two: each field is this one's, or the other's where this says nothing."""
        merged = CachePolicy()
        for name in (*_DURATIONS, "version"):
            own = getattr(self, name)
            object.__setattr__(merged, name, getattr(other, name) if own is None else own)
        return merged

    def __repr__(self) -> str:
        """Only what is set, in the form the constructor takes."""
        shown = [
            f"{name}={format_duration(seconds)!r}"
            for name in _DURATIONS
            if (seconds := getattr(self, name)) is not None
        ]
        if self.version is not None:
            shown.append(f"version={self.version!r}")
        return f"CachePolicy({', '.join(shown)})"


def _seconds(name: str, value: Duration | None) -> float | None:
    if value is None:
        return None
    try:
        return to_seconds(value)
    except ValueError as error:
        msg = f"{name}: {error}"
        raise ConfigError(msg) from None


def _hours(value: float | None) -> float | None:
    if value is None:
        return None
    try:
        return hours_to_seconds(value)
    except ValueError as error:
        msg = f"ttl_hours: {error}"
        raise ConfigError(msg) from None


UNSET: Final = CachePolicy()
BUILTIN_PREFIXES: Final[Mapping[str, CachePolicy]] = {
    "intro_page": CachePolicy(ttl="7d"),
    "word_problem": CachePolicy(ttl="24h"),
}


class TtlSource(StrEnum):
    """Which source decided a ttl."""

    CALL = "call"
    PREFIX = "prefix"
    DECORATOR = "decorator"
    DEFAULTS = "defaults"
    BUILTIN = "built-in"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """A prefix's policy with every source merged; durations in seconds.

    The ttl stays in layers, since an entry remembers the ttl of the call and of the decorator that
    made it: whoever judges the entry without them (the CLI) must come to the same answer.
    """

    call_ttl: float | None = None
    prefix_ttl: float | None = None
    decorator_ttl: float | None = None
    defaults_ttl: float | None = None
    builtin_ttl: float = DEFAULT_TTL_S
    grace: float = 0.0
    stale_if_error: float = 0.0
    version: str = ""
    timeout: float = DEFAULT_TIMEOUT_S
    lock_timeout: float = DEFAULT_TIMEOUT_S

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

    @property
    def kept_after_ttl(self) -> float:
        """Seconds an entry is retained beyond its ttl."""
        return max(self.grace, self.stale_if_error)


@dataclass(frozen=True, slots=True)
class PolicyTable:
    """What the configuration in force says about each prefix."""

    prefixes: Mapping[str, CachePolicy] = field(default_factory=dict[str, CachePolicy])
    defaults: CachePolicy = UNSET

    def resolve(
        self, prefix: str, *, call: CachePolicy | None = None, decorator: CachePolicy | None = None
    ) -> Policy:
        """The policy of `prefix` for one call, of a function decorated with `decorator`."""
        call, decorator = call or UNSET, decorator or UNSET
        from_file = self.prefixes.get(prefix, UNSET)
        nearest = (call, from_file, decorator, self.defaults)
        timeout = _first((source.timeout for source in nearest), DEFAULT_TIMEOUT_S)
        builtin = BUILTIN_PREFIXES.get(prefix, UNSET).ttl
        return Policy(
            call_ttl=call.ttl,
            prefix_ttl=from_file.ttl,
            decorator_ttl=decorator.ttl,
            defaults_ttl=self.defaults.ttl,
            builtin_ttl=DEFAULT_TTL_S if builtin is None else builtin,
            grace=_first((source.grace for source in nearest), 0.0),
            stale_if_error=_first((source.stale_if_error for source in nearest), 0.0),
            version=next((s.version for s in nearest if s.version is not None), ""),
            timeout=timeout,
            lock_timeout=_first((source.lock_timeout for source in nearest), timeout),
        )


def _first(candidates: Iterable[float | None], otherwise: float) -> float:
    return next((seconds for seconds in candidates if seconds is not None), otherwise)
