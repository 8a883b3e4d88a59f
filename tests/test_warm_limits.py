"""`warm` within limits: it stops before the next call would go over, and says what is left."""

import asyncio
from dataclasses import replace

import pytest

from llm_cache import Generated, LLMCache, Usage, cached_llm_call
from llm_cache.functions import registry
from llm_cache.warm.budget import Limits, Stopped
from llm_cache.warm.run import Pace, Warming

PRICE_USD = 0.25
PACE = Pace(sleep=lambda _: asyncio.sleep(0))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache, where nothing is decorated yet."""
    monkeypatch.setattr(registry, "_claims", {})
    with LLMCache(tmp_path) as opened:
        yield opened


@pytest.fixture
def texts(cache):
    """A function of known price, with the arguments it was called with."""
    calls = []

    @cached_llm_call("p", cache=cache)
    async def text(n: int) -> str:
        calls.append(n)
        await asyncio.sleep(0)
        if n == 13:
            raise RuntimeError
        return Generated(f"{n}", Usage(cost_usd=None if n == 7 else PRICE_USD * (1 + (n == 5))))

    text.calls = calls
    return text


def warming(cache, function, numbers, concurrency=4, **limits):
    """A run over these numbers; a call is expected to cost its price."""
    plan = cache.warm_plan({function: [{"n": n} for n in numbers]}).at_a_time(concurrency)
    expected = Limits(**limits, expected_usd={"p": PRICE_USD})
    return Warming(cache._engine, plan, limits=expected, pace=PACE)


@pytest.mark.parametrize("concurrency", [1, 3, 4, 50])
async def test_no_more_calls_than_allowed(cache, texts, concurrency):
    """However many run at a time; the rest is left, and a second run goes on."""
    numbers = list(range(20, 30))
    report = await warming(cache, texts, numbers, concurrency, max_calls=4).run()
    assert (report.made, report.left, report.stopped) == (4, 6, Stopped.MAX_CALLS)
    assert len(texts.calls) == 4
    report = await warming(cache, texts, numbers, concurrency, max_calls=6).run()
    assert (report.fresh, report.made, report.left, report.stopped) == (4, 6, 0, None)


async def test_what_is_fresh_is_no_call(cache, texts):
    """Only what would be made is held back."""
    await warming(cache, texts, [20, 21]).run()
    report = await warming(cache, texts, [22, 23, 20, 21], max_calls=1).run()
    assert (report.fresh, report.made, report.left) == (2, 1, 1)


async def test_a_retry_is_a_call(cache, texts):
    """Where none is left for it, the item has failed, with its error."""
    report = await warming(cache, texts, [13, 20], concurrency=1, max_calls=2).run()
    assert texts.calls == [13, 13]
    assert [type(error) for _, error in report.failed] == [RuntimeError]
    assert (report.made, report.left, report.stopped) == (0, 1, Stopped.MAX_CALLS)


@pytest.mark.parametrize("concurrency", [1, 3, 50])
@pytest.mark.parametrize(
    ("max_cost", "made"), [(0.0, 0), (0.2, 0), (0.25, 1), (1.0, 4), (1.1, 4), (99.0, 10)]
)
async def test_no_more_is_spent_than_allowed(cache, texts, concurrency, max_cost, made):
    """A call is not begun that would go over; calls under way count as what is expected of them."""
    numbers = list(range(20, 30))
    report = await warming(cache, texts, numbers, concurrency, max_cost_usd=max_cost).run()
    assert (report.made, report.cost_usd) == (made, made * PRICE_USD)
    assert report.cost_usd <= max_cost
    assert report.stopped == (Stopped.MAX_COST if made < 10 else None)


async def test_a_dearer_call_makes_the_next_ones_count_for_more(cache, texts):
    """What it really cost is spent, and expected of others from then on."""
    report = await warming(cache, texts, [20, 5, 21, 22], concurrency=1, max_cost_usd=1.2).run()
    assert (report.made, report.cost_usd) == (2, 0.75)
    assert (report.left, report.stopped) == (2, Stopped.MAX_COST)


async def test_a_failing_call_counts_as_expected(cache, texts):
    """Nobody knows what it has cost."""
    report = await warming(cache, texts, [13, 20], concurrency=1, max_cost_usd=1.1).run()
    assert texts.calls == [13] * 4
    assert (report.left, report.stopped) == (1, Stopped.MAX_COST)
    assert report.cost_usd == 0.0


async def test_a_call_without_its_cost_ends_it(cache, texts):
    """Under a limit on the cost: nobody could tell what the next one adds up to."""
    report = await warming(cache, texts, [20, 7, 21], concurrency=1, max_cost_usd=9.0).run()
    assert (report.made, report.unpriced, report.left) == (2, 1, 1)
    assert report.stopped is Stopped.UNKNOWN_COST


async def test_without_a_limit_on_it_the_cost_may_be_unknown(cache, texts):
    """It is told of how many."""
    report = await warming(cache, texts, [20, 7, 21], max_calls=9).run()
    assert (report.made, report.unpriced, report.cost_usd, report.left) == (3, 1, 0.5, 0)


async def test_what_was_no_call_gives_its_place_to_another(cache, texts):
    """One that another made meanwhile is neither counted nor paid for."""
    run = warming(cache, texts, [20, 21, 22], concurrency=3, max_calls=2, max_cost_usd=0.5)
    cache.put("p", "another's", n=20)
    report = await run.run()
    assert (report.fresh, report.made, report.left) == (1, 2, 0)
    assert sorted(texts.calls) == [21, 22]


async def test_report_counts_each_set(cache, texts):
    """From the start what is fresh, and in the end what was made and failed of which set."""
    note = cached_llm_call("note", cache=cache)(lambda n: Generated(f"{n}", Usage(cost_usd=1.0)))
    note(1)
    plan = cache.warm_plan({texts: [{"n": n} for n in (1, 7, 13)], note: [{"n": 1}, {"n": 2}]})
    plan = replace(plan, sets=tuple(replace(one, retries=0) for one in plan.sets))
    run = cache.warming(plan, limits=Limits(max_calls=9))
    assert [(one.prefix, one.total, one.fresh) for one in run.report.sets] == [
        ("p", 3, 0),
        ("note", 2, 1),
    ]
    assert (run.report.total, run.report.fresh, run.report.left) == (5, 1, 4)
    calls, notes = (await run.run()).sets
    assert (calls.made, calls.failed, calls.cost_usd, calls.unpriced) == (2, 1, PRICE_USD, 1)
    assert (notes.made, notes.fresh, notes.cost_usd, notes.under_way) == (1, 1, 1.0, {})
    (failure,) = run.report.failures
    assert (failure.item.prefix, type(failure.error)) == ("p", RuntimeError)


def test_estimate_is_of_each_set(cache, texts):
    """What is fresh takes no call, unless everything is refreshed."""
    note = cached_llm_call("note", cache=cache)(lambda n: Generated(f"{n}", Usage(cost_usd=1.0)))
    note(1)
    plan = cache.warm_plan({texts: [{"n": 1}], note: [{"n": 1}, {"n": 2}]})
    unknown, known = cache.warm_estimate(plan)
    assert (unknown.prefix, unknown.to_make, unknown.cost_usd) == ("p", 1, None)
    assert (known.prefix, known.to_make, known.cost_usd) == ("note", 1, 1.0)
    assert cache.warm_estimate(plan, refresh=True)[1].cost_usd == 2.0
