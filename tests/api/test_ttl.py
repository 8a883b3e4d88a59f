"""Which ttl applies: the nearest that says something, and when reading."""

import itertools
from datetime import timedelta

import pytest

from llm_cache import CachePolicy, Freshness, cached_llm_call

HOUR = 3600.0
SOURCES = ("call", "prefix", "decorator", "defaults")


@pytest.mark.parametrize("said", list(itertools.product((False, True), repeat=4)), ids=str)
def test_the_nearest_source_decides(make_cache, clock, said):
    """The call, `[prefixes.X]`, the decorator, `[defaults]`, the built-in day."""
    says = dict(zip(SOURCES, said, strict=True))
    cache = make_cache(
        prefixes={"p": {"ttl": "2h"}} if says["prefix"] else {},
        defaults={"ttl": "4h"} if says["defaults"] else {},
    )
    policy = CachePolicy(ttl="3h") if says["decorator"] else None
    text = cached_llm_call("p", policy=policy, cache=cache)(lambda: "text")
    expected = 24 * HOUR
    for source, hours in zip(SOURCES, (1, 2, 3, 4), strict=True):
        if says[source]:
            expected = hours * HOUR
            break
    if says["call"]:
        cache.get_or_generate_sync("p", lambda: "text", ttl=timedelta(hours=1))
    else:
        text()
    entry = next(iter(cache.entries()))
    assert cache.expires_at(entry) - entry.created_at == expected
    clock.now += expected - 1
    assert cache.judge(entry) is Freshness.FRESH
    assert cache.prune().entries == 0
    assert text.peek() is not None
    clock.now += 1
    assert cache.judge(entry) is Freshness.MISSING
    assert cache.prune(dry_run=True).entries == cache.prune().entries == 1


def test_what_an_operator_writes_holds_for_what_is_there(make_cache, clock):
    """A shorter ttl in the file ends entries that were made under a longer one."""

    def ask(cache):
        calls = []
        text = cached_llm_call("p", ttl="7d", cache=cache)(lambda: calls.append(1) or "text")
        text()
        return len(calls)

    assert ask(make_cache()) == 1
    clock.now += 2 * HOUR
    assert ask(make_cache()) == 0
    assert ask(make_cache(p_ttl_hours=1)) == 1


def test_memory_keeps_no_entry_beyond_its_ttl(cache, clock):
    """A hit in memory is judged like any other."""
    calls = []
    text = cached_llm_call("p", ttl="1h")(lambda: calls.append(1) or "text")
    for seconds in (0, 3599, 1):
        clock.now += seconds
        text()
    assert len(calls) == 2


def test_forever_is_for_ever(cache, clock):
    """No instant is too late."""
    cache.put("p", "text", ttl="forever")
    clock.now += 1e12
    assert cache.peek("p").value == "text"
    assert cache.prune().entries == 0


@pytest.mark.parametrize(("ahead", "found"), [(299, True), (300, True), (301, False)])
def test_entries_from_the_future(make_cache, clock, ahead, found):
    """Up to five minutes ahead they are new, since clocks differ; beyond that they are missing."""
    clock.now += ahead
    make_cache().put("p", "text")
    clock.now -= ahead
    assert (make_cache().peek("p") is not None) is found


def test_versions_are_kept_apart(make_cache):
    """A prompt's new revision finds none of the old one's answers, and the other way round."""
    for cache, expected in (
        (make_cache(prefixes={"p": {"version": "1"}}), "one"),
        (make_cache(prefixes={"p": {"version": "2"}}), "two"),
        (make_cache(), "none"),
    ):
        assert cache.get_or_generate_sync("p", lambda expected=expected: expected) == expected
    assert {e.version for e in cache.entries()} == {"", "1", "2"}
