"""Closes files before the process forks, and lets the parent open them again."""

from __future__ import annotations

import os
import threading
import weakref
from typing import Final, Protocol

from llm_cache.core.fork_locks import reset_after_fork


class Forkable(Protocol):
    """Closed before the process forks; the parent may open it again, the child may not use it."""

    def before_fork(self) -> None: ...

    def after_fork_in_parent(self) -> None: ...

    def after_fork_in_child(self) -> None: ...


class _ForkHooks:
    """Hears of the forks of this process, one after the other."""

    def __init__(self) -> None:
        reset_after_fork(self._make_locks)
        self._all: weakref.WeakSet[Forkable] = weakref.WeakSet()
        self._closed: list[Forkable] = []
        os.register_at_fork(
            before=self._before,
            after_in_parent=self._after_in_parent,
            after_in_child=self._after_in_child,
        )

    def add(self, forkable: Forkable) -> None:
        with self._one_at_a_time:
            self._all.add(forkable)

    def _before(self) -> None:
        self._one_at_a_time.acquire()
        self._closed = list(self._all)
        for forkable in self._closed:
            forkable.before_fork()

    def _after_in_parent(self) -> None:
        for forkable in self._closed:
            forkable.after_fork_in_parent()
        self._closed = []
        self._one_at_a_time.release()

    def _after_in_child(self) -> None:
        for forkable in self._closed:
            forkable.after_fork_in_child()
        self._closed = []
        self._all.clear()

    def _make_locks(self) -> None:
        self._one_at_a_time = threading.Lock()


_forks: Final = _ForkHooks()


def closed_while_forking(forkable: Forkable) -> None:
    """Has `forkable` told of every fork of this process, for as long as it is used."""
    _forks.add(forkable)
