"""Shows the progress of `warm`: live bars on a terminal, a line for each item off it."""

from __future__ import annotations

import contextlib
import sys
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from llm_cache.cli.output.entries import value_text
from llm_cache.cli.output.formatting import duration
from llm_cache.cli.output.layout import cut
from llm_cache.cli.output.log_lines import show_warnings
from llm_cache.cli.output.screen import Style, Styled, bar

if TYPE_CHECKING:
    from collections.abc import Generator

    from rich.text import Text

    from llm_cache.cli.output.screen import Screen
    from llm_cache.warm.plan import WarmItem
    from llm_cache.warm.run import SetReport, WarmEvent, Warming, WarmReport

REFRESHES_PER_S: Final = 8
WIDEST_NAME: Final = 24
_BAR_CELLS: Final = 24


def params_name(item: WarmItem) -> str:
    """An item by its params: `operation=division context_type=sports`."""
    return " ".join(f"{name}={value_text(value)}" for name, value in item.shown_params.items())


def error_text(error: Exception | None) -> str:
    """An error on one line, with its kind: `RateLimitError: slow down`."""
    if error is None:
        return "unknown"
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


@contextlib.contextmanager
def shown(screen: Screen, warming: Warming) -> Generator[None]:
    """Shows how far a run is, for as long as the block lasts."""
    if screen.is_terminal and not screen.is_dumb:
        with _bars(screen, warming.report):
            yield
        return
    warming.on_event = lambda event: _write_line(screen, warming.report, event)
    yield


def _write_line(screen: Screen, report: WarmReport, event: WarmEvent) -> None:
    """Writes one plain line for an item that is over."""
    place = f"[{report.done}/{report.total}] "
    name = f" {event.item.prefix} {params_name(event.item)}"
    match event.step.value:
        case "made":
            screen.line(f"{place}made{name} in {duration(event.seconds)}")
        case "found":
            screen.line(f"{place}found{name}: another made it")
        case "failed":
            failed = Styled("failed", Style.FAILED)
            screen.line(place, failed, f"{name}: {error_text(event.error)}")
        case _:
            return
    screen.flush()


@contextlib.contextmanager
def _bars(screen: Screen, report: WarmReport) -> Generator[None]:
    from rich.console import Console
    from rich.live import Live
    from rich.text import Text

    console = Console(
        file=screen.stream,
        force_terminal=True,
        color_system="standard" if screen.colour else None,
        highlight=False,
        markup=False,
        emoji=False,
    )

    begun = time.monotonic()

    def lines() -> Text:
        narrow, seconds = replace(screen, columns=console.width), time.monotonic() - begun
        return Text("\n").join(_set_line(narrow, report, one, seconds) for one in report.sets)

    live = Live(
        console=console,
        get_renderable=lines,
        refresh_per_second=REFRESHES_PER_S,
        vertical_overflow="ellipsis",
    )
    with live:
        # Warnings go above the bars, not across them.
        stop = show_warnings(replace(screen, stream=sys.stderr))
        try:
            yield
        finally:
            stop()
    screen.line()


def _set_line(screen: Screen, report: WarmReport, one: SetReport, seconds: float) -> Text:
    """One set: its name, its bar, how many are done, and what is being made."""
    from rich.text import Text

    widest = max(cell_len(screen.printable(each.prefix)) for each in report.sets)
    name_cells = min(widest, WIDEST_NAME)
    name = cut(screen.printable(one.prefix), name_cells, screen=screen)
    digits = max(len(f"{each.total:,}") for each in report.sets)
    line = Text(no_wrap=True, overflow="crop")
    line.append(name + " " * (name_cells - cell_len(name)))
    line.append(f"  {bar(one.done / max(one.total, 1), _bar_cells(screen), screen=screen)}")
    line.append(f"  {one.done:>{digits},} of {one.total:>{digits},}")
    if one.failed:
        line.append(f"  {one.failed:,} ")
        line.append("failed", style="red")
    if one.made and one.done < one.total and seconds > 0:
        line.append(f"  {_rate(one.made / seconds)}")
    if one.under_way:
        line.append("  ")
        current = params_name(next(iter(one.under_way.values())))
        room = screen.columns - cell_len(line.plain) - 1
        line.append(cut(screen.printable(current), max(room, 1), screen=screen))
    return line


def _rate(per_second: float) -> str:
    """`2.4/s`, or `3/min` where it is slow."""
    if per_second >= 1:
        return f"{per_second:.1f}/s" if per_second < 10 else f"{per_second:,.0f}/s"
    return f"{per_second * 60:.2g}/min"


def _bar_cells(screen: Screen) -> int:
    return min(_BAR_CELLS, max(screen.columns // 4, 4))
