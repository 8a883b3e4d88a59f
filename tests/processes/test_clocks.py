"""Wall clocks that jump, or differ: leases do not go by them, and entries by no more than age."""

import time
from pathlib import Path

import pytest

from llm_cache import LLMCache
from llm_cache.store.records import Held, Lease
from llm_cache.store.sqlite.store import SqliteStore
from tests.conformance.samples import T0, Clock, an_entry
from tests.conformance.test_store_leases import acquire, granted

DAY_S = 86_400.0
MINUTE_S = 60.0

GENERATES = """
def generate():
    say("generating"); hear()
    return "of the first"
with LLMCache(directory) as cache:
    say(int(time.time()))
    say(cache.get_or_generate_sync("p", generate, n=1))
    say(cache.get_or_generate_sync("p", lambda: "again", n=1))
    hear()
"""

WAITS = """
with LLMCache(directory) as cache:
    store, is_held = cache._engine.components.store, cache._engine.components.store.is_held
    def look(key):
        held = is_held(key)
        say("held" if held else "free")
        return held
    store.is_held = look
    say(cache.get_or_generate_sync("p", lambda: "of the second", n=1))
"""


@pytest.mark.parametrize("jump_s", [DAY_S, -DAY_S, 400 * DAY_S])
def test_a_jump_of_the_clock_ends_no_lease(tmp_path, jump_s):
    """Neither the holder's clock nor that of who looks matters."""
    clocks = Clock(), Clock()
    stores = [SqliteStore(tmp_path / "cache", max_bytes=2**40, clock=clock) for clock in clocks]
    try:
        lease = granted(stores[0])
        for jumping in clocks:
            jumping.now += jump_s
            assert acquire(stores[1]) is Held.BY_ANOTHER
            assert stores[1].is_held(lease.key)
        stores[0].leases.beat()
        assert stores[0].put(an_entry(), lease=lease)
        assert isinstance(acquire(stores[1], unfit=an_entry()), Lease)
    finally:
        for store in stores:
            store.close()


@pytest.mark.parametrize(
    ("ahead_s", "value"),
    [
        (-DAY_S, "regenerated"),
        (-DAY_S + MINUTE_S, "put"),
        (0.0, "put"),
        (5 * MINUTE_S, "put"),
        (6 * MINUTE_S, "regenerated"),
        (DAY_S, "regenerated"),
    ],
)
def test_an_entry_of_another_clock_is_new_up_to_five_minutes_ahead(tmp_path, ahead_s, value):
    """From further ahead it is missing, and made again; a day back it is as old as that."""
    there, here = Clock(T0 + ahead_s), Clock(T0)
    with LLMCache(tmp_path, clock=there) as cache:
        cache.put("p", "put")
    with LLMCache(tmp_path, clock=here) as cache:
        assert cache.get_or_generate_sync("p", lambda: "regenerated") == value
        assert cache.get_or_generate_sync("p", lambda: "never") == value
        assert cache.get_stats()["file_entries"] == 1


@pytest.mark.slow
@pytest.mark.parametrize("jump", ["+1d", "-1d"])
def test_a_process_with_another_clock_keeps_its_lease(start, jump):
    """For real: the C library of one process tells it another day."""
    libraries = sorted(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"))
    if not libraries:
        pytest.skip("libfaketime is not installed")
    env = {
        "LD_PRELOAD": str(libraries[0]),
        "FAKETIME": jump,
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    first = start(GENERATES, env=env)
    seconds = int(first.says())
    assert first.says() == "generating"
    second = start(WAITS)
    for _ in range(5):
        assert second.says() == "held"
    first.tell()
    assert first.says() == "of the first"
    assert first.says() == "of the first", "its own entry is fresh to it"
    assert abs(abs(seconds - time.time()) - DAY_S) < DAY_S / 2
    said = [line for line in iter(second.says, "") if line not in {"held", "free"}]
    # A day ahead is missing; a day back, the ttl of a day has passed: both are regenerated.
    assert said == ["of the second"]
    first.tell()
    assert first.ends() == second.ends() == (0, "")
