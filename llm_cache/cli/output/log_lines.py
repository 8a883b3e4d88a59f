"""Writes the library's log records to stderr, a line each.

Apart from the rest of output, since importing `logging` takes longer than most of it.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.cli.output.screen import Screen


def show_warnings(err: Screen) -> Callable[[], None]:
    """Shows what the library warns of from now on, one line each; returns what ends that."""
    logger = logging.getLogger("llm_cache")
    before = logger.handlers, logger.propagate
    logger.handlers, logger.propagate = [_LogLines(err)], False

    def end() -> None:
        logger.handlers, logger.propagate = before

    return end


class _LogLines(logging.Handler):
    def __init__(self, err: Screen) -> None:
        super().__init__(logging.WARNING)
        self._err = err

    def emit(self, record: logging.LogRecord) -> None:
        self._err.line(f"{record.levelname.lower()}: {record.getMessage()}")
