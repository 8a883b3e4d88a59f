"""A store that fails again and again is left alone, and tried now and then."""

import logging

import pytest

from llm_cache import LLMCache
from llm_cache.engine._circuit import FIRST_PAUSE_S, LONGEST_PAUSE_S, TRIPS_AFTER, CircuitBreaker


class Monotonic:
    """A clock that is set."""

    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def monotonic():
    """The circuit's clock."""
    return Monotonic()


@pytest.fixture
def circuit(monotonic):
    """A circuit through which nothing has gone yet."""
    return CircuitBreaker("it works again", monotonic)


def fail(circuit, times=TRIPS_AFTER):
    """Lets so many calls through, which fail."""
    for _ in range(times):
        assert circuit.allows_call()
        circuit.failed()


def test_failures_that_are_not_in_a_row_change_nothing(circuit):
    """A success between them, and the count begins anew."""
    for _ in range(10):
        fail(circuit, TRIPS_AFTER - 1)
        assert circuit.allows_call()
        circuit.succeeded()
    assert not circuit.is_open
    assert circuit.opened == 0


def test_after_three_in_a_row_calls_are_kept_back(circuit, monotonic):
    """All of them, until the pause is over; then one may try."""
    fail(circuit)
    assert circuit.is_open
    assert circuit.opened == 1
    assert not any(circuit.allows_call() for _ in range(100))
    monotonic.now += FIRST_PAUSE_S - 0.01
    assert not circuit.allows_call()
    monotonic.now += 0.01
    assert [circuit.allows_call() for _ in range(5)] == [True, False, False, False, False]


def test_the_pause_doubles_up_to_a_minute(circuit, monotonic):
    """Each try that fails makes the next one rarer."""
    fail(circuit)
    pauses = []
    for _ in range(9):
        begun = monotonic.now
        while not circuit.allows_call():
            monotonic.now += 0.5
        pauses.append(monotonic.now - begun)
        circuit.failed()
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert pauses[-1] == LONGEST_PAUSE_S
    assert circuit.opened == 1


def test_the_first_success_ends_it(circuit, monotonic, caplog):
    """It is said, and the next pause is a short one again."""
    fail(circuit)
    for _ in range(3):
        monotonic.now += LONGEST_PAUSE_S
        assert circuit.allows_call()
        circuit.failed()
    monotonic.now += LONGEST_PAUSE_S
    assert circuit.allows_call()
    circuit.succeeded()
    assert not circuit.is_open
    assert caplog.messages == ["it works again"]
    fail(circuit)
    monotonic.now += FIRST_PAUSE_S
    assert circuit.allows_call()
    assert circuit.opened == 2


def test_a_cache_goes_on_without_its_store_and_with_it_again(tmp_path, caplog):
    """Its directory cannot be made: memory and flights answer; once it can be, it is kept."""
    caplog.set_level(logging.WARNING)
    blocking = tmp_path / "file"
    blocking.write_text("in the way")
    made = []
    with LLMCache(blocking / "cache") as cache:
        now = Monotonic()
        for circuit in (cache._engine.components.reads, cache._engine.components.writes):
            circuit._monotonic = now

        def ask(n):
            return cache.get_or_generate_sync("p", lambda: made.append(n) or f"made {n}", n=n)

        for n in range(10):
            assert ask(n) == ask(n) == f"made {n}"
        assert made == list(range(10))
        assert cache._engine.components.writes.opened == 1
        assert len(caplog.messages) == 1
        blocking.unlink()
        assert ask(10) == "made 10"
        assert not (blocking / "cache").exists(), "left alone for a while"
        now.now += LONGEST_PAUSE_S
        assert ask(11) == "made 11"
        cache._engine.components.flights.wait_until_stored(10.0)
        assert cache.peek("p", n=11).value == "made 11"
        assert caplog.messages[1:] == ["the store works again: it can be written to"]
        stats = cache.get_stats()
        assert stats["errors"] >= TRIPS_AFTER
        assert stats["store_pauses"] == 1
