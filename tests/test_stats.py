"""`get_stats` tells exactly what happened, of this process and of all of them, day by day."""

import asyncio
import json
import subprocess
import sys
import threading

import apsw
import pytest

from llm_cache import (
    Breakdown,
    CacheConfig,
    DayStats,
    Generated,
    LLMCache,
    ModelStats,
    PrefixStats,
    Stats,
    StoreError,
    Usage,
)
from llm_cache.api.stats import breakdown
from tests.conformance.samples import T0, Clock

GUARD_S = 30.0
COUNTS = {
    "hits",
    "stale_hits",
    "fallbacks",
    "misses",
    "coalesced",
    "bypassed",
    "errors",
    "not_stored",
    "evictions",
    "generations",
    "generation_seconds",
    "saved_seconds",
}
COSTS = {
    *("input_tokens", "output_tokens", "cost_usd", "unpriced"),
    *("saved_input_tokens", "saved_output_tokens", "saved_usd", "saved_unpriced"),
}
MORE = {"entries", "size_bytes", "value_bytes", "hit_rate", "not_stored_because"}
FIELDS = {
    "cache_dir",
    "memory_entries",
    "file_entries",
    "disk_bytes",
    "max_disk",
    "since",
    "hits",
    "misses",
    "coalesced",
    "errors",
    "store_pauses",
    "total",
    "prefixes",
}


@pytest.fixture
def clock() -> Clock:
    """The cache's clock."""
    return Clock()


@pytest.fixture
def cache(tmp_path, clock):
    """A cache in a fresh directory."""
    with LLMCache(tmp_path / "cache", clock=clock) as cache:
        yield cache


class FailureError(Exception):
    """What a generator raises."""


def fail():
    """A generator that fails."""
    raise FailureError


def nonzero(counts):
    """The counts that are not 0, but for the measured seconds."""
    return {n: c for n, c in counts.items() if c and n in COUNTS and not n.endswith("_seconds")}


def test_every_field_is_there(cache):
    """Those of the top, of the total and of every prefix, whatever happened so far."""
    cache.put("p", "text", n=1)
    stats = cache.get_stats()
    assert stats.keys() == FIELDS
    assert stats["total"].keys() == stats["prefixes"]["p"].keys() == COUNTS | COSTS | MORE
    assert json.loads(json.dumps(stats)) == stats


def test_the_types_name_every_field_of_what_is_told(cache):
    """`Stats`, `Breakdown` and their parts have the fields that are there, and no others."""
    cache.get_or_generate_sync("p", lambda: "text", n=1)
    stats, parts = cache.get_stats(), cache.breakdown()
    assert type(stats) is type(parts) is dict
    assert stats.keys() == Stats.__required_keys__
    assert parts.keys() == Breakdown.__required_keys__
    assert stats["total"].keys() == PrefixStats.__required_keys__
    (of_prefix,) = parts["prefixes"].values()
    (of_model,) = parts["models"].values()
    (of_day,) = parts["days"].values()
    assert of_prefix.keys() == PrefixStats.__required_keys__
    assert of_model.keys() == ModelStats.__required_keys__
    assert of_day.keys() == DayStats.__required_keys__


def test_a_new_cache_has_nothing_to_tell_and_makes_no_file(tmp_path):
    """Asking is no use of a cache: nothing is made for it."""
    with LLMCache(tmp_path / "new") as cache:
        stats = cache.get_stats()
    assert stats["since"] is None
    assert stats["prefixes"] == {}
    assert stats["file_entries"] == stats["memory_entries"] == stats["disk_bytes"] == 0
    assert not any(stats["total"].values())
    assert not (tmp_path / "new").exists()


def test_what_was_asked_counts_as_what_it_takes(cache):
    """Long prompts with short answers are not a few bytes, wherever sizes are told."""
    prompt = "x" * 100_000
    cache.put("a", "short", prompt=prompt)
    [entry] = cache.entries()
    assert entry.size_bytes == len('"short"') + len(f'{{"prompt":"{prompt}"}}')
    assert entry.stored_value_bytes == entry.value_bytes == len('"short"')
    assert cache.peek("a", prompt=prompt).size_bytes == entry.size_bytes
    assert cache.get_stats()["total"]["size_bytes"] == entry.size_bytes
    removed = cache.invalidate_prefix("a", keep=True)
    [trashed] = cache.trash.entries()
    assert removed.freed_bytes == trashed.entry.size_bytes == entry.size_bytes


