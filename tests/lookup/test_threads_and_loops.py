"""Flights live in threads and event loops that come and go."""

import asyncio
import contextvars
import math
import subprocess
import sys
import textwrap
import threading
from functools import partial

import pytest

from llm_cache import CachePolicy, EventLoopError, GenerationTimeoutError, LLMCache
from llm_cache.engine.engine import POOL_THREADS


def test_a_waiter_takes_over_from_a_loop_that_ended(cache, gate, in_thread):
    """`asyncio.run` cancels what is left; who waits in another thread makes the value then."""
    joined = threading.Event()

    def leader():
        async def begin_and_leave():
            task = asyncio.create_task(cache.get_or_generate("p", gate.generate))
            await gate.began()
            await asyncio.to_thread(joined.wait, 10)
            return task

        asyncio.run(begin_and_leave())

    def follower():
        gate.began_sync()
        joined.set()
        return cache.get_or_generate_sync("p", lambda: "made by the waiter")

    assert in_thread(leader, follower)()[1] == "made by the waiter"


def test_a_waiter_takes_over_from_a_loop_that_was_closed(cache, gate, in_thread):
    """A loop that is closed without a word leaves nobody waiting for ever."""
    joined = threading.Event()

    def leader():
        loop = asyncio.new_event_loop()
        task = loop.create_task(cache.get_or_generate("p", gate.generate))
        loop.run_until_complete(gate.began())
        assert joined.wait(10)
        for left in (
            task,
            *(flight.task for flight in cache._engine.components.flights.under_way()),
        ):
            left._log_destroy_pending = False
        loop.close()

    def follower():
        gate.began_sync()
        joined.set()
        return asyncio.run(cache.get_or_generate("p", lambda: "made by the waiter"))

    assert in_thread(leader, follower)()[1] == "made by the waiter"


async def test_a_sync_call_on_the_loop_that_runs_the_flight(cache, gate):
    """It cannot wait for its own thread: it makes the value for itself, and keeps nothing."""
    task = asyncio.create_task(cache.get_or_generate("p", gate.generate))
    await gate.began()
    assert cache.get_or_generate_sync("p", lambda: "for itself") == "for itself"
    assert cache.peek("p") is None
    gate.open()
    assert await task == "text"
    assert cache.peek("p").value == "text"


async def test_a_sync_call_inside_a_loop_runs_any_generator(cache):
    """Plain and async generators work there, too."""

    async def agenerate():
        await asyncio.sleep(0)
        return "async"

    assert cache.get_or_generate_sync("a", lambda: "plain") == "plain"
    assert cache.get_or_generate_sync("b", agenerate) == "async"
    assert [cache.peek(prefix).value for prefix in "ab"] == ["plain", "async"]
    forever = CachePolicy(timeout="forever")
    assert cache.get_or_generate_sync("c", agenerate, policy=forever) == "async"


def test_a_plain_generator_runs_on_its_callers_thread(cache):
    """What is bound to a thread works as it does without the cache."""
    assert cache.get_or_generate_sync("p", threading.get_ident) == threading.get_ident()


def test_a_plain_generator_runs_in_its_callers_context(cache):
    """Also what it sets there is seen afterwards."""
    variable = contextvars.ContextVar("variable", default="unset")

    def generate():
        variable.set("set by the generator")
        return "text"

    assert cache.get_or_generate_sync("p", generate) == "text"
    assert variable.get() == "set by the generator"


def test_a_plain_generator_may_run_an_event_loop(cache):
    """There is none on its thread but its own."""

    async def ask():
        return "asked"

    def generate():
        loop = asyncio.new_event_loop()
        try:
            return loop.run_until_complete(ask())
        finally:
            loop.close()

    assert cache.get_or_generate_sync("p", generate) == "asked"


def test_callers_of_plain_generators_take_no_threads(cache, in_thread):
    """Fifty callers are fifty threads, beside those of the store."""
    counted = []

    def generate():
        counted.append(threading.active_count())
        return "text"

    before = threading.active_count()
    callers = [partial(cache.get_or_generate_sync, "p", generate, n=n) for n in range(50)]
    assert in_thread(*callers)() == ["text"] * 50
    assert max(counted) <= before + 50 + 2 * POOL_THREADS + 3


def test_with_a_limit_it_runs_on_a_thread_of_its_own(cache):
    """So that it can be waited for so long."""
    limited = CachePolicy(timeout="1m")
    there = cache.get_or_generate_sync("p", threading.get_ident, policy=limited)
    assert there != threading.get_ident()


