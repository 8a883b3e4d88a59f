"""What a value cost to make: what its generator says, or the value itself by its shape."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast

from llm_cache.core._responses import told_by

if TYPE_CHECKING:
    from llm_cache.core.entry import EntryInfo

T = TypeVar("T")
LONGEST_MODEL: Final = 200
MOST_TOKENS: Final = 10**9
"""Of one generation; sums over all hits have to fit into 63 bits."""
MOST_USD: Final = 1e6
MOST_COUNT: Final = 2**53 - 1
"""Of a sum: what every reader of JSON has exactly. One that has come so far stays there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """What one generation took; None where it is not known.

    Args:
        input_tokens: tokens that went in.
        output_tokens: tokens that came out.
        cost_usd: dollars; worked out from model and tokens where it is left out and prices are
            known.
        model: which model it was.
        cached_tokens: those of `input_tokens` that the provider had in a cache of its own.
    """

    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None
    model: str | None = None
    cached_tokens: int | None = None

    @property
    def lacks_cost(self) -> bool:
        """Whether its cost is not known, and could be worked out from prices."""
        return (
            self.cost_usd is None
            and self.model is not None
            and self.input_tokens is not None
            and self.output_tokens is not None
        )


UNKNOWN: Final = Usage()


@dataclass(frozen=True, slots=True)
class Generated(Generic[T]):
    """What a generator may return in place of the bare value: with what making it took.

    Callers get the value alone.
    """

    value: T
    usage: Usage = UNKNOWN


@dataclass(frozen=True, slots=True)
class Paid:
    """A value, what making it took, and how long; `seconds` is None where nobody measured."""

    value: Any
    usage: Usage
    seconds: float | None


def unwrapped(made: object) -> tuple[Any, Usage]:
    """The value of what a generator returned, and what it took as far as that is told.

    What cannot be (a negative count, a model that is no text) counts as unknown: a value that is
    paid for is never lost over its measures.
    """
    value, said = made, UNKNOWN
    if isinstance(made, Generated):
        told_apart = cast("Generated[object]", made)
        value = told_apart.value
        usage: object = told_apart.usage  # anything: a dataclass checks nothing
        said = usage if isinstance(usage, Usage) else UNKNOWN
    told = told_by(value)
    return value, Usage(
        input_tokens=_first(_count, said.input_tokens, told.input_tokens),
        output_tokens=_first(_count, said.output_tokens, told.output_tokens),
        cost_usd=_dollars(said.cost_usd),
        model=_first(_name, said.model, told.model),
        cached_tokens=_first(_count, said.cached_tokens, told.cached_tokens or None),
    )


def usage_of(entry: EntryInfo) -> Usage:
    """What making an entry took."""
    return Usage(
        input_tokens=entry.input_tokens,
        output_tokens=entry.output_tokens,
        cost_usd=entry.cost_usd,
        model=entry.model,
    )


def with_cost(usage: Usage, cost_usd: float | None) -> Usage:
    """The same, with a cost that was worked out."""
    return replace(usage, cost_usd=_dollars(cost_usd))


def _first(check: Any, *candidates: object) -> Any:
    return next((good for each in candidates if (good := check(each)) is not None), None)


def _count(value: object) -> int | None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
    return value if is_count and isinstance(value, int) else None


def _dollars(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if 0 <= value <= MOST_USD else None


def _name(value: object) -> str | None:
    if not isinstance(value, str) or not value:
        return None
    return value[:LONGEST_MODEL].encode(errors="replace").decode().replace("\0", "?")
