"""Streams tables fitted to the terminal; a Rich table of 10,000 rows takes seconds."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from llm_cache.cli.output.layout import cut

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from llm_cache.cli.output.screen import Piece, Screen

SAMPLE_ROWS: Final = 500
"""Widths are those of so many rows; a later row that needs more is cut, or sticks out."""
GAP: Final = "  "


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its title, and how it gives way on a narrow terminal.

    Args:
        title: what stands above it.
        right: numbers stand to the right.
        least: cells it may be cut down to; None if it is never cut.
        spare: where room is short, the column with the highest number goes first; 0 never goes.
    """

    title: str
    right: bool = False
    least: int | None = None
    spare: int = 0


@dataclass(frozen=True, slots=True)
class Layout:
    """How wide each column is; None for one there is no room for."""

    columns: tuple[Column, ...]
    widths: tuple[int | None, ...]
    wanted: tuple[int, ...]

    def is_cut(self, title: str) -> bool:
        """Whether a column of the sample does not fit."""
        at = [column.title for column in self.columns].index(title)
        width = self.widths[at]
        return width is None or width < self.wanted[at]

    def write(self, screen: Screen, rows: Iterable[Sequence[Piece]], *, indent: str = "") -> None:
        """Writes the titles and every row, one by one as they come."""
        self.write_row(screen, [column.title for column in self.columns], indent=indent)
        for row in rows:
            self.write_row(screen, row, indent=indent)

    def write_row(self, screen: Screen, row: Sequence[Piece], *, indent: str = "") -> None:
        """Writes one row."""
        cells: list[str] = []
        for column, width, piece in zip(self.columns, self.widths, row, strict=True):
            if width is None:
                continue
            shown = screen.text(piece)
            if column.least is not None:
                shown = cut(shown, width, screen=screen)
            padding = " " * (width - cell_len(shown))
            painted = screen.paint(shown, piece)
            cells.append(padding + painted if column.right else painted + padding)
        screen.put((indent + GAP.join(cells)).rstrip(" ") + "\n")


def fit(
    screen: Screen,
    columns: Sequence[Column],
    sample: Iterable[Sequence[Piece]],
    *,
    indent: str = "",
) -> Layout:
    """The layout of a table on this screen, judged by some of its rows."""
    wanted = [cell_len(column.title) for column in columns]
    for row in sample:
        for at, piece in enumerate(row):
            wanted[at] = max(wanted[at], cell_len(screen.text(piece)))
    room = screen.columns - len(indent)
    widths: list[int | None] = [
        cells if column.least is None else min(cells, max(room, column.least))
        for column, cells in zip(columns, wanted, strict=True)
    ]
    _leave_out(columns, widths, room)
    _squeeze(columns, widths, room)
    return Layout(tuple(columns), tuple(widths), tuple(wanted))


def write_table(
    screen: Screen,
    columns: Sequence[Column],
    rows: Iterable[Sequence[Piece]],
    *,
    indent: str = "",
) -> None:
    """Writes a table, fitted by its first rows and streamed."""
    coming = iter(rows)
    sample = list(itertools.islice(coming, SAMPLE_ROWS))
    layout = fit(screen, columns, sample, indent=indent)
    layout.write(screen, itertools.chain(sample, coming), indent=indent)


def _total(widths: Iterable[int | None]) -> int:
    kept = [width for width in widths if width is not None]
    return sum(kept) + len(GAP) * (len(kept) - 1)


def _leave_out(columns: Sequence[Column], widths: list[int | None], room: int) -> None:
    """Leaves out columns until the rest fits if cut as far as it may be."""
    order = sorted((c.spare, at) for at, c in enumerate(columns) if c.spare)
    while order:
        narrowest = [
            width if width is None or column.least is None else min(width, column.least)
            for column, width in zip(columns, widths, strict=True)
        ]
        if _total(narrowest) <= room:
            return
        _, at = order.pop()
        widths[at] = None


def _squeeze(columns: Sequence[Column], widths: list[int | None], room: int) -> None:
    """Takes from the widest column that can give, until the table fits."""
    for _ in range(max(_total(widths) - room, 0)):
        giving = [
            (width, at)
            for at, (column, width) in enumerate(zip(columns, widths, strict=True))
            if width is not None and column.least is not None and width > column.least
        ]
        if not giving:
            return
        width, at = max(giving)
        widths[at] = width - 1
