"""Every call form that is promised works."""

import asyncio
import functools
from datetime import timedelta

import pytest

from llm_cache import (
    CacheConfig,
    CachePolicy,
    Entry,
    KeyParamError,
    LLMCache,
    PrefixError,
    StoreError,
)


class Maker:
    """Generators of every kind; each call is another text."""

    def __init__(self):
        self.calls = 0

    def plain(self):
        """A text at once."""
        self.calls += 1
        return f"text {self.calls}"

    async def coroutine(self):
        """The same, after a while."""
        await asyncio.sleep(0)
        return self.plain()

    def __call__(self):
        """An awaitable."""
        return self.coroutine()


KINDS = {
    "coroutine function": lambda m: m.coroutine,
    "plain function": lambda m: m.plain,
    "lambda that returns a coroutine": lambda m: lambda: m.coroutine(),  # noqa: PLW0108 - as users write it
    "callable object": lambda m: m,
    "partial": lambda m: functools.partial(m.coroutine),
}
every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)


@every_kind
async def test_any_generator_in_an_async_call(cache, kind):
    """The first call generates, the second does not."""
    maker = Maker()
    for _ in range(2):
        assert await cache.get_or_generate("p", generator=kind(maker), subject="s") == "text 1"


@every_kind
def test_any_generator_in_a_sync_call(cache, kind):
    """The same for code that is not async."""
    maker = Maker()
    for _ in range(2):
        assert cache.get_or_generate_sync("p", generator=kind(maker), subject="s") == "text 1"


async def test_async_and_sync_calls_share_entries(cache):
    """What one kept the other finds."""
    assert await cache.get_or_generate("p", lambda: "text", n=1) == "text"
    assert cache.get_or_generate_sync(prefix="p", generator=lambda: "never", n=1) == "text"


NAMES = ("prefix", "generator", "ttl", "policy", "params", "self")


@pytest.mark.parametrize("name", NAMES)
async def test_params_of_any_name_go_into_params(cache, name):
    """A param may have the name of one of our own arguments."""
    ask = functools.partial(cache.get_or_generate, prefix="p", ttl=timedelta(hours=1))
    assert await ask(generator=lambda: "a", params={name: "one"}) == "a"
    assert await ask(generator=lambda: "b", params={name: "two"}) == "b"
    assert cache.peek("p", params={name: "one"}).value == "a"


async def test_self_may_be_a_keyword(cache):
    """It is a param like others."""
    assert await cache.get_or_generate("p", lambda: "text", self=1) == "text"
    assert cache.peek("p", self=1).params == {"self": 1}


async def test_params_beside_keywords_are_an_error(cache):
    """Nobody can say which was meant."""
    with pytest.raises(KeyParamError, match="put everything into params"):
        await cache.get_or_generate("p", lambda: "text", params={"a": 1}, b=2)


@pytest.mark.parametrize("name", ["ttl", "generator"])
def test_options_of_a_lookup_are_no_params_elsewhere(cache, name):
    """`invalidate("p", ttl=...)` would name another key than the lookup with that ttl."""
    for call in (cache.peek, cache.invalidate):
        with pytest.raises(KeyParamError, match=name):
            call("p", **{name: "1h"})


@pytest.mark.parametrize("prefix", ["", "a b", "a\n", "x" * 129, "emoji \U0001f600", 7])
async def test_a_wrong_prefix_is_refused(cache, prefix):
    """Before anything is generated."""
    maker = Maker()
    with pytest.raises(PrefixError):
        await cache.get_or_generate(prefix, maker.plain)
    assert maker.calls == 0


def test_peek_never_generates_and_counts_nothing(cache, clock):
    """An entry with its value, or None; an expired one is None."""
    assert cache.peek("p", n=1) is None
    cache.put("p", {"a": [1]}, ttl="1h", n=1)
    entry = cache.peek("p", n=1)
    assert isinstance(entry, Entry)
    assert (entry.value, entry.params, entry.prefix) == ({"a": [1]}, {"n": 1}, "p")
    clock.now += 3600
    assert cache.peek("p", n=1) is None
    stats = cache.get_stats()
    assert (stats["hits"], stats["misses"]) == (0, 0)


def test_what_put_cannot_keep_is_an_error(cache):
    """An error says that it is not done; what was there stays."""
    cache.put("p", "old")
    with pytest.raises(StoreError, match="not kept"):
        cache.put("p", object())
    assert cache.peek("p").value == "old"


@pytest.mark.parametrize("value", [None, "", False, [], 0, {}])
async def test_empty_values_are_values(cache, value):
    """What is falsy is kept like anything else."""
    for generator in (lambda: value, lambda: "never"):
        got = await cache.get_or_generate("p", generator)
        assert got == value
        assert type(got) is type(value)


