"""`cache.warm` and its plan: what is missing is made, once, and nothing stops the rest."""

import asyncio
import enum
import sys
import textwrap
import threading

import pytest

from llm_cache import CacheConfig, CachePolicy, ConfigError, LLMCache, cached_llm_call, load_config
from llm_cache.functions import registry
from llm_cache.warm.run import Pace, Warming, WarmStep

MODULE = """
import enum
from datetime import date
from llm_cache import cached_llm_call

calls = []

class Grade(enum.Enum):
    FIVE = "5"

@cached_llm_call("typed")
async def typed(grade: Grade, day: date, level: int = 1) -> str:
    calls.append((grade, day, level))
    return f"{grade} {day} {level}"

@cached_llm_call("plain")
def plain(n: int) -> str:
    calls.append(n)
    if n == 13:
        raise RuntimeError("13 is no good")
    return f"{n}"

def bare(n: int) -> str:
    calls.append(n)
    return f"{n}"
"""

SETTINGS = """
[cache]
cache_dir = "cache"
[[warm]]
prefix = "{prefix}"
generate = "warm_me:{function}"
{rest}
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A directory with a module of generators, and a cache of its `cache.toml`."""
    monkeypatch.setattr(registry, "_claims", {})
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "warm_me.py").write_text(MODULE)
    opened = []

    def make(prefix, function, rest):
        file = tmp_path / "cache.toml"
        file.write_text(SETTINGS.format(prefix=prefix, function=function, rest=rest))
        opened.append(LLMCache(config=load_config(file)))
        return opened[-1]

    yield make
    for cache in opened:
        cache.close()
    sys.modules.pop("warm_me", None)


async def test_it_makes_what_is_missing_once(project):
    """A second run makes nothing; the module beside `cache.toml` is found."""
    cache = project("plain", "plain", "matrix = { n = [1, 2, 3] }")
    first, second = await cache.warm(), await cache.warm()
    assert (first.made, first.fresh, second.made, second.fresh) == (3, 0, 0, 3)
    assert sorted(sys.modules["warm_me"].calls) == [1, 2, 3]


async def test_it_agrees_with_the_application(project):
    """TOML's values become what the annotations say; defaults count; the application hits."""
    cache = project("typed", "typed", 'params = [{ grade = "5", day = 2026-11-22 }]')
    assert (await cache.warm()).made == 1
    module = sys.modules["warm_me"]
    grade, day, level = module.calls[0]
    assert (grade, str(day), level) == (module.Grade.FIVE, "2026-11-22", 1)
    assert cache.peek("typed", grade=grade, day=day, level=1).value == f"{grade} {day} 1"


async def test_an_undecorated_function_can_be_warmed(project):
    """Its arguments are the params of the table's prefix."""
    cache = project("anything", "bare", "params = [{ n = 1 }]")
    await cache.warm()
    assert cache.peek("anything", n=1).value == "1"


WRONG = {
    "another prefix": (
        "other",
        "plain",
        "params = [{ n = 1 }]",
        "decorated for the prefix 'plain'",
    ),
    "no such function": (
        "plain",
        "nothing",
        "params = [{ n = 1 }]",
        "cannot import warm_me:nothing",
    ),
    "an unknown param": ("plain", "plain", "params = [{ m = 1 }]", "item 1 .*'m'"),
    "a wrong type": ("plain", "plain", 'params = [{ n = "x" }]', "n = 'x' does not fit"),
}


