"""What one source says about a prefix: a policy.

Each field is decided by the nearest source that says something: the call, `[prefixes.X]` of the
file, the decorator, `[defaults]` of the file, the built-in values. So what an operator writes in
`cache.toml` overrides what a decorator says, at once and on what is already stored.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from inspect import iscoroutinefunction
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, cast

from llm_cache.core.arguments import refuse_argument
from llm_cache.core.gates import GATES
from llm_cache.core.units import FOREVER, Duration, format_duration, hours_to_seconds, to_seconds
from llm_cache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

DAY_S: Final = 86_400.0
DEFAULT_TTL_S: Final = DAY_S
DEFAULT_TIMEOUT_S: Final = FOREVER
"""An answer that takes long is paid for all the same, and wanted."""
DEFAULT_LOCK_TIMEOUT_S: Final = 300.0
"""Where the timeout is `forever`; else it is that of the generator."""
AUTO_VERSION: Final = "auto"
"""Stands for a digest of the source of the function that generates."""


class Mode(StrEnum):
    """What a request does with the cache."""

    LIVE = "live"
    """Answers from it, and generates what is missing."""
    REFRESH = "refresh"
    """Generates, and keeps that in place of what is there."""
    REPLAY = "replay"
    """Answers from it, whatever the age, and never generates."""
    OFF = "off"
    """Generates, and leaves the cache alone."""


class StoreParams(StrEnum):
    """How much of its params an entry keeps; secrets are redacted in any case."""

    FULL = "full"
    REDACTED = "redacted"
    """Only their names."""
    NONE = "none"


@dataclass(frozen=True, slots=True, init=False)
class CachePolicy:
    """What one source says about a prefix; a field left out is decided by the next source.

    Args:
        ttl: how long an entry is fresh: `"7d"`, a timedelta, `"forever"`; 0 means "do not keep".
        ttl_hours: the same as a number of hours; not together with `ttl`.
        ttl_jitter: by how much of it a ttl may be shorter, so that what was made together does
            not expire together; from 0 to 0.9, decided by the key.
        grace: how long after its ttl an entry is still given, while one generation makes it anew.
        stale_if_error: how long after its ttl an entry is given when the generator fails.
        version: the revision of how the content is made; part of the key. `"auto"` stands for a
            digest of the source of the function that makes it.
        timeout: how long a generator may run; `"forever"`, the default, for no limit.
        lock_timeout: how long a caller waits for another's generation before it makes its own; as
            `timeout`, and 5 minutes where that is `"forever"`.
        mode: `"live"`, `"refresh"`, `"replay"` or `"off"`.
        cache_if: called with a value that was made; what it returns False for is not kept.
        store_if: names of gates that a value has to pass to be kept: `"not_empty"`,
            `"not_truncated"`, `"not_filtered"`, `"not_refused"`.
        store_params: how much of its params an entry keeps: `"full"`, `"redacted"` (only the
            names) or `"none"`.
        secret_params: names of params that are secrets, beside those that are taken for such.
        public_params: names of params that are none, though they are taken for such.

    Raises:
        ConfigError: a field is wrong; the message names it.
    """

    ttl: float | None
    ttl_jitter: float | None
    grace: float | None
    stale_if_error: float | None
    version: str | None
    timeout: float | None
    lock_timeout: float | None
    mode: Mode | None
    cache_if: Callable[[Any], bool] | None
    store_if: tuple[str, ...] | None
    store_params: StoreParams | None
    secret_params: tuple[str, ...] | None
    public_params: tuple[str, ...] | None

    def __init__(  # noqa: PLR0913 - as many as there are fields
        self,
        *,
        ttl: Duration | None = None,
        ttl_hours: float | None = None,
        ttl_jitter: float | None = None,
        grace: Duration | None = None,
        stale_if_error: Duration | None = None,
        version: str | None = None,
        timeout: Duration | None = None,
        lock_timeout: Duration | None = None,
        mode: str | None = None,
        cache_if: Callable[[Any], bool] | None = None,
        store_if: Iterable[str] | None = None,
        store_params: str | None = None,
        secret_params: Iterable[str] | None = None,
        public_params: Iterable[str] | None = None,
    ) -> None:
        if ttl is not None and ttl_hours is not None:
            msg = "ttl and ttl_hours are both given: keep one of them"
            raise ConfigError(msg)
        given: dict[str, Any] = {
            "ttl": ttl,
            "ttl_jitter": ttl_jitter,
            "grace": grace,
            "stale_if_error": stale_if_error,
            "version": version,
            "timeout": timeout,
            "lock_timeout": lock_timeout,
            "mode": mode,
            "cache_if": cache_if,
            "store_if": store_if,
            "store_params": store_params,
            "secret_params": secret_params,
            "public_params": public_params,
        }
        for name, value in given.items():
            checked = None if value is None else _CHECKS[name](name, value)
            object.__setattr__(self, name, checked)
        if ttl_hours is not None:
            object.__setattr__(self, "ttl", _hours("ttl_hours", ttl_hours))

    def over(self, other: CachePolicy) -> CachePolicy:
        """One policy of two: each field is this one's, or the other's where this says nothing."""
        merged = CachePolicy()
        for name in POLICY_FIELDS:
            own = getattr(self, name)
            object.__setattr__(merged, name, getattr(other, name) if own is None else own)
        return merged

    def said(self) -> dict[str, Any]:
        """The fields that are set, as the constructor takes them; durations exact."""
        values = {name: getattr(self, name) for name in POLICY_FIELDS}
        return {name: value for name, value in values.items() if value is not None}

    def __hash__(self) -> int:
        """Equal for equal policies, also where their gate has no hash: a dataclass, say."""
        values = _values(self)
        try:
            return hash(values)
        except TypeError:
            return hash((type(self.cache_if), *(v for v in values if v is not self.cache_if)))

    def __repr__(self) -> str:
        """Only what is set, in the form the constructor takes."""
        shown = (f"{name}={_shown(name, value)!r}" for name, value in self.said().items())
        return f"CachePolicy({', '.join(shown)})"


def _shown(name: str, value: Any) -> Any:  # noqa: ANN401 - as varied as the fields
    if name in DURATIONS:
        return format_duration(value)
    return value.value if isinstance(value, StrEnum) else value


def _seconds(name: str, value: Duration) -> float:
    try:
        return to_seconds(value)
    except ValueError as error:
        msg = f"{name}: {error}"
        raise ConfigError(msg) from None


def _hours(name: str, value: float) -> float:
    try:
        return hours_to_seconds(value)
    except ValueError as error:
        msg = f"{name}: {error}"
        raise ConfigError(msg) from None


def _share(name: str, value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= MOST_JITTER
    ):
        msg = f"{name}={value!r} is no part of a ttl: write a number from 0 to {MOST_JITTER}"
        raise ConfigError(msg)
    return float(value)


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        msg = f"{name}={value!r} is not a str: write it as text"
        raise ConfigError(msg)
    return value


def _mode(name: str, value: object) -> Mode:
    return Mode(one_of(name, value, tuple(Mode)))


def _store_params(name: str, value: object) -> StoreParams:
    return StoreParams(one_of(name, value, tuple(StoreParams)))


def one_of(name: str, value: object, choices: Iterable[str]) -> str:
    """`value` itself; ConfigError if it is none of `choices`."""
    listed = [str(choice) for choice in choices]
    if not isinstance(value, str) or value not in listed:
        msg = f"{name}={value!r} is not supported: write {' or '.join(map(repr, listed))}"
        raise ConfigError(msg)
    return value


def _names(name: str, value: object) -> tuple[str, ...]:
    names = cast("list[object]", value)
    if not isinstance(value, list | tuple | set | frozenset) or not all(
        isinstance(each, str) for each in names
    ):
        msg = f"{name}={value!r} is not a list of names: write {name}=('one', 'another')"
        raise ConfigError(msg)
    return tuple(cast("list[str]", names))


def _gates(name: str, value: object) -> tuple[str, ...]:
    return tuple(one_of(name, each, GATES) for each in _names(name, value))


def _callable(name: str, value: object) -> object:
    if not callable(value):
        msg = f"{name}={value!r} cannot be called: write a function that takes the value"
        raise ConfigError(msg)
    if iscoroutinefunction(value):
        msg = f"{name}={value!r} is async: write a plain function that takes the value"
        raise ConfigError(msg)
    return value


MOST_JITTER: Final = 0.9
_CHECKS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "ttl": _seconds,
    "ttl_jitter": _share,
    "grace": _seconds,
    "stale_if_error": _seconds,
    "version": _text,
    "timeout": _seconds,
    "lock_timeout": _seconds,
    "mode": _mode,
    "cache_if": _callable,
    "store_if": _gates,
    "store_params": _store_params,
    "secret_params": _names,
    "public_params": _names,
}
POLICY_FIELDS: Final = tuple(_CHECKS)
DURATIONS: Final = tuple(name for name, check in _CHECKS.items() if check is _seconds)
_values: Final = attrgetter(*POLICY_FIELDS)
UNSET: Final = CachePolicy()


def check_policy(policy: object) -> CachePolicy:
    """`policy` itself; ConfigError if it is none."""
    if not isinstance(policy, CachePolicy):
        refuse_argument("policy", policy, "CachePolicy(ttl='7d') and such")
    return policy
