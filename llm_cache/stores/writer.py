"""The one thread that writes to a SQLite file: what comes together is committed together."""

from __future__ import annotations

import queue
import threading
import time
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from llm_cache.errors import StoreError
from llm_cache.stores.connection import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    import apsw

T = TypeVar("T")

BATCH_AT_MOST: Final = 256
INTERRUPTED_WAIT_S: Final = 5.0


@dataclass(frozen=True, slots=True, eq=False)
class _Job(Generic[T]):
    write: Callable[[apsw.Connection], T]
    done: Future[T] = field(default_factory=Future)


class Writer:
    """Carries out writes in the order they come, many in one transaction (group commit).

    Each write is a savepoint of its own: one that fails takes no other with it.
    """

    def __init__(
        self,
        transaction: Callable[[], AbstractContextManager[apsw.Connection]],
        *,
        after_commit: Callable[[], object],
    ) -> None:
        """`transaction` begins one and commits it at its end; `after_commit` is called after it."""
        self._transaction = transaction
        self._after_commit = after_commit
        self._begun_at: float | None = None
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

    def stuck_for_s(self) -> float:
        """For how long the transaction under way has been waiting, or working."""
        begun_at = self._begun_at
        return 0.0 if begun_at is None else time.monotonic() - begun_at

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
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="llm-cache writer", daemon=True)
                _start(thread)
                self._thread = thread
            self._jobs.put(job)
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

    def _work(self) -> None:
        ending = False
        while not ending:
            batch, ending = self._next_batch()
            if not batch:
                continue
            self._begun_at = time.monotonic()
            try:
                self._commit(batch)
            except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
                _fail(batch, error)
            finally:
                self._begun_at = None
            # Nobody waits for this.
            with suppress(Exception):
                self._after_commit()

    def _next_batch(self) -> tuple[list[_Job[Any]], bool]:
        batch: list[_Job[Any]] = []
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            if len(batch) == BATCH_AT_MOST or self._jobs.empty():
                return batch, False
            job = self._jobs.get()
        return batch, True

    def _commit(self, batch: list[_Job[Any]]) -> None:
        results: list[tuple[_Job[Any], Any]] = []
        with self._transaction() as connection:
            for job in batch:
                _carry_out(connection, job, results)
        for job, result in results:
            job.done.set_result(result)


def _start(thread: threading.Thread) -> None:
    try:
        thread.start()
    except RuntimeError as error:
        msg = f"cannot write: {error}"
        raise StoreError(msg) from error


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


def _fail(batch: list[_Job[Any]], error: BaseException) -> None:
    for job in batch:
        if not job.done.done():
            job.done.set_exception(error)
