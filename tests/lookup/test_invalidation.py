"""What was begun before an invalidation goes to its callers, and nowhere else."""

import asyncio

import pytest

from llm_cache import LLMCache

TAKE_AWAY = {
    "invalidate": lambda cache: cache.invalidate("p"),
    "invalidate_prefix": lambda cache: cache.invalidate_prefix("p"),
    "clear_all": lambda cache: cache.clear_all(),
}
every_way = pytest.mark.parametrize("take_away", TAKE_AWAY.values(), ids=TAKE_AWAY)


@every_way
async def test_an_answer_begun_before_is_not_stored(cache, gate, take_away):
    """Its callers get it; the next call generates again."""
    task = asyncio.create_task(cache.get_or_generate("p", gate.generate))
    await gate.began()
    take_away(cache)
    gate.open()
    assert await task == "text"
    assert cache.peek("p") is None
    assert await cache.get_or_generate("p", lambda: "new") == "new"


@every_way
async def test_who_comes_after_does_not_join(cache, gate, take_away):
    """A call made while the old flight is still running has a flight of its own."""
    task = asyncio.create_task(cache.get_or_generate("p", gate.generate))
    await gate.began()
    take_away(cache)
    assert await cache.get_or_generate("p", lambda: "new") == "new"
    gate.open()
    assert await task == "text"
    assert await cache.get_or_generate("p", lambda: "never") == "new"


async def test_what_was_put_stands(cache, gate):
    """`put` while a generation runs: what was put is kept, not the answer begun before."""
    task = asyncio.create_task(cache.get_or_generate("p", gate.generate))
    await gate.began()
    cache.put("p", "put")
    gate.open()
    assert await task == "text"
    assert await cache.get_or_generate("p", lambda: "never") == "put"


@every_way
def test_no_cache_serves_it_from_memory(tmp_path, take_away):
    """Another cache on the same directory sees at once that an entry was taken away."""
    with LLMCache(tmp_path) as one, LLMCache(tmp_path) as other:
        assert one.get_or_generate_sync("p", lambda: "old") == "old"
        assert other.get_or_generate_sync("p", lambda: "never") == "old"
        assert other.get_or_generate_sync("p", lambda: "never") == "old"
        assert other.get_stats()["memory_entries"] == 1
        assert take_away(one).entries == 1
        assert other.get_or_generate_sync("p", lambda: "new") == "new"


def test_a_replaced_entry_is_replaced_everywhere(tmp_path):
    """`put` and `refresh` over a fresh entry reach every cache's memory."""
    with LLMCache(tmp_path) as one, LLMCache(tmp_path) as other:
        for cache in (one, other, one, other):
            cache.get_or_generate_sync("p", lambda: "old")
        one.put("p", "put")
        assert other.get_or_generate_sync("p", lambda: "never") == "put"
        assert one.get_or_generate_sync("p", lambda: "never") == "put"


def test_invalidating_nothing_says_so(cache):
    """Nothing there: 0, and no error."""
    assert cache.invalidate("p", n=1).entries == 0
    assert cache.invalidate_prefix("p").entries == 0
    assert cache.clear_all().entries == 0


def test_exactly_that_entry_goes(cache):
    """The others of its prefix stay."""
    for n in range(3):
        cache.put("p", f"text {n}", n=n)
    removed = cache.invalidate("p", n=1)
    assert removed.entries == 1
    assert removed.freed_bytes > 0
    assert [cache.peek("p", n=n) is None for n in range(3)] == [False, True, False]
