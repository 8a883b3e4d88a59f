"""Savings agree, to the token, with a provider that counts what it sells."""

import asyncio
import dataclasses
import json
import threading
import urllib.error
from functools import partial

import pytest

from llm_cache import CachePolicy, cached_llm_call
from llm_cache.store.records import Counts
from tests.savings.counting import GUARD_S, MODEL, Tally, Tokens, ask, tokens_of_answer

HOUR_S = 3600.0
PRICE = {"input": 2.0, "output": 8.0, "cached_input": 0.5}
KEPT_LONG = CachePolicy(ttl="1h", grace="1h", stale_if_error="1d")


def cost_of(tokens):
    """Dollars by `PRICE`."""
    fresh = tokens.input - tokens.cached
    dear = fresh * PRICE["input"] + tokens.cached * PRICE["cached_input"]
    return (dear + tokens.output * PRICE["output"]) / 1_000_000


class Caller:
    """Asks a cache for pages by `ask`, and tallies what it gets."""

    def __init__(self, cache, server, tally):
        self.cache = cache
        self.url = server.url
        self.tally = tally

    def get(self, n, **asked):
        """A page, blocking."""
        before = self.tally.begin()
        answer = self.cache.get_or_generate_sync("page", partial(ask, self.url), n=n, **asked)
        self.tally.note(answer, before)
        return answer

    async def get_async(self, n, **asked):
        """A page, awaited."""
        before = self.tally.begin()
        generator = partial(asyncio.to_thread, ask, self.url)
        answer = await self.cache.get_or_generate("page", generator, n=n, **asked)
        self.tally.note(answer, before)
        return answer

    def landed(self):
        """Waits for what is made behind."""
        assert self.cache._engine.components.flights.wait_until_stored(GUARD_S)


@pytest.fixture
def make_caller(make_cache, server, tally):
    """Makes callers, each with a cache of its own on the same directory."""

    def make(**settings):
        return Caller(make_cache(prices={MODEL: PRICE}, **settings), server, tally)

    return make


@pytest.fixture
def caller(make_caller):
    """One caller."""
    return make_caller()


def told(cache):
    """The figures of all, which are those of the one prefix that was asked for."""
    stats = cache.get_stats()
    for name in (field.name for field in dataclasses.fields(Counts)):
        assert stats["prefixes"]["page"][name] == stats["total"][name], name
    return stats["total"]


def agrees(cache, tally):
    """Asserts that what is told as spent and as saved is what the server and the callers say."""
    total, server = told(cache), tally.server
    assert total["generations"] == len(server.sold)
    assert total["input_tokens"] == server.spent.input
    assert total["output_tokens"] == server.spent.output
    assert total["cost_usd"] == pytest.approx(cost_of(server.spent))
    assert total["saved_input_tokens"] == tally.saved.input
    assert total["saved_output_tokens"] == tally.saved.output
    assert total["saved_usd"] == pytest.approx(cost_of(tally.saved))
    assert total["unpriced"] == total["saved_unpriced"] == 0
    answered = ("hits", "stale_hits", "fallbacks", "coalesced")
    assert sum(total[name] for name in answered) == tally.replayed
    return total


# Who asks in turn.


def test_a_cold_run_spends_and_saves_nothing(caller, tally):
    """Each page is bought once."""
    for n in range(10):
        caller.get(n)
    total = agrees(caller.cache, tally)
    assert (total["misses"], total["saved_input_tokens"]) == (10, 0)


@pytest.mark.parametrize("memory", [1000, 0], ids=["from memory", "from the store"])
def test_a_warm_run_saves_what_it_replays(make_caller, tally, memory):
    """Pages bought once and read a different number of times each."""
    caller = make_caller(max_memory_entries=memory)
    for n in range(5):
        for _ in range(n + 1):
            caller.get(n)
    total = agrees(caller.cache, tally)
    assert (total["misses"], total["hits"]) == (5, 10)


def test_a_restart_goes_on_counting(make_caller, tally):
    """What the entries cost is known to the next process, and added to what was told before."""
    for _ in range(3):
        caller = make_caller()
        for n in range(4):
            caller.get(n)
        caller.cache.close()
    total = agrees(make_caller().cache, tally)
    assert (total["misses"], total["hits"]) == (4, 8)


async def test_async_callers_are_counted_alike(caller, tally):
    """As those that block."""
    for n in (1, 2, 1, 1, 2):
        await caller.get_async(n)
    total = await asyncio.to_thread(agrees, caller.cache, tally)
    assert (total["misses"], total["hits"]) == (2, 3)


