"""Renews the leases of a process from one background thread."""

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


class LeaseHolder(Protocol):
    """Holds leases that have to be renewed in time."""

    beat_every_s: float

    @property
    def is_holding(self) -> bool: ...

    def beat(self) -> None:
        """Renews what is held, without waiting for that. May raise StoreError."""
        ...


class Heartbeat:
    """Has each member renew its leases in time; the thread ends when none holds any."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._due: weakref.WeakKeyDictionary[LeaseHolder, float] = weakref.WeakKeyDictionary()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def hold(self, member: LeaseHolder) -> None:
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

    def drop(self, member: LeaseHolder) -> None:
        """`member` holds nothing any more; of the last one the thread ends at once."""
        with self._changed:
            if self._due.pop(member, None) is not None:
                self._changed.notify()

    def _work(self) -> None:
        while due := self._wait_until_due():
            self._beat(due)

    def _beat(self, due: list[LeaseHolder]) -> None:
        for member in due:
            try:
                member.beat()
            except StoreError as error:
                _log.debug("leases could not be renewed: %s", error)
            with self._changed:
                if member.is_holding and member in self._due:
                    self._due[member] = self._monotonic() + member.beat_every_s
                else:
                    self._due.pop(member, None)

    def _wait_until_due(self) -> list[LeaseHolder]:
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


class _ProcessHeartbeat:
    """The heartbeat of this process; a forked child begins one of its own."""

    def __init__(self) -> None:
        self.heartbeat = Heartbeat()
        os.register_at_fork(after_in_child=self._begin_anew)

    def _begin_anew(self) -> None:
        self.heartbeat = Heartbeat()


_of_process = _ProcessHeartbeat()


def heartbeat() -> Heartbeat:
    return _of_process.heartbeat
