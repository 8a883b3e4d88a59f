"""The policy of a prefix, as one source gives it; the table of all fields of a policy.

Each field is decided by the nearest source that says something: the call, `[prefixes.X]` of the
file, the decorator, `[defaults]` of the file, the built-in values. So what an operator writes in
`cache.toml` overrides what a decorator says, at once and on what is already stored.
"""

from __future__ import annotations

from dataclasses import InitVar, dataclass, fields
from enum import StrEnum
from inspect import iscoroutinefunction
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from llm_cache.core.arguments import refuse_argument
from llm_cache.core.gates import GATES
from llm_cache.core.setting_types import Kind, shown_value, with_args
from llm_cache.core.units import DURATION, FOREVER, Duration, hours_to_seconds
from llm_cache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

Given = TypeVar("Given")
Kept = TypeVar("Kept")
Choice = TypeVar("Choice", bound=StrEnum)

DAY_S: Final = 86_400.0
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


class PolicyError(ConfigError):
    """Fields of a policy are wrong; the message says what is wrong with the first.

    Args:
        wrong: by field, what is wrong and what to write.
    """

    def __init__(self, wrong: Mapping[str, str]) -> None:
        self.wrong: Final = dict(wrong)
        super().__init__(self.wrong)

    def __str__(self) -> str:
        """One line: `ttl: 30 has no unit: write '30s', '30h' or a timedelta`."""
        name, message = next(iter(self.wrong.items()))
        return f"{name}{' ' if message.startswith('is ') else ': '}{message}"


class PolicyField(Generic[Given, Kept]):
    """One field of a policy: everything that is known about it.

    Args:
        words: what it means, for the help of the constructor and the schema of cache.toml.
        kind: what it may be.
        default: what holds where no source says; None if that depends on other settings.
        in_files: whether a file can say it; code can say everything.
    """

    __slots__ = ("default", "in_files", "kind", "words")

    def __init__(
        self, words: str, kind: Kind[Kept], default: Kept | None = None, *, in_files: bool = True
    ) -> None:
        self.words: Final = words
        self.kind: Final = kind
        self.default: Final[Any] = default
        self.in_files: Final = in_files

    # Type checkers take a constructor's argument from __set__, and an attribute from __get__.
    if TYPE_CHECKING:

        def __get__(self, policy: object, owner: type) -> Kept | None: ...
        def __set__(self, policy: object, value: Given | None) -> None: ...

    else:

        def __get__(self, policy: object, owner: type) -> None:
            """Returns the default of the constructor; what it was given lies in the instance."""


