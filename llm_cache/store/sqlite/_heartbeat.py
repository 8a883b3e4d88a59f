"""The one thread of a process that keeps its leases alive."""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Protocol

from llm_cache.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable

_log = logging.getLogger("llm_cache")


class Beating(Protocol):
    """What holds something that has to be renewed from time to time."""

    beat_every_s: float

    @property
    def is_holding(self) -> bool:
        """Whether there is anything to renew."""
        ...

    def beat(self) -> None:
        """Renews what is held, without waiting for that. May raise StoreError."""
        ...


class Heartbeat:
    """Has each of its members renew what it holds, in time; its thread ends when none does."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._due: weakref.WeakKeyDictionary[Beating, float] = weakref.WeakKeyDictionary()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def hold(self, member: Beating) -> None:
        """`member` is holding something since just now."""
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(
                    target=self._work, name="llm-cache heartbeat", daemon=True
                )
                try:
                    thread.start()
                except RuntimeError as error:
                    # Its lease lasts for as long as it is; the next one tries again.
                    _log.debug("leases are not renewed: %s", error)
                    return
                self._thread = thread
            if member not in self._due:
                self._due[member] = self._monotonic() + member.beat_every_s
                self._changed.notify()

    def _work(self) -> None:
        while due := self._wait_until_due():
            self._beat(due)

    def _beat(self, due: list[Beating]) -> None:
        for member in due:
            try:
                member.beat()
            except StoreError as error:
                _log.debug("leases could not be renewed: %s", error)
            with self._changed:
                if member.is_holding:
                    self._due[member] = self._monotonic() + member.beat_every_s
                else:
                    self._due.pop(member, None)

    def _wait_until_due(self) -> list[Beating]:
        """Those who are to beat; none if nobody holds anything: the thread is over then."""
        with self._changed:
            while self._due:
                now = self._monotonic()
                due = [member for member, at in self._due.items() if at <= now]
                if due:
                    return due
                self._changed.wait(min(self._due.values(), default=now) - now)
            self._thread = None
            return []


class _OfProcess:
    """Where the heartbeat of this process is kept; a forked child begins one of its own."""

    def __init__(self) -> None:
        self.heartbeat = Heartbeat()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        self.heartbeat = Heartbeat()


_of_process = _OfProcess()


def heartbeat() -> Heartbeat:
    """The heartbeat of this process."""
    return _of_process.heartbeat
