"""Shares of a whole, drawn: a row of little columns, day by day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_cache.cli.output.screen import Screen

_LEVELS: Final = "▁▂▃▄▅▆▇█"
_GAP: Final = "·"
_PLAIN_LEVELS: Final = "_.-:=+*#"
_PLAIN_GAP: Final = " "


def sparkline(shares: Sequence[float | None], *, screen: Screen) -> str:
    """A cell for each share, the smallest of them lowest and the largest highest; a gap for None.

    Where all are the same, all are high.
    """
    levels, gap = (_LEVELS, _GAP) if screen.is_unicode else (_PLAIN_LEVELS, _PLAIN_GAP)
    known = [share for share in shares if share is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    top = len(levels) - 1

    def cell(share: float | None) -> str:
        if share is None:
            return gap
        return levels[round((share - low) / (high - low) * top) if high > low else top]

    return "".join(map(cell, shares))
