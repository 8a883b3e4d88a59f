"""Writes that come together are committed together, and none suffers for another."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from functools import partial

import pytest

from llm_cache.errors import StoreError
from llm_cache.store.records import EVERYTHING, Selection
from llm_cache.store.sqlite import _writer
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._entries import add_to_totals
from llm_cache.store.sqlite._rows import INSERT, to_row
from tests.conformance.samples import an_entry, held, keep

WAIT_S = 30.0


class Held:
    """Holds the writer in a write of its own, so that all that is submitted meanwhile waits."""

    def __init__(self, store):
        self.go = threading.Event()
        is_held = threading.Event()

        def hold(connection):
            is_held.set()
            assert self.go.wait(WAIT_S)

        self.done = store._writer.submit(hold)
        assert is_held.wait(WAIT_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.go.set()
        self.done.result(WAIT_S)


def inserting(entry):
    """A write that does what `put` does."""

    def write(connection):
        run(connection, INSERT, to_row(entry))
        sizes = (1, entry.size_bytes, entry.value_bytes)
        add_to_totals(connection, entry.tenant, entry.prefix, *sizes)
        return entry.key

    return write


def failing_after(entry, error):
    """A write that raises once it has written."""

    def write(connection):
        inserting(entry)(connection)
        raise error

    return write


def test_a_failing_write_takes_no_other_with_it(store, raw):
    """Those before and after it in the same transaction are kept, and it leaves no trace."""
    with Held(store):
        first = store._writer.submit(inserting(an_entry(1)))
        bad = store._writer.submit(failing_after(an_entry(2), ValueError("of this write")))
        wrong = store._writer.submit(lambda c: run(c, "INSERT INTO entries (key) VALUES (NULL)"))
        last = store._writer.submit(inserting(an_entry(3)))
    assert first.result(WAIT_S) == an_entry(1).key
    assert last.result(WAIT_S) == an_entry(3).key
    with pytest.raises(ValueError, match="of this write"):
        bad.result(WAIT_S)
    assert wrong.exception(WAIT_S) is not None
    assert {key for (key,) in raw.run("SELECT key FROM entries")} == {
        an_entry(1).key,
        an_entry(3).key,
    }
    assert store.totals()[0].entries == 2


def test_writes_that_wait_together_are_one_transaction(store, monkeypatch):
    """A hundred writes cost one commit."""
    monkeypatch.setattr(_writer, "OPEN_AT_MOST_S", WAIT_S)
    commits = []

    def watch(connection):
        connection.set_commit_hook(lambda: bool(commits.append(1)))

    store._writer.submit(watch).result(WAIT_S)
    with Held(store):
        commits.clear()
        futures = [store._writer.submit(inserting(an_entry(n))) for n in range(100)]
    for future in futures:
        future.result(WAIT_S)
    assert len(commits) == 2  # that of the write that held them up, and one for all of them
    assert store.totals()[0].entries == 100


def test_a_transaction_takes_no_more_writes_once_it_is_open_for_long(store, monkeypatch):
    """Other processes get their turn; what is left comes next, in its order."""
    monkeypatch.setattr(_writer, "OPEN_AT_MOST_S", -1.0)  # each write is one too many for the next
    commits, order = [], []

    def watch(connection):
        connection.set_commit_hook(lambda: bool(commits.append(1)))

    def write(n, connection):
        inserting(an_entry(n))(connection)
        order.append(n)

    store._writer.submit(watch).result(WAIT_S)
    with Held(store):
        commits.clear()
        futures = [store._writer.submit(partial(write, n)) for n in range(10)]
    for future in futures:
        future.result(WAIT_S)
    assert order == list(range(10))
    assert len(commits) == 11  # and that of the write that held them up
    assert store.totals()[0].entries == 10


def test_a_queue_of_its_own_writes_is_no_trouble(store):
    """However long it is: it is stuck where another process, or the disk, keeps it waiting."""
    with Held(store):
        for n in range(1000):
            store._writer.submit(inserting(an_entry(n)))
        assert not store._writer.is_stuck()
    store.totals()


def test_a_write_that_does_not_end_is_trouble(store, monkeypatch):
    """A disk that hangs is waited for by nobody in a hurry."""
    monkeypatch.setattr(_writer, "BUSY_AT_MOST_S", -1.0)
    assert not store._writer.is_stuck(), "nothing is written"
    with Held(store):
        assert store._writer.is_stuck()


def test_where_no_thread_can_be_had_writes_are_carried_out_by_who_asks(make_store, monkeypatch):
    """One after the other, also those that a write leads to; a later one finds a thread again."""
    start = threading.Thread.start

    def refuse(thread):
        if thread.name == "llm-cache writer":
            msg = "can't start new thread"
            raise RuntimeError(msg)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    store = make_store()
    keep(store, an_entry(1))
    then = []
    first = store._writer.submit(inserting(an_entry(2)))
    first.add_done_callback(lambda _: then.append(store._writer.submit(inserting(an_entry(3)))))
    nested = store._writer.submit(
        lambda _: then.append(store._writer.submit(inserting(an_entry(4))))
    )
    assert [future.result(WAIT_S) for future in then] == [an_entry(3).key, an_entry(4).key]
    assert nested.done()
    monkeypatch.undo()
    keep(store, an_entry(5))
    assert {info.key for info in store.select(EVERYTHING)} == {an_entry(n).key for n in range(1, 6)}


def test_nobody_is_told_before_the_commit(store, raw):
    """While the transaction is open, other connections see nothing, and no write has its result."""
    asked, go = threading.Event(), threading.Event()

    def late(connection):
        asked.set()
        assert go.wait(WAIT_S)

    with Held(store):
        written = store._writer.submit(inserting(an_entry()))
        store._writer.submit(late)
    assert asked.wait(WAIT_S)
    assert not written.done()
    assert store.get(an_entry().key) is None
    assert raw.value("SELECT count(*) FROM entries") == 0
    go.set()
    written.result(WAIT_S)
    assert raw.value("SELECT count(*) FROM entries") == 1


def test_a_transaction_that_sqlite_rolled_back_fails_for_all_of_it(store):
    """As on a full disk: nobody is told "done" of what is not there, and the next write works."""
    with Held(store):
        first = store._writer.submit(inserting(an_entry(1)))
        broken = store._writer.submit(failing_after_rollback)
        last = store._writer.submit(inserting(an_entry(2)))
    kept = {n for n, future in ((1, first), (2, last)) if future.exception(WAIT_S) is None}
    assert broken.exception(WAIT_S) is not None
    assert {n for n in (1, 2) if store.get(an_entry(n).key)} == kept
    keep(store, an_entry(3))
    assert store.totals()[0].entries == len(kept) + 1


def failing_after_rollback(connection):
    """A write during which SQLite gives the whole transaction up."""
    run(connection, "ROLLBACK")
    raise OSError(28, os.strerror(28))


def test_the_order_of_writes_is_the_order_of_submitting(store):
    """What was submitted later comes later, within one transaction and over several."""
    order = []
    with Held(store):
        futures = [store._writer.submit(lambda _, n=n: order.append(n)) for n in range(600)]
    for future in futures:
        future.result(WAIT_S)
    assert order == list(range(600))


def test_close_carries_out_what_was_submitted(store, raw):
    """Closing waits for the writes that were begun, and refuses new ones."""
    held = Held(store)
    futures = [store._writer.submit(inserting(an_entry(n))) for n in range(300)]
    closing = threading.Thread(target=store.close)
    closing.start()
    with held:
        pass
    closing.join(WAIT_S)
    assert not closing.is_alive()
    assert all(future.done() and future.exception() is None for future in futures)
    assert raw.value("SELECT count(*) FROM entries") == 300
    with pytest.raises(StoreError, match="closed"):
        store._writer.submit(lambda c: None)


def test_a_write_beside_a_close_is_done_or_refused(make_store):
    """Of writes that race a close, each one is kept or raises; none is lost and none hangs."""
    for attempt in range(10):
        store = make_store()
        store.open()
        together = threading.Barrier(5)
        kept = []

        def write(thread, store=store, kept=kept, together=together, attempt=attempt):
            together.wait(WAIT_S)
            for n in range(20):
                try:
                    keep(store, an_entry((attempt, thread, n)))
                except StoreError:
                    return
                kept.append(an_entry((attempt, thread, n)).key)

        threads = [threading.Thread(target=write, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        together.wait(WAIT_S)
        store.close()
        for thread in threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        after = make_store()
        assert all(after.get(key) for key in kept)
        after.close()


def test_a_file_that_is_locked_is_a_store_error_and_changes_nothing(store, raw):
    """Another's lock is waited for, not for ever; then the write is refused as a whole."""
    keep(store, an_entry(1))
    with raw.connection() as connection:
        run(connection, "BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"cache\.db"):
            keep(store, an_entry(2))
        assert store.get(an_entry(1).key) == an_entry(1)
        run(connection, "ROLLBACK")
    assert store.get(an_entry(2).key) is None
    keep(store, an_entry(2))


def test_a_file_that_is_locked_for_a_moment_is_waited_for(store, raw):
    """A write that meets another's lock is done as soon as that is gone."""
    with raw.connection() as connection:
        run(connection, "BEGIN IMMEDIATE")
        writing = threading.Thread(target=keep, args=(store, an_entry()))
        writing.start()
        run(connection, "COMMIT")
        writing.join(WAIT_S)
    assert store.get(an_entry().key) == an_entry()


# Processes

CHILD = """
import sys
from pathlib import Path
from llm_cache.store.sqlite.store import SqliteStore
from tests.conformance.samples import an_entry, keep

store = SqliteStore(Path(sys.argv[1]), max_bytes=2**30)
"""


def child(code, *args):
    """A process with a store of its own over the directory that is its first argument."""
    return subprocess.Popen(
        [sys.executable, "-c", CHILD + textwrap.dedent(code), *map(str, args)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )


def test_processes_write_at_the_same_time(store, place):
    """Writers in several processes wait for each other, and the totals come out right."""
    code = """
        store.open()
        print("ready", flush=True)
        sys.stdin.readline()
        for n in range(60):
            keep(store, an_entry((sys.argv[2], n), prefix=f"p{n % 3}"))
        store.close()
    """
    children = [child(code, place, n) for n in range(3)]
    try:
        assert [process.stdout.readline() for process in children] == ["ready\n"] * 3
        for process in children:
            process.stdin.write("go\n")
            process.stdin.flush()
        keep(store, *(an_entry(("own", n), prefix=f"p{n % 3}") for n in range(60)))
        assert [process.wait(WAIT_S) for process in children] == [0, 0, 0]
    finally:
        for process in children:
            process.kill()
            process.communicate()
    totals = [(t.tenant, t.prefix, t.entries, t.size_bytes, t.value_bytes) for t in store.totals()]
    assert totals == list(held(store))
    assert sum(total[2] for total in totals) == 240


def test_what_was_acknowledged_outlives_a_kill(store, place):
    """A process that is killed right after `put` returned has lost nothing."""
    code = """
        for n in range(30):
            keep(store, an_entry(n))
        print("kept", flush=True)
        sys.stdin.readline()
    """
    process = child(code, place)
    try:
        assert process.stdout.readline() == "kept\n"
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    assert all(store.get(an_entry(n).key) == an_entry(n) for n in range(30))
    assert store.totals()[0].entries == 30


def test_a_process_sees_what_another_removed(store, place):
    """A removal is seen at the next look, in a process that has read before."""
    code = """
        for line in sys.stdin:
            print(store.get(an_entry().key) is not None, flush=True)
    """
    process = child(code, place)

    def sees() -> bool:
        process.stdin.write("look\n")
        process.stdin.flush()
        return process.stdout.readline() == "True\n"

    try:
        seen = [sees()]
        keep(store, an_entry())
        seen.append(sees())
        store.remove(Selection(keys=(an_entry().key,)))
        seen.append(sees())
    finally:
        process.communicate()
    assert seen == [False, True, False]


def test_removing_everything_beside_writers_keeps_the_totals_right(make_store):
    """Two stores of one file, one of them emptying it, agree on the totals."""
    one, other = make_store(), make_store()
    writing = threading.Thread(target=lambda: keep(one, *(an_entry(n) for n in range(200))))
    writing.start()
    for _ in range(10):
        other.remove(EVERYTHING)
    writing.join(WAIT_S)
    told = [(t.tenant, t.prefix, t.entries, t.size_bytes, t.value_bytes) for t in one.totals()]
    assert told == list(held(other))


def test_who_is_interrupted_waits_for_what_is_under_way(store):
    """Ctrl-C while a write is being carried out: it is committed before anything that follows."""
    entry = an_entry(1)

    def write(connection):
        os.kill(os.getpid(), signal.SIGINT)
        return inserting(entry)(connection)

    with pytest.raises(KeyboardInterrupt):
        store._writer.carry_out(write)
    assert [info.key for info in store.select(EVERYTHING)] == [entry.key]
