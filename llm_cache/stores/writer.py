"""The one thread that writes to a SQLite file: what comes together is committed together."""

from __future__ import annotations

import queue
import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from llm_cache.errors import StoreError
from llm_cache.stores.connection import run

if TYPE_CHECKING:
    from collections.abc import Callable

    import apsw

T = TypeVar("T")

BATCH_AT_MOST: Final = 256


@dataclass(frozen=True, slots=True, eq=False)
class _Job(Generic[T]):
    write: Callable[[apsw.Connection], T]
    done: Future[T] = field(default_factory=Future)


class Writer:
    """Carries out writes in the order they come, many in one transaction (group commit).

    Each write is a savepoint of its own: one that fails takes no other with it.
    """

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._jobs: queue.SimpleQueue[_Job[Any] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._closed = False

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
                self._thread = threading.Thread(
                    target=self._work, name="llm-cache writer", daemon=True
                )
                self._thread.start()
            self._jobs.put(job)
        return job.done

    def close(self, timeout_s: float) -> None:
        """Carries out what was submitted, for at most `timeout_s`, and ends the thread."""
        with self._lock:
            self._closed = True
            thread = self._thread
            self._jobs.put(None)
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout_s)

    def _work(self) -> None:
        connection: apsw.Connection | None = None
        ending = False
        while not ending:
            batch, ending = self._next_batch()
            if not batch:
                continue
            try:
                connection = connection or self._connect()
                _commit(connection, batch)
            except BaseException as error:  # noqa: BLE001 - whoever waits must hear of it
                _fail(batch, error)
        if connection is not None:
            connection.close()

    def _next_batch(self) -> tuple[list[_Job[Any]], bool]:
        batch: list[_Job[Any]] = []
        job = self._jobs.get()
        while job is not None:
            batch.append(job)
            if len(batch) == BATCH_AT_MOST or self._jobs.empty():
                return batch, False
            job = self._jobs.get()
        return batch, True


def _commit(connection: apsw.Connection, batch: list[_Job[Any]]) -> None:
    results: list[tuple[_Job[Any], Any]] = []
    run(connection, "BEGIN IMMEDIATE")
    try:
        for job in batch:
            _carry_out(connection, job, results)
        run(connection, "COMMIT")
    except BaseException:
        if connection.in_transaction:
            run(connection, "ROLLBACK")
        raise
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


def _fail(batch: list[_Job[Any]], error: BaseException) -> None:
    for job in batch:
        if not job.done.done():
            job.done.set_exception(error)
