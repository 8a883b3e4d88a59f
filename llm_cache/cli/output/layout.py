"""Text measured in terminal cells: a CJK character takes two, a combining accent none.

Everything here takes text that was made printable, and knows nothing of colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.cells import cell_len

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.cli.output.screen import Screen


def cut(shown: str, cells: int, *, screen: Screen) -> str:
    """`shown` in at most so many cells, with an ellipsis where something is left out."""
    if len(shown) <= 8 * cells + 8 and cell_len(shown) <= cells:
        return shown
    ellipsis = screen.printable("…")
    room = cells - len(ellipsis)
    if room <= 0:
        return ellipsis[:cells]
    return shown[: _fitting(shown, room)].rstrip(" ") + ellipsis


def wrap(shown: str, cells: int) -> Iterator[str]:
    """`shown` in lines of at most so many cells, broken between words where there are any."""
    start = 0
    while True:
        window = shown[start : start + 8 * cells + 8]  # a megabyte is measured piece by piece
        end = _fitting(window, cells)
        if start + end >= len(shown):
            yield window
            return
        space = window.rfind(" ", 1, end + 1)
        end = space if space > 0 and window[:space].strip() else max(end, 1)
        yield window[:end].rstrip(" ")
        start += end
        while shown[start : start + 1] == " ":
            start += 1


def flow(items: Iterable[str], cells: int, *, gap: str = "  ") -> Iterator[str]:
    """Items side by side, as many on a line as fit; one that is longer than a line is wrapped."""
    line = ""
    for item in items:
        joined = f"{line}{gap}{item}" if line else item
        if cell_len(joined) <= cells:
            line = joined
            continue
        if line:
            yield line
        *whole, line = wrap(item, cells)
        yield from whole
    if line:
        yield line


def _fitting(shown: str, cells: int) -> int:
    """How many of the first characters take at most so many cells."""
    low, high = 0, min(len(shown), 8 * cells + 8)  # no need to measure a megabyte
    while low < high:
        middle = (low + high + 1) // 2
        if cell_len(shown[:middle]) <= cells:
            low = middle
        else:
            high = middle - 1
    return low
