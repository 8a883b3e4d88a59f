"""However many ask for one cold key at once, it is generated once."""

import asyncio
import contextvars
import logging
import threading

import pytest

from llm_cache import CachePolicy, LLMCache

WAITERS = 1000


async def test_a_thousand_tasks_share_one_generation(cache, gate):
    """1,000 concurrent callers of one cold key run the generator once, and all get its value."""
    tasks = [
        asyncio.create_task(cache.get_or_generate("p", gate.generate, n=1)) for _ in range(WAITERS)
    ]
    await gate.began()
    gate.open()
    assert set(await asyncio.gather(*tasks)) == {"text"}
    assert gate.calls == 1
    stats = cache.get_stats()
    assert (stats["misses"], stats["coalesced"], stats["hits"]) == (1, WAITERS - 1, 0)


def test_tasks_loops_and_threads_share_one_generation(cache, gate, in_thread):
    """Several event loops and plain threads, async and sync callers mixed: once."""
    arrived = threading.Barrier(7)

    def loop():
        async def many():
            asks = (cache.get_or_generate("p", gate.generate, n=1) for _ in range(50))
            tasks = [asyncio.create_task(ask) for ask in asks]
            await asyncio.sleep(0)
            await asyncio.to_thread(arrived.wait, 10)
            return await asyncio.gather(*tasks)

        return asyncio.run(many())

    def sync():
        arrived.wait(10)
        return [cache.get_or_generate_sync("p", gate.generate_sync, n=1)]

    join = in_thread(loop, loop, loop, sync, sync, sync)
    arrived.wait(10)
    gate.open()
    assert [set(result) for result in join()] == [{"text"}] * 6
    assert gate.calls == 1


async def test_different_keys_do_not_wait_for_each_other(cache, gate):
    """A slow generation holds up nobody who asks for something else."""
    slow = asyncio.create_task(cache.get_or_generate("p", gate.generate, n=1))
    await gate.began()
    assert await cache.get_or_generate("p", lambda: "other", n=2) == "other"
    gate.open()
    assert await slow == "text"


async def test_every_caller_has_a_copy_of_its_own(cache, gate):
    """What one caller does to a list, the first one included, no other sees."""
    gate.value = {"items": [1]}
    tasks = [asyncio.create_task(cache.get_or_generate("p", gate.generate)) for _ in range(3)]
    await gate.began()
    gate.open()
    values = await asyncio.gather(*tasks)
    for value in values:
        value["items"].append(2)
    assert gate.value == {"items": [1]}
    assert all(value == {"items": [1, 2]} for value in values)
    assert await cache.get_or_generate("p", gate.generate) == {"items": [1]}


async def test_what_cannot_be_kept_goes_to_all_who_wait(cache, gate):
    """A value that would not come back the same reaches every caller, and is not stored."""
    gate.value = (1, 2)
    tasks = [asyncio.create_task(cache.get_or_generate("p", gate.generate)) for _ in range(3)]
    await gate.began()
    gate.open()
    assert await asyncio.gather(*tasks) == [(1, 2)] * 3
    assert cache.peek("p") is None
    assert cache.get_stats()["total"]["not_stored"] == 1


async def test_context_variables_are_the_leaders(cache, gate, until):
    """A generator sees the context of the caller that began it."""
    who = contextvars.ContextVar("who", default="nobody")
    seen = []

    async def generate():
        seen.append(who.get())
        return await gate.generate()

    async def ask(name):
        who.set(name)
        return await cache.get_or_generate("p", generate)

    leader = asyncio.create_task(ask("leader"))
    await gate.began()
    follower = asyncio.create_task(ask("follower"))
    await until(lambda: follower.get_loop() is not None)
    gate.open()
    await asyncio.gather(leader, follower)
    assert seen == ["leader"]


def test_context_variables_reach_a_sync_generator(cache):
    """The thread a plain function runs on has its caller's context."""
    who = contextvars.ContextVar("who", default="nobody")
    who.set("caller")
    assert cache.get_or_generate_sync("p", who.get) == "caller"


def test_nothing_is_left_unretrieved(tmp_path, caplog):
    """The event loop has nothing to complain about: no exception that was never retrieved."""

    async def fail():
        await asyncio.sleep(0)
        raise ValueError

    async def main():
        with LLMCache(tmp_path) as cache:
            tasks = [asyncio.create_task(cache.get_or_generate("p", fail)) for _ in range(5)]
            await asyncio.sleep(0)
            for task in tasks[1:]:
                task.cancel()
            results = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(results[0], ValueError)

    with caplog.at_level(logging.DEBUG, "asyncio"):
        asyncio.run(main(), debug=True)
    assert not [r for r in caplog.records if r.levelno >= logging.ERROR]


@pytest.mark.parametrize("made", ["text", 7, None])
async def test_who_joins_with_another_type_gets_its_own(cache, gate, made):
    """What a flight of another type brings is checked as if it had been stored."""
    gate.value = made

    def count() -> float:
        return 0.5

    first = asyncio.create_task(cache.get_or_generate("p", gate.generate))
    await gate.began()
    joining = asyncio.create_task(cache.get_or_generate("p", count))
    await asyncio.sleep(0)
    gate.open()
    assert await first == made
    assert await joining == 0.5


async def test_who_joins_with_the_same_type_shares_the_flight(cache, gate):
    """The control of it: one call for both."""
    tasks = [asyncio.create_task(cache.get_or_generate("p", gate.generate)) for _ in range(2)]
    await gate.began()
    gate.open()
    assert await asyncio.gather(*tasks) == ["text", "text"]
    assert gate.calls == 1


def test_what_a_gate_refused_is_joined_by_nobody(cache):
    """A flight that is over for the store is closed to joining by then."""
    flights = cache._engine.components.flights
    over = flights._is_over
    joinable = []

    def is_over(flight):
        joinable.extend(flights._open_to_join)
        over(flight)

    flights._is_over = is_over
    policy = CachePolicy(cache_if=lambda _: False)
    assert cache.get_or_generate_sync("p", lambda: "refused", policy=policy) == "refused"
    assert joinable == []