def test_what_is_held_is_told_by_prefix(cache, tmp_path):
    """Entries and their bytes, stored with their params, and the values before compression."""
    cache.put("a", "x", n=1)
    cache.put("a", "xyz", n=2)
    cache.put("b", "y" * 10_000, n=1)
    stats = cache.get_stats()
    a, b = stats["prefixes"]["a"], stats["prefixes"]["b"]
    assert list(stats["prefixes"]) == ["a", "b"]
    assert (a["entries"], a["size_bytes"], a["value_bytes"]) == (2, 22, 8)  # {"n":1} and {"n":2}
    assert (b["entries"], b["value_bytes"]) == (1, 10_002)
    assert b["size_bytes"] < 1000
    assert stats["file_entries"] == stats["total"]["entries"] == 3
    assert stats["total"]["value_bytes"] == 10_010
    assert stats["cache_dir"] == str(tmp_path / "cache")
    assert stats["max_disk"] == 1024**3
    assert stats["disk_bytes"] > 0


def test_a_scripted_day_is_counted_exactly(cache):
    """Each answer is counted as what it was, once."""
    for _ in range(4):  # a miss, then three hits
        cache.get_or_generate_sync("a", lambda: "text", n=1)
    cache.get_or_generate_sync("a", lambda: "text", n=2)
    for _ in range(3):
        with pytest.raises(FailureError):
            cache.get_or_generate_sync("a", fail, n=3)
    for _ in range(2):  # not JSON: made each time
        cache.get_or_generate_sync("b", lambda: {1, 2}, n=1)
    for _ in range(2):  # not to be kept
        cache.get_or_generate_sync("b", lambda: "text", ttl=0, n=2)
    cache.peek("a", n=1)
    cache.peek("a", n=99)
    stats = cache.get_stats()
    a = {"hits": 3, "misses": 2, "errors": 3, "generations": 2}
    b = {"misses": 2, "not_stored": 2, "generations": 4, "bypassed": 2}
    assert nonzero(stats["prefixes"]["a"]) == a
    assert nonzero(stats["prefixes"]["b"]) == b
    assert stats["prefixes"]["b"]["not_stored_because"] == {"not the same": 2}
    assert stats["prefixes"]["a"]["hit_rate"] == 3 / 5
    assert nonzero(stats["total"]) == {
        n: a.get(n, 0) + b.get(n, 0) for n in COUNTS if a.get(n) or b.get(n)
    }
    assert [stats[n] for n in ("hits", "misses", "coalesced", "errors")] == [3, 4, 0, 3]
    assert (stats["file_entries"], stats["memory_entries"]) == (2, 2)


def test_management_counts_nothing_as_an_answer(cache):
    """Putting, looking, listing and removing are no requests."""
    cache.put("a", "text", n=1)
    cache.peek("a", n=1)
    list(cache.entries())
    cache.invalidate("a", n=1)
    cache.prune()
    cache.clear_all()
    assert nonzero(cache.get_stats()["total"]) == {}


def test_expired_answers_are_misses(cache, clock):
    """An entry past its ttl answers nothing."""
    cache.get_or_generate_sync("a", lambda: "text", ttl="1h")
    clock.now += 3600
    cache.get_or_generate_sync("a", lambda: "text", ttl="1h")
    cache.get_or_generate_sync("a", lambda: "text", ttl="1h")
    assert nonzero(cache.get_stats()["total"]) == {"hits": 1, "misses": 2, "generations": 2}


def test_a_refresh_is_a_miss(cache):
    """What is regenerated on demand was not answered from the cache."""
    from llm_cache import cached_llm_call

    @cached_llm_call("stats-refresh", cache=cache)
    def make(n: int) -> str:
        return "text"

    make(1)
    make.refresh(1)
    assert nonzero(cache.get_stats()["total"]) == {"misses": 2, "generations": 2}


