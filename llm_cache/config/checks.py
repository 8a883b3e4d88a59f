"""What one value of the configuration may be.

Each check takes anything and returns it understood, or raises ValueError with what is wrong and
what to write instead.
"""

from __future__ import annotations

import math
import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast

from llm_cache.config.problems import shortened, shown_value
from llm_cache.core.keys import check_prefix, check_tenant
from llm_cache.core.policy import CachePolicy
from llm_cache.core.units import (
    check_seconds,
    format_duration,
    hours_to_seconds,
    parse_duration,
    parse_size,
    to_seconds,
)
from llm_cache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

LARGEST_SIZE_BYTES: Final = 2**60
LONGEST_TEXT_CHARS: Final = 1000
MESSAGE_CHARS: Final = 200
DURATION_SAMPLES: Final = "a text like '90s', '1h30m', '7d' or 'forever'"

_DOLLAR: Final = re.compile(r"\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\}|)", re.ASCII)
_GENERATE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")
_RATE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*/\s*([a-zA-Z]+)", re.ASCII)
_RATE_UNIT_S: Final = {
    **dict.fromkeys(("s", "sec", "second"), 1),
    **dict.fromkeys(("m", "min", "minute"), 60),
    **dict.fromkeys(("h", "hour"), 3600),
}
_SIZE_UNITS: Final = (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


def is_table(value: object) -> TypeGuard[dict[str, object]]:
    """Whether `value` is a table of a file, or the dict that code gives for one."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[object]]:
    """Whether `value` is an array of a file, or the list that code gives for one."""
    return isinstance(value, list)


def anything(value: object) -> object:
    """Whatever it is."""
    return value


def name(value: object) -> str:
    """A name in a table."""
    if not isinstance(value, str):
        raise _wrong(value, "a name", "it in quotes")
    return value


def switch(value: object) -> bool:
    """True or false, and nothing that resembles it."""
    if not isinstance(value, bool):
        raise _wrong(value, "a switch", "true or false")
    return value


def count(low: int, high: int) -> Callable[[object], int]:
    """A check for a whole number from `low` to `high`."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong(value, "a whole number", f"one from {low} to {high}")
        if not low <= value <= high:
            msg = f"{shown_value(value)} is out of range: write a number from {low} to {high}"
            raise ValueError(msg)
        return value

    return check


def size(low_bytes: int) -> Callable[[object], int]:
    """A check for a size of at least `low_bytes`, as a number of bytes or as text."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str) or _is_long(value):
            raise _wrong(value, "a size", "bytes, or a text like '64MiB'")
        try:
            size_bytes = parse_size(value)
        except ValueError as error:
            raise _ours(error) from None
        if size_bytes > LARGEST_SIZE_BYTES:
            msg = f"{shown_value(value)} is too much: at most {size_text(LARGEST_SIZE_BYTES)}"
            raise ValueError(msg)
        if size_bytes < low_bytes:
            msg = f"{shown_value(value)} is too little: at least {size_text(low_bytes)}"
            raise ValueError(msg)
        return size_bytes

    return check


def seconds(value: object) -> float | None:
    """A duration in seconds, infinite for `"forever"`; None stays None."""
    if value is None:
        return None
    if _is_long(value) or isinstance(value, bool):
        raise _wrong(value, "a duration", DURATION_SAMPLES)
    if not isinstance(value, str | int | float | timedelta):
        raise _wrong(value, "a duration", DURATION_SAMPLES)
    try:
        if isinstance(value, int | float):
            check_seconds(value, shown=shown_value(value))
        return to_seconds(value)
    except OverflowError:
        msg = f"{shown_value(value)} is over 100 years: write 'forever' for no end"
        raise ValueError(msg) from None
    except ValueError as error:
        raise _ours(error) from None


def hours(value: object) -> float:
    """A plain number of hours, in seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(value, "a number of hours", "one like 168, or ttl = '7d'")
    try:
        return hours_to_seconds(value)
    except ValueError as error:
        raise _ours(error) from None


def text(value: object) -> str | None:
    """Text; None stays None."""
    if value is not None and not isinstance(value, str):
        raise _wrong(value, "a text", "it in quotes")
    return value


def seconds_between(shortest_s: float, longest_s: float) -> Callable[[object], float]:
    """A check for a duration that is neither shorter nor longer."""

    def check(value: object) -> float:
        duration_s = seconds(value)
        if duration_s is None or not shortest_s <= duration_s <= longest_s:
            low, high = duration_text(shortest_s), duration_text(longest_s)
            msg = f"{shown_value(value)} is out of range: write one from '{low}' to '{high}'"
            raise ValueError(msg)
        return duration_s

    return check


def one_of(*choices: str) -> Callable[[object], str]:
    """A check for one of a few words."""
    listed = " or ".join(repr(choice) for choice in choices)

    def check(value: object) -> str:
        if not isinstance(value, str) or value not in choices:
            raise _wrong(value, "supported", listed)
        return value

    return check


def price(value: object) -> float:
    """Dollars for a million tokens."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise _wrong(value, "a price", "dollars for a million tokens, like 0.15")
    return float(value)


def tenant(value: object) -> str:
    """A tenant's name, empty for the default one."""
    if not isinstance(value, str):
        raise _wrong(value, "a tenant", "its name in quotes")
    return check_tenant(value)


def policy_field(name: str) -> Callable[[object], Any]:
    """A check for a field that is the same in a file as in a `CachePolicy`; None stays None."""

    def check(value: object) -> object:
        try:
            policy = CachePolicy(**cast("dict[str, Any]", {name: value}))
        except ConfigError as error:
            message = str(error).removeprefix(f"{name}=")
            raise ValueError(shortened(message, MESSAGE_CHARS)) from None
        return getattr(policy, name)

    return check


def path(value: object, environ: Mapping[str, str] | None = None) -> Path:
    """A path; `~` and `~user` at its beginning and `$NAME` within it are understood.

    Variables are those of `environ`, of the process by default; `$$` stands for a dollar. An
    absolute `Path` is taken as it is: code made it, and a dollar in it may be a real one.
    """
    if not isinstance(value, str | Path):
        raise _wrong(value, "a path", "it in quotes")
    name = str(value)
    if not name or "\0" in name:
        raise _wrong(name, "a path", "the name of a file or directory")
    if isinstance(value, Path) and value.is_absolute():
        return value
    if not name.startswith("~"):
        return Path(_with_variables(name, environ))
    whose, slash, below = name.partition("/")  # a home directory may have a dollar in its name
    try:
        home = Path(whose).expanduser()
    except RuntimeError:
        msg = f"{shown_value(name)}: there is no such user, or no home directory"
        raise ValueError(msg) from None
    return home / _with_variables(below, environ) if slash else home


def _with_variables(text: str, environ: Mapping[str, str] | None) -> str:
    """`text` with what the environment says for each `$NAME`; ValueError if it says nothing."""
    variables = os.environ if environ is None else environ

    def said(found: re.Match[str]) -> str:
        name = found[1] or found[2]
        if found[0] == "$$":
            return "$"
        if not name:
            msg = f"{shown_value(text)} has a $ that names no variable: write $$ for a dollar"
            raise ValueError(msg)
        value = variables.get(name)
        if not value:
            msg = (
                f"{shown_value(text)} names the variable {name}, which is not set: "
                "set it, or write $$ for a dollar"
            )
            raise ValueError(msg)
        return value

    return _DOLLAR.sub(said, text)


def prefix_name(value: object) -> str:
    """A prefix, as keys take it."""
    if not isinstance(value, str):
        raise _wrong(value, "a prefix", "it in quotes")
    return check_prefix(value)


def generator_name(value: object) -> str:
    """The place of a function: `module.path:function`."""
    if not isinstance(value, str) or not _GENERATE.fullmatch(value):
        raise _wrong(value, "a function", "'module.path:function'")
    return value


def rate_text(value: object) -> str | None:
    """How many calls in which time, `"10/s"`; None stays None."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise _wrong(value, "a rate", "a text like '10/s' or '60/min'")
    calls_per_second(value)
    return value


def calls_per_second(rate: str) -> float:
    """Calls a second in a rate like `"60/min"`."""
    found = _RATE.fullmatch(rate.strip())
    unit_s = None if found is None else _RATE_UNIT_S.get(found[2].lower())
    if found is None or unit_s is None or float(found[1]) == 0:
        raise _wrong(rate, "a rate", "a number above 0 and a time, like '10/s' or '60/min'")
    if found[2] == "M":  # as in durations
        msg = f"{shown_value(rate)} may be of a minute or of a month: write '{found[1]}/min'"
        raise ValueError(msg)
    return float(found[1]) / unit_s


def size_text(size_bytes: int) -> str | int:
    """Exactly `size_bytes`, in the largest unit that needs no fraction."""
    for unit, factor in _SIZE_UNITS:
        if size_bytes and size_bytes % factor == 0:
            return f"{size_bytes // factor}{unit}"
    return size_bytes


def duration_text(duration_s: float) -> str:
    """Exactly `duration_s` as `seconds` reads it, however odd a number it is."""
    whole_hours, rest_s = divmod(duration_s, 3600)
    if not rest_s and 1 <= whole_hours < 48:  # noqa: PLR2004 - "24h" says more than "1d"
        return f"{whole_hours:.0f}h"
    shown = format_duration(duration_s)
    if math.isinf(duration_s) or parse_duration(shown) == duration_s:
        return shown
    from decimal import Decimal

    return f"{Decimal(repr(duration_s)):f}s"


def _is_long(value: object) -> bool:
    """Whether `value` is more text than any size or duration needs: Python may not read it."""
    return isinstance(value, str) and len(value) > LONGEST_TEXT_CHARS


def _wrong(value: object, expected: str, instead: str) -> ValueError:
    return ValueError(f"{shown_value(value)} is not {expected}: write {instead}")


def _ours(error: ValueError) -> ValueError:
    message = shortened(str(error), MESSAGE_CHARS)
    return ValueError(f"{message}: write 0 or more" if message.endswith("negative") else message)