def test_the_mode_refresh_spends_each_time(caller, tally):
    """It replays nothing; who comes after replays the newest."""
    caller.get(1)
    with caller.cache.mode("refresh"):
        caller.get(1)
        caller.get(1)
    caller.get(1)
    total = agrees(caller.cache, tally)
    assert (total["misses"], total["hits"]) == (3, 1)
    assert tally.saved == tokens_of_answer(3)


def test_refreshing_a_decorated_function_spends(caller, tally, server):
    """And what was bought anew is what is saved from then on."""

    @cached_llm_call("page", cache=caller.cache)
    def page(n: int) -> dict:
        return ask(server.url)

    for get in (page, page.refresh, page, page):
        before = tally.begin()
        tally.note(get(1), before)
    total = agrees(caller.cache, tally)
    assert (total["misses"], total["hits"]) == (2, 2)
    assert tally.got == [1, 2, 2, 2]


def test_another_type_than_the_stored_one_spends_once(caller, tally, server):
    """An entry that is no answer saves nothing."""
    caller.cache.put("page", "text, not a dict", n=1)

    def typed() -> dict:
        return ask(server.url)

    for _ in range(2):
        before = tally.begin()
        tally.note(caller.cache.get_or_generate_sync("page", typed, n=1), before)
    total = agrees(caller.cache, tally)
    assert (total["misses"], total["hits"]) == (1, 1)


# Who asks at once.


async def test_coalesced_callers_save_what_one_has_paid(caller, tally, server):
    """A hundred tasks that wait for one request, which the server holds until all are there."""
    caller.cache.put("other", "opens the store")
    server.may_answer.clear()
    tasks = [asyncio.create_task(caller.get_async(1)) for _ in range(100)]
    await asyncio.sleep(0)  # each task runs to where it waits for the flight
    server.may_answer.set()
    async with asyncio.timeout(GUARD_S):
        await asyncio.gather(*tasks)
    total = await asyncio.to_thread(agrees, caller.cache, tally)
    assert (server.requests, total["misses"], total["coalesced"]) == (1, 1, 99)
    assert total["saved_seconds"] == 0


def test_threads_that_come_together_save_what_one_has_paid(caller, tally, server):
    """Whether they wait for the one or come after it."""
    server.may_answer.clear()
    answers, before = [], tally.begin()

    def get():
        answers.append(caller.cache.get_or_generate_sync("page", partial(ask, server.url), n=1))

    threads = [threading.Thread(target=get) for _ in range(16)]
    for thread in threads:
        thread.start()
    server.may_answer.set()
    for thread in threads:
        thread.join(GUARD_S)
    for answer in answers:
        tally.note(answer, before)
    total = agrees(caller.cache, tally)
    assert (server.requests, total["misses"], tally.replayed) == (1, 1, 15)


async def test_a_caller_who_leaves_changes_no_figure(caller, tally, server):
    """What was bought for it is spent, and saved by those who come after."""
    caller.cache.put("other", "opens the store")
    server.may_answer.clear()
    task = asyncio.create_task(caller.get_async(1))
    await asyncio.sleep(0)  # it runs to where it waits for the flight
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    flights = caller.cache._engine.components.flights.under_way()
    server.may_answer.set()
    async with asyncio.timeout(GUARD_S):
        await asyncio.gather(*(flight.task for flight in flights))
    await caller.get_async(1)
    total = await asyncio.to_thread(agrees, caller.cache, tally)
    assert (total["generations"], total["misses"], total["hits"]) == (1, 0, 1)


# What goes wrong.


def test_failures_spend_nothing(caller, tally, server):
    """A 500 is an error, no generation; when the provider is back all agrees again."""
    server.fails = True
    for n in range(3):
        with pytest.raises(urllib.error.HTTPError):
            caller.get(n)
    assert agrees(caller.cache, tally)["errors"] == 3
    assert server.spent == Tokens()
    server.fails = False
    for n in (0, 1, 0):
        caller.get(n)
    total = agrees(caller.cache, tally)
    assert (total["errors"], total["misses"], total["hits"]) == (3, 2, 1)


def test_refused_values_are_spent_each_time(caller, tally, server):
    """What is cut off is not kept: it is paid for again, and saves nothing."""
    server.finish = "length"
    policy = CachePolicy(store_if=["not_truncated"])
    for _ in range(3):
        caller.get(1, policy=policy)
    total = agrees(caller.cache, tally)
    assert (total["misses"], total["not_stored"], total["hits"]) == (3, 3, 0)
    assert total["not_stored_because"] == {"truncated": 3}