async def test_who_joins_a_generation_is_coalesced(cache):
    """One miss for the one that generates, the others are counted apart."""
    cache.put("warm-up", "text")
    go = asyncio.Event()

    async def make():
        await go.wait()
        return "text"

    tasks = [asyncio.create_task(cache.get_or_generate("a", make, n=1)) for _ in range(20)]
    await asyncio.sleep(0)  # each task runs to where it waits for the flight
    go.set()
    async with asyncio.timeout(GUARD_S):
        assert await asyncio.gather(*tasks) == ["text"] * 20
    stats = await cache.aio.get_stats()
    assert nonzero(stats["prefixes"]["a"]) == {"misses": 1, "coalesced": 19, "generations": 1}
    assert (stats["misses"], stats["coalesced"]) == (1, 19)


async def test_those_who_join_a_failure_count_one_error(cache):
    """One generation failed, however many waited for it."""
    cache.put("warm-up", "text")
    go = asyncio.Event()

    async def make():
        await go.wait()
        raise FailureError

    tasks = [asyncio.create_task(cache.get_or_generate("a", make, n=1)) for _ in range(5)]
    await asyncio.sleep(0)  # each task runs to where it waits for the flight
    go.set()
    async with asyncio.timeout(GUARD_S):
        results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(isinstance(result, FailureError) for result in results)
    assert nonzero((await cache.aio.get_stats())["total"]) == {"errors": 1}


def test_hits_from_many_threads_are_counted_exactly(cache):
    """A hit in memory takes no lock, and is counted all the same."""
    cache.get_or_generate_sync("a", lambda: "text", n=1)
    together = threading.Barrier(8)

    def ask():
        together.wait(GUARD_S)
        for _ in range(250):
            cache.get_or_generate_sync("a", fail, n=1)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD_S)
    stats = cache.get_stats()
    assert stats["hits"] == stats["total"]["hits"] == 2000
    [info] = cache.entries()
    assert info.hits == 2000


def test_seconds_are_those_of_the_entries(cache):
    """What a generation took is counted once, and saved by every hit."""
    for n in range(3):
        for _ in range(n + 1):
            cache.get_or_generate_sync("a", lambda: "text", n=n)
    stats = cache.get_stats()["prefixes"]["a"]
    took = {info.params["n"]: info.generation_seconds for info in cache.entries()}
    assert all(seconds > 0 for seconds in took.values())
    assert stats["generation_seconds"] == pytest.approx(sum(took.values()))
    assert stats["saved_seconds"] == pytest.approx(took[1] + 2 * took[2])


def test_an_entry_tells_its_hits_and_the_last_one(cache, clock):
    """From memory and from the store, by the cache's clock."""
    cache.get_or_generate_sync("a", lambda: "text", n=1)
    [info] = cache.entries()
    assert (info.hits, info.last_used_at) == (0, None)
    for seconds in (10, 20, 30):
        clock.now = T0 + seconds
        cache.get_or_generate_sync("a", fail, n=1)
    cache.get_stats()
    [info] = cache.entries()
    assert (info.hits, info.last_used_at) == (3, T0 + 30)
    assert cache.peek("a", n=1).hits == 3


@pytest.mark.parametrize("memory", [1000, 0], ids=["with memory", "without"])
def test_hits_are_counted_wherever_they_come_from(tmp_path, clock, memory):
    """A cache without memory counts like one with it."""
    config = CacheConfig(cache_dir=tmp_path / "cache", max_memory_entries=memory)
    with LLMCache(config=config, clock=clock) as cache:
        for second in range(5):
            clock.now = T0 + second
            cache.get_or_generate_sync("a", lambda: "text", n=1)
        assert cache.get_stats()["total"]["hits"] == 4
        [info] = cache.entries()
        assert (info.hits, info.last_used_at) == (4, T0 + 4)


def test_an_entry_that_was_made_anew_begins_without_hits(cache):
    """What its predecessor answered is the prefix's, not its own."""
    cache.get_or_generate_sync("a", lambda: "text", n=1)
    cache.get_or_generate_sync("a", fail, n=1)
    cache.get_stats()
    cache.put("a", "new", n=1)
    [info] = cache.entries()
    assert (info.hits, info.last_used_at) == (0, None)
    assert cache.get_stats()["total"]["hits"] == 1


