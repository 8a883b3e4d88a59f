"""What one process takes away, no other serves or stores."""

import subprocess
import sys

import pytest

from llm_cache import LLMCache

GENERATES = """
def generate():
    say("generating"); hear()
    return "begun before"
with LLMCache(directory) as cache:
    say(cache.get_or_generate_sync("p", generate, n=1))
    say("landed"); hear()
    say(cache.get_or_generate_sync("p", lambda: "made again", n=1))
"""

SERVES = """
@cached_llm_call("p", cache=LLMCache(directory))
def text(n: int) -> str:
    return os.urandom(8).hex()
n = 0
say("ready")
while hear() == "next":
    n += 1
    before = text(n), text(n)
    say("holds")
    hear()
    after = text(n)
    say("same" if after == before[0] else "anew")
"""

JOINS = """
go = threading.Event()
def generator(value):
    def generate():
        say("generating")
        go.wait(30)
        return value
    return generate
config = CacheConfig(cache_dir=directory, max_memory_entries=ENTRIES)
cache = LLMCache(config=config)
cache.put("q", "opens the store")
values = []
def ask(value):
    values.append(cache.get_or_generate_sync("p", generator(value), n=1))
threads = [threading.Thread(target=ask, args=(value,)) for value in ("begun before", "begun after")]
threads[0].start()
hear()
threads[1].start()
hear()
go.set()
for thread in threads: thread.join()
for value in values: say(value)
assert cache.peek("p", n=1).value == "begun after"
cache.close()
"""

INVALIDATES = """
with LLMCache(directory) as cache:
    cache.invalidate("p", n=1)
say("invalidated")
"""

CHANGES = {
    "its entry": lambda cache: cache.invalidate("p", n=1),
    "its prefix": lambda cache: cache.invalidate_prefix("p"),
    "everything": lambda cache: cache.clear_all(),
    "another value put": lambda cache: cache.put("p", "put meanwhile", n=1),
}


@pytest.mark.slow
@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_what_was_begun_before_is_not_stored(start, cache, change):
    """Its callers get it; the next call generates again, or finds what was put."""
    first = start(GENERATES)
    assert first.says() == "generating"
    change(cache)
    left = cache.peek("p", n=1)
    first.tell()
    assert first.says() == "begun before"
    assert first.says() == "landed"
    assert cache.peek("p", n=1) == left
    first.tell()
    assert first.says() == ("made again" if left is None else "put meanwhile")
    assert first.ends() == (0, "")


@pytest.mark.slow
def test_whoever_asks_after_an_invalidation_does_not_wait_for_what_was_begun_before(start, cache):
    """It generates at once, while the old flight is still under way elsewhere."""
    first = start(GENERATES)
    assert first.says() == "generating"
    cache.invalidate("p", n=1)
    assert cache.get_or_generate_sync("p", lambda: "begun after", n=1) == "begun after"
    first.tell()
    assert first.says() == "begun before"
    assert first.says() == "landed"
    assert cache.peek("p", n=1).value == "begun after"


@pytest.mark.slow
@pytest.mark.parametrize("max_memory_entries", [1000, 0])
def test_nobody_joins_what_was_begun_before_an_invalidation_elsewhere(start, max_memory_entries):
    """Two callers of one process, and between them another process invalidates."""
    first = start(JOINS.replace("ENTRIES", str(max_memory_entries)))
    assert first.says() == "generating"
    other = start(INVALIDATES)
    assert other.says() == "invalidated"
    assert other.ends() == (0, "")
    first.tell("ask again")
    assert first.says() == "generating"
    first.tell("both")
    assert sorted([first.says(), first.says()]) == ["begun after", "begun before"]
    assert first.ends() == (0, "")


@pytest.mark.slow
def test_no_process_serves_from_memory_what_another_took_away(start, cache):
    """Three processes hold an entry in memory; 200 rounds of taking it away in different ways."""
    children = [start(SERVES) for _ in range(3)]
    for child in children:
        assert child.says() == "ready"
    for n in range(1, 201):
        for child in children:
            child.tell("next")
        for child in children:
            assert child.says() == "holds"
        [entry] = cache.entries("p", limit=1)
        ways = (
            lambda key=entry.key: cache.invalidate_entries((key,)),
            lambda: cache.invalidate_prefix("p"),
            cache.clear_all,
        )
        assert ways[n % 3]().entries >= 1
        for child in children:
            child.tell()
        assert [child.says() for child in children] == ["anew"] * 3, n
    for child in children:
        child.tell("end")
        assert child.ends() == (0, "")


@pytest.mark.slow
@pytest.mark.parametrize("by", ["id", "prefix", "clear"])
def test_the_command_line_reaches_a_running_application(start, place, by):
    """`invalidate` by id and by prefix, and `clear`, beside three processes."""
    children = [start(SERVES) for _ in range(3)]
    for child in children:
        assert child.says() == "ready"
        child.tell("next")
    for child in children:
        assert child.says() == "holds"
    with LLMCache(place) as cache:
        [entry] = cache.entries("p")
    args = {
        "id": ["invalidate", entry.id, "--yes"],
        "prefix": ["invalidate", "--prefix", "p", "--yes"],
        "clear": ["clear", "--yes"],
    }[by]
    command = [sys.executable, "-m", "llm_cache", "--cache-dir", str(place), *args]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for child in children:
        child.tell()
    assert [child.says() for child in children] == ["anew"] * 3
    for child in children:
        child.tell("end")
        assert child.ends() == (0, "")


@pytest.mark.slow
def test_two_that_invalidate_at_the_same_instant_are_both_seen(start):
    """Each of two processes takes its own entry away while a third holds both; 50 rounds."""
    takes_away = """
cache = LLMCache(directory)
say("ready")
while (n := hear()) != "end":
    cache.invalidate("p", n=int(n))
    say("gone")
"""
    holds = """
cache = LLMCache(directory)
made = 0
def generate():
    global made
    made += 1
    return f"made {made}"
def get(): return [cache.get_or_generate_sync("p", generate, n=n) for n in (1, 2)]
say("ready")
while hear() == "go":
    assert get() == (before := get())
    say("holds"); hear()
    say(len(set(before) & set(get())))
"""
    holder, *others = [start(holds), start(takes_away), start(takes_away)]
    for child in (holder, *others):
        assert child.says() == "ready"
    for _ in range(50):
        holder.tell()
        assert holder.says() == "holds"
        for n, child in enumerate(others, start=1):
            child.tell(str(n))
        for child in others:
            assert child.says() == "gone"
        holder.tell()
        assert holder.says() == "0"
