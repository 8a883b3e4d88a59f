"""Parses what a user typed after a flag: prefixes, instants, sizes, params."""

from __future__ import annotations

import json
import math
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from llm_cache.cli.errors import ExitCode, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import click


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class TypedParam:
    """A param that was typed, with every value that may be meant: JSON first, then text.

    `5` may be a number or a text; `"5"`, in quotes of JSON, is the text.
    """

    name: str
    values: tuple[Any, ...]
    typed: str
    _meant: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_meant", frozenset(map(_exact, self.values)))

    @classmethod
    def of(cls, typed: str) -> TypedParam:
        """What `NAME=VALUE` says.

        Raises:
            Failure: it is not of that form.
        """
        name, mark, text = typed.partition("=")
        if not mark or not name:
            raise Failure(
                message=f"'{typed}' is no param",
                hint="write NAME=VALUE, like subject=math",
                code=ExitCode.USAGE,
            )
        try:
            value = json.loads(text, parse_float=_finite, parse_constant=_finite)
        except (ValueError, RecursionError):
            return cls(name, (text,), typed)
        return cls(name, (value,) if isinstance(value, str) else (value, text), typed)

    def is_in(self, params: Mapping[str, object]) -> bool:
        """Whether these params have it, with one of the values and the type of that."""
        return self.name in params and _exact(params[self.name]) in self._meant

    def with_prefix(self, other: TypedParam) -> TypedParam | None:
        """What both say of one param; None if nothing can be both."""
        values = tuple(value for value in self.values if _exact(value) in other._meant)
        narrower = min(self, other, key=lambda param: len(param.values))
        return TypedParam(self.name, values, narrower.typed) if values else None

    def nearest_to(self, params: Mapping[str, object]) -> Any:
        """The value that these params have, if it may be meant; else the first, of that type."""
        there = params.get(self.name)
        same = [value for value in self.values if _exact(value) == _exact(there)]
        alike = [value for value in self.values if type(value) is type(there)]
        return [*same, *alike, *self.values][0]


def _finite(text: str) -> float:
    """A number; ValueError for what JSON has no number for."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _exact(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def only_one(_ctx: click.Context, flag: click.Parameter, typed: tuple[str, ...]) -> str | None:
    """The one value of a flag that may be given once, or several times with the same.

    Raises:
        Failure: two are given, and nothing can be both.
    """
    said = dict.fromkeys(typed)
    if len(said) > 1:
        first, second, *_ = said
        raise Failure(
            message=f"{flag.opts[-1]}: two are given, '{first}' and '{second}'",
            hint="keep one of them",
            code=ExitCode.USAGE,
        )
    return next(iter(said), None)


def prefix_of(typed: str) -> tuple[str | None, str | None]:
    """The prefix that was typed, or what all begin with that were meant by `P*`.

    Raises:
        Failure: a `*` stands elsewhere.
        PrefixError: no prefix is like that.
    """
    from llm_cache.core.keys import check_prefix

    start = typed.removesuffix("*")
    if "*" in start:
        raise Failure(
            message=f"'{typed}': a * can only stand at the end of a prefix",
            hint=f"'{start.partition('*')[0]}*' is all that begin so",
            code=ExitCode.USAGE,
        )
    if start != typed:
        return None, check_prefix(start) if start else ""
    return check_prefix(typed), None


def instant(flag: str, typed: Iterable[str]) -> float | None:
    """The earliest instant that was typed: what is before all of them is before that."""
    from llm_cache.core.units import parse_instant

    now = time.time()
    return min((_read(flag, text, lambda t: parse_instant(t, now)) for text in typed), default=None)


def size(flag: str, typed: Iterable[str]) -> int | None:
    """The largest size that was typed, in bytes."""
    from llm_cache.core.units import parse_size

    return max((_read(flag, text, parse_size) for text in typed), default=None)


def params(typed: Iterable[str]) -> tuple[TypedParam, ...]:
    """The params that were typed.

    Raises:
        Failure: one is none, or two cannot both be true.
    """
    found: dict[str, TypedParam] = {}
    for param in map(TypedParam.of, typed):
        before = found.get(param.name)
        both = param if before is None else before.with_prefix(param)
        if before is not None and both is None:
            raise Failure(
                message=f"'{before.typed}' and '{param.typed}' cannot both be true",
                hint="keep one of them",
                code=ExitCode.USAGE,
            )
        found[param.name] = both or param
    return tuple(found.values())


def _read(flag: str, text: str, parse: Callable[[str], T]) -> T:
    try:
        return parse(text)
    except ValueError as error:
        message, mark, advice = str(error).partition(": write ")
        hint = f"write {advice}" if mark else None
        raise Failure(message=f"{flag}: {message}", hint=hint, code=ExitCode.USAGE) from None
