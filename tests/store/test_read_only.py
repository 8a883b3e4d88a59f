"""A directory that may be read, but not written to; and one that cannot be made."""

import asyncio
import logging

import pytest

from llm_cache import CacheConfig, LLMCache, StoreError
from tests.store.disks import fails_from_now_on, may_only_be_read, small_disk

pytestmark = pytest.mark.slow

LEAVES_A_LOG = """
cache = LLMCache(config=CacheConfig(cache_dir=directory, min_free=0))
cache.put("p", "in the log", n=1)
say("kept")
hear()
"""


@pytest.fixture
def disk(tmp_path):
    """A disk that can be made read-only."""
    with small_disk(tmp_path) as disk:
        yield disk


def open_cache(disk):
    """A cache on the disk, which is small."""
    return LLMCache(config=CacheConfig(cache_dir=disk / "cache", min_free=0))


def warned(caplog):
    """What was warned about."""
    return [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]


def test_a_read_only_file_system_is_read(disk, caplog):
    """What is there answers, what is not is generated and not kept; one warning."""
    with open_cache(disk) as cache:
        cache.put("p", "kept", n=1)
    may_only_be_read(disk)
    with open_cache(disk) as cache:
        for _ in range(2):
            assert cache.get_or_generate_sync("p", lambda: "never", n=1) == "kept"
        for n in range(2, 8):
            assert cache.get_or_generate_sync("p", lambda n=n: f"made {n}", n=n) == f"made {n}"
            value = asyncio.run(cache.get_or_generate("p", lambda: "async", k=n))
            assert value == "async"
        assert [entry.params for entry in cache.entries()] == [{"n": 1}]
        with pytest.raises(StoreError, match="may not be written to"):
            cache.put("p", "text")
        with pytest.raises(StoreError, match="may not be written to"):
            cache.clear_all()
    assert len(warned(caplog)) == 1


def test_a_read_only_directory_with_a_log_is_read(disk, caplog, start):
    """Left by a process that was killed: what its log holds is there."""
    child = start(LEAVES_A_LOG, directory=disk / "cache")
    assert child.says() == "kept"
    child.kill()
    assert (disk / "cache" / "cache.db-wal").stat().st_size > 0
    may_only_be_read(disk)
    with open_cache(disk) as cache:
        assert cache.get_or_generate_sync("p", lambda: "made", n=1) == "in the log"
    assert warned(caplog) == []


def test_a_file_system_that_becomes_read_only_goes_on_being_read(disk, caplog):
    """As the kernel has it when a disk fails: what is open stays open, and writes fail."""
    with open_cache(disk) as cache:
        cache.put("p", "kept", n=1)
        fails_from_now_on(disk)
        for n in range(2, 6):
            assert cache.get_or_generate_sync("p", lambda: "never", n=1) == "kept"
            assert cache.get_or_generate_sync("p", lambda n=n: f"made {n}", n=n) == f"made {n}"
            assert cache.peek("p", n=n) is None
    assert len(warned(caplog)) == 1


def test_a_directory_that_cannot_be_made_leaves_the_application_running(tmp_path, caplog):
    """It runs without a store, with the memory tier and one warning."""
    (tmp_path / "file").write_text("a file")
    with LLMCache(tmp_path / "file" / "cache") as cache:
        made = []
        for _ in range(5):
            value = cache.get_or_generate_sync("p", lambda: made.append(1) or "made", n=1)
            assert value == "made"
            assert asyncio.run(cache.get_or_generate("p", lambda: "async", k=1)) == "async"
        assert made == [1]
    assert len(warned(caplog)) == 1
    assert "is a file" in warned(caplog)[0]
