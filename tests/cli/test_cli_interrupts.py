"""Ctrl-C while something is carried out whole."""

import signal

import pytest

from llm_cache.cli.interrupts import defer_interrupts


def interrupted(times: int, done: list[str]) -> None:
    """A block in which Ctrl-C is pressed so many times."""
    with defer_interrupts():
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        done.append("all of it")


def test_interrupt_waits_for_the_end_of_the_block():
    """What is in the block is done; then it is raised."""
    done = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(1, done)
    assert done == ["all of it"]


def test_second_interrupt_does_not_wait():
    """Who presses it twice is tired of waiting."""
    done = []
    with pytest.raises(KeyboardInterrupt):
        interrupted(2, done)
    assert not done


@pytest.mark.parametrize("times", [0, 1, 2])
def test_handler_is_as_it_was(times):
    """However the block ended."""
    before = signal.getsignal(signal.SIGINT)
    try:
        interrupted(times, [])
    except KeyboardInterrupt:
        assert times
    assert signal.getsignal(signal.SIGINT) is before