@pytest.mark.parametrize(("prefix", "function", "rest", "message"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_with_a_table_is_said_with_its_line(project, prefix, function, rest, message):
    """Before anything is made."""
    with pytest.raises(ConfigError, match=rf"cache\.toml:6: .*{message}"):
        project(prefix, function, rest).warm_plan()


async def test_a_failing_item_stops_no_other(project):
    """It is tried again as often as the table says, then told of."""
    cache = project("plain", "plain", "retries = 2\nmatrix = { n = [12, 13, 14] }")
    pauses, events = [], []

    async def sleep(seconds):
        pauses.append(seconds)

    pace = Pace(sleep=sleep, monotonic=lambda: 0.0, chance=lambda: 0.0)
    warming = Warming(cache._engine, cache.warm_plan(), on_event=events.append, pace=pace)
    report = await warming.run()
    assert (report.made, [item.params for item, _ in report.failed]) == (2, [{"n": 13}])
    assert str(report.failed[0][1]) == "13 is no good"
    assert pauses == [0.5, 1.0]
    steps = [event.step for event in events if event.item.params == {"n": 13}]
    assert steps == [WarmStep.STARTED, WarmStep.RETRYING] * 2 + [WarmStep.STARTED, WarmStep.FAILED]


async def test_a_rate_spreads_the_calls(project):
    """So many start each second, evenly."""
    cache = project("plain", "plain", 'rate = "10/s"\nmatrix = { n = [1, 2, 3] }')
    now, pauses = [0.0], []

    async def sleep(seconds):
        pauses.append(round(seconds, 3))
        now[0] += seconds

    pace = Pace(sleep=sleep, monotonic=lambda: now[0], chance=lambda: 0.0)
    await Warming(cache._engine, cache.warm_plan(), pace=pace).run()
    assert sum(pauses) >= 0.2


async def test_no_more_run_at_once_than_allowed(tmp_path, monkeypatch):
    """The bound is reached, and never passed."""
    monkeypatch.setattr(registry, "_claims", {})
    running, most = set(), []
    full = asyncio.Event()

    with LLMCache(tmp_path) as cache:

        @cached_llm_call("p", cache=cache)
        async def text(n: int) -> str:
            running.add(n)
            most.append(len(running))
            if len(running) == 4:
                full.set()
            await full.wait()
            running.discard(n)
            return f"{n}"

        async with asyncio.timeout(20):
            report = await cache.warm({text: [{"n": n} for n in range(12)]})
    assert (report.made, max(most)) == (12, 4)


async def test_an_interruption_keeps_what_was_made(tmp_path, monkeypatch):
    """The report is right, and a second run goes on where the first one ended."""
    monkeypatch.setattr(registry, "_claims", {})
    reached = asyncio.Event()
    hangs = [True]

    with LLMCache(tmp_path) as cache:

        @cached_llm_call("p", cache=cache, exclude=("hangs",))
        async def text(n: int) -> str:
            if n == 3 and hangs[0]:
                reached.set()
                await asyncio.Event().wait()
            return f"{n}"

        calls = {text: [{"n": n} for n in range(4)]}
        warming = Warming(cache._engine, cache.warm_plan(calls))
        task = asyncio.create_task(warming.run())
        async with asyncio.timeout(20):
            await reached.wait()
            while warming.report.made < 3:  # noqa: ASYNC110 - what it counts has no event
                await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        hangs[0] = False
        for flight in cache._engine.components.flights.under_way():
            flight.task.cancel()
        await asyncio.sleep(0)
        report = await cache.warm(calls)
    assert (report.fresh, report.made) == (3, 1)


async def test_what_on_event_raises_ends_it(directory):
    """No further call is made, and what is under way is stored before it is raised."""
    made = []

    class DisplayError(Exception):
        pass

    with LLMCache(directory) as cache:

        @cached_llm_call("w", cache=cache)
        async def warmed(n: int) -> str:
            await asyncio.sleep(0)
            made.append(n)
            return str(n)

        def on_event(event):
            if event.step is WarmStep.MADE:
                raise DisplayError

        with pytest.raises(DisplayError):
            await cache.warm({warmed: [{"n": n} for n in range(40)]}, on_event=on_event)
        at_once = list(made)
        assert len(at_once) < 20
        assert cache._engine.components.flights.under_way() == []
        assert cache.get_stats()["file_entries"] == len(at_once)


def test_warming_leaves_no_threads(directory):
    """Those of plain functions end with the run that began them."""
    with LLMCache(directory) as cache:

        @cached_llm_call("w", cache=cache)
        def warmed(n: int) -> str:
            return str(n)

        for run in range(3):
            numbers = [{"n": 10 * run + n} for n in range(9)]
            assert asyncio.run(cache.warm({warmed: numbers})).made == 9
        named = [thread.name for thread in threading.enumerate()]
    assert "llm-cache warm" not in named


async def test_refresh_makes_what_is_fresh(project):
    """Everything anew."""
    cache = project("plain", "plain", "matrix = { n = [1, 2] }")
    await cache.warm()
    assert (await cache.warm(refresh=True)).made == 2
    assert len(sys.modules["warm_me"].calls) == 4


async def test_what_another_makes_meanwhile_is_found_not_made(tmp_path, monkeypatch):
    """Two runs at once, of two caches over one directory: every item is made by one of them."""
    monkeypatch.setattr(registry, "_claims", {})

    def of(cache):
        @cached_llm_call("p", cache=cache, shared=True)
        async def text(n: int) -> str:
            await asyncio.sleep(0)
            return f"{n}"

        return text

    events = []
    with LLMCache(tmp_path) as one, LLMCache(tmp_path) as other:
        plans = [
            cache.warm_plan({of(cache): [{"n": n} for n in range(12)]}) for cache in (one, other)
        ]
        runs = [
            Warming(cache._engine, plan, on_event=events.append)
            for cache, plan in zip((one, other), plans, strict=True)
        ]
        async with asyncio.timeout(20):
            reports = await asyncio.gather(*(run.run() for run in runs))
    assert sum(report.made for report in reports) == 12
    assert sum(report.fresh for report in reports) == 12
    assert sum(event.step is WarmStep.FOUND for event in events) == 12


@pytest.mark.parametrize("fails", [False, True])
async def test_what_is_past_its_ttl_is_made_now(tmp_path, monkeypatch, fails):
    """Not given as it is while it is made behind, nor because making it fails."""
    monkeypatch.setattr(registry, "_claims", {})
    policy = CachePolicy(ttl="1h", grace="1d", stale_if_error="1d")
    now, broken = [1_800_000_000.0], [False]
    with LLMCache(tmp_path, clock=lambda: now[0]) as cache:

        @cached_llm_call("p", cache=cache, policy=policy, exclude=("broken", "now"))
        async def text() -> float:
            if broken[0]:
                raise RuntimeError
            await asyncio.sleep(0)
            return now[0]

        await text()
        now[0] += 7200
        broken[0] = fails
        pace = Pace(sleep=lambda _: asyncio.sleep(0))
        report = await Warming(cache._engine, cache.warm_plan({text: [{}]}), pace=pace).run()
        assert (report.made, len(report.failed)) == ((0, 1) if fails else (1, 0))
        entry = cache.peek("p", policy=policy)
        assert entry is not None
        assert entry.created_at == now[0] - 7200 * fails


async def test_what_cannot_be_kept_is_a_failure(tmp_path, monkeypatch):
    """To be warm means to be there."""
    monkeypatch.setattr(registry, "_claims", {})
    with LLMCache(tmp_path) as cache:
        odd = cached_llm_call("p", cache=cache)(lambda: (1, 2))
        plan = cache.warm_plan({odd: [{}]})
        pace = Pace(sleep=lambda _: asyncio.sleep(0))
        report = await Warming(cache._engine, plan, pace=pace).run()
    assert report.made == 0
    assert "cannot be kept" in str(report.failed[0][1])


def test_only_decorated_functions_can_be_warmed_from_code(tmp_path):
    """The prefix has to come from somewhere."""
    with LLMCache(config=CacheConfig(cache_dir=tmp_path)) as cache:
        with pytest.raises(ConfigError, match="not decorated"):
            cache.warm_plan({textwrap.dedent: [{}]})
        with pytest.raises(ConfigError, match=r"no \[\[warm\]\] table"):
            cache.warm_plan(prefix="p")
    assert issubclass(WarmStep, enum.StrEnum)
