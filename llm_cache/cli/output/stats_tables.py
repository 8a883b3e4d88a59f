"""The figures of a cache as tables: a line for each prefix, model or day."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from rich.cells import cell_len

from llm_cache.api.stats import hit_rate
from llm_cache.cli.output.formatting import UNKNOWN, duration, money, percent
from llm_cache.cli.output.screen import bar
from llm_cache.cli.output.table import GAP, SAMPLE_ROWS, Column, write_table
from llm_cache.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from llm_cache.cli.output.screen import Screen

Counts: TypeAlias = dict[str, Any]

_BAR: Final = range(4, 25)
_PERCENT: Final = " 100%"


@dataclass(frozen=True, slots=True)
class _Field:
    """A column, and what it shows of some counts: a bar where `cell` is None.

    Where it says nothing by `only_if` of any of them, it is left out.
    """

    column: Column
    cell: Callable[[Counts], str] | None
    only_if: Callable[[Counts], object] | None = None


def _trouble(title: str, name: str) -> _Field:
    return _Field(
        Column(title, right=True, spare=1), lambda c: f"{c[name]:,}", lambda c: bool(c[name])
    )


_RATE: Final = _Field(Column("HIT RATE"), None)
_ENTRIES: Final = _Field(Column("ENTRIES", right=True), lambda c: f"{c['entries']:,}")
_SIZE: Final = _Field(Column("SIZE", right=True, spare=3), lambda c: format_size(c["size_bytes"]))
_HITS: Final = _Field(
    Column("HITS", right=True, spare=4), lambda c: f"{c['hits'] + c['stale_hits']:,}"
)
_MISSES: Final = _Field(Column("MISSES", right=True, spare=3), lambda c: f"{c['misses']:,}")
_GENERATED: Final = _Field(Column("GENERATED", right=True), lambda c: f"{c['generations']:,}")
_TOOK: Final = _Field(Column("TOOK", right=True, spare=4), lambda c: seconds(c, saved=False))
_TOKENS: Final = _Field(
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


def _money(title: str, rows: Mapping[str, Counts], *, saved: bool) -> _Field:
    """A column of dollars, or of time where no price is known."""
    is_priced = any(dollars(counts, saved=saved) != UNKNOWN for counts in rows.values())
    told = dollars if is_priced else seconds
    return _Field(Column(title, right=True, spare=2), lambda c: told(c, saved=saved))


def _write(screen: Screen, first: str, fields: list[_Field], rows: Mapping[str, Counts]) -> None:
    told = [
        field for field in fields if field.only_if is None or any(map(field.only_if, rows.values()))
    ]
    cells = _room_for_bar(screen, first, told, rows)

    def cell(field: _Field, counts: Counts) -> str:
        return _rate(screen, counts, cells) if field.cell is None else field.cell(counts)

    write_table(
        screen,
        [Column(first, least=8), *(field.column for field in told)],
        ((name, *(cell(field, counts) for field in told)) for name, counts in rows.items()),
    )


def _room_for_bar(
    screen: Screen, first: str, fields: list[_Field], rows: Mapping[str, Counts]
) -> int:
    """How long a bar may be, so that all the other columns fit beside it."""
    sample = list(rows.items())[:SAMPLE_ROWS]
    widths = [max(len(first), *(cell_len(screen.words(name)) for name, _ in sample))]
    for field in fields:
        if field.cell is not None:
            texts = map(field.cell, (counts for _, counts in sample))
            widths.append(max(len(field.column.title), *map(len, texts)))
    room = screen.columns - sum(widths) - len(GAP) * len(widths) - len(_PERCENT)
    return min(max(room, _BAR.start), _BAR.stop - 1)


def _rate(screen: Screen, counts: Counts, cells: int) -> str:
    rate = hit_rate(counts)
    if rate is None:
        return UNKNOWN
    return f"{bar(rate, cells, screen=screen)} {percent(rate):>4}"
