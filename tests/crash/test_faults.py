"""The process is killed at a system call, or the call fails: one call after the other."""

import pytest

from llm_cache import LLMCache
from tests.crash.conftest import WRITER, found, text

COUNT = 4

WRITES = f"""{WRITER}
say("ready"); hear()
cache = write("it", {COUNT})
cache.invalidate("p", name="nobody", n=0)
cache.close()
say("closed")
"""

SURVIVES = f"""{WRITER}
cache = LLMCache(config=CacheConfig(cache_dir=directory, min_free=0))
say("ready"); hear()
assert cache.peek("p", name="before", n=0).value == text("before", 0)
for n in range({COUNT}):
    value = cache.get_or_generate_sync("p", lambda: text("it", n), name="it", n=n)
    assert value == text("it", n)
assert cache.get_or_generate_sync("p", lambda: "never", name="before", n=0) == text("before", 0)
say("survived")
"""

WRITING = ["pwrite64", "ftruncate", "fdatasync", "fsync", "/^link", "/^unlink", "/^rename"]
"""Calls that change what is on the disk, as strace names them."""
NOT_ALWAYS_MADE = {"fsync", "ftruncate"}

pytestmark = pytest.mark.stress


@pytest.mark.timeout(300)
@pytest.mark.parametrize("call", WRITING)
def test_killed_at_every_call_that_writes(start, inject, tmp_path, call):
    """What was acknowledged is there, at most one more, and the file opens as if nothing was."""
    killed = 0
    while True:
        place = tmp_path / str(killed)
        child = start(WRITES, directory=place)
        assert child.says() == "ready"
        with inject(child, f"{call}:signal=SIGKILL:when={killed + 1}"):
            child.tell()
            lines = list(iter(child.says, ""))
        _, errors = child.ends()
        acknowledged = len([line for line in lines if line.isdigit()])
        assert acknowledged <= found(place, "it") <= acknowledged + 1
        assert errors == ""
        assert rescued(place) == []
        if lines[-1:] == ["closed"]:
            break
        killed += 1
    assert killed or call in NOT_ALWAYS_MADE


@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("since", [1, 2, 3, 5, 8, 13, 21])
@pytest.mark.parametrize("call", ["pwrite64", "fdatasync", "ftruncate", "fallocate"])
def test_a_disk_that_fails_costs_no_answer(start, inject, tmp_path, call, since, error):
    """From the n-th call on: values come, reads go on, it is said once, and nothing is broken."""
    place = tmp_path / "cache"
    with LLMCache(place) as cache:
        cache.put("p", text("before", 0), name="before", n=0)
    child = start(SURVIVES, directory=place)
    assert child.says() == "ready"
    with inject(child, f"{call}:error={error}:when={since}+"):
        child.tell()
        said = child.says()
        status, errors = child.ends()
    assert (status, said) == (0, "survived"), errors
    assert errors.count("\n") <= 1, errors
    with LLMCache(place) as cache:
        assert cache.peek("p", name="before", n=0).value == text("before", 0)
        for params in [dict(entry.params) for entry in cache.entries("p")]:
            assert cache.peek("p", **params).value == text(**params)
        cache.put("p", "again", n=1)
        assert cache.peek("p", n=1).value == "again"
    assert rescued(place) == []


def rescued(place):
    """The files that were taken for damaged."""
    return [path.name for path in place.iterdir() if ".corrupt-" in path.name]