def _share(value: object) -> float:
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 <= value <= MOST_JITTER
    ):
        msg = f"{shown_value(value)} is no part of a ttl: write a number from 0 to {MOST_JITTER}"
        raise ValueError(msg)
    return float(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = f"{shown_value(value)} is not a text: write it in quotes"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for every wrong setting
    return value


def one_of(value: object, choices: Collection[str]) -> str:
    """`value` itself; ValueError if it is none of `choices`."""
    if not isinstance(value, str) or value not in choices:
        msg = f"{shown_value(value)} is not supported: write {' or '.join(map(repr, choices))}"
        raise ValueError(msg)
    return value


def _names(value: object) -> tuple[str, ...]:
    given = value
    if isinstance(value, list | tuple | set | frozenset):
        names = cast("Collection[object]", value)
        if all(isinstance(each, str) for each in names):
            return tuple(cast("Collection[str]", names))
    msg = f"{shown_value(given)} is not a list of names: write ['one', 'another']"
    raise ValueError(msg)


def _gates(value: object) -> tuple[str, ...]:
    return tuple(one_of(each, GATES) for each in _names(value))


def _gate(value: object) -> Callable[[Any], bool]:
    if not callable(value):
        msg = f"{shown_value(value)} cannot be called: write a function that takes the value"
        raise ValueError(msg)  # noqa: TRY004 - as above
    if iscoroutinefunction(value):
        msg = f"{shown_value(value)} is async: write a plain function that takes the value"
        raise ValueError(msg)
    return cast("Callable[[Any], bool]", value)


def _choice(enum: type[Choice]) -> Kind[Choice]:
    words = [each.value for each in enum]
    return Kind(lambda value: enum(one_of(value, words)), {"enum": words}, lambda each: each.value)


MOST_JITTER: Final = 0.9
MODE: Final = _choice(Mode)
_NAMES: Final = Kind(_names, {"type": "array", "items": {"type": "string"}}, list)


@dataclass(frozen=True, kw_only=True)
class CachePolicy:
    """What one source says about a prefix; a field left out is decided by the next source.

    The tables `[prefixes.X]` and `[defaults]` of a cache.toml are policies, too. A new field is
    one more here, and one of `Policy`, by which the engine reads it.

    Raises:
        ConfigError: a field is wrong; the message names it.
    """

    ttl: PolicyField[Duration, float] = PolicyField(
        'how long an entry is fresh: "7d", "forever"; 0 means "do not keep"', DURATION, DAY_S
    )
    ttl_jitter: PolicyField[float, float] = PolicyField(
        "by how much of it a ttl may be shorter, so that what was stored together does not expire"
        " together; from 0 to 0.9, decided by the key",
        Kind(_share, {"type": "number", "minimum": 0, "maximum": MOST_JITTER}),
        0.0,
    )
    grace: PolicyField[Duration, float] = PolicyField(
        "how long after its ttl an entry is still served, while one generation refreshes it",
        DURATION,
        0.0,
    )
    stale_if_error: PolicyField[Duration, float] = PolicyField(
        "how long after its ttl an entry is served when the generator fails", DURATION, 0.0
    )
    version: PolicyField[str, str] = PolicyField(
        'the revision of how the content is generated; part of the key. "auto" stands for a'
        " digest of the generator's source",
        Kind(_text, {"type": "string"}),
        "",
    )
    timeout: PolicyField[Duration, float] = PolicyField(
        'how long a generator may run; "forever", the default, for no limit', DURATION, FOREVER
    )
    lock_timeout: PolicyField[Duration, float] = PolicyField(
        "how long a caller waits for another's generation before it generates itself; as timeout,"
        ' and 5 minutes where that is "forever"',
        DURATION,
    )
    mode: PolicyField[str, Mode] = PolicyField("what a request does with the cache", MODE)
    cache_if: PolicyField[Callable[[Any], bool], Callable[[Any], bool]] = PolicyField(
        "called with a generated value; what it returns False for is not stored",
        Kind(_gate, {}),
        in_files=False,
    )
    store_if: PolicyField[Iterable[str], tuple[str, ...]] = PolicyField(
        "names of gates that a value has to pass to be stored",
        Kind(_gates, {"type": "array", "items": {"enum": list(GATES)}}, list),
        (),
    )
    store_params: PolicyField[str, StoreParams] = PolicyField(
        'how much of its params an entry keeps: "full", "redacted" (only the names) or "none"',
        _choice(StoreParams),
        StoreParams.FULL,
    )
    secret_params: PolicyField[Iterable[str], tuple[str, ...]] = PolicyField(
        "names of params that are secrets, beside those that are taken for such", _NAMES, ()
    )
    public_params: PolicyField[Iterable[str], tuple[str, ...]] = PolicyField(
        "names of params that are no secrets, though they are taken for such", _NAMES, ()
    )
    ttl_hours: InitVar[float | None] = None

    def __post_init__(self, ttl_hours: float | None) -> None:
        """Checks every field."""
        values: dict[str, Any] = vars(self)
        wrong: dict[str, str] = {}
        for name, check, value in (
            *((name, field.kind.check, values[name]) for name, field in POLICY_FIELDS.items()),
            ("ttl_hours", hours_to_seconds, ttl_hours),
        ):
            if value is None:
                continue
            try:
                values[name] = check(value)
            except ValueError as error:
                wrong[name] = str(error)
        hours_s = values.pop("ttl_hours", None)
        if ttl_hours is not None and values["ttl"] is not None:
            wrong["ttl_hours"] = "is given beside ttl: keep one of them"
        if wrong:
            raise PolicyError(wrong)
        if hours_s is not None:
            values["ttl"] = hours_s

    def over(self, other: CachePolicy) -> CachePolicy:
        """One policy of two: each field is this one's, or the other's where this says nothing."""
        merged = CachePolicy()
        vars(merged).update({**other.said(), **self.said()})
        return merged

    def said(self) -> dict[str, Any]:
        """The fields that are set, as they are kept; durations in seconds."""
        return {name: value for name, value in vars(self).items() if value is not None}

    def __hash__(self) -> int:
        """Equal for equal policies, also where their gate has no hash: a dataclass, say."""
        values = tuple(self.__dict__.values())
        try:
            return hash(values)
        except TypeError:
            return hash((type(self.cache_if), *(v for v in values if v is not self.cache_if)))

    def __repr__(self) -> str:
        """Only what is set, in the form the constructor takes."""
        shown = (
            f"{name}={POLICY_FIELDS[name].kind.plain(value)!r}"
            for name, value in self.said().items()
        )
        return f"CachePolicy({', '.join(shown)})"


POLICY_FIELDS: Final[Mapping[str, PolicyField[Any, Any]]] = {
    each.name: vars(CachePolicy)[each.name] for each in fields(CachePolicy)
}
"""Every field of a policy by its name: what is true of all is said by a loop over these."""
CachePolicy.__doc__ = with_args(
    CachePolicy.__doc__,
    {name: field.words for name, field in POLICY_FIELDS.items()}
    | {"ttl_hours": "the ttl as a number of hours; not together with `ttl`"},
)
UNSET: Final = CachePolicy()


def check_policy(policy: object) -> CachePolicy:
    """`policy` itself; ConfigError if it is none."""
    if not isinstance(policy, CachePolicy):
        refuse_argument("policy", policy, "CachePolicy(ttl='7d') and such")
    return policy
