"""Every hit and count is told to the store once: none is lost, none is told twice."""

import logging
import threading
from collections.abc import Callable

import apsw
import pytest

from llm_cache.core.keys import Identity, canonical_params
from llm_cache.engine._counters import HITS_AT_ONCE, UsageCounter, Use
from llm_cache.errors import StoreError
from llm_cache.store.records import EVERYTHING, Counts, Note, Refusals
from llm_cache.store.sqlite.store import SqliteStore
from tests.conformance.samples import T0, Clock, an_entry, keep

GUARD_S = 30.0
BUSY_MS = 20_000
DAY_S = 86_400.0
TODAY, TOMORROW = "2027-01-15", "2027-01-16"  # T0 is 08:00 UTC of that day


@pytest.fixture
def clock() -> Clock:
    """The counter's clock."""
    return Clock()


@pytest.fixture
def store(tmp_path, clock):
    """Where the counts go."""
    store = SqliteStore(tmp_path / "cache", max_bytes=2**30, clock=clock)
    store.open()
    yield store
    store.close()


@pytest.fixture
def counter(store, clock):
    """A counter of one process, ended with the test."""
    counter = UsageCounter(store, clock)
    yield counter
    counter.close()


def told(store) -> dict[tuple[str, str, str, str], Counts]:
    """What the store was told, by day, tenant, prefix and model."""
    return {(d.day, d.tenant, d.prefix, d.model): d.usage for d in store.usage()}


@pytest.fixture
def trouble(store) -> Callable[[bool], None]:
    """Has the store fail at counts, or work again: a column is away meanwhile."""

    def switch(fails: bool) -> None:
        names = ("hits", "hits_away") if fails else ("hits_away", "hits")
        with apsw.Connection(str(store.path)) as connection:
            connection.set_busy_timeout(BUSY_MS)
            connection.execute("ALTER TABLE usage RENAME {} TO {}".format(*names)).fetchall()

    return switch


def test_counts_are_told_by_prefix_tenant_and_model(counter, store):
    """What is counted under different names stays apart."""
    counter.count("", "a", misses=1)
    counter.count("", "a", misses=1, generation_seconds=1.5)
    counter.count("", "b", "model", errors=1)
    counter.count("t", "a", coalesced=3)
    counter.flush()
    assert told(store) == {
        (TODAY, "", "a", ""): Counts(misses=2, generation_seconds=1.5),
        (TODAY, "", "b", "model"): Counts(errors=1),
        (TODAY, "t", "a", ""): Counts(coalesced=3),
    }


def test_hits_are_told_with_what_they_saved(counter, store):
    """A hit saves the seconds that the generation took."""
    slow = an_entry(1, generation_seconds=2.5, model="m", tenant="t")
    unknown = an_entry(2)
    keep(store, slow, unknown)
    for entry, times in ((slow, 3), (unknown, 2)):
        use = Use(entry)
        for _ in range(times):
            counter.hit(use, T0 + 9)
    counter.flush()
    assert told(store) == {
        (TODAY, "t", "intro_page", "m"): Counts(hits=3, saved_seconds=7.5, saved_unpriced=3),
        (TODAY, "", "intro_page", ""): Counts(hits=2, saved_unpriced=2),
    }
    assert [(store.get(e.key).hits, store.get(e.key).used_at) for e in (slow, unknown)] == [
        (3, T0 + 9),
        (2, T0 + 9),
    ]


def test_uses_of_one_entry_are_added_up(counter, store):
    """Each reading of an entry may bring a `Use` of its own: it is one entry still."""
    entry = an_entry()
    keep(store, entry)
    for second in (5, 9, 7):
        counter.hit(Use(entry), T0 + second)
    counter.flush()
    assert (store.get(entry.key).hits, store.get(entry.key).used_at) == (3, T0 + 9)


def test_what_was_told_is_not_told_again(counter, store):
    """A second flush has nothing to tell."""
    entry = an_entry()
    keep(store, entry)
    use = Use(entry)
    counter.hit(use, T0)
    counter.count("", "p", misses=1)
    for _ in range(3):
        counter.flush()
    counter.hit(use, T0 + 1)
    counter.flush()
    assert store.get(entry.key).hits == 2
    assert told(store)[TODAY, "", "p", ""] == Counts(misses=1)


