"""Whatever a cache begins, its `close` ends: threads, descriptors and memory do not add up."""

import asyncio
import gc
import sys
import threading
from pathlib import Path

import pytest

from llm_cache import LLMCache

KIB = 1024
GUARD_S = 20.0


def use(directory, n):
    """Opens a cache, has it do a bit of everything, and closes it."""
    with LLMCache(directory) as cache:

        async def generate():
            return f"text {n}"

        assert asyncio.run(cache.get_or_generate("p", generate, n=n)) == f"text {n}"
        assert cache.get_or_generate_sync("q", lambda: "text", n=n) == "text"
        assert cache.get_or_generate_sync("q", lambda: "text", n=n) == "text"
        cache.invalidate("q", n=n)


@pytest.fixture
def ours():
    """The threads begun since, but for the heartbeat of the process, which rests by itself."""
    before = set(threading.enumerate())

    def ours():
        return [
            thread
            for thread in set(threading.enumerate()) - before
            if thread.name.startswith("llm-cache") and thread.name != "llm-cache heartbeat"
        ]

    return ours


def descriptors():
    """How many this process has open."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def held(directory, rounds, ours):
    """Threads, descriptors and bytes of objects after so many rounds.

    Not what the interpreter has allocated: it keeps freed tuples by the thousand for the next ones.
    """
    for n in range(rounds):
        use(directory, n)
    for thread in ours():
        thread.join(GUARD_S)
    gc.collect()
    size_bytes = sum(sys.getsizeof(each) for each in gc.get_objects())
    return len(ours()), descriptors(), size_bytes


def test_a_closed_cache_leaves_no_thread_and_no_descriptor(directory, ours):
    """After the first use, which imports what is left for all."""
    held(directory, 1, ours)
    before = descriptors()
    threads, after, _ = held(directory, 5, ours)
    assert (threads, after) == (0, before)


@pytest.mark.stress
@pytest.mark.timeout(600)
def test_a_thousand_rounds_leave_nothing(directory, ours):
    """Opened, used and closed: a leak of a hundred bytes a round would show."""
    _, descriptors_before, bytes_before = held(directory, 50, ours)
    threads, descriptors_after, bytes_after = held(directory, 1000, ours)
    assert (threads, descriptors_after) == (0, descriptors_before)
    assert bytes_after - bytes_before < 100 * KIB
