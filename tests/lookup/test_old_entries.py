"""Entries past their ttl: given at once while one generation makes them anew, or if that fails."""

import asyncio
import itertools
import logging
import threading

import pytest

from llm_cache import (
    CacheConfig,
    CachePolicy,
    LLMCache,
    RecursiveGenerationError,
    cached_llm_call,
)
from llm_cache.engine._circuit import LONGEST_PAUSE_S, TRIPS_AFTER
from llm_cache.engine._flights import IDLE_LOOP_S
from tests.conformance.samples import T0, Clock

HOUR_S = 3600.0
GUARD_S = 20.0
POLICY = CachePolicy(ttl="1h", grace="1h", stale_if_error="3h")


class ModelDownError(Exception):
    """What a provider's client raises."""


@pytest.fixture
def clock():
    """The cache's clock, and the one that its circuits go by."""
    return Clock()


@pytest.fixture
def cache(tmp_path, clock):
    """A cache whose clocks stand still."""
    with LLMCache(tmp_path / "cache", clock=clock) as cache:
        cache._engine.components.generators._monotonic = clock
        yield cache


@pytest.fixture
def ask(cache):
    """Asks for one value, async or not; what is made is numbered."""
    numbers = itertools.count(1)

    def ask(how="sync", *, policy=POLICY, fails=False, made=None, key=0):
        def generate():
            number = next(numbers)
            if made is not None:
                made.append(number)
            if fails:
                raise ModelDownError
            return f"made {number}"

        if how == "sync":
            return cache.get_or_generate_sync("p", generate, policy=policy, n=key)

        async def main():
            value = await cache.get_or_generate("p", generate, policy=policy, n=key)
            under_way = [f.task for f in cache._engine.components.flights.under_way() if f.task]
            await asyncio.gather(*under_way)
            return value

        return asyncio.run(main())

    return ask


def settled(cache):
    """Waits for what is made behind."""
    assert cache._engine.components.flights.wait_until_stored(GUARD_S)


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("age_s", [HOUR_S, 1.5 * HOUR_S, 2 * HOUR_S - 1])
def test_within_its_grace_an_entry_is_given_and_made_anew(cache, clock, ask, how, age_s):
    """At once, and once; the next one gets the new one."""
    assert ask(how) == "made 1"
    clock.now += age_s
    assert ask(how) == "made 1"
    settled(cache)
    made = []
    assert ask(how, made=made) == "made 2"
    assert made == []
    stats = cache.get_stats()["total"]
    assert (stats["stale_hits"], stats["hits"], stats["misses"]) == (1, 1, 1)
    assert stats["generations"] == 2


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize("policy", [CachePolicy(ttl="1h"), POLICY])
def test_past_its_grace_it_is_made_before_it_is_given(cache, clock, ask, how, policy):
    """Where there is none, that is the ttl."""
    ask(how)
    clock.now += 2 * HOUR_S
    assert ask(how, policy=policy) == "made 2"
    assert cache.get_stats()["total"]["stale_hits"] == 0


def test_a_stale_hit_never_waits_for_the_generator(cache, clock, gate):
    """Though else a generator runs on its caller's thread."""
    policy = CachePolicy(ttl="1h", grace="1h")
    cache.put("p", "old")
    clock.now += 1.5 * HOUR_S
    for _ in range(5):
        value = cache.get_or_generate_sync("p", gate.generate_sync, policy=policy)
        assert value == "old"
    gate.began_sync()
    gate.open()
    settled(cache)
    assert gate.calls == 1
    assert cache.get_or_generate_sync("p", gate.generate_sync, policy=policy) == "text"


def test_a_stale_hit_needs_no_thread(cache, clock, ask, monkeypatch):
    """Where none is to be had, nothing is made behind; the answer is there."""
    ask()
    clock.now += 1.5 * HOUR_S

    def fails(thread):
        msg = "can't start new thread"
        raise RuntimeError(msg)

    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", fails)
        assert ask() == "made 1"
    assert cache._engine.components.flights.under_way() == []


def run_and_close(coroutine, cache):
    """A loop that is closed with what it had begun."""
    loop = run_and_leave(coroutine, cache)
    loop.close()
    return loop.answer


