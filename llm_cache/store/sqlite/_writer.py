"""Writes from one thread, many writes to a transaction (group commit)."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from llm_cache.core.fork_locks import reset_after_fork
from llm_cache.errors import StoreError
from llm_cache.store.sqlite._connection import run

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    import apsw

T = TypeVar("T")

OPEN_AT_MOST_S: Final = 0.02
"""No further write joins a transaction that is open for so long: other processes wait for its end.
While other threads compute, each statement waits for the interpreter, and a few take as long."""
LOCKED_AT_MOST_S: Final = 0.25
"""How long another process may keep the file locked before who is in a hurry does without it."""
BUSY_AT_MOST_S: Final = 5.0
"""How long one write of this process's own may take, before the disk is taken for hanging."""
INTERRUPTED_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class _Job(Generic[T]):
    write: Callable[[apsw.Connection], T]
    done: Future[T] = field(default_factory=Future)


class Writer:
    """Carries out writes in the order they come, many in one transaction (group commit).

    Transactions are short: what does not fit into one waits for the next. Each write is a savepoint
    of its own: one that fails takes no other with it.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[apsw.Connection]],
        *,
        after_commit: Callable[[], object],
        locked_out_since: Callable[[], float | None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Takes what the file does.

        `transaction` begins one and commits it at its end, `after_commit` is called after it, and
        `locked_out_since` tells since when another process has kept one from beginning.
        """
        self._transaction = transaction
        self._after_commit = after_commit
        self._locked_out_since = locked_out_since
        self._monotonic = monotonic
        self._works_since: float | None = None
        """Since when it begins a transaction, carries out a write of one, or commits it."""
        self._left: deque[_Job[Any]] = deque()
        """What the transaction before had no time for."""
        self._is_ending = False
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        reset_after_fork(self._make_locks)
        self._works_here: int | None = None
        """The caller's thread that does so."""
        self._closed = False

    def is_stuck(self) -> bool:
        """Whether another process keeps the file locked, or the disk does not answer.

        Not while its own writes come to their ends, however many there are before one, and however
        long each has to wait for the interpreter while other threads compute.
        """
        now, works_since, locked_out_since = (
            self._monotonic(),
            self._works_since,
            self._locked_out_since(),
        )
        if works_since is None:
            return False
        if locked_out_since is not None and now - locked_out_since > LOCKED_AT_MOST_S:
            return True
        return now - works_since > BUSY_AT_MOST_S

    def submit(self, write: Callable[[apsw.Connection], T]) -> Future[T]:
        """Has `write` carried out after all that were submitted before it.

        The future gets its result once it is committed, or the error that kept it from that.
        """
        job = _Job(write)
        job.done.set_running_or_notify_cancel()
        with self._lock:
            if self._closed:
                msg = "the cache is closed: open a new one"
                raise StoreError(msg)
            has_thread = self._has_thread()
            self._jobs.put(job)
        if not has_thread and self._works_here != threading.get_ident():
            self._work_here()
        return job.done

    def carry_out(self, write: Callable[[apsw.Connection], T]) -> T:
        """Has `write` carried out, and waits for it.

        Who is interrupted meanwhile waits all the same, for a while: it may yet be committed, and
        what has to follow a commit must not come before it.
        """
        future = self.submit(write)
        try:
            return future.result()
        except KeyboardInterrupt:
            wait([future], INTERRUPTED_WAIT_S)
            raise

    def close(self, timeout_s: float) -> None:
        """Carries out what was submitted, for at most `timeout_s`, and ends the thread."""
        with self._lock:
            self._closed = True
            thread = self._thread
            self._jobs.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._working = threading.Lock()
        """Held by who carries out writes: the thread, or a caller where there is none."""

    def _has_thread(self) -> bool:
        if self._thread is None:
            thread = threading.Thread(target=self._work, name="llm-cache writer", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return False  # the system gives none, or the interpreter ends
            self._thread = thread
        return True

    def _work(self) -> None:
        while not self._is_ending:
            job = self._jobs.get()
            with self._working:
                self._carry_out_all(job)

    def _work_here(self) -> None:
        """Does what the thread would, where none can be had."""
        with self._working:
            self._works_here = threading.get_ident()
            try:
                while not self._jobs.empty():
                    self._carry_out_all(self._jobs.get())
            finally:
                self._works_here = None

    def _carry_out_all(self, job: _Job[Any] | None) -> None:
        """Carries out a write, and all that come until there is none."""
        self._take(job)
        while self._left:
            while not self._jobs.empty():
                self._take(self._jobs.get())
            begun: list[_Job[Any]] = []
            try:
                self._commit(begun)
            except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
                # Where none could begin, the others would wait for the same.
                _fail(begun or self._left, error)
                if not begun:
                    self._left.clear()
            finally:
                self._works_since = None
            # Nobody waits for this.
            with suppress(Exception):
                self._after_commit()

    def _take(self, job: _Job[Any] | None) -> None:
        if job is None:
            self._is_ending = True
        else:
            self._left.append(job)

    def _commit(self, begun: list[_Job[Any]]) -> None:
        """Carries out, in one transaction, as many writes as there is time for."""
        results: list[tuple[_Job[Any], Any]] = []
        self._works_since = self._monotonic()
        with self._transaction() as connection:
            ends_at = self._monotonic() + OPEN_AT_MOST_S
            while self._left:
                self._works_since = self._monotonic()
                if begun and self._works_since > ends_at:
                    break
                begun.append(self._left.popleft())
                _carry_out(connection, begun[-1], results)
        self._works_since = None
        for job, result in results:
            job.done.set_result(result)


def _carry_out(
    connection: apsw.Connection, job: _Job[Any], results: list[tuple[_Job[Any], Any]]
) -> None:
    run(connection, "SAVEPOINT job")
    try:
        result = job.write(connection)
    except Exception as error:
        if not connection.in_transaction:
            raise  # SQLite has rolled back everything, as it does on a full disk
        run(connection, "ROLLBACK TO job")
        job.done.set_exception(error)
    else:
        results.append((job, result))
    run(connection, "RELEASE job")


def _fail(jobs: Iterable[_Job[Any]], error: BaseException) -> None:
    for job in jobs:
        if not job.done.done():
            job.done.set_exception(error)
