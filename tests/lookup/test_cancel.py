"""Cancelling one caller never disturbs another, and never loses what was paid for."""

import asyncio

import pytest


async def ask_many(cache, gate, count=5):
    """Callers that wait for one flight."""
    tasks = [asyncio.create_task(cache.get_or_generate("p", gate.generate)) for _ in range(count)]
    await gate.began()
    return tasks


async def test_a_cancelled_leader_leaves_the_others_their_value(cache, gate):
    """The generation goes on, once, for those who still wait."""
    leader, *others = await ask_many(cache, gate)
    leader.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leader
    gate.open()
    assert await asyncio.gather(*others) == ["text"] * 4
    assert gate.calls == 1


async def test_cancelled_followers_leave_the_leader_its_value(cache, gate):
    """Whoever joined may go."""
    leader, *others = await ask_many(cache, gate)
    for task in others:
        task.cancel()
    gate.open()
    assert await leader == "text"
    assert gate.calls == 1


async def test_when_all_are_cancelled_the_value_still_lands(cache, gate):
    """A paid generation is kept although nobody waits for it any more."""
    tasks = await ask_many(cache, gate)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    gate.open()
    assert await asyncio.to_thread(cache._engine.components.flights.wait_until_stored, 10.0)
    assert (await cache.aio.peek("p")).value == "text"
    assert await cache.get_or_generate("p", gate.generate) == "text"
    assert gate.calls == 1


async def test_a_generators_own_cancellation_is_its_leaders(cache, gate):
    """Whoever led gets the CancelledError; one of the others takes over."""
    gate.value = asyncio.CancelledError()
    leader = asyncio.create_task(cache.get_or_generate("p", gate.generate))
    await gate.began()
    follower = asyncio.create_task(cache.get_or_generate("p", lambda: "second try"))
    await asyncio.sleep(0)
    gate.open()
    with pytest.raises(asyncio.CancelledError):
        await leader
    assert await follower == "second try"
    assert not follower.cancelled()


async def test_a_caller_that_times_out_is_a_caller_that_went(cache, gate):
    """`asyncio.timeout` around a call is heard, and the value still lands."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await cache.get_or_generate("p", gate.generate)
    gate.open()
    assert await cache.get_or_generate("p", gate.generate) == "text"
    assert gate.calls == 1


async def test_two_hundred_cancellations_leave_the_store_usable(cache):
    """Cancelled at any moment, also in the middle of a write, no transaction stays open."""

    async def generate():
        await asyncio.sleep(0)
        return "text"

    for n in range(200):
        task = asyncio.create_task(cache.get_or_generate("p", generate, n=n))
        for _ in range(n % 7):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert await cache.get_or_generate("p", generate, n="last") == "text"
    assert (await cache.aio.peek("p", n="last")) is not None
