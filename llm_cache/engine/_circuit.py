"""Circuit breakers: what fails again and again, a store or a generator, has a pause."""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from llm_cache.core.fork_locks import reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

TRIPS_AFTER: Final = 3
FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
_log: Final = logging.getLogger("llm_cache")


class CircuitBreaker:
    """Opens after three failures in a row, then lets a probe through now and then.

    The pause between probes doubles from 1 s to a minute; the first success closes it (M. Nygard,
    Release It!, 2007).
    """

    def __init__(self, good_news: str, monotonic: Callable[[], float]) -> None:
        """`good_news` is logged when calls succeed again."""
        self._good_news = good_news
        self._monotonic = monotonic
        reset_after_fork(self._make_locks)
        self._failures = 0
        self._pause_s = FIRST_PAUSE_S
        self._next_try_at = 0.0
        self.opened: int = 0
        """How often it has opened."""

    def _make_locks(self) -> None:
        self._lock = threading.Lock()

    @property
    def is_open(self) -> bool:
        """Whether calls are refused, but for a probe now and then."""
        return self._failures >= TRIPS_AFTER

    def allows_call(self) -> bool:
        """Whether the caller may try; it then has to say how that went."""
        if not self.is_open:
            return True
        with self._lock:
            now = self._monotonic()
            if now < self._next_try_at:
                return False
            # For this caller only: the others wait for how it goes.
            self._next_try_at = now + self._pause_s
            return True

    def succeeded(self) -> None:
        """A call that was let through did what it should."""
        if not self._failures:
            return
        with self._lock:
            was_open, self._failures = self.is_open, 0
            self._pause_s = FIRST_PAUSE_S
        if was_open:
            _log.warning("%s", self._good_news)

    def failed(self) -> None:
        """A call that was let through failed."""
        with self._lock:
            self._failures += 1
            if self._failures < TRIPS_AFTER:
                return
            if self._failures == TRIPS_AFTER:
                self.opened += 1
            else:
                self._pause_s = min(self._pause_s * 2, LONGEST_PAUSE_S)
            self._next_try_at = self._monotonic() + self._pause_s


class GeneratorBreakers:
    """A circuit breaker for each prefix, asked only where an older entry can answer."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        reset_after_fork(self._make_locks)
        self._of: dict[str, CircuitBreaker] = {}

    def _make_locks(self) -> None:
        self._adding = threading.Lock()

    def of(self, prefix: str) -> CircuitBreaker:
        """The breaker of a prefix."""
        with self._adding:
            breaker = self._of.get(prefix)
            if breaker is None:
                good_news = f"{prefix}: the generator works again"
                breaker = self._of[prefix] = CircuitBreaker(good_news, self._monotonic)
            return breaker
