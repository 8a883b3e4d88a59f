"""Threads that never hold up the interpreter's exit."""

from __future__ import annotations

import contextvars
import queue
import threading
from concurrent.futures import Future
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


def start_thread(name: str, run: Callable[[], object]) -> None:
    """Runs `run` on a daemon thread, in a copy of the caller's context."""
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name=name, daemon=True).start()


class DaemonPool:
    """At most `size` threads, made as they are needed, which do what is submitted in order.

    The standard ThreadPoolExecutor joins its threads at exit: a store that hangs would hang the
    application.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._idle = 0
        self._threads = 0
        self._lock = threading.Lock()
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()

    def submit(self, run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Has `run` called on a thread of the pool, in a copy of the caller's context."""
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        context = contextvars.copy_context()

        def job() -> None:
            try:
                future.set_result(context.run(run, *args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - goes to whoever waits
                future.set_exception(error)

        with self._lock:
            if self._idle > 0:
                self._idle -= 1
            elif self._threads < self._size:
                threading.Thread(target=self._work, name=self._name, daemon=True).start()
                self._threads += 1
        self._jobs.put(job)
        return future

    def _work(self) -> None:
        while True:
            self._jobs.get()()
            with self._lock:
                self._idle += 1