def test_this_process_counts_for_itself(counter, store):
    """`of_process` tells everything counted here, told to the store or not, and nothing else."""
    other = UsageCounter(store, Clock())
    other.count("", "p", misses=7)
    other.close()
    counter.count("", "p", misses=1)
    counter.flush()
    counter.count("", "q", misses=1, errors=2)
    counter.hit(Use(an_entry()), T0)
    assert counter.of_process() == Counts(hits=1, misses=2, errors=2, saved_unpriced=1)
    counter.flush()
    assert counter.of_process() == Counts(hits=1, misses=2, errors=2, saved_unpriced=1)


def test_the_answer_of_this_process_is_a_copy(counter):
    """Changing it changes no count."""
    counter.of_process().hits += 5
    assert counter.of_process() == Counts()


def test_counts_go_to_the_day_they_are_told_on(counter, store, clock):
    """Days are those of UTC, by the cache's clock."""
    counter.count("", "p", misses=1)
    counter.flush()
    clock.now += 16 * 3600 - 0.5  # half a second before midnight
    counter.count("", "p", misses=2)
    counter.flush()
    clock.now += 0.5
    counter.count("", "p", misses=4)
    counter.flush()
    assert told(store) == {
        (TODAY, "", "p", ""): Counts(misses=3),
        (TOMORROW, "", "p", ""): Counts(misses=4),
    }


def test_nothing_to_tell_is_not_told(counter, tmp_path):
    """A counter that counted nothing makes no file."""
    untouched = SqliteStore(tmp_path / "other", max_bytes=2**30)
    quiet = UsageCounter(untouched, Clock())
    quiet.flush()
    quiet.close()
    untouched.close()
    assert not (tmp_path / "other").exists()


# Trouble


def test_counts_that_could_not_be_told_are_kept(counter, store, trouble):
    """They are told once the store works again, together with what came meanwhile."""
    entry = an_entry(generation_seconds=0.5)
    keep(store, entry)
    use = Use(entry)
    trouble(True)
    counter.hit(use, T0 + 10)
    counter.count("", "p", misses=1, generation_seconds=0.25)
    for _ in range(3):
        with pytest.raises(StoreError):
            counter.flush()
    counter.hit(use, T0 + 5)
    counter.count("", "p", misses=1)
    trouble(False)
    counter.flush()
    assert told(store) == {
        (TODAY, "", "intro_page", ""): Counts(hits=2, saved_seconds=1.0, saved_unpriced=2),
        (TODAY, "", "p", ""): Counts(misses=2, generation_seconds=0.25),
    }
    assert (store.get(entry.key).hits, store.get(entry.key).used_at) == (2, T0 + 10)


def test_a_failing_flush_tells_nothing_at_all(counter, store, trouble):
    """Neither the hits nor the counts are told alone: they would be told twice later."""
    entry = an_entry()
    keep(store, entry)
    trouble(True)
    counter.hit(Use(entry), T0)
    with pytest.raises(StoreError):
        counter.flush()
    assert store.get(entry.key).hits == 0
    trouble(False)
    counter.flush()
    assert store.get(entry.key).hits == 1


def test_refusals_are_told_where_nothing_else_is_counted(counter, store):
    """They may be taken off apart from the count that came with them."""
    identity = Identity("p", canonical_params({"n": 1}))
    counter._refusals["", "p", "empty"] = 2
    counter._notes[identity.key] = Note("", "p", identity.key, "refused", "empty", T0)
    counter.flush()
    assert store.refusals() == [Refusals(TODAY, "", "p", "empty", 2)]
    assert [note.reason for note in store.notes("", "p", identity.key)] == ["empty"]


def test_many_counts_are_told_in_parts(counter, store, monkeypatch):
    """Others write in between; what a failing store was not told is told later, once."""
    entries = [an_entry(n) for n in range(3 * HITS_AT_ONCE + 1)]
    keep(store, *entries)
    for entry in entries:
        counter.hit(Use(entry), T0)
    parts, add_usage = [], store.add_usage

    def fails_at_the_third(days, uses, *more):
        parts.append(len(uses))
        if len(parts) == 3:
            msg = "the disk is full"
            raise StoreError(msg)
        add_usage(days, uses, *more)

    monkeypatch.setattr(store, "add_usage", fails_at_the_third)
    with pytest.raises(StoreError):
        counter.flush()
    counter.flush()
    assert max(parts) <= HITS_AT_ONCE
    assert {store.get(entry.key).hits for entry in entries} == {1}
    assert told(store)[TODAY, "", "intro_page", ""].hits == len(entries)


