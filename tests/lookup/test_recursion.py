"""A generator that waits for itself gets an error at once, not a deadlock."""

import asyncio

import pytest

from llm_cache import RecursiveGenerationError

GUARD_S = 10


async def test_a_generator_that_asks_for_its_own_key(cache):
    """Asking for the very value one is making is refused."""

    async def generate():
        return await cache.get_or_generate("p", generate)

    async with asyncio.timeout(GUARD_S):
        with pytest.raises(RecursiveGenerationError, match="'p' asks the cache for itself"):
            await cache.get_or_generate("p", generate)


def test_a_sync_generator_that_asks_for_its_own_key(cache):
    """The same for plain functions, which run on another thread."""

    def generate():
        return cache.get_or_generate_sync("p", generate)

    with pytest.raises(RecursiveGenerationError):
        cache.get_or_generate_sync("p", generate)


async def test_a_circle_over_others(cache):
    """A asks for B, B asks for C, C asks for A."""

    def asks(prefix, generator):
        return lambda: cache.get_or_generate(prefix, generator)

    circle = asks("a", asks("b", asks("c", asks("a", lambda: "never"))))
    async with asyncio.timeout(GUARD_S):
        with pytest.raises(RecursiveGenerationError):
            await circle()


async def test_a_circle_of_two_leaders(cache, until):
    """A asks for B while B asks for A, each begun by a caller of its own: an error, no deadlock."""
    begun = []

    def asks(own, other):
        async def generate():
            begun.append(own)
            await until(lambda: len(begun) == 2)
            return await cache.get_or_generate(other, lambda: "never")

        return generate

    async with asyncio.timeout(GUARD_S):
        results = await asyncio.gather(
            cache.get_or_generate("a", asks("a", "b")),
            cache.get_or_generate("b", asks("b", "a")),
            return_exceptions=True,
        )
    assert all(isinstance(result, RecursiveGenerationError) for result in results)


async def test_a_diamond_is_no_circle(cache):
    """A asks for B and C, which both ask for D: D is made once."""
    made = []

    def bottom():
        made.append("d")
        return "d"

    async def side():
        return await cache.get_or_generate("d", bottom)

    async def top():
        return await asyncio.gather(
            cache.get_or_generate("b", side), cache.get_or_generate("c", side)
        )

    assert await cache.get_or_generate("a", top) == ["d", "d"]
    assert made == ["d"]


async def test_the_key_can_be_asked_for_again_afterwards(cache):
    """The refusal leaves nothing behind."""

    async def generate():
        return await cache.get_or_generate("p", generate)

    with pytest.raises(RecursiveGenerationError):
        await cache.get_or_generate("p", generate)
    assert await cache.get_or_generate("p", lambda: "text") == "text"
