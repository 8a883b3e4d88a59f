"""The memory tier is bounded, keeps what is hit, and never serves what was taken away."""

import subprocess
import sys
import textwrap
from contextlib import ExitStack
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cache import CacheConfig, LLMCache, cached_llm_call
from llm_cache.engine._memory import MemoryTier, Slot
from llm_cache.store.sqlite.store import SqliteStore
from tests.conformance.samples import Clock, an_entry

ROOMY = 10**9
GUARD_S = 30.0


def make_tier(max_entries=ROOMY, max_bytes=ROOMY) -> MemoryTier:
    """A tier in front of a store that is never opened: its stamps are of this process."""
    store = SqliteStore(Path("/nowhere"), max_bytes=ROOMY)
    return MemoryTier(store, max_entries=max_entries, max_bytes=max_bytes)


def remember(tier, *entries):
    """Puts entries into the tier, each under its stamp of now."""
    for entry in entries:
        tier.put(entry, tier.stamp(entry.key))


def hit(tier, *entries):
    """Marks entries as hit, as a lookup does."""
    for entry in entries:
        tier.slot(entry.key).was_hit = True


def remembered(tier, *entries):
    """Which of these are in the tier, by their place."""
    return [n for n, entry in enumerate(entries) if tier.slot(entry.key) is not None]


def size_of(entry) -> int:
    """What the tier counts for an entry."""
    return Slot(entry, b"", bytes).size_bytes


ENTRIES = [an_entry(n) for n in range(10)]


# Bounds


def test_it_keeps_no_more_entries_than_it_may():
    """The one that came first goes first, as long as nothing is hit."""
    tier = make_tier(max_entries=3)
    remember(tier, *ENTRIES[:5])
    assert len(tier) == 3
    assert remembered(tier, *ENTRIES[:5]) == [2, 3, 4]


def test_it_keeps_no_more_bytes_than_it_may():
    """As many entries as fit, and not one more."""
    tier = make_tier(max_bytes=3 * size_of(ENTRIES[0]))
    remember(tier, *ENTRIES[:5])
    assert remembered(tier, *ENTRIES[:5]) == [2, 3, 4]


def test_a_large_entry_takes_the_place_of_several():
    """Bytes count, not only entries."""
    tier = make_tier(max_bytes=4 * size_of(ENTRIES[0]) + 100)
    remember(tier, *ENTRIES[:4])
    large = an_entry("large", body=b"x" * size_of(ENTRIES[0]))
    remember(tier, large)
    assert tier.slot(large.key) is not None
    assert remembered(tier, *ENTRIES[:4]) == [3] or remembered(tier, *ENTRIES[:4]) == [2, 3]


def test_an_entry_that_is_too_large_costs_no_other():
    """What can never fit is not remembered, and nothing goes for it."""
    tier = make_tier(max_bytes=3 * size_of(ENTRIES[0]))
    remember(tier, *ENTRIES[:3])
    remember(tier, an_entry("huge", body=b"x" * 100_000))
    assert remembered(tier, *ENTRIES[:3]) == [0, 1, 2]


def test_an_entry_that_fits_exactly_is_remembered():
    """The limit is what may be used."""
    assert len(filled(make_tier(max_bytes=size_of(ENTRIES[0])))) == 1
    assert len(filled(make_tier(max_bytes=size_of(ENTRIES[0]) - 1))) == 0


def filled(tier):
    """The tier, after one entry was put."""
    remember(tier, ENTRIES[0])
    return tier


@pytest.mark.parametrize("bounds", [{"max_entries": 0}, {"max_bytes": 0}])
def test_it_may_have_no_room_at_all(bounds):
    """A tier for nothing keeps nothing, and is no trouble."""
    tier = make_tier(**bounds)
    remember(tier, *ENTRIES)
    assert len(tier) == 0
    tier.drop(ENTRIES[0].key)
    tier.clear()


def test_without_a_stamp_nothing_is_remembered():
    """Nobody could tell that the entry was taken away."""
    tier = make_tier()
    for stamp in (b"", b"short", b"more than 8 bytes"):
        tier.put(ENTRIES[0], stamp)
    assert len(tier) == 0


# Who goes


