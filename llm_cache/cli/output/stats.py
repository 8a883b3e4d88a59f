"""Draws what a cache holds and saved, for a reader on a terminal."""

from __future__ import annotations

import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rich.cells import cell_len

from llm_cache.api.stats import hit_rate
from llm_cache.cli.output.formatting import UNKNOWN, counted, duration, entries, money, percent
from llm_cache.cli.output.layout import flow
from llm_cache.cli.output.screen import Style, Styled, bar, sparkline
from llm_cache.cli.output.table import GAP, SAMPLE_ROWS, Column, write_table
from llm_cache.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from llm_cache.cli.output.screen import Piece, Screen


Counts: TypeAlias = dict[str, Any]

LABEL: Final = 11
"""Cells of what stands before every line of figures."""
MOST_DAYS: Final = 90
FEWEST_DAYS: Final = 2
_LONGEST_RANGE: Final = "  100% to 100%"
_GAP: Final = "   "
_BAR: Final = range(4, 41)
_CELL_BAR: Final = range(4, 25)
_PERCENT: Final = " 100%"
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
    for line in flow(map(screen.printable, facts), screen.columns, gap=_GAP):
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
    _draw_figures(screen, Styled("trouble", Style.FAILED), told)


def _draw_figures(screen: Screen, label: Piece, figures: Iterable[str]) -> None:
    """Draws figures beside their label, on as many lines as they take; none for none."""
    head: Piece = label
    for line in flow(map(screen.printable, figures), screen.columns - LABEL, gap=_GAP):
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


@dataclass(frozen=True, slots=True)
class _StatsColumn:
    """A column, and what it shows of some counts: a bar where `cell` is None.

    Where it says nothing by `only_if` of any of them, it is left out.
    """

    column: Column
    cell: Callable[[Counts], str] | None
    only_if: Callable[[Counts], object] | None = None


def _trouble(title: str, name: str) -> _StatsColumn:
    return _StatsColumn(
        Column(title, right=True, spare=1), lambda c: f"{c[name]:,}", lambda c: bool(c[name])
    )


_RATE: Final = _StatsColumn(Column("HIT RATE"), None)
_ENTRIES: Final = _StatsColumn(Column("ENTRIES", right=True), lambda c: f"{c['entries']:,}")
_SIZE: Final = _StatsColumn(
    Column("SIZE", right=True, spare=3), lambda c: format_size(c["size_bytes"])
)
_HITS: Final = _StatsColumn(
    Column("HITS", right=True, spare=4), lambda c: f"{c['hits'] + c['stale_hits']:,}"
)
_MISSES: Final = _StatsColumn(Column("MISSES", right=True, spare=3), lambda c: f"{c['misses']:,}")
_GENERATED: Final = _StatsColumn(Column("GENERATED", right=True), lambda c: f"{c['generations']:,}")
_TOOK: Final = _StatsColumn(Column("TOOK", right=True, spare=4), lambda c: seconds(c, saved=False))
_TOKENS: Final = _StatsColumn(
    Column("TOKENS IN / OUT", right=True, spare=5),
    lambda c: f"{c['input_tokens']:,} / {c['output_tokens']:,}",
    lambda c: c["input_tokens"] or c["output_tokens"],
)
_TROUBLE: Final = (_trouble("ERRORS", "errors"), _trouble("NOT KEPT", "not_stored"))


def draw_table(screen: Screen, stats: Counts, *, by: str) -> None:
    """Draws a line for each prefix, model or day, and a blank one before; nothing for none."""
    match by:
        case "model":
            rows = {
                model or UNKNOWN: counts
                for model, counts in stats["models"].items()
                if counts["generations"] or counts["hits"] or counts["stale_hits"]
            }
            first, fields = "MODEL", [_GENERATED, _TOKENS, _TOOK]
            fields += [_money("SPENT", rows, saved=False), _HITS]
        case "day":
            rows = stats["days"]
            first, fields = "DAY", [_RATE, _HITS, _MISSES, *_TROUBLE]
            fields += [_money("SPENT", rows, saved=False)]
        case _:
            rows = stats["prefixes"]
            first, fields = "PREFIX", [_ENTRIES, _SIZE, _RATE, _HITS, *_TROUBLE]
    if rows:
        screen.line()
        _write(screen, first, [*fields, _money("SAVED", rows, saved=True)], rows)


def dollars(counts: Counts, *, saved: bool) -> str:
    """What was saved, or spent; `–` where that is not known, or nothing was."""
    usd, unpriced = ("saved_usd", "saved_unpriced") if saved else ("cost_usd", "unpriced")
    if counts[usd]:
        return money(counts[usd])
    answers = ("hits", "stale_hits", "fallbacks", "coalesced") if saved else ("generations",)
    is_free = not counts[unpriced] and any(counts[name] for name in answers)
    return money(0.0) if is_free else UNKNOWN


def seconds(counts: Counts, *, saved: bool) -> str:
    """How much waiting was saved, or how long generating took; `–` where there was none."""
    took = counts["saved_seconds" if saved else "generation_seconds"]
    return duration(took) if took else UNKNOWN


def _money(title: str, rows: Mapping[str, Counts], *, saved: bool) -> _StatsColumn:
    """A column of dollars, or of time where no price is known."""
    is_priced = any(dollars(counts, saved=saved) != UNKNOWN for counts in rows.values())
    told = dollars if is_priced else seconds
    return _StatsColumn(Column(title, right=True, spare=2), lambda c: told(c, saved=saved))


def _write(
    screen: Screen, first: str, fields: list[_StatsColumn], rows: Mapping[str, Counts]
) -> None:
    told = [
        field for field in fields if field.only_if is None or any(map(field.only_if, rows.values()))
    ]
    cells = _room_for_bar(screen, first, told, rows)

    def cell(field: _StatsColumn, counts: Counts) -> str:
        return _rate(screen, counts, cells) if field.cell is None else field.cell(counts)

    write_table(
        screen,
        [Column(first, least=8), *(field.column for field in told)],
        ((name, *(cell(field, counts) for field in told)) for name, counts in rows.items()),
    )


def _room_for_bar(
    screen: Screen, first: str, fields: list[_StatsColumn], rows: Mapping[str, Counts]
) -> int:
    """How long a bar may be, so that all the other columns fit beside it."""
    sample = list(rows.items())[:SAMPLE_ROWS]
    widths = [max(len(first), *(cell_len(screen.printable(name)) for name, _ in sample))]
    for field in fields:
        if field.cell is not None:
            texts = map(field.cell, (counts for _, counts in sample))
            widths.append(max(len(field.column.title), *map(len, texts)))
    room = screen.columns - sum(widths) - len(GAP) * len(widths) - len(_PERCENT)
    return min(max(room, _CELL_BAR.start), _CELL_BAR.stop - 1)


def _rate(screen: Screen, counts: Counts, cells: int) -> str:
    rate = hit_rate(counts)
    if rate is None:
        return UNKNOWN
    return f"{bar(rate, cells, screen=screen)} {percent(rate):>4}"
