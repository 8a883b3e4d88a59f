"""What a gate refuses goes to all who asked, is not kept, and is told with its reason."""

import asyncio
import logging
import types

import pytest

from llm_cache import CachePolicy, Outcome, cached_llm_call

GUARD_S = 20.0
HOUR_S = 3600.0
NOT_EMPTY = CachePolicy(store_if=["not_empty"])
CUT_OFF = {"choices": [{"finish_reason": "length", "message": {"content": "Once upon a"}}]}


def refused_by(cache):
    """How many values were refused, by reason, as the statistics tell it."""
    total = cache.get_stats()["total"]
    assert total["not_stored"] == sum(total["not_stored_because"].values())
    return total["not_stored_because"]


def test_what_is_refused_goes_to_its_caller_each_time(cache, way, asker):
    """It is neither in the store nor in memory: the next request generates again."""
    asker = asker(cache, way, NOT_EMPTY)
    asker.answer = " \n"
    assert [asker.ask(), asker.ask()] == [" \n", " \n"]
    assert asker.made == 2
    stats = cache.get_stats()
    assert (stats["file_entries"], stats["memory_entries"]) == (0, 0)
    assert refused_by(cache) == {"empty": 2}


def test_what_passes_is_kept(cache, way, asker):
    """The first good answer ends it."""
    asker = asker(cache, way, NOT_EMPTY)
    asker.answer = ""
    asker.ask()
    asker.answer = "text"
    assert [asker.ask(), asker.ask()] == ["text", "text"]
    assert asker.made == 2
    assert refused_by(cache) == {"empty": 1}


@pytest.mark.parametrize(
    ("gate", "answer", "reason"),
    [
        ("not_empty", [], "empty"),
        ("not_truncated", CUT_OFF, "truncated"),
        ("not_filtered", {"stop_reason": "content_filtered", "content": []}, "filtered"),
        ("not_refused", {"stop_reason": "refusal", "content": []}, "refused"),
    ],
)
@pytest.mark.parametrize("table", ["prefixes.p", "defaults"])
def test_a_file_names_gates_for_code_that_knows_none(
    load_cache, way, asker, gate, answer, reason, table
):
    """By their names, for a prefix or for all."""
    cache = load_cache(f'[{table}]\nstore_if = ["{gate}"]')
    asker = asker(cache, way)
    asker.answer = answer
    assert asker.ask() == answer
    assert refused_by(cache) == {reason: 1}
    asker.answer = "text"
    assert [asker.ask(), asker.ask()] == ["text", "text"]
    assert asker.made == 2


def test_a_file_may_take_gates_away(load_cache, way, asker):
    """An empty list goes before what a decorator says; a call goes before the file."""
    cache = load_cache("[prefixes.p]\nstore_if = []")
    policy = NOT_EMPTY if way.startswith("decorated") else None
    asker = asker(cache, way, policy)
    asker.answer = ""
    asker.ask()
    assert refused_by(cache) == {}
    assert cache.get_stats()["file_entries"] == 1


def test_a_gate_in_code_decides_beside_those_of_a_file(load_cache, way, asker):
    """Both are asked, the named ones first."""
    cache = load_cache('[prefixes.p]\nstore_if = ["not_empty"]')
    asker = asker(cache, way, CachePolicy(cache_if=lambda value: len(value) > 3))
    for answer in ("", "abc", "abcd"):
        asker.answer = answer
        assert asker.ask() == answer
    assert refused_by(cache) == {"empty": 1, "cache_if": 1}
    assert asker.ask() == "abcd"


def test_a_gate_that_raises_costs_nobody_an_answer(cache, way, asker, caplog):
    """The value is given, not kept, and its reason names the error."""

    def fails(value):
        raise LookupError

    asker = asker(cache, way, CachePolicy(cache_if=fails))
    assert [asker.ask(), asker.ask()] == ["made 1", "made 2"]
    assert refused_by(cache) == {"cache_if raised LookupError": 2}
    assert caplog.messages == ["p: a value is not kept: cache_if raised LookupError"]


def test_a_gate_sees_the_value_that_callers_get(cache, way, asker):
    """Once for each generation, not for a hit."""
    seen = []
    asker = asker(cache, way, CachePolicy(cache_if=lambda value: seen.append(value) or True))
    asker.ask()
    asker.ask()
    assert seen == ["made 1"]


def test_an_answer_object_that_cannot_be_stored_is_told_by_its_gate(cache, way, asker):
    """What no JSON can hold is still looked at by its shape: the gate's reason is the better."""
    choice = types.SimpleNamespace(finish_reason="length", message=None)
    asker = asker(cache, way, CachePolicy(store_if=["not_truncated"]))
    asker.answer = types.SimpleNamespace(choices=[choice])
    assert asker.ask() is asker.answer
    assert refused_by(cache) == {"truncated": 1}


async def test_tasks_that_waited_get_what_was_refused(cache):
    """Each its own copy, from one generation, and each is told why it was not kept."""
    cache._engine.components.store.open()
    go = asyncio.Event()
    calls = []

    async def generate():
        calls.append(1)
        await go.wait()
        return {"choices": [{"finish_reason": "length"}]}

    policy = CachePolicy(store_if=["not_truncated"])
    async with asyncio.timeout(GUARD_S):
        tasks = [asyncio.create_task(cache.lookup("p", generate, policy=policy)) for _ in range(20)]
        await asyncio.sleep(0)
        go.set()
        results = await asyncio.gather(*tasks)
    assert len(calls) == 1
    assert {result.not_stored for result in results} == {"truncated"}
    assert {result.entry for result in results} == {None}
    assert sorted(result.outcome for result in results) == ["coalesced"] * 19 + ["miss"]
    results[0].value["choices"].clear()
    assert all(len(result.value["choices"]) == 1 for result in results[1:])
    assert refused_by(cache) == {"truncated": 1}


