"""Warnings that are worth saying once: a store in trouble must not fill the application's log."""

from __future__ import annotations

import logging
import threading
from typing import Final

from llm_cache.core.fork_locks import made_again_in_child

_log: Final = logging.getLogger("llm_cache")


class Notices:
    """Logs a warning the first time something happens, and whispers (debug) after that."""

    def __init__(self) -> None:
        self._said: set[tuple[str, ...]] = set()
        made_again_in_child(self._make_locks)

    def _make_locks(self) -> None:
        self._lock = threading.Lock()

    def once(self, about: tuple[str, ...], message: str, *arguments: object) -> None:
        """Logs `message % arguments` as a warning if nothing was said about this before."""
        with self._lock:
            is_news = about not in self._said
            self._said.add(about)
        _log.log(logging.WARNING if is_news else logging.DEBUG, message, *arguments)
