"""Durations and sizes as people write them: "7d", "1h30m", "64MiB"."""

from __future__ import annotations

import math
import re
from datetime import date, datetime, time, timedelta
from typing import Final, TypeAlias

from llm_cache.core.setting_types import Kind, shortened, shown_value

Duration: TypeAlias = str | timedelta | int | float
"""What is taken for a duration: `"7d"`, `timedelta(days=7)`, `"forever"`, or a bare 0."""

FOREVER: Final = math.inf
LONGEST_S: Final = 100 * 365.25 * 86_400.0

_UNIT_S: Final = {
    "s": 1.0, "sec": 1.0, "secs": 1.0, "second": 1.0, "seconds": 1.0,
    "m": 60.0, "min": 60.0, "mins": 60.0, "minute": 60.0, "minutes": 60.0,
    "h": 3600.0, "hr": 3600.0, "hrs": 3600.0, "hour": 3600.0, "hours": 3600.0,
    "d": 86_400.0, "day": 86_400.0, "days": 86_400.0,
    "w": 604_800.0, "week": 604_800.0, "weeks": 604_800.0,
    "mo": 30 * 86_400.0, "month": 30 * 86_400.0, "months": 30 * 86_400.0,
    "y": 365 * 86_400.0, "year": 365 * 86_400.0, "years": 365 * 86_400.0,
    "ms": 0.001,
}  # fmt: skip
_DURATION: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([a-z]+)\s*", re.ASCII | re.IGNORECASE)
_BARE_NUMBER: Final = re.compile(r"[+-]?\d*\.?\d+", re.ASCII)
_AGO: Final = re.compile(r"\s+ago$", re.IGNORECASE)
_TOML_TYPES: Final = (bool, list, dict, date, time)
"""Of these a message shows the value; anything else may be a user's."""
_CAPITAL_M: Final = "M"
"""A minute to some, a month to others: never guessed at."""
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?i?b?)", re.ASCII | re.IGNORECASE)
_SIZE_FACTOR: Final = {
    "b": 1,
    **{f"{c}b": 1000**n for n, c in enumerate("kmgt", 1)},
    **{f"{c}ib": 1024**n for n, c in enumerate("kmgt", 1)},
}  # fmt: skip
_SHOWN_UNITS: Final = (
    ("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
)  # fmt: skip
_ROUGH_UNITS: Final = (
    (2 * 365 * 86_400, 365 * 86_400, "y"), (86_400, 86_400, "d"), (3600, 3600, "h"), (60, 60, "m"),
)  # fmt: skip
_SHOWN_IN_HOURS_S: Final = 48 * 3600


def parse_duration(text: str) -> float:
    """Seconds in `text`: `"90s"`, `"1h30m"`, `"2 weeks"`, or infinity for `"forever"`.

    A month is 30 days and a year 365; capitals count as small letters. Raises ValueError on
    anything else, a bare number included: nobody can tell whether 30 means seconds, minutes or
    hours, nor whether 1M is a minute or a month.
    """
    cleaned = text.strip()
    if cleaned.lower() == "forever":
        return FOREVER
    position, total = 0, 0.0
    while position < len(cleaned):
        found = _DURATION.match(cleaned, position)
        if found is None or found[2].lower() not in _UNIT_S:
            shown = shown_value(text)
            msg = f"{shown} is not a duration: write a number and a unit, like '90s', '1h30m', '7d'"
            raise ValueError(msg)
        if found[2] == _CAPITAL_M:
            raise _minute_or_month(text, found[1])
        total += float(found[1]) * _UNIT_S[found[2].lower()]
        position = found.end()
    if math.isinf(total):
        msg = f"{cleaned[:20]}… is over 100 years: write 'forever' for no end"
        raise ValueError(msg)
    if not cleaned:
        msg = "an empty text is not a duration: write a number and a unit, like '90s' or '7d'"
        raise ValueError(msg)
    return total


class _MinuteOrMonthError(ValueError):
    """A duration that may mean two things."""


def _minute_or_month(text: str, number: str) -> ValueError:
    month = f"{float(number) * 30:.12g}d"
    msg = (
        f"{text[:60]!r} may be of minutes or of months: "
        f"write '{number}m' for minutes, '{month}' for months"
    )
    return _MinuteOrMonthError(msg)


def parse_instant(text: str, now: float) -> float:
    """The epoch seconds of `text`: `"7d"` or `"2 days ago"` before `now`, or an ISO 8601 date.

    A date without a time begins at midnight; without a zone it is local time. Raises ValueError on
    anything else, a bare number and what is ahead of `now` included.
    """
    cleaned = text.strip()
    if _BARE_NUMBER.fullmatch(cleaned):
        msg = f"{text!r} has no unit: write '7d', '2 weeks ago' or '2026-11-01'"
        raise ValueError(msg)
    instant = _date(cleaned)
    if instant is None:
        return now - _seconds_ago(cleaned)
    if instant > now:
        msg = f"{text!r} is in the future: write a date before now, or '7d' for 7 days ago"
        raise ValueError(msg)
    return instant


def _date(cleaned: str) -> float | None:
    """The epoch seconds of an ISO 8601 date; None if it is none."""
    try:
        return datetime.fromisoformat(cleaned).timestamp()
    except (ValueError, OverflowError, OSError):  # also a year that no clock can show
        return None


def _seconds_ago(cleaned: str) -> float:
    """The seconds of `"7d"` or `"2 days ago"`. Raises ValueError."""
    try:
        seconds = parse_duration(_AGO.sub("", cleaned))
    except _MinuteOrMonthError:
        raise
    except ValueError:
        said = "negative" if cleaned.startswith("-") else "neither a time ago nor a date"
        msg = f"{cleaned!r} is {said}: write '7d', '2 weeks ago' or '2026-11-01'"
        raise ValueError(msg) from None
    if seconds > LONGEST_S:
        msg = f"{cleaned!r} is over 100 years ago: write less, like '7d'"
        raise ValueError(msg)
    return seconds


def to_seconds(value: object) -> float:
    """Seconds in a `Duration`; infinity for `"forever"`.

    Raises ValueError for what is negative, NaN, longer than 100 years, a bare number but 0, or
    nothing like a duration.
    """
    given = value
    if isinstance(value, str):
        seconds = parse_duration(value)
        return seconds if seconds == FOREVER else check_seconds(seconds, shown=shortened(value))
    if isinstance(value, timedelta):
        return check_seconds(value.total_seconds(), shown=str(value))
    if isinstance(value, bool) or not isinstance(value, int | float):
        shown = shown_value(given)
        kind = shown if isinstance(given, _TOML_TYPES) else f"a {type(value).__name__}"
        msg = f"{kind} is not a duration: write a text like '90s', '1h30m', '7d' or 'forever'"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for every wrong duration
    if value == 0:
        return 0.0
    check_seconds(value, shown=shown_value(value))
    msg = f"{value!r} has no unit: write '{value}s', '{value}h' or a timedelta"
    raise ValueError(msg)


def hours_to_seconds(hours: object) -> float:
    """Seconds in `hours`, a plain number of hours. Raises ValueError as `to_seconds` does."""
    if isinstance(hours, bool) or not isinstance(hours, int | float):
        msg = f"{shown_value(hours)} is not a number of hours: write one like 168, or ttl = '7d'"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for every wrong duration
    try:
        seconds = float(hours) * 3600.0
    except OverflowError:
        seconds = LONGEST_S * 2
    return check_seconds(seconds, shown=f"{shown_value(hours)} hours")


def check_seconds(seconds: float, *, shown: str) -> float:
    """`seconds` itself if it is from 0 to 100 years; ValueError, quoting `shown`, if it is not."""
    if seconds != seconds or seconds in {math.inf, -math.inf}:  # noqa: PLR0124 - NaN; an int may be too large for math.isnan
        msg = f"{shown} is not a duration: write 'forever' for no end"
        raise ValueError(msg)
    if seconds < 0:
        msg = f"{shown} is negative: write 0 or more"
        raise ValueError(msg)
    if seconds > LONGEST_S:
        msg = f"{shown} is over 100 years: write 'forever' for no end"
        raise ValueError(msg)
    return seconds


def parse_size(value: str | int) -> int:
    """Bytes in `value`: an int of bytes, or `"64MiB"`, `"10KB"`, `"1.5 GiB"`.

    KB is 1000 bytes and KiB 1024. Raises ValueError on anything else.
    """
    if isinstance(value, bool) or not isinstance(value, str | int):
        msg = f"{value!r} is not a size: write bytes, or a text like '64MiB'"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for every wrong size
    if isinstance(value, int):
        if value < 0:
            msg = f"{shown_value(value)} is negative: write 0 or more"
            raise ValueError(msg)
        return value
    found = _SIZE.fullmatch(value.strip())
    if found is None or found[2].lower() not in _SIZE_FACTOR:
        msg = f"{value!r} is not a size: write a number and a unit, like '64MiB' or '10KB'"
        raise ValueError(msg)
    from fractions import Fraction  # 1.5 ms, for the start of every command

    return int(Fraction(found[1]) * _SIZE_FACTOR[found[2].lower()])


def format_duration(seconds: float) -> str:
    """Exactly `seconds` in the form `parse_duration` reads: `"1h30m"`, `"24h"`, `"7d"`."""
    if seconds == FOREVER:
        return "forever"
    # "24h" says more than "1d".
    in_hours = seconds < _SHOWN_IN_HOURS_S and seconds % 3600 == 0
    rest_ms = round(seconds * 1000)
    parts: list[str] = []
    for unit, size_ms in _SHOWN_UNITS[in_hours:]:
        count, rest_ms = divmod(rest_ms, size_ms)
        if count:
            parts.append(f"{count}{unit}")
    text = "".join(parts) or "0s"
    if parse_duration(text) == seconds:
        return text
    from decimal import Decimal

    return f"{Decimal(repr(seconds)):f}s"


def rough_duration(seconds: float) -> str:
    """`seconds` for a reader, in one unit, rounded down: `"45s"`, `"2h"`, `"9d"`, `"3y"`."""
    if seconds == FOREVER:
        return "forever"
    for least_s, size_s, unit in _ROUGH_UNITS:
        if seconds >= least_s:
            return f"{int(seconds // size_s)}{unit}"
    return f"{max(int(seconds), 0)}s"


DURATION: Final = Kind(
    to_seconds,
    {
        "anyOf": [
            {
                "type": "string",
                "pattern": r"^\s*([Ff][Oo][Rr][Ee][Vv][Ee][Rr]\s*|"
                r"([0-9]+(\.[0-9]+)?\s*([A-LN-Za-z]|[A-Za-z]{2,})\s*)+)$",
            },
            {"enum": [0]},
        ]
    },
    format_duration,
)
"""A text like "7d", a timedelta, "forever" or 0; kept as seconds."""


def format_size(size_bytes: int) -> str:
    """`size_bytes` for a reader: `"512 B"`, `"4.1 KiB"`, `"310 KiB"`."""
    if size_bytes < 1024:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if value < 999.5 or unit == "TiB":
            return f"{value:.1f} {unit}" if value < 99.95 else f"{value:.0f} {unit}"
    raise AssertionError