def test_what_was_hit_gets_a_second_chance():
    """Of equals, those that nobody asked for go first."""
    tier = make_tier(max_entries=4)
    remember(tier, *ENTRIES[:4])
    hit(tier, ENTRIES[0], ENTRIES[2])
    remember(tier, ENTRIES[4], ENTRIES[5])
    assert remembered(tier, *ENTRIES[:6]) == [0, 2, 4, 5]


def test_a_second_chance_is_not_a_third():
    """A hit counts once: what is not hit again goes like any other."""
    tier = make_tier(max_entries=2)
    remember(tier, *ENTRIES[:2])
    hit(tier, ENTRIES[0])
    remember(tier, ENTRIES[2])
    assert remembered(tier, *ENTRIES[:3]) == [0, 2]
    remember(tier, ENTRIES[3], ENTRIES[4])
    assert remembered(tier, *ENTRIES[:5]) == [3, 4]


@pytest.mark.parametrize("max_entries", [1, 2, 5])
def test_a_new_entry_is_not_the_first_to_go(max_entries):
    """Where everything was hit, the oldest goes, and what was just put is there."""
    tier = make_tier(max_entries=max_entries)
    old = ENTRIES[:max_entries]
    remember(tier, *old)
    hit(tier, *old)
    new = an_entry("new")
    remember(tier, new)
    assert tier.slot(new.key) is not None
    assert remembered(tier, *old) == list(range(1, max_entries))


def test_what_is_put_again_is_new():
    """A replaced entry takes the place of the one before, at the end of the queue."""
    tier = make_tier(max_entries=3)
    remember(tier, *ENTRIES[:3])
    remember(tier, an_entry(0, body=b'"other"'))
    remember(tier, ENTRIES[3])
    assert remembered(tier, *ENTRIES[:4]) == [0, 2, 3]
    assert tier.slot(ENTRIES[0].key).entry.body == b'"other"'


# Accounting


OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "drop", "hit", "clear"]), st.integers(0, 6), st.integers(0, 3000)
    ),
    max_size=40,
)


@given(OPERATIONS, st.integers(1, 6), st.integers(1500, 15_000))
def test_the_bytes_are_those_of_what_is_there(operations, max_entries, max_bytes):
    """Whatever is put, replaced, dropped and evicted, no byte is counted that is not held."""
    tier = make_tier(max_entries, max_bytes)
    for what, n, length in operations:
        entry = an_entry(n, body=b"x" * length)
        match what:
            case "put":
                remember(tier, entry)
            case "drop":
                tier.drop(entry.key)
            case "hit" if tier.slot(entry.key):
                hit(tier, entry)
            case "clear":
                tier.clear()
        assert tier._bytes == sum(slot.size_bytes for slot in tier._slots.values())
        assert len(tier) <= max_entries
        assert tier._bytes <= max_bytes


def test_dropping_what_is_not_there_changes_nothing():
    """The bytes of others are not touched."""
    tier = make_tier()
    remember(tier, ENTRIES[0])
    before = tier._bytes
    tier.drop(ENTRIES[1].key)
    tier.drop(ENTRIES[0].key)
    tier.drop(ENTRIES[0].key)
    assert (before > 0, tier._bytes, len(tier)) == (True, 0, 0)


# In a cache


class NeverError(Exception):
    """A generator ran that should not have."""


def never():
    """A generator for what must be there."""
    raise NeverError


@pytest.fixture
def make_cache(tmp_path):
    """Makes caches over one directory."""
    with ExitStack() as opened:
        yield lambda **settings: opened.enter_context(
            LLMCache(config=CacheConfig(cache_dir=tmp_path / "cache", **settings))
        )


def get(cache, n=1, make=never):
    """The text of `p(n)`."""
    return cache.get_or_generate_sync("p", make, n=n)


def warmed(cache, n=1, text="old"):
    """The cache, with `p(n)` in its memory."""
    for _ in range(2):
        assert get(cache, n, lambda: text) == text
    return cache


def empty_behind_its_back(cache):
    """Takes all rows out of the file, and tells nobody: what is served then comes from memory."""
    with apsw.Connection(str(cache.cache_dir / "cache.db")) as connection:
        connection.execute("DELETE FROM entries").fetchall()


