"""A status line that is updated in place on a terminal during long work."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.cli.output.screen import Screen

QUIET_S: Final = 1.0
"""What takes no longer is done before anybody wonders."""
EVERY_S: Final = 0.2


class StatusLine:
    """Shows progress on a line that is overwritten; writes nothing off a terminal."""

    def __init__(self, screen: Screen, clock: Callable[[], float] = time.monotonic) -> None:
        self._screen: Final = screen
        self._clock: Final = clock
        self._is_silent: Final = screen.is_dumb or not screen.is_terminal
        self._next_at = clock() + QUIET_S
        self._shown_cells = 0

    def show(self, words: Callable[[], str]) -> None:
        """Shows `words`, if it is time to."""
        if self._is_silent or self._clock() < self._next_at:
            return
        self._next_at = self._clock() + EVERY_S
        text = self._screen.printable(words())[: self._screen.columns - 1]
        self._screen.put("\r" + text.ljust(self._shown_cells))
        self._screen.flush()
        self._shown_cells = len(text)

    def clear(self) -> None:
        """Erases the line, so that another can be written in its place."""
        if self._shown_cells:
            self._screen.put("\r" + " " * self._shown_cells + "\r")
            self._screen.flush()
            self._shown_cells = 0