def test_counts_outlive_what_was_counted(cache):
    """Clearing takes no count away, and a prefix that only has counts is still told of."""
    cache.get_or_generate_sync("a", lambda: "text", n=1)
    cache.clear_all()
    stats = cache.get_stats()
    assert stats["prefixes"]["a"]["entries"] == 0
    assert nonzero(stats["prefixes"]["a"]) == {"misses": 1, "generations": 1}


def test_counts_outlive_the_cache(tmp_path, clock):
    """A cache that is closed has told everything; the next one begins its own at 0."""
    for n in range(3):
        with LLMCache(tmp_path / "cache", clock=clock) as cache:
            cache.get_or_generate_sync("a", lambda: "text", n=1)
            stats = cache.get_stats()
            assert (stats["hits"], stats["misses"]) == ((0, 1) if n == 0 else (1, 0))
    with LLMCache(tmp_path / "cache", clock=clock) as cache:
        stats = cache.get_stats()
    assert nonzero(stats["total"]) == {"hits": 2, "misses": 1, "generations": 1}
    assert stats["hits"] == stats["misses"] == 0


def test_close_alone_tells_the_counts(tmp_path, clock):
    """Nobody has to ask for the stats to have them kept."""
    with LLMCache(tmp_path / "cache", clock=clock) as cache:
        for _ in range(3):
            cache.get_or_generate_sync("a", lambda: "text", n=1)
    with LLMCache(tmp_path / "cache", clock=clock) as cache:
        assert nonzero(cache.get_stats()["total"]) == {"hits": 2, "misses": 1, "generations": 1}


def test_counts_of_several_processes_are_merged(tmp_path):
    """The total is over all of them, the counts of the process are its own."""
    cache = LLMCache(tmp_path / "cache")
    cache.get_or_generate_sync("a", lambda: "text", n=1)
    code = (
        "import sys; from llm_cache import LLMCache\n"
        "with LLMCache(sys.argv[1]) as cache:\n"
        "    for _ in range(3): cache.get_or_generate_sync('a', lambda: 'never', n=1)\n"
        "    cache.get_or_generate_sync('b', lambda: 'text', n=1)\n"
    )
    for _ in range(2):
        subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "cache")], timeout=GUARD_S, check=True
        )
    stats = cache.get_stats()
    cache.close()
    assert (stats["hits"], stats["misses"]) == (0, 1)
    assert stats["prefixes"]["a"]["hits"] + stats["prefixes"]["b"]["hits"] == 7
    assert nonzero(stats["total"]) == {"hits": 7, "misses": 2, "generations": 2}


def test_a_process_that_just_ends_has_told_its_counts(tmp_path, cache):
    """Without a `close`, the end of the interpreter tells them."""
    code = (
        "import sys; from llm_cache import LLMCache\n"
        "cache = LLMCache(sys.argv[1])\n"
        "for _ in range(3): cache.get_or_generate_sync('a', lambda: 'text', n=1)\n"
    )
    subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "cache")], timeout=GUARD_S, check=True
    )
    assert nonzero(cache.get_stats()["total"]) == {"hits": 2, "misses": 1, "generations": 1}


def test_since_is_the_first_day_that_was_counted(tmp_path, clock):
    """As an ISO date in UTC, by the cache's clock."""
    for days in (3, 0, 10):
        clock.now = T0 + days * 86_400
        with LLMCache(tmp_path / "cache", clock=clock) as cache:
            cache.get_or_generate_sync("a", lambda: "text", ttl="forever", n=days)
            stats = cache.get_stats()
    assert stats["since"] == "2027-01-15"
    assert stats["total"]["misses"] == 3


def test_a_store_in_trouble_is_told(tmp_path):
    """Lookups go on, and the errors show; asking the store itself is a StoreError."""
    place = tmp_path / "cache"
    place.mkdir(mode=0o700)
    with apsw.Connection(str(place / "cache.db")) as connection:
        connection.execute("CREATE TABLE theirs (a)").fetchall()
    with LLMCache(place) as cache:
        for _ in range(2):
            assert cache.get_or_generate_sync("a", lambda: "text", n=1) == "text"
        assert cache._engine.components.usage.of_process().errors > 0
        with pytest.raises(StoreError):
            cache.get_stats()


