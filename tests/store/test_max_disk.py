"""A cache keeps to `max_disk` by itself, and to `max_value` for each value."""

import logging
import random

import pytest

from llm_cache import CacheConfig, LLMCache, StoreError
from tests.conformance.samples import T0, Clock

LIMIT = 1024**2
SIZE = 40_000


def text(n: int, size_bytes: int = SIZE) -> str:
    """A text that cannot be compressed below its half."""
    return random.Random(n).randbytes(size_bytes).hex()


@pytest.fixture
def make_cache(place, clock):
    """Makes caches of 1 MiB over one directory."""
    caches = []

    def make(**settings: object) -> LLMCache:
        config = CacheConfig(**{"cache_dir": place, "max_disk": LIMIT, **settings})
        caches.append(LLMCache(config=config, clock=clock))
        return caches[-1]

    yield make
    for cache in caches:
        cache.close()


@pytest.fixture
def clock() -> Clock:
    """The caches' clock."""
    return Clock()


def file_bytes(place) -> int:
    """What the database takes on the disk, its log aside."""
    return (place / "cache.db").stat().st_size


def fill(cache, clock, count=60):
    """Has so many values made, a second apart, each too large for many to fit."""
    for n in range(count):
        clock.now = T0 + n
        cache.get_or_generate_sync("intro_page", lambda n=n: text(n), ttl="forever", n=n)


def test_max_disk_is_held_by_lookups(make_cache, clock, place):
    """However much is generated, what is kept stays under the limit, and close to it."""
    cache = make_cache()
    fill(cache, clock)
    stats = cache.get_stats()
    assert LIMIT // 2 < stats["total"]["size_bytes"] <= LIMIT
    cache.close()
    assert file_bytes(place) <= 1.1 * LIMIT


def test_max_disk_is_held_by_put(make_cache, clock, place):
    """Values that the application puts make room, too."""
    cache = make_cache()
    for n in range(60):
        clock.now = T0 + n
        cache.put("intro_page", text(n), ttl="forever", n=n)
    assert cache.get_stats()["total"]["size_bytes"] <= LIMIT
    cache.close()
    assert file_bytes(place) <= 1.1 * LIMIT


def test_the_newest_values_are_there(make_cache, clock):
    """What goes is what was made, or used, longest ago."""
    cache = make_cache()
    fill(cache, clock)
    left = {info.params["n"] for info in cache.entries()}
    assert left == set(range(60 - len(left), 60))
    assert len(left) >= 5


def test_what_was_used_lately_stays(make_cache, clock):
    """A hit keeps an entry from going."""
    cache = make_cache()
    for n in range(60):
        clock.now = T0 + n
        cache.get_or_generate_sync("intro_page", lambda n=n: text(n), ttl="forever", n=n)
        cache.get_or_generate_sync("intro_page", lambda: text(0), ttl="forever", n=0)
        cache.get_stats()  # has the hit told to the store now, not within a second
    assert 0 in {info.params["n"] for info in cache.entries()}


def test_evictions_are_counted(make_cache, clock):
    """What capacity took is counted, and adds up with what is left."""
    cache = make_cache()
    fill(cache, clock)
    stats = cache.get_stats()
    assert stats["total"]["evictions"] == 60 - stats["total"]["entries"] > 0
    assert make_cache().get_stats()["total"]["evictions"] == stats["total"]["evictions"]


def test_what_expired_is_not_counted_as_evicted(make_cache, clock):
    """To evict is to take what is still good."""
    cache = make_cache(max_disk=64 * LIMIT)
    for n in range(30):
        cache.get_or_generate_sync("intro_page", lambda n=n: text(n), ttl="1h", n=n)
    cache.close()
    clock.now = T0 + 3601
    small = make_cache()
    small.get_or_generate_sync("intro_page", lambda: "one more", ttl="1h", n=99)
    stats = small.get_stats()
    assert stats["total"]["entries"] == 1
    assert stats["total"]["evictions"] == 0


def test_evictions_by_prune_are_counted(make_cache, clock):
    """What `prune` has to evict counts like what a lookup evicts."""
    cache = make_cache(max_disk=64 * LIMIT)
    fill(cache, clock, 40)
    cache.close()
    small = make_cache()
    removed = small.prune()
    assert [group.why for group in removed.groups] == ["evicted"]
    assert small.get_stats()["total"]["evictions"] == removed.entries


@pytest.mark.parametrize("age", [0, 3601])
def test_a_dry_run_of_prune_says_what_prune_does(make_cache, clock, age):
    """Expired and evicted, entries and bytes: a dry run tells the same and removes nothing."""
    cache = make_cache(max_disk=64 * LIMIT)
    for n in range(15):
        cache.get_or_generate_sync("intro_page", lambda n=n: text(n), ttl="1h", n=n)
    fill_from = T0 + age
    for n in range(40):
        clock.now = fill_from + n / 8
        cache.get_or_generate_sync("other", lambda n=n: text(n), ttl="forever", n=n)
    cache.close()
    small = make_cache()
    dry = small.prune(dry_run=True)
    assert small.get_stats()["file_entries"] == 55
    removed = small.prune()
    assert removed.groups == dry.groups
    assert removed.entries > 0


def test_the_file_shrinks_to_a_smaller_limit(make_cache, clock, place):
    """Who lowers `max_disk` and prunes gets the space back."""
    big = make_cache(max_disk=64 * LIMIT)
    fill(big, clock)
    big.close()
    assert file_bytes(place) > 2 * LIMIT
    small = make_cache()
    small.prune()
    small.close()
    assert file_bytes(place) <= 1.1 * LIMIT


# max_value


@pytest.mark.parametrize("length", [998, 999])
def test_a_value_of_max_value_is_kept_and_one_over_it_is_not(make_cache, length):
    """The limit is on the encoded bytes: a text and its two quotes."""
    cache = make_cache(max_value=1000)
    assert cache.get_or_generate_sync("intro_page", lambda: "x" * length, n=1) == "x" * length
    assert cache.get_stats()["total"]["entries"] == (1 if length == 998 else 0)


def test_a_value_over_max_value_is_returned_and_told_of_once(make_cache, caplog):
    """The caller gets it each time; the log says once what to do, and the counts say how often."""
    cache = make_cache(max_value=1000)
    with caplog.at_level(logging.WARNING, logger="llm_cache"):
        for n in range(3):
            value = cache.get_or_generate_sync("intro_page", lambda: "x" * 5000, n=n)
            assert value == "x" * 5000
    assert len(caplog.records) == 1
    assert "max_value" in caplog.text
    stats = cache.get_stats()
    assert stats["total"]["not_stored"] == 3
    assert stats["total"]["misses"] == stats["total"]["generations"] == 3


def test_putting_a_value_over_max_value_is_refused_and_keeps_what_was_there(make_cache):
    """`put` says that it did nothing."""
    cache = make_cache(max_value=1000)
    cache.put("intro_page", "small", n=1)
    with pytest.raises(StoreError, match="max_value"):
        cache.put("intro_page", "x" * 5000, n=1)
    assert cache.peek("intro_page", n=1).value == "small"


def test_max_value_counts_before_compression(make_cache):
    """A value that compresses well is as large as its caller sees it."""
    cache = make_cache(max_value=10_000)
    cache.get_or_generate_sync("intro_page", lambda: "x" * 20_000, n=1)
    assert cache.get_stats()["total"]["entries"] == 0