def test_a_hit_in_memory_reads_no_file(make_cache):
    """What is in memory is served from there."""
    cache = warmed(make_cache())
    empty_behind_its_back(cache)
    assert get(cache) == "old"


@pytest.mark.parametrize("settings", [{"max_memory_entries": 0}, {"max_memory": 0}])
def test_a_cache_may_have_no_memory(make_cache, settings):
    """Every hit is then one of the store."""
    cache = warmed(make_cache(**settings))
    assert cache.get_stats()["memory_entries"] == 0
    assert get(cache) == "old"
    empty_behind_its_back(cache)
    assert get(cache, make=lambda: "made again") == "made again"


def test_memory_holds_as_many_as_it_may(make_cache):
    """`max_memory_entries` is held, and what does not fit is read from the store."""
    cache = make_cache(max_memory_entries=5)
    for n in range(20):
        warmed(cache, n, f"text {n}")
    assert cache.get_stats()["memory_entries"] == 5
    assert [get(cache, n) for n in range(20)] == [f"text {n}" for n in range(20)]


def test_every_caller_gets_a_copy_of_its_own(make_cache):
    """Whatever a caller does to its value, the next one gets it as it was made."""
    cache = make_cache()
    for _ in range(4):
        value = get(cache, make=lambda: {"list": [1, {"deep": []}]})
        assert value == {"list": [1, {"deep": []}]}
        value["list"][1]["deep"].append("changed")
        value["list"].clear()
        value["new"] = 1


def test_what_cannot_be_changed_is_not_copied(make_cache):
    """A text is the same object each time: a hit costs no decoding."""
    cache = warmed(make_cache(), text="a text that is no constant " * 3)
    assert get(cache) is get(cache)


def test_an_entry_in_memory_expires(tmp_path):
    """Its ttl ends at the same instant as in the store."""
    clock = Clock()
    with LLMCache(tmp_path / "cache", clock=clock) as cache:
        cache.get_or_generate_sync("p", lambda: "old", ttl="1h")
        assert cache.get_or_generate_sync("p", never, ttl="1h") == "old"
        clock.now += 3599
        assert cache.get_or_generate_sync("p", never, ttl="1h") == "old"
        clock.now += 1
        assert cache.get_or_generate_sync("p", lambda: "new", ttl="1h") == "new"


def test_a_call_with_a_shorter_ttl_is_not_served_from_memory(tmp_path):
    """Each call's own policy judges what is in memory, whoever put it there."""
    clock = Clock()
    with LLMCache(tmp_path / "cache", clock=clock) as cache:
        cache.get_or_generate_sync("p", lambda: "old", ttl="1d")
        clock.now += 3600
        assert cache.get_or_generate_sync("p", never, ttl="1d") == "old"
        assert cache.get_or_generate_sync("p", lambda: "new", ttl="1m") == "new"
        assert cache.get_or_generate_sync("p", never, ttl="1d") == "new"


def test_an_entry_from_far_ahead_is_not_served_from_memory(tmp_path):
    """A clock that was set back makes what it wrote missing, in memory as in the store."""
    clock = Clock()
    with LLMCache(tmp_path / "cache", clock=clock) as cache:
        assert warmed(cache)
        clock.now -= 299
        assert get(cache) == "old"
        clock.now -= 10
        assert get(cache, make=lambda: "new") == "new"


# Coherence


@pytest.fixture
def pair(make_cache):
    """Two caches over one directory, as two processes would have them; both hold `p(1)`."""
    return warmed(make_cache()), warmed(make_cache())


CHANGES = {
    "invalidate": (lambda cache: cache.invalidate("p", n=1), None),
    "invalidate_prefix": (lambda cache: cache.invalidate_prefix("p"), None),
    "invalidate_prefix to the trash": (lambda cache: cache.invalidate_prefix("p", keep=True), None),
    "invalidate_entries": (
        lambda cache: cache.invalidate_entries([info.key for info in cache.entries("p")]),
        None,
    ),
    "clear_all": (lambda cache: cache.clear_all(), None),
    "put": (lambda cache: cache.put("p", "new", n=1), "new"),
    "refresh": (lambda cache: function_over(cache, "new").refresh(1), "new"),
}