async def test_who_waits_for_a_refused_value_saves_it(caller, tally, server):
    """It is not kept, and was bought for all of them once."""
    caller.cache.put("other", "opens the store")
    server.finish = "length"
    policy = CachePolicy(store_if=["not_truncated"])
    server.may_answer.clear()
    tasks = [asyncio.create_task(caller.get_async(1, policy=policy)) for _ in range(5)]
    await asyncio.sleep(0)  # each task runs to where it waits for the flight
    server.may_answer.set()
    async with asyncio.timeout(GUARD_S):
        await asyncio.gather(*tasks)
    total = await asyncio.to_thread(agrees, caller.cache, tally)
    assert (total["generations"], total["coalesced"], total["not_stored"]) == (1, 4, 1)


@pytest.mark.parametrize("get", ["sync", "async"])
def test_a_ttl_of_0_spends_and_saves_nothing(caller, tally, get):
    """The cache is left alone; what that costs is told."""
    for _ in range(3):
        if get == "sync":
            caller.get(1, ttl=0)
        else:
            asyncio.run(caller.get_async(1, ttl=0))
    total = agrees(caller.cache, tally)
    assert (total["bypassed"], total["misses"], tally.replayed) == (3, 0, 0)


def test_stale_hits_save_and_their_refresh_spends(caller, tally, clock):
    """The old page is given at once, the new one bought behind and given to who comes after."""
    caller.get(1, policy=KEPT_LONG)
    clock.now += 1.5 * HOUR_S
    caller.get(1, policy=KEPT_LONG)
    caller.landed()
    caller.get(1, policy=KEPT_LONG)
    total = agrees(caller.cache, tally)
    assert tally.got == [1, 1, 2]
    assert (total["stale_hits"], total["hits"], total["misses"]) == (1, 1, 1)
    assert total["generations"] == 2


def test_fallbacks_save(caller, tally, clock, server):
    """While the provider is down nothing is spent; an older page answers."""
    caller.get(1, policy=KEPT_LONG)
    clock.now += 3 * HOUR_S
    server.fails = True
    for _ in range(5):
        caller.get(1, policy=KEPT_LONG)
    total = agrees(caller.cache, tally)
    assert tally.got == [1] * 6
    assert (total["fallbacks"], total["generations"]) == (5, 1)
    assert total["errors"] == server.requests - 1


def test_an_invalidated_answer_is_spent_again(caller, tally):
    """What was saved before stays saved."""
    for _ in range(2):
        caller.get(1)
    caller.cache.invalidate("page", n=1)
    for _ in range(2):
        caller.get(1)
    total = agrees(caller.cache, tally)
    assert tally.got == [1, 1, 2, 2]
    assert (total["misses"], total["hits"]) == (2, 2)


def test_an_answer_too_large_to_keep_is_spent(make_caller, tally):
    """And saves nothing."""
    caller = make_caller(max_value="100B")
    for _ in range(2):
        caller.get(1)
    assert agrees(caller.cache, tally)["not_stored_because"] == {"too large": 2}


# Several processes.

CHILD = """
from functools import partial
from llm_cache.store.records import Counts
from tests.savings.counting import MODEL, ask
config = CacheConfig(cache_dir=directory, prices={MODEL: json.loads(os.environ["PRICE"])})
with LLMCache(config=config) as cache:
    cache.peek("page", n=0)
    say("ready"); hear()
    generator = partial(ask, os.environ["SERVER"])
    for _ in range(2):
        for n in range(8):
            say(json.dumps(cache.get_or_generate_sync("page", generator, n=n)))
say("told")
"""


@pytest.mark.slow
def test_two_processes_at_once_are_merged(start, make_caller, server):
    """Each page is bought once, by whichever comes first; the other waits for it or hits."""
    environ = {"SERVER": server.url, "PRICE": json.dumps(PRICE)}
    children = [start(CHILD, env=environ) for _ in range(2)]
    for child in children:
        assert child.says() == "ready"
    for child in children:
        child.tell()
    tally = Tally(server)
    for child in children:
        for _ in range(16):
            tally.note(json.loads(child.says()), frozenset())
        assert child.says() == "told"
        assert child.ends() == (0, "")
    total = agrees(make_caller().cache, tally)
    assert (server.requests, total["misses"]) == (8, 8)
    assert total["hits"] + total["coalesced"] == 24