@pytest.mark.parametrize("is_async", [False, True])
def test_a_lookup_is_told_why(cache, is_async):
    """In its result; the outcome is a miss like others."""
    ask = {"policy": NOT_EMPTY, "n": 1}
    if is_async:
        result = asyncio.run(cache.lookup("p", lambda: "", **ask))
    else:
        result = cache.lookup_sync("p", lambda: "", **ask)
    assert (result.value, result.outcome, result.entry) == ("", Outcome.MISS, None)
    assert result.not_stored == "empty"


def test_why_tells_what_was_refused(cache, clock, get):
    """And how long ago."""
    get(cache, "p", lambda: "", policy=NOT_EMPTY, n=1)
    cache.get_stats()
    clock.now += 2 * HOUR_S
    assert str(cache.why("p", n=1)).startswith("miss: it was not stored 2h ago: empty;")
    assert "not stored" not in str(cache.why("p", n=2))


def test_why_tells_nothing_of_it_once_there_is_an_entry(cache, get):
    """What was refused before a good answer came is of no use any more."""
    get(cache, "p", lambda: "", policy=NOT_EMPTY, n=1)
    get(cache, "p", lambda: "text", policy=NOT_EMPTY, n=1)
    cache.get_stats()
    assert "not stored" not in str(cache.why("p", n=1))
    assert cache.why("p", n=1).outcome == "hit"


@pytest.mark.parametrize("by", ["mode", "function"])
@pytest.mark.parametrize("way", ["decorated", "decorated_sync"])
def test_a_refused_refresh_leaves_the_old_entry(cache, way, asker, by):
    """Its caller gets the bad answer, everybody else the good one, from memory and store."""
    asker = asker(cache, way, NOT_EMPTY)
    asker.answer = "good"
    asker.ask()
    asker.answer = ""
    if by == "function":
        assert asker.refresh() == ""
    else:
        with cache.mode("refresh"):
            assert asker.ask() == ""
    assert asker.ask() == "good"
    cache._engine.components.tier.clear()
    assert asker.ask() == "good"
    assert asker.made == 2


def test_a_refused_answer_behind_a_stale_hit_leaves_the_old_entry(cache, clock, way, asker):
    """It is given for as long as its grace lasts, and each time a better one is tried for."""
    asker = asker(cache, way, CachePolicy(ttl="1h", grace="2h", store_if=["not_empty"]))
    asker.answer = "good"
    asker.ask()
    clock.now += 1.5 * HOUR_S
    asker.answer = ""
    assert [asker.ask(), asker.ask()] == ["good", "good"]
    assert refused_by(cache) == {"empty": 2}
    asker.answer = "better"
    assert [asker.ask(), asker.ask()] == ["good", "better"]


def test_a_refused_answer_is_no_failure(cache, clock, way, asker):
    """Under stale_if_error an old entry stands in for errors, not for what is not kept."""
    asker = asker(cache, way, CachePolicy(ttl="1h", stale_if_error="2h", store_if=["not_empty"]))
    asker.answer = "good"
    asker.ask()
    clock.now += 1.5 * HOUR_S
    asker.answer = ""
    assert asker.ask() == ""
    assert cache.get_stats()["total"]["fallbacks"] == 0


def test_each_reason_is_warned_of_once(cache, way, asker, caplog):
    """By prefix and reason; a bad hour does not fill the log."""
    caplog.set_level(logging.WARNING, "llm_cache")
    asker = asker(cache, way, CachePolicy(store_if=["not_empty"], cache_if=lambda _: False))
    for answer in ("", "", "x", "x"):
        asker.answer = answer
        asker.ask()
    assert caplog.messages == [
        "p: a value is not kept: empty",
        "p: a value is not kept: cache_if",
    ]


async def test_warming_says_what_was_refused(cache):
    """An item that is not kept is not warm: it fails, with the reason."""
    page = cached_llm_call("p", cache=cache, policy=NOT_EMPTY)(lambda n: "" if n == 2 else "text")
    plan = cache.warm_plan({page: [{"n": 1}, {"n": 2}]})
    for planned in plan.sets:
        object.__setattr__(planned, "retries", 0)
    report = await cache.warm(plan)
    assert report.made == 1
    ((item, error),) = report.failed
    assert item.params == {"n": 2}
    assert str(error) == "p: the value was made but cannot be kept: empty"


def test_what_is_put_by_hand_is_kept(cache):
    """Who puts a value has looked at it: no gate is asked."""
    policy = CachePolicy(store_if=["not_empty"], cache_if=lambda _: False)
    cache.put("p", "", policy=policy, n=1)
    assert cache.peek("p", n=1).value == ""


def test_refusals_outlive_the_cache_that_counted_them(make_cache, get):
    """They are kept in the store, by prefix and reason."""
    for cache in (make_cache(), make_cache()):
        get(cache, "p", lambda: "", policy=NOT_EMPTY, n=1)
        cache.close()
    stats = make_cache().get_stats()
    assert stats["total"]["not_stored_because"] == {"empty": 2}
    assert stats["prefixes"]["p"]["not_stored_because"] == {"empty": 2}