def test_listing_and_sweeping(cache, clock):
    """`entries`, `prune`, `invalidate_prefix` and `clear_all`, each with what it returns."""
    for n in range(3):
        cache.put("a", "text", ttl="1h", n=n)
        cache.put("b", "text", n=n)
        clock.now += 1
    assert [e.params["n"] for e in cache.entries(prefix="a")] == [2, 1, 0]
    assert len(list(cache.entries(limit=4))) == 4
    clock.now += 3598
    assert cache.prune(dry_run=True).entries == 2
    removed = cache.prune()
    assert (removed.entries, removed.groups[0].why) == (2, "expired")
    assert removed.freed_bytes == 26  # "text" and {"n":0}, twice
    assert (int(removed), bool(removed), str(removed), f"{removed:,}") == (2, True, "2", "2")
    assert not cache.prune()
    assert cache.invalidate_prefix("b").entries == 3
    assert cache.clear_all().entries == 1
    assert list(cache.entries()) == []


async def test_every_management_call_can_be_awaited(cache):
    """`await cache.aio.…` does what the plain call does."""
    await cache.aio.put("p", "text", n=1)
    assert (await cache.aio.peek("p", n=1)).value == "text"
    assert [entry.prefix for entry in await cache.aio.entries()] == ["p"]
    key = next(iter(cache.entries())).key
    assert (await cache.aio.find(key.hex()[:6]))[0].key == key
    assert (await cache.aio.invalidate("p", n=1)).entries == 1
    assert (await cache.aio.invalidate_prefix("p")).entries == 0
    assert (await cache.aio.invalidate_entries([key])).entries == 0
    assert (await cache.aio.prune()).entries == 0
    assert (await cache.aio.clear_all()).entries == 0
    assert (await cache.aio.get_stats())["file_entries"] == 0
    await cache.aio.close()


def test_stats_tell_what_they_promise(cache):
    """Of this process, and over all of them."""
    cache.get_or_generate_sync("p", lambda: "text", n=1)
    cache.get_or_generate_sync("p", lambda: "text", n=1)
    stats = cache.get_stats()
    assert {name: stats[name] for name in ("hits", "misses", "coalesced", "errors")} == {
        "hits": 1,
        "misses": 1,
        "coalesced": 0,
        "errors": 0,
    }
    assert (stats["memory_entries"], stats["file_entries"]) == (1, 1)
    assert stats["cache_dir"] == str(cache.cache_dir)
    assert stats["prefixes"]["p"]["hits"] == stats["total"]["hits"] == 1


def test_counts_outlive_the_process(make_cache):
    """A later cache adds to what an earlier one counted."""
    for hits in (1, 3):
        cache = make_cache()
        cache.get_or_generate_sync("p", lambda: "text")
        cache.get_or_generate_sync("p", lambda: "text")
        assert cache.get_stats()["total"]["hits"] == hits
        cache.close()


async def test_a_cache_is_a_context_manager(tmp_path):
    """Sync and async; it is closed at the end."""
    with LLMCache(tmp_path) as cache:
        cache.put("p", "text")
    async with LLMCache(tmp_path) as cache:
        assert cache.peek("p").value == "text"
    with pytest.raises(StoreError, match="closed"):
        cache.put("p", "text")
    assert await cache.get_or_generate("q", lambda: "still served") == "still served"


def test_from_file_reads_the_file(tmp_path):
    """Its settings hold; relative paths start from it."""
    file = tmp_path / "cache.toml"
    file.write_text('[cache]\ncache_dir = "here"\n[prefixes.p]\nttl = "2h"\n')
    with LLMCache.from_file(file) as cache:
        assert cache.cache_dir == tmp_path / "here"
        assert cache.config.prefixes["p"].ttl == 7200


@pytest.mark.parametrize("ttl", [timedelta(0), 0, "0s"])
async def test_a_ttl_of_zero_keeps_nothing(cache, ttl):
    """Each call generates; it is not "the default"."""
    maker = Maker()
    for n in (1, 2):
        assert await cache.get_or_generate("p", maker.plain, ttl=ttl) == f"text {n}"
    assert cache.get_or_generate_sync("p", maker.plain, policy=CachePolicy(ttl=ttl)) == "text 3"
    assert list(cache.entries()) == []
    assert cache.get_stats()["total"]["bypassed"] == 3


def test_disabled_every_call_generates(make_cache):
    """`enabled = false`: as if the cache were not there."""
    cache, maker = make_cache(enabled=False), Maker()
    for n in (1, 2):
        assert cache.get_or_generate_sync("p", maker.plain) == f"text {n}"
    cache.put("p", "text")
    assert cache.peek("p") is None
    assert list(cache.entries()) == []
    cache.close()
    assert not cache.cache_dir.exists()


def test_a_prefix_ttl_in_hours(make_cache):
    """`CacheConfig(intro_page_ttl_hours=168)`, and the like for any prefix."""
    assert CacheConfig(intro_page_ttl_hours=168).prefixes["intro_page"].ttl == 168 * 3600
    cache = make_cache(mine_ttl_hours=2)
    cache.put("mine", "text")
    assert cache.expires_at(next(iter(cache.entries()))) == 1_800_000_000 + 7200
