"""Formats numbers, durations, instants and money."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from typing import Final

from llm_cache.core.units import rough_duration

UNKNOWN: Final = "–"
NEVER: Final = "never"
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


def span(seconds: float) -> str:
    """A stretch of time in one unit, rounded down: `45s`, `3m`, `2h`, `9d`, `3y`."""
    return rough_duration(seconds) if math.isfinite(seconds) else UNKNOWN


def duration(seconds: float | None) -> str:  # noqa: PLR0911 - one for each unit
    """How long something took: `12 ms`, `3.5 s`, `8m 17s`, `3h 02m`, `2d 05h`."""
    if seconds is None or not math.isfinite(seconds) or seconds < 0:
        return UNKNOWN
    if seconds < 0.001:
        return "<1 ms"
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < _MINUTE_S:
        return f"{seconds:.1f} s"
    if seconds < _HOUR_S:
        return f"{int(seconds // _MINUTE_S)}m {int(seconds % _MINUTE_S):02}s"
    if seconds < _DAY_S:
        return f"{int(seconds // _HOUR_S)}h {int(seconds % _HOUR_S // _MINUTE_S):02}m"
    return f"{int(seconds // _DAY_S)}d {int(seconds % _DAY_S // _HOUR_S):02}h"


def iso(instant: float | None) -> str | None:
    """An instant for a program, `2026-11-22T19:21:05.250Z`; None where there is none."""
    moment = _moment(instant)
    if moment is None:
        return None
    return moment.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def on_the_clock(instant: float) -> str:
    """An instant for a reader, in local time: `2026-11-22 19:21`."""
    moment = _moment(instant)
    return UNKNOWN if moment is None else f"{moment.astimezone():%Y-%m-%d %H:%M}"


def counted(number: int, one: str, many: str = "") -> str:
    """`1 entry`, `1,204 entries`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def entries(number: int) -> str:
    """`1 entry`, `1,204 entries`."""
    return counted(number, "entry", "entries")


def money(usd: float | None) -> str:
    """`$1.47`, `$0.0043`; what is not known is never `$0.00`."""
    if usd is None or not math.isfinite(usd):
        return UNKNOWN
    if usd >= 0.01:
        return f"${usd:,.2f}"
    return f"${usd:.2g}" if usd >= 1e-6 else "<$0.000001" if usd else "$0"


def about(shown: str, *, is_all: bool = True) -> str:
    """An amount that is about right, or at least so much."""
    if shown == UNKNOWN or shown.startswith("<"):
        return shown
    return f"≈{shown}" if is_all else f"at least {shown}"


def percent(share: float, *, digits: int = 0) -> str:
    """`91.3%`; 100% means all of it, and 0% none."""
    text = f"{share:.{digits}%}"
    smallest = 10.0**-digits
    if share < 1 and text.startswith("100"):
        return f"{100 - smallest:.{digits}f}%"
    if share > 0 and float(text.removesuffix("%")) == 0:
        return f"{smallest:.{digits}f}%"
    return text


def _moment(instant: float | None) -> datetime | None:
    if instant is None or not math.isfinite(instant):
        return None
    try:
        return datetime.fromtimestamp(instant, UTC)
    except (ValueError, OverflowError, OSError):  # a tampered or damaged instant
        return None