class Loop(asyncio.SelectorEventLoop):
    """An event loop with the answer of what it has run."""

    answer: object = None


def run_and_leave(coroutine, cache):
    """A loop that just stands still, with what it had begun."""
    loop = Loop()
    loop.answer = loop.run_until_complete(coroutine)
    for flight in cache._engine.components.flights.under_way():
        flight.task._log_destroy_pending = False
    return loop


@pytest.mark.parametrize(
    "run",
    [lambda coroutine, _: asyncio.run(coroutine), run_and_close],
    ids=["asyncio.run", "closed"],
)
def test_one_event_loop_a_request_refreshes_all_the_same(cache, clock, run):
    """What ends with the loop of one stale hit, the next one waits for."""

    async def generate():
        await asyncio.sleep(0)
        return "new"

    cache.put("p", "old")
    clock.now += 1.5 * HOUR_S
    answers = [run(cache.get_or_generate("p", generate, policy=POLICY), cache) for _ in range(3)]
    assert answers[0] == "old"
    assert answers[2] == cache.peek("p").value == "new"


def test_a_refresh_whose_event_loop_stands_still_is_begun_again(cache, clock):
    """Once it was seen idle for a while: nobody runs it any more, as far as one can tell."""

    async def generate():
        await asyncio.sleep(0)
        return "new"

    cache.put("p", "old")
    clock.now += 1.5 * HOUR_S
    flights = cache._engine.components.flights
    flights._monotonic = Clock()
    left = []
    for _ in range(4):
        left.append(run_and_leave(cache.get_or_generate("p", generate, policy=POLICY), cache))
        flights._monotonic.now += 2 * IDLE_LOOP_S
    assert left[0].answer == "old"
    assert left[-1].answer == cache.peek("p").value == "new"
    for loop in left:
        loop.close()


async def test_of_many_stale_hits_one_makes_it_anew(cache, clock, gate, until):
    """Tasks that ask at once all have the old one, and the generator is called once."""
    policy = CachePolicy(ttl="1h", grace="1h")
    cache.put("p", "old")
    clock.now += 1.5 * HOUR_S
    calls = (cache.get_or_generate("p", gate.generate, policy=policy) for _ in range(100))
    async with asyncio.timeout(GUARD_S):
        assert await asyncio.gather(*calls) == ["old"] * 100
        await gate.began()
        gate.open()
        await until(lambda: not cache._engine.components.flights.under_way())
        assert await cache.get_or_generate("p", gate.generate, policy=policy) == "text"
    assert gate.calls == 1


@pytest.mark.parametrize("how", ["sync", "async"])
def test_a_failure_behind_goes_to_nobody(cache, clock, ask, how, caplog):
    """It is counted; the entry is given for as long as its grace lasts."""
    ask(how)
    clock.now += 1.5 * HOUR_S
    assert ask(how, fails=True) == "made 1"
    settled(cache)
    assert ask(how, fails=True) == "made 1"
    settled(cache)
    assert cache.get_stats()["total"]["errors"] == 2
    assert [r for r in caplog.records if r.levelno > logging.WARNING] == []


@pytest.mark.parametrize("how", ["sync", "async"])
@pytest.mark.parametrize(
    ("age_s", "is_given"),
    [(HOUR_S, True), (2 * HOUR_S, True), (4 * HOUR_S - 1, True), (4 * HOUR_S, False)],
)
def test_an_older_entry_answers_when_the_generator_fails(
    cache, clock, ask, how, age_s, is_given, caplog
):
    """Up to ttl + stale_if_error, with one warning and a count; the error, after that."""
    policy = CachePolicy(ttl="1h", grace="0s", stale_if_error="3h")
    ask(how)
    clock.now += age_s
    if not is_given:
        with pytest.raises(ModelDownError):
            ask(how, policy=policy, fails=True)
        return
    for _ in range(2):
        assert ask(how, policy=policy, fails=True) == "made 1"
    assert cache.get_stats()["total"]["fallbacks"] == 2
    assert caplog.messages == ["p: the generator fails (ModelDownError), older entries are served"]
    assert ask(how, policy=policy) == "made 4"
    assert cache.get_stats()["file_entries"] == 1


