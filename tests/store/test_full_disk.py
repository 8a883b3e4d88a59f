"""A disk that is full, or nearly so: callers get their values, and room can be made."""

import logging

import pytest

from llm_cache import CacheConfig, LLMCache, StoreError
from tests.store.disks import fill, largest_file, small_disk

KIB = 1024


@pytest.fixture
def disk(tmp_path):
    """A disk of 24 MiB."""
    with small_disk(tmp_path) as disk:
        yield disk


def open_cache(place, **settings):
    """A cache that leaves nothing free for others, so that the disk gets really full."""
    return LLMCache(config=CacheConfig(cache_dir=place, **{"min_free": 0, **settings}))


def text(n):
    """A value that takes about 50 KiB, however it is compressed."""
    import random

    return random.Random(n).randbytes(25 * KIB).hex()


def fill_with_entries(cache, prefix="p"):
    """Generates until the store keeps no more; gives how many were kept."""
    n = 0
    while True:
        assert cache.get_or_generate_sync(prefix, lambda n=n: text(n), n=n) == text(n)
        cache._engine.components.flights.wait_until_stored(10.0)
        cache._engine.components.tier.clear()
        if cache._engine.components.store.get(_key(cache, prefix, n)) is None:
            return n
        n += 1


def _key(cache, prefix, n):
    return cache._asked(prefix, None, None, {"n": n}).identity.key


def warnings(caplog):
    """What was warned about."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


@pytest.mark.slow
@pytest.mark.parametrize("way", ["clear_all", "invalidate_prefix", "prune", "one by one"])
def test_a_full_disk_costs_no_answer_and_can_be_emptied(disk, caplog, way):
    """Values are returned, reads go on, one warning; removing frees room, and storing goes on."""
    clock = [1.8e9]
    with LLMCache(
        config=CacheConfig(cache_dir=disk / "cache", min_free=0), clock=lambda: clock[0]
    ) as cache:
        kept = fill_with_entries(cache)
        assert kept > 50
        fill(disk)
        for n in range(kept):
            assert cache.peek("p", n=n).value == text(n)
        for n in range(kept, kept + 5):
            assert cache.get_or_generate_sync("p", lambda n=n: text(n), n=n) == text(n)
        troubles = [w for w in warnings(caplog) if "goes on without its store" in w]
        assert len(troubles) == 1
        match way:
            case "clear_all":
                assert cache.clear_all().entries == kept
            case "invalidate_prefix":
                assert cache.invalidate_prefix("p").entries == kept
            case "prune":
                clock[0] += 25 * 3600.0
                assert cache.prune().entries == kept
            case _:
                assert sum(cache.invalidate("p", n=n).entries for n in range(kept)) == kept
        assert list(cache.entries()) == []
    # Another process, say, or this one once it tries again.
    with open_cache(disk / "cache") as cache:
        cache.put("q", text(0))
        assert cache.peek("q").value == text(0)
        assert cache.get_or_generate_sync("q", lambda: text(1), n=1) == text(1)
        assert cache.peek("q", n=1).value == text(1)


@pytest.mark.slow
@pytest.mark.parametrize("has_reserve", [True, False])
def test_who_comes_to_a_full_disk_reads_and_can_empty_it(disk, caplog, has_reserve):
    """A new process, which finds no room for as much as the index of a log; none at all, maybe."""
    with open_cache(disk / "cache") as cache:
        kept = fill_with_entries(cache)
    if not has_reserve:
        (disk / "cache" / "reserve").unlink(missing_ok=True)
    filler = fill(disk)
    with open_cache(disk / "cache") as cache:
        for n in range(kept):
            assert cache.get_or_generate_sync("p", lambda: "never", n=n) == text(n)
        assert cache.get_or_generate_sync("q", lambda: "text") == "text"
        if not has_reserve:
            with pytest.raises(StoreError, match=r"full|room"):
                cache.clear_all()
            filler.unlink()
        # The one that was just generated may have fitted into the room of the reserve.
        assert cache.clear_all().entries in {kept, kept + 1}
        cache.put("q", "text")
        assert cache.peek("q").value == "text"
    assert [path.name for path in (disk / "cache").iterdir() if ".corrupt-" in path.name] == []


@pytest.mark.slow
def test_the_same_process_stores_again_once_there_is_room(disk):
    """After a while it tries, and goes on as if nothing had been."""
    with open_cache(disk / "cache") as cache:
        kept = fill_with_entries(cache)
        now = [1000.0]
        cache._engine.components.writes._monotonic = lambda: now[0]
        cache.clear_all()
        now[0] += 3600.0
        assert kept > 50
        assert cache.get_or_generate_sync("q", lambda: "text") == "text"
        cache._engine.components.flights.wait_until_stored(10.0)
        assert cache.peek("q").value == "text"


def test_a_file_that_may_not_grow_costs_no_answer(place, caplog):
    """As under a quota: where no small disk can be had, this is tested all the same."""
    with open_cache(place) as cache:
        cache.put("p", "before")
        with largest_file(300 * KIB):
            for n in range(20):
                assert cache.get_or_generate_sync("p", lambda n=n: text(n), n=n) == text(n)
                cache._engine.components.flights.wait_until_stored(10.0)
            assert cache.peek("p").value == "before"
            with pytest.raises(StoreError, match="room"):
                cache.put("p", text(99) * 10, n=99)
        troubles = [w for w in warnings(caplog) if "goes on without its store" in w]
        assert len(troubles) == 1
        cache.clear_all()
        cache.put("p", text(99), n=99)
        assert cache.peek("p", n=99).value == text(99)


def test_some_room_is_left_for_others(place, caplog):
    """With less than `min_free` on the disk nothing more is kept; callers get their values."""
    with LLMCache(config=CacheConfig(cache_dir=place, min_free=2**59)) as cache:
        for n in range(3):
            assert cache.get_or_generate_sync("p", lambda: "text", n=n) == "text"
        cache._engine.components.flights.wait_until_stored(10.0)
        with pytest.raises(StoreError, match="min_free"):
            cache.put("p", "text")
        assert cache.get_stats()["file_entries"] == 0
    troubles = [w for w in warnings(caplog) if "goes on without its store" in w]
    assert len(troubles) == 1
    assert "min_free" in troubles[0]