def function_over(cache, text):
    """A decorated function whose calls share the entries of `get`."""

    @cached_llm_call("p", shared=True, cache=cache, exclude=("text",))
    def make(n: int) -> str:
        return text

    return make


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_in_one_cache_is_seen_by_the_other_at_once(pair, name):
    """When the call has returned, the other serves no old entry, and neither does the caller."""
    change, left = CHANGES[name]
    for one, other in (pair, pair[::-1]):
        warmed(one, text=get(one, make=lambda: "old"))
        warmed(other, text=get(one))
        change(one)
        for cache in (other, one):
            if left is None:
                assert cache.peek("p", n=1) is None
            else:
                assert get(cache) == left
        assert get(other, make=lambda: "regenerated") == left or get(one) == "regenerated"


@pytest.mark.parametrize("name", CHANGES)
def test_a_decorated_function_sees_it_at_once(make_cache, name):
    """The shortcut of a decorated function is no way around."""
    change, left = CHANGES[name]
    one, other = make_cache(), make_cache()
    function = function_over(other, "regenerated")
    warmed(one)
    assert [function(1), function(1), function(1)] == ["old"] * 3
    change(one)
    assert function(1) == (left or "regenerated")


def test_other_entries_stay_in_memory(make_cache):
    """Taking one entry away does not make others be read again, but for those of its stamp."""
    one, other = make_cache(), make_cache()
    entries = range(60)
    for n in entries:
        warmed(one, n, f"text {n}")
        warmed(other, n, f"text {n}")
    one.invalidate("p", n=0)
    empty_behind_its_back(one)
    from_memory = sum(get(other, n, lambda: "read") != "read" for n in entries)
    assert from_memory >= 50


def test_an_answer_begun_before_an_invalidation_is_not_remembered(make_cache):
    """What was read or made before the entry was taken away is not served after."""
    one, other = make_cache(), make_cache()

    def make():
        other.invalidate("p", n=1)
        return "begun before"

    assert get(one, make=make) == "begun before"
    other.invalidate("p", n=1)
    assert get(one, make=lambda: "new") == "new"


def test_an_answer_that_replaced_a_fresh_one_is_everybodys(make_cache):
    """What was put while another generated stands, in both; the other's value is its caller's."""
    one, other = make_cache(), make_cache()

    def make():
        other.put("p", "the other's", n=1)
        return "the last"

    assert get(one, make=make) == "the last"
    assert get(other) == get(one) == "the other's"


CHILD = """
import sys
from llm_cache import LLMCache, cached_llm_call

cache = LLMCache(sys.argv[1])

@cached_llm_call("p", cache=cache)
def make(n: int) -> str:
    return "the child's"

for line in sys.stdin:
    print(repr(eval(line)), flush=True)
cache.close()
"""


@pytest.fixture
def child(tmp_path):
    """Has another process evaluate an expression with its `cache` and `make`; gives the repr."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(CHILD), str(tmp_path / "cache")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )

    def evaluate(expression: str) -> str:
        process.stdin.write(expression + "\n")
        process.stdin.flush()
        return process.stdout.readline().strip()

    yield evaluate
    process.communicate(timeout=GUARD_S)


@pytest.mark.parametrize(
    ("expression", "left"),
    [
        ("cache.invalidate('p', n=1)", None),
        ("cache.invalidate_prefix('p')", None),
        ("cache.clear_all()", None),
        ("make.invalidate(1)", None),
        ("cache.put('p', 'put', n=1)", "put"),
        ("make.refresh(1)", "the child's"),
    ],
)
def test_a_change_in_another_process_is_seen_at_once(make_cache, child, expression, left):
    """When the call has returned there, nothing old is served here."""
    cache = warmed(make_cache())
    assert child("make(1)") == "'old'"
    child(expression)
    assert get(cache, make=lambda: "regenerated") == (left or "regenerated")


@pytest.mark.parametrize("name", CHANGES)
def test_another_process_sees_a_change_at_once(make_cache, child, name):
    """When the call has returned here, nothing old is served there."""
    change, left = CHANGES[name]
    cache = warmed(make_cache())
    assert child("[make(1), make(1)]") == "['old', 'old']"
    change(cache)
    assert child("make(1)") == repr(left or "the child's")
