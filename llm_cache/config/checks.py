"""The kinds of values that settings have, and their checks."""

from __future__ import annotations

import math
import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeGuard

from llm_cache.core.keys import check_prefix, check_tenant
from llm_cache.core.policy import one_of
from llm_cache.core.setting_types import Kind, shown_value
from llm_cache.core.units import DURATION, format_duration, parse_size, to_seconds

if TYPE_CHECKING:
    from collections.abc import Mapping

LARGEST_SIZE_BYTES: Final = 2**60
LONGEST_TEXT_CHARS: Final = 1000

_DOLLAR: Final = re.compile(r"\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\}|)", re.ASCII)
_GENERATE: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*:[^\W\d]\w*")
_RATE: Final = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)\s*/\s*([a-zA-Z]+)", re.ASCII)
_RATE_UNIT_S: Final = {
    **dict.fromkeys(("s", "sec", "second"), 1),
    **dict.fromkeys(("m", "min", "minute"), 60),
    **dict.fromkeys(("h", "hour"), 3600),
}
_SIZE_TEXT: Final = {
    "type": "string",
    "pattern": r"^\s*[0-9]+(\.[0-9]+)?\s*([KMGTkmgt][Ii]?)?[Bb]\s*$",
}
_SIZE_UNITS: Final = (("TiB", 1024**4), ("GiB", 1024**3), ("MiB", 1024**2), ("KiB", 1024))


def is_table(value: object) -> TypeGuard[dict[str, object]]:
    """Whether `value` is a table of a file, or the dict that code gives for one."""
    return isinstance(value, dict)


def is_array(value: object) -> TypeGuard[list[object]]:
    """Whether `value` is an array of a file, or the list that code gives for one."""
    return isinstance(value, list)


ANYTHING: Final[Kind[object]] = Kind(lambda value: value, {})


def _name(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(value, "a name", "it in quotes")
    return value


NAME: Final = Kind(_name, {"type": "string"})


def _switch(value: object) -> bool:
    if not isinstance(value, bool):
        raise _wrong(value, "a switch", "true or false")
    return value


SWITCH: Final = Kind(_switch, {"type": "boolean"})


def count(low: int, high: int) -> Kind[int]:
    """A whole number from `low` to `high`."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int):
            raise _wrong(value, "a whole number", f"one from {low} to {high}")
        if not low <= value <= high:
            msg = f"{shown_value(value)} is out of range: write a number from {low} to {high}"
            raise ValueError(msg)
        return value

    return Kind(check, {"type": "integer", "minimum": low, "maximum": high})


def size(low_bytes: int) -> Kind[int]:
    """A size of at least `low_bytes`, as a number of bytes or as text."""

    def check(value: object) -> int:
        if isinstance(value, bool) or not isinstance(value, int | str) or _is_long(value):
            raise _wrong(value, "a size", "bytes, or a text like '64MiB'")
        size_bytes = parse_size(value)
        if size_bytes > LARGEST_SIZE_BYTES:
            msg = f"{shown_value(value)} is too much: at most {size_text(LARGEST_SIZE_BYTES)}"
            raise ValueError(msg)
        if size_bytes < low_bytes:
            msg = f"{shown_value(value)} is too little: at least {size_text(low_bytes)}"
            raise ValueError(msg)
        return size_bytes

    number = {"type": "integer", "minimum": low_bytes, "maximum": LARGEST_SIZE_BYTES}
    return Kind(check, {"anyOf": [number, _SIZE_TEXT]}, size_text)


def duration(shortest_s: float, longest_s: float) -> Kind[float]:
    """A duration that is neither shorter nor longer."""

    def check(value: object) -> float:
        duration_s = to_seconds(value)
        if not shortest_s <= duration_s <= longest_s:
            low, high = format_duration(shortest_s), format_duration(longest_s)
            msg = f"{shown_value(value)} is out of range: write one from '{low}' to '{high}'"
            raise ValueError(msg)
        return duration_s

    return replace(DURATION, check=check)


def choice(*choices: str) -> Kind[str]:
    """One of a few words."""
    return Kind(lambda value: one_of(value, choices), {"enum": list(choices)})


def _price(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise _wrong(value, "a price", "dollars for a million tokens, like 0.15")
    return float(value)


PRICE: Final = Kind(_price, {"type": "number", "minimum": 0})


def tenant(value: object) -> str:
    """Checks the name of a tenant, empty for the default one."""
    if not isinstance(value, str):
        raise _wrong(value, "a tenant", "its name in quotes")
    return check_tenant(value)


TENANT: Final = Kind(tenant, {"type": "string"})


def path(value: object, environ: Mapping[str, str] | None = None) -> Path:
    """Checks a path; expands `~` and `~user` at its beginning and `$NAME` within it.

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


PATH: Final = Kind(path, {"type": "string", "minLength": 1}, str)


def _with_variables(text: str, environ: Mapping[str, str] | None) -> str:
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


def _prefix(value: object) -> str:
    if not isinstance(value, str):
        raise _wrong(value, "a prefix", "it in quotes")
    return check_prefix(value)


PREFIX: Final = Kind(_prefix, {"type": "string", "pattern": "^[^\\s\"']{1,128}$"})


def _generator(value: object) -> str:
    if not isinstance(value, str) or not _GENERATE.fullmatch(value):
        raise _wrong(value, "a function", "'module.path:function'")
    return value


GENERATOR: Final = Kind(_generator, {"type": "string", "pattern": r"^[^\s:]+:[^\s:]+$"})


def _rate(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise _wrong(value, "a rate", "a text like '10/s' or '60/min'")
    calls_per_second(value)
    return value


RATE: Final = Kind(_rate, {"type": "string", "pattern": r"^\s*[0-9.]+\s*/\s*[A-Za-z]+\s*$"})


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


def _is_long(value: object) -> bool:
    # Python may refuse to read such a number.
    return isinstance(value, str) and len(value) > LONGEST_TEXT_CHARS


def _wrong(value: object, expected: str, instead: str) -> ValueError:
    return ValueError(f"{shown_value(value)} is not {expected}: write {instead}")