def test_an_interrupt_in_a_plain_generator_is_its_callers(cache):
    """Nothing is stored, and the next one generates."""

    def interrupted():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.get_or_generate_sync("p", interrupted)
    assert cache._engine.components.flights.under_way() == []
    assert cache.get_or_generate_sync("p", lambda: "text") == "text"


async def test_a_plain_generator_in_an_async_call_runs_on_the_loop(cache):
    """It is called where its caller is."""
    assert await cache.get_or_generate("p", threading.get_ident) == threading.get_ident()


def by_hand(coroutine):
    """Runs a coroutine as no event loop of asyncio does."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    finally:
        coroutine.close()
    msg = "it waits for something"
    raise AssertionError(msg)


def test_another_event_loop_than_asyncios_is_one_clear_error(cache):
    """It says what is needed, and leaves nothing behind."""

    async def generate():
        return "text"

    with pytest.raises(EventLoopError, match="run by asyncio"):
        by_hand(cache.get_or_generate("p", generate))
    with pytest.raises(EventLoopError, match="run by asyncio"):
        by_hand(cache.aio.prune())
    assert cache._engine.components.flights.under_way() == []
    assert asyncio.run(cache.get_or_generate("p", generate)) == "text"
    assert by_hand(cache.get_or_generate("p", generate)) == "text"


SHORT = CachePolicy(timeout="20ms")


async def test_an_async_generator_that_takes_too_long(cache, gate):
    """All who wait get GenerationTimeoutError, and nothing is stored."""
    tasks = [
        asyncio.create_task(cache.get_or_generate("p", gate.generate, policy=SHORT))
        for _ in range(3)
    ]
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, GenerationTimeoutError) for result in results)
    assert "0.02 s" in str(results[0])
    assert gate.calls == 1
    assert cache.peek("p") is None


def test_a_plain_generator_that_takes_too_long(cache, gate, in_thread):
    """The same for code that cannot be interrupted: its callers go, its answer is not stored."""

    def ask():
        return cache.get_or_generate_sync("p", gate.generate_sync, policy=SHORT)

    results = in_thread(ask, ask)()
    assert all(isinstance(result, GenerationTimeoutError) for result in results)
    gate.open()
    assert cache.peek("p") is None


async def test_a_generators_own_timeout_is_its_own(cache):
    """A TimeoutError of the provider's client passes through as it is."""

    async def fail():
        raise TimeoutError("read timed out")  # noqa: EM101, TRY003 - as a client raises it

    with pytest.raises(TimeoutError, match="read timed out") as raised:
        await cache.get_or_generate("p", fail)
    assert not isinstance(raised.value, GenerationTimeoutError)


def test_who_joined_gives_up_after_lock_timeout(cache, gate, in_thread):
    """It makes the value for itself, and keeps nothing."""
    impatient = CachePolicy(lock_timeout=0)
    joined = in_thread(lambda: cache.get_or_generate_sync("p", gate.generate_sync))
    gate.began_sync()
    assert cache.get_or_generate_sync("p", lambda: "own", policy=impatient) == "own"
    gate.open()
    assert joined() == ["text"]
    assert cache.peek("p").value == "text"
    assert math.isfinite(cache._engine.policy("p").lock_timeout)


EXITS = {
    "sync": """
        threading.Thread(
            target=cache.get_or_generate_sync, args=("p", hang), daemon=True
        ).start()
        assert began.wait(10)
    """,
    "async": """
        async def main():
            async def ahang():
                began.set()
                await asyncio.Event().wait()
            asyncio.create_task(cache.get_or_generate("p", ahang))
            while not began.is_set():
                await asyncio.sleep(0)
        asyncio.run(main())
    """,
}


@pytest.mark.parametrize("kind", EXITS)
def test_the_interpreter_exits_with_flights_under_way(tmp_path, kind):
    """No hang, no traceback: nothing of ours holds up the end of a program."""
    program = f"""
import asyncio, threading
from llm_cache import LLMCache
cache = LLMCache({str(tmp_path)!r})
cache.get_or_generate_sync("q", lambda: "kept")
began = threading.Event()
def hang():
    began.set()
    threading.Event().wait()
{textwrap.dedent(EXITS[kind])}
print("end")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "end\n", "")
    with LLMCache(tmp_path) as cache:
        assert cache.peek("q").value == "kept"