def test_counts_are_not_kept_from_the_process_by_trouble(counter, trouble):
    """What this process knows of itself does not depend on the store."""
    trouble(True)
    counter.count("", "p", misses=1)
    counter.hit(Use(an_entry()), T0)
    with pytest.raises(StoreError):
        counter.flush()
    assert counter.of_process() == Counts(hits=1, misses=1, saved_unpriced=1)
    trouble(False)


def test_closing_in_trouble_raises_nothing(store, trouble, caplog):
    """The counts are lost then, and nothing else is."""
    counter = UsageCounter(store, Clock())
    trouble(True)
    counter.count("", "p", misses=1)
    with caplog.at_level(logging.WARNING, logger="llm_cache"):
        counter.close()
    assert caplog.records == []
    trouble(False)


def test_hits_of_a_store_in_trouble_keep_no_values(counter, store, trouble):
    """However long the store fails, what waits to be told is small and counted by entry."""
    trouble(True)
    for n in range(2000):
        counter.hit(Use(an_entry(n % 5, body=b"x" * 1000)), T0)
        if n % 100 == 0:
            with pytest.raises(StoreError):
                counter.flush()
    counter.of_process()
    assert len(counter._untold) == 5
    assert len(counter.hits) == 0
    trouble(False)
    counter.flush()
    assert told(store)[TODAY, "", "intro_page", ""].hits == 2000


# Threads


def test_counts_from_many_threads_add_up(counter, store):
    """Hits and counts go on while others are told, and not one is lost."""
    entries = [an_entry(n) for n in range(4)]
    keep(store, *entries)
    uses = [Use(entry) for entry in entries]
    together = threading.Barrier(5)

    def count(thread: int) -> None:
        together.wait(GUARD_S)
        for n in range(500):
            counter.hit(uses[n % 4], T0 + n)
            counter.count("", "p", misses=1, generation_seconds=0.5)

    def tell() -> None:
        together.wait(GUARD_S)
        for _ in range(50):
            counter.flush()

    threads = [threading.Thread(target=count, args=(n,)) for n in range(4)]
    threads.append(threading.Thread(target=tell))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD_S)
    counter.flush()
    assert told(store) == {
        (TODAY, "", "intro_page", ""): Counts(hits=2000, saved_unpriced=2000),
        (TODAY, "", "p", ""): Counts(misses=2000, generation_seconds=1000.0),
    }
    assert sum(info.hits for info in store.select(EVERYTHING)) == 2000
    assert counter.of_process() == Counts(
        hits=2000, misses=2000, generation_seconds=1000.0, saved_unpriced=2000
    )


def test_close_tells_what_is_left_and_ends_the_thread(store):
    """After it, nothing of the counter runs."""
    counter = UsageCounter(store, Clock())
    counter.hit(Use(an_entry()), T0)
    counter.count("", "p", misses=1)
    counter.close()
    assert told(store)[TODAY, "", "p", ""] == Counts(misses=1)
    assert told(store)[TODAY, "", "intro_page", ""] == Counts(hits=1, saved_unpriced=1)
    counter._thread.join(GUARD_S)
    assert not counter._thread.is_alive()
    counter.close()


class Noticing(SqliteStore):
    """A store that notices when it was told of counts."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.was_told = threading.Event()

    def add_usage(self, days, uses, *more):
        super().add_usage(days, uses, *more)
        self.was_told.set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "begin",
    [lambda c: c.hit(Use(an_entry()), T0), lambda c: c.count("", "p", misses=1)],
    ids=["a hit", "a count"],
)
def test_counts_are_told_without_being_asked_for(tmp_path, begin):
    """Within about a second, and again when there is something new."""
    store = Noticing(tmp_path / "cache", max_bytes=2**30)
    counter = UsageCounter(store, Clock())
    for _ in range(2):
        store.was_told.clear()
        begin(counter)
        assert store.was_told.wait(GUARD_S)
    counter.close()
    store.close()


class HitMeanwhile(threading.Event):
    """An event during whose clearing something happens."""

    happens: Callable[[], None] = staticmethod(lambda: None)

    def clear(self) -> None:
        happens, self.happens = self.happens, lambda: None
        happens()
        super().clear()


def test_a_hit_during_a_flush_does_not_put_later_hits_to_sleep(counter, store):
    """Whatever comes while counts are told, the next hit wakes the thread that tells them."""
    event = counter._something_to_tell = HitMeanwhile()
    use = Use(an_entry())
    counter.hit(use, T0)
    event.happens = lambda: counter.hit(use, T0)
    counter.flush()
    counter.hit(use, T0)
    assert counter.is_asleep or event.is_set()