def test_stats_of_a_closed_cache_are_a_store_error(tmp_path):
    """It cannot look any more."""
    cache = LLMCache(tmp_path / "cache")
    cache.put("a", "text")
    cache.close()
    with pytest.raises(StoreError):
        cache.get_stats()


def test_a_disabled_cache_has_nothing_to_tell(tmp_path):
    """It answers nothing, and counts nothing as answered."""
    config = CacheConfig(cache_dir=tmp_path / "cache", enabled=False)
    with LLMCache(config=config) as cache:
        cache.get_or_generate_sync("a", lambda: "text", n=1)
        stats = cache.get_stats()
    assert (stats["hits"], stats["misses"], stats["file_entries"]) == (0, 0, 0)
    assert not (tmp_path / "cache").exists()


def test_what_has_no_prefix_is_of_all_only(cache):
    """The store's own trouble, say."""
    cache.put("a", "text", n=1)
    cache._engine.components.usage.count("", "", errors=2)
    stats = cache.get_stats()
    assert stats["total"]["errors"] == 2
    assert list(stats["prefixes"]) == ["a"]


# What `breakdown` tells: the same from a day on, by model and by day.


def told(cache, since=""):
    """The breakdown of a cache."""
    return breakdown(cache._engine.components, cache.config, None, since=since)


@pytest.fixture
def three_days(cache, clock):
    """Two prefixes and two models, used on three days of which the second is skipped."""
    for days, prefix, model in ((0, "a", "m"), (2, "a", "n"), (2, "b", "m")):
        clock.now = T0 + days * 86_400
        for _ in range(2):
            cache.get_or_generate_sync(
                prefix, lambda model=model: Generated("text", Usage(model=model)), model_name=model
            )
        cache.get_stats()  # tells the counts of that day
    return cache


def test_the_breakdown_of_all_days_is_the_stats(three_days):
    """The same total and prefixes, and as much by model and by day."""
    stats, parts = three_days.get_stats(), told(three_days)
    assert [parts[name] for name in ("total", "prefixes", "since")] == [
        stats[name] for name in ("total", "prefixes", "since")
    ]
    for part in ("models", "days"):
        for name in ("hits", "misses", "generations", "saved_seconds"):
            summed = sum(counts[name] for counts in parts[part].values())
            assert summed == pytest.approx(stats["total"][name])


def test_the_breakdown_is_by_model(three_days):
    """What each generated and answered."""
    models = told(three_days)["models"]
    assert [(m, c["generations"], c["hits"]) for m, c in models.items() if m] == [
        ("m", 2, 2),
        ("n", 1, 1),
    ]


def test_the_breakdown_is_by_day(three_days):
    """Days in their order, each with its rate; one without requests is not there."""
    days = told(three_days)["days"]
    assert [(day, c["hits"], c["hit_rate"]) for day, c in days.items()] == [
        ("2027-01-15", 1, 0.5),
        ("2027-01-17", 2, 0.5),
    ]


def test_the_breakdown_since_a_day_leaves_out_those_before(three_days):
    """What is held stays that of now."""
    parts = told(three_days, "2027-01-16")
    assert (parts["total"]["hits"], parts["total"]["entries"]) == (2, 3)
    assert (parts["prefixes"]["a"]["hits"], parts["prefixes"]["a"]["entries"]) == (1, 2)
    assert list(parts["days"]) == ["2027-01-17"]
    assert parts["since"] == "2027-01-16"
    assert told(three_days, "2020-01-01")["since"] == "2027-01-15"
    assert told(three_days, "2027-01-18")["since"] is None


def test_reasons_are_told_by_day(cache, clock):
    """Each under the day it was given."""
    for days in (0, 1):
        clock.now = T0 + days * 86_400
        cache.get_or_generate_sync("b", lambda: {1, 2}, n=days)
        cache.get_stats()
    days = told(cache)["days"]
    assert [c["not_stored_because"] for c in days.values()] == [{"not the same": 1}] * 2
    assert told(cache, "2027-01-16")["total"]["not_stored_because"] == {"not the same": 1}
