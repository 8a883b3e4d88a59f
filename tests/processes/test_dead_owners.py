"""A process that generates is killed or stopped: another takes over."""

import signal

import pytest

GENERATES = """
def generate():
    say("generating"); hear()
    return "of the first"
with LLMCache(directory, config=CacheConfig(lease="1s", cache_dir=directory)) as cache:
    say(cache.get_or_generate_sync("p", generate, n=1))
    say("landed")
    hear()
"""

WITH_A_CHILD = """
import subprocess
def generate():
    # A child that inherits every descriptor that can be inherited, and outlives its parent.
    nothing = subprocess.DEVNULL
    subprocess.Popen(["sleep", "60"], close_fds=False, stdout=nothing, stderr=nothing)
    say("generating"); hear()
with LLMCache(directory) as cache:
    cache.get_or_generate_sync("p", generate, n=1)
"""

WITH_A_FORK = """
def generate():
    if os.fork() == 0:
        devnull = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2): os.dup2(devnull, stream)
        signal.pause()
    say("generating"); hear()
with LLMCache(directory) as cache:
    cache.get_or_generate_sync("p", generate, n=1)
"""

TAKES_OVER = """
with LLMCache(directory) as cache:
    say("ready"); hear()
    say(cache.get_or_generate_sync("p", lambda: "of the second", n=1))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    "script", [GENERATES, WITH_A_CHILD, WITH_A_FORK], ids=["alone", "a child lives", "a fork lives"]
)
def test_another_takes_over_from_a_killed_one(start, script):
    """Long before the lease of 15 s has passed: a dead owner's lock is gone with it."""
    first = start(script.replace('"1s"', '"1h"'))
    assert first.says() == "generating"
    second = start(TAKES_OVER)
    assert second.says() == "ready"
    second.tell()
    first.kill()
    assert second.says() == "of the second"
    assert second.ends() == (0, "")


@pytest.mark.slow
def test_the_late_answer_of_a_stopped_one_is_not_stored(start, cache):
    """It goes to its callers; the newer one, made meanwhile, stands."""
    first = start(GENERATES)
    assert first.says() == "generating"
    first.signal(signal.SIGSTOP)
    # Its lease of a second is not renewed any more.
    assert cache.get_or_generate_sync("p", lambda: "of the second", n=1) == "of the second"
    first.signal(signal.SIGCONT)
    first.tell()
    assert first.says() == "of the first"
    assert first.says() == "landed"
    assert cache.peek("p", n=1).value == "of the second"
    first.tell()
    assert first.ends() == (0, "")


@pytest.mark.slow
def test_a_lease_lasts_as_long_as_its_owner_generates(start, cache):
    """The heartbeat renews it: a generation of several leases' length is waited for."""
    first = start(GENERATES)
    assert first.says() == "generating"
    waiting = start(TAKES_OVER)
    assert waiting.says() == "ready"
    waiting.tell()
    key = next(iter(first_leases(cache)))
    deadlines = {deadline_of(cache, key)}
    # Three deadlines: the lease has been renewed twice.
    while len(deadlines) < 3:
        deadlines.add(deadline_of(cache, key))
    first.tell()
    assert waiting.says() == "of the first"
    first.tell()
    assert first.ends() == waiting.ends() == (0, "")


def first_leases(cache):
    """The keys that are being generated."""
    return [row[0] for row in cache._engine.components.store._read("SELECT key FROM leases")]


def deadline_of(cache, key):
    """When the lease of a key ends."""
    rows = cache._engine.components.store._read("SELECT deadline FROM leases WHERE key = ?", (key,))
    return rows[0][0]
