"""What a user typed after a flag, read: prefixes, instants, sizes, params."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.select.params import TypedParam

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import click

T = TypeVar("T")


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
        both = param if before is None else before.narrowed(param)
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
