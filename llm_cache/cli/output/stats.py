"""What a cache holds and saved, as a reader sees it on a terminal."""

from __future__ import annotations

import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from llm_cache.api.stats import hit_rate
from llm_cache.cli.output.bars import sparkline
from llm_cache.cli.output.formatting import UNKNOWN, counted, entries, percent
from llm_cache.cli.output.layout import flow
from llm_cache.cli.output.screen import Marked, Mood, bar
from llm_cache.cli.output.stats_tables import dollars, draw_table, seconds
from llm_cache.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from llm_cache.cli.output.screen import Piece, Screen

Counts: TypeAlias = dict[str, Any]

LABEL: Final = 11
"""Cells of what stands before every line of figures."""
MOST_DAYS: Final = 90
FEWEST_DAYS: Final = 2
_LONGEST_RANGE: Final = "  100% to 100%"
_GAP: Final = "   "
_BAR: Final = range(4, 41)
_BAR_BESIDE_COUNTS: Final = 10
"""A bar that would be shorter has its counts below it."""


def draw(screen: Screen, stats: Counts, *, by: str) -> None:
    """Draws all of it: what is held, the hit rate, what was saved, and a table by `by`."""
    _draw_places(screen, stats)
    screen.line()
    _draw_rate(screen, stats["total"])
    _draw_savings(screen, stats["total"])
    _draw_days(screen, stats)
    _draw_trouble(screen, stats["total"])
    draw_table(screen, stats, by=by)


def _draw_places(screen: Screen, stats: Counts) -> None:
    disk = f"{format_size(stats['disk_bytes'])} of {format_size(stats['max_disk'])}"
    facts = [entries(stats["total"]["entries"]), disk, _nearby(stats["cache_dir"])]
    for line in flow(map(screen.words, facts), screen.columns, gap=_GAP):
        screen.line(line)


def _draw_rate(screen: Screen, total: Counts) -> None:
    rate = hit_rate(total)
    if rate is None:
        _draw_figures(screen, "hit rate", [UNKNOWN, "nothing was asked for yet"])
        return
    told = [
        counted(total["hits"], "hit"),
        counted(total["misses"], "miss", "misses"),
        f"{total['coalesced']:,} coalesced",
    ]
    if total["stale_hits"]:
        told.insert(1, f"{total['stale_hits']:,} stale")
    share = f"  {percent(rate, digits=1)}"
    room = screen.columns - LABEL - len(share)
    beside = "".join(_GAP + each for each in told)
    if room - len(beside) >= _BAR_BESIDE_COUNTS:
        room, told = room - len(beside), []
    else:
        beside = ""
    cells = min(max(room, _BAR.start), _BAR.stop - 1)
    screen.line(f"{'hit rate':<{LABEL}}", bar(rate, cells, screen=screen), share, beside)
    _draw_figures(screen, "", told)


def _draw_savings(screen: Screen, total: Counts) -> None:
    """What answers from the cache saved, and what generating took: each apart."""
    if hit_rate(total) is None and not total["generations"]:
        return
    for label, saved, what in (("saved", True, "of waiting"), ("spent", False, "to generate")):
        took = f"{seconds(total, saved=saved)} {what}"
        usd = dollars(total, saved=saved)
        figures = [took if usd == UNKNOWN else f"{usd} and {took}"]
        start = "saved_" if saved else ""
        tokens = [total[f"{start}{name}"] for name in ("input_tokens", "output_tokens")]
        if any(tokens):
            figures.append(f"{tokens[0]:,} tokens in, {tokens[1]:,} out")
        if usd != UNKNOWN and total[f"{start}unpriced"]:
            figures.append(f"{total[f'{start}unpriced']:,} of unknown cost")
        _draw_figures(screen, label, figures)


def _draw_days(screen: Screen, stats: Counts) -> None:
    """The hit rate of each day, as far back as there is room, and since when it is counted."""
    if stats["since"] is None:
        return
    beside = f"{_GAP}since {stats['since']}"
    room = screen.columns - LABEL - len(_LONGEST_RANGE)
    rates = _rates(stats["days"], stats["since"])[-max(room, FEWEST_DAYS) :]
    if len(rates) < FEWEST_DAYS or not any(rate is not None for rate in rates):
        _draw_figures(screen, "since", [stats["since"]])
        return
    is_room = room - len(rates) >= len(beside)
    line = f"{sparkline(rates, screen=screen)}  {_range(rates)}"
    screen.line(f"{f'{len(rates)} days':<{LABEL}}", line, beside if is_room else "")
    if not is_room:
        _draw_figures(screen, "", [beside.strip()])


def _rates(days: Mapping[str, Counts], since: str) -> list[float | None]:
    """The hit rate of each day from `since` on, to today; None for one without a request."""
    by_day = {day: hit_rate(counts) for text, counts in days.items() if (day := _date(text))}
    first = _date(since)
    if first is None or not by_day:
        return []
    last = max(*by_day, datetime.fromtimestamp(time.time(), UTC).date())
    days_in_all = min((last - first).days + 1, MOST_DAYS)
    return [by_day.get(last - timedelta(back)) for back in reversed(range(days_in_all))]


def _range(rates: Iterable[float | None]) -> str:
    """`72% to 95%`, or one figure where all are the same."""
    known = [rate for rate in rates if rate is not None]
    if not known:
        return ""
    low, high = percent(min(known)), percent(max(known))
    return low if low == high else f"{low} to {high}"


def _draw_trouble(screen: Screen, total: Counts) -> None:
    """What did not go well, where there is any."""
    told = [
        counted(total[name], one, many)
        for name, one, many in (
            ("fallbacks", "answer of an older entry", "answers of older entries"),
            ("errors", "error", "errors"),
            ("evictions", "eviction", "evictions"),
        )
        if total[name]
    ]
    if total["not_stored"]:
        why = ", ".join(f"{times:,} {why}" for why, times in total["not_stored_because"].items())
        kept = counted(total["not_stored"], "value not kept", "values not kept")
        told.append(f"{kept}: {why}" if why else kept)
    _draw_figures(screen, Marked("trouble", Mood.FAILED), told)


def _draw_figures(screen: Screen, label: Piece, figures: Iterable[str]) -> None:
    """Draws figures beside their label, on as many lines as they take; none for none."""
    head: Piece = label
    for line in flow(map(screen.words, figures), screen.columns - LABEL, gap=_GAP):
        screen.line(head, " " * (LABEL - len(screen.text(head))), line)
        head = ""


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _nearby(directory: str) -> str:
    """A path as short as it can be said from here."""
    try:
        return str(Path(directory).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return directory
