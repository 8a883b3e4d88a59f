"""Generators of several processes, or caches, that wait for each other: an error, no deadlock."""

import asyncio

import pytest

from llm_cache import LLMCache, RecursiveGenerationError

GUARD_S = 20

ASKS = """
from llm_cache import RecursiveGenerationError
cache = LLMCache(directory)
own, others = hear(), hear()
def generate():
    say("generating"); hear()
    say("asks")
    try:
        return "with " + cache.get_or_generate_sync(others, lambda: "never")
    except RecursiveGenerationError as error:
        say(error)
        raise
try:
    say(cache.get_or_generate_sync(own, generate))
except RecursiveGenerationError:
    say("told")
"""


@pytest.mark.slow
@pytest.mark.parametrize("names", ["ab", "abc"])
def test_a_circle_over_processes_is_told(start, names):
    """Each makes a value and asks for the next one's: the last to ask hears that it is a circle."""
    children = [start(ASKS) for _ in names]
    for child, own, other in zip(children, names, names[1:] + names[0], strict=True):
        child.tell(own)
        child.tell(other)
        assert child.says() == "generating"
    for child in children:
        child.tell()
        assert child.says() == "asks"
    # One of them is told; the error ends its generation, and the others' go on or end with it.
    endings = [list(iter(child.says, "")) for child in children]
    told = [lines for lines in endings if "told" in lines]
    assert told
    for lines in told:
        assert "asks the cache for what is being made elsewhere" in lines[0]
    for child in children:
        assert child.ends() == (0, "")


async def test_a_circle_over_two_caches_of_a_directory_is_told(tmp_path):
    """The flights of one know nothing of the other's; their leases do."""
    begun = []
    both = asyncio.Event()

    def asks(cache, own, other):
        async def generate():
            begun.append(own)
            if len(begun) == 2:
                both.set()
            await both.wait()
            return await cache.get_or_generate(other, lambda: "never")

        return cache.get_or_generate(own, generate)

    with LLMCache(tmp_path / "cache") as one, LLMCache(tmp_path / "cache") as two:
        async with asyncio.timeout(GUARD_S):
            results = await asyncio.gather(
                asks(one, "a", "b"), asks(two, "b", "a"), return_exceptions=True
            )
    assert any(isinstance(result, RecursiveGenerationError) for result in results)


async def test_one_that_waits_for_another_process_can_be_asked_for(tmp_path):
    """A diamond over two caches: both want what a third makes, and nobody is refused."""
    made = []

    def bottom():
        made.append("d")
        return "d"

    with LLMCache(tmp_path / "cache") as one, LLMCache(tmp_path / "cache") as two:

        def middle(cache, name):
            async def generate():
                return name + await cache.get_or_generate("d", bottom)

            return cache.get_or_generate(name, generate)

        async with asyncio.timeout(GUARD_S):
            assert await asyncio.gather(middle(one, "b"), middle(two, "c")) == ["bd", "cd"]
    assert made == ["d"]
