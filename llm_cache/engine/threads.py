"""Threads that never hold up the interpreter's exit, and calls where none can be had."""

from __future__ import annotations

import contextvars
import queue
import sys
import threading
import time
from concurrent.futures import Future
from typing import TYPE_CHECKING, ParamSpec, TypeVar

from llm_cache.core.fork_locks import reset_after_fork

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")


def start_thread(name: str, run: Callable[[], object]) -> None:
    """Runs `run` on a daemon thread, in a copy of the caller's context.

    Raises RuntimeError where no thread can be had: the system gives none, or the interpreter ends.
    """
    context = contextvars.copy_context()
    threading.Thread(target=context.run, args=(run,), name=name, daemon=True).start()


def before_worker_ends(call: Callable[[], object]) -> None:
    """Has `call` called when this process ends, if it is a worker of multiprocessing.

    Those leave by `os._exit`, which runs no `atexit` handler.
    """
    process = sys.modules.get("multiprocessing.process")
    if process is not None and process.parent_process() is not None:
        from multiprocessing import util

        util.Finalize(None, call, exitpriority=0)


class DaemonPool:
    """At most `size` threads, made as they are needed, which do what is submitted in order.

    The standard ThreadPoolExecutor joins its threads at exit: a store that hangs would hang the
    application.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._idle = 0
        self._threads: list[threading.Thread] = []
        reset_after_fork(self._make_locks)
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._is_closed = False
        self.finished = 0
        """How many jobs have come to their ends."""

    def submit(self, run: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Has `run` called on a thread of the pool, in a copy of the caller's context.

        Where no thread can be had, or the pool is closed, it is called here and now.
        """
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()
        context = contextvars.copy_context()

        def job() -> None:
            try:
                future.set_result(context.run(run, *args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - goes to whoever waits
                future.set_exception(error)
            self.finished += 1

        with self._lock:
            is_taken = not self._is_closed and self._has_thread()
            if is_taken:
                self._jobs.put(job)
        if not is_taken:
            job()
        return future

    def close(self, timeout_s: float) -> None:
        """Ends the threads once they have done what was submitted; waits so long for that."""
        with self._lock:
            self._is_closed = True
            threads, self._threads = self._threads, []
            for _ in threads:
                self._jobs.put(None)
        gives_up_at = time.monotonic() + timeout_s
        for thread in threads:
            if thread is not threading.current_thread():
                thread.join(max(gives_up_at - time.monotonic(), 0.0))

    def _make_locks(self) -> None:
        self._lock = threading.Lock()

    def _has_thread(self) -> bool:
        """Whether a thread will take the next job; starts one if that is needed and possible."""
        if self._idle > 0:
            self._idle -= 1
        elif len(self._threads) < self._size:
            thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return bool(self._threads)
            self._threads.append(thread)
        return True

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job()
            with self._lock:
                self._idle += 1