def test_a_generator_that_takes_too_long_has_failed(cache, clock, gate):
    """An older entry answers then, too."""
    policy = CachePolicy(ttl="1h", stale_if_error="1h", timeout="10ms")
    cache.put("p", "old")
    clock.now += 1.5 * HOUR_S
    assert cache.get_or_generate_sync("p", gate.generate_sync, policy=policy) == "old"
    gate.open()


def test_a_mistake_is_not_covered_up(cache, clock):
    """A generator that asks for itself is told so, whatever else could answer."""
    policy = CachePolicy(ttl="1h", stale_if_error="1h")
    cache.put("p", "old")
    clock.now += 1.5 * HOUR_S

    def generate():
        return cache.get_or_generate_sync("p", generate, policy=policy)

    with pytest.raises(RecursiveGenerationError):
        cache.get_or_generate_sync("p", generate, policy=policy)


def test_making_it_anew_on_purpose_fails_as_it_fails(cache, clock):
    """Who refreshes wants the new one, or the error."""
    fails = []
    policy = CachePolicy(ttl="1h", stale_if_error="1h")

    @cached_llm_call("page", cache=cache, policy=policy, exclude=("fails",))
    def page() -> str:
        if fails:
            raise ModelDownError
        return "text"

    assert page() == "text"
    fails.append(True)
    with pytest.raises(ModelDownError):
        page.refresh()
    assert page() == "text"


@pytest.mark.parametrize("policy", [POLICY, CachePolicy(ttl="1h", stale_if_error="3h")])
def test_an_outage_of_an_hour_tries_the_generator_a_bounded_number_of_times(
    cache, clock, ask, policy, caplog
):
    """100 callers, each once a minute: all are served; the first success ends it."""
    keys = range(100)
    for key in keys:
        ask(key=key)
    clock.now += HOUR_S
    tried = []
    for _ in range(60):
        for key in keys:
            assert ask(policy=policy, fails=True, made=tried, key=key).startswith("made ")
            settled(cache)
        clock.now += 59.9
    most = TRIPS_AFTER + HOUR_S / LONGEST_PAUSE_S + 10  # while the pause is still growing
    assert TRIPS_AFTER <= len(tried) <= most
    clock.now += LONGEST_PAUSE_S
    ask(policy=policy, key=0)
    settled(cache)
    assert caplog.messages[-1] == "p: the generator works again"
    for key in range(1, 10):  # none is kept back any more
        made = []
        ask(policy=policy, made=made, key=key)
        settled(cache)
        assert len(made) == 1


def test_an_outage_of_one_prefix_is_none_of_another(cache, clock, ask):
    """Each has a circuit of its own."""
    ask()
    clock.now += 1.5 * HOUR_S
    for _ in range(10):
        ask(fails=True)
        settled(cache)
    cache.put("q", "old")
    clock.now += 1.5 * HOUR_S
    made = []
    policy = CachePolicy(ttl="1h", grace="1h")
    cache.get_or_generate_sync("q", lambda: made.append(1) or "new", policy=policy)
    settled(cache)
    assert made == [1]


def test_what_can_still_answer_is_not_pruned(cache, clock, ask):
    """Until both have passed, for what the file in force says."""
    config = CacheConfig(
        cache_dir=cache._engine.config.cache_dir,
        prefixes={"p": {"ttl": "1h", "grace": "1h", "stale_if_error": "3h"}},
    )
    ask()
    with LLMCache(config=config, clock=clock) as other:
        clock.now = T0 + 4 * HOUR_S - 1
        assert other.prune().entries == 0
        clock.now += 1
        assert other.prune().entries == 1


@pytest.mark.parametrize("name", ["grace", "stale_if_error"])
def test_a_file_says_it_for_code_that_knows_nothing_of_it(tmp_path, clock, name):
    """Field by field: the ttl may be the decorator's."""
    config = CacheConfig(cache_dir=tmp_path, prefixes={"p": {name: "1h"}})
    with LLMCache(config=config, clock=clock) as cache:
        cache.put("p", "old", ttl="1h")
        clock.now += 1.5 * HOUR_S

        def generate():
            raise ModelDownError

        assert cache.get_or_generate_sync("p", generate) == "old"
        settled(cache)
