"""Many different requests at once: each answer is stored before its caller goes on."""

import asyncio
import threading

import pytest

from llm_cache import LLMCache

GUARD_S = 20.0


def ask_all(cache, count):
    """Asks for so many different values at once, on one event loop."""

    async def make(n):
        return f"text {n} " * 200

    async def main():
        asking = [cache.get_or_generate("p", lambda n=n: make(n), n=n) for n in range(count)]
        return await asyncio.gather(*asking)

    return asyncio.run(main())


@pytest.mark.slow
def test_every_answer_of_a_burst_is_stored(directory):
    """A queue of this process's own writes is waited for, and opens no circuit."""
    with LLMCache(directory) as cache:
        assert len(ask_all(cache, 2000)) == 2000
        assert cache.get_stats()["file_entries"] == 2000
        assert cache.get_stats()["total"]["not_stored"] == 0
        assert cache._engine.components.writes.opened == 0


@pytest.mark.stress
@pytest.mark.timeout(600)
def test_no_answer_of_ten_bursts_is_lost(tmp_path):
    """Also beside the counting of what went before."""
    for burst in range(10):
        with LLMCache(tmp_path / str(burst)) as cache:
            for _ in range(2):
                ask_all(cache, 3000)
            assert cache.get_stats()["file_entries"] == 3000


async def test_what_is_on_its_way_to_the_store_is_waited_for_on_its_own_loop(cache):
    """It does not need the loop any more: closing there, too, lets it be stored."""
    flights, go = cache._engine.components.flights, threading.Event()

    def generate():
        cache._engine.components.store._writer.submit(lambda _: go.wait(GUARD_S))
        return "text"

    assert await cache.get_or_generate("p", generate) == "text"
    assert not flights.wait_until_stored(0.0)
    go.set()
    assert flights.wait_until_stored(GUARD_S)
    assert cache.peek("p").value == "text"
