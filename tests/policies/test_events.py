"""`on_event` and the log tell how each request was answered, and why; never with what params."""

import asyncio
import logging

import pytest

from llm_cache import CachePolicy, Outcome, Reason, cached_llm_call
from tests.conformance.samples import T0

GUARD_S = 20.0
HOUR_S = 3600.0
POLICY = CachePolicy(ttl="1h", grace="1h", stale_if_error="3h")
PARAM = "what is asked for"


class ModelDownError(Exception):
    """What a provider's client raises."""


def fails():
    """A generator that does."""
    raise ModelDownError(PARAM)


@pytest.fixture
def events():
    """What was told, in order."""
    return []


@pytest.fixture
def heard(make_cache, events, caplog):
    """A cache that tells a callback and the log."""
    caplog.set_level(logging.DEBUG, "llm_cache")
    return make_cache(on_event=events.append)


@pytest.fixture
def told(events, caplog):
    """What callback and log were told since the last look: they agree."""

    def told():
        lines = [m for m in caplog.messages if m.startswith("p ") or ": p " in m]
        expected = []
        for event in events:
            whose = f"{event.tenant}: " if event.tenant else ""
            start = f"{whose}{event.prefix} {event.key[:8]}: "
            if event.error is not None:
                expected.append(f"{start}error ({type(event.error).__name__})")
            else:
                not_stored = f", not stored: {event.not_stored}" if event.not_stored else ""
                expected.append(f"{start}{event.outcome} ({event.reason}{not_stored})")
        assert lines == expected
        assert PARAM not in "".join(lines) + repr([e for e in events if e.error is None])
        result = [(event.outcome, event.reason) for event in events]
        events.clear()
        caplog.clear()
        return result

    return told


def settled(cache):
    """Waits for what is made behind."""
    assert cache._engine.components.flights.wait_until_stored(GUARD_S)


def test_every_outcome_is_told_once(heard, clock, get, told):
    """Miss, hit from memory, hit from the store, stale, fallback, error, bypass."""

    def ask(generator=lambda: "text", policy=POLICY, **more):
        return get(heard, "p", generator, policy=policy, subject=PARAM, **more)

    ask()
    assert told() == [(Outcome.MISS, Reason.NOTHING_STORED)]
    ask()
    ask()
    assert told() == [(Outcome.HIT, Reason.FRESH)] * 2
    heard._engine.components.tier.clear()
    ask()
    assert told() == [(Outcome.HIT, Reason.FRESH)]
    clock.now = T0 + 1.5 * HOUR_S
    ask(fails)
    settled(heard)
    assert told() == [(Outcome.STALE, Reason.IN_GRACE)]
    clock.now = T0 + 3 * HOUR_S
    ask(fails)
    assert told() == [(Outcome.FALLBACK, Reason.GENERATOR_FAILS)]
    clock.now = T0 + 5 * HOUR_S
    ask()
    assert told() == [(Outcome.MISS, Reason.EXPIRED)]
    ask(ttl=0)
    assert told() == [(Outcome.BYPASS, Reason.TTL_0)]


@pytest.mark.parametrize(
    ("mode", "outcome", "reason"),
    [
        ("live", Outcome.HIT, Reason.FRESH),
        ("refresh", Outcome.MISS, Reason.REFRESHED),
        ("replay", Outcome.HIT, Reason.RECORDED),
        ("off", Outcome.BYPASS, Reason.MODE_OFF),
    ],
)
def test_the_mode_is_told(heard, get, told, mode, outcome, reason):
    """As the reason, from the store and then from memory."""
    heard.put("p", "text")
    with heard.mode(mode):
        for _ in range(2):
            get(heard, "p", lambda: "new")
    assert told() == [(outcome, reason)] * 2


def test_a_disabled_cache_tells(make_cache, events, get):
    """That it is."""
    get(make_cache(on_event=events.append, enabled=False), "p", lambda: "text")
    assert [(e.outcome, e.reason) for e in events] == [(Outcome.BYPASS, Reason.DISABLED)]


@pytest.mark.parametrize("bypassed", [False, True])
def test_an_error_is_told(heard, get, events, caplog, bypassed):
    """The very error that the caller gets, to the callback; the log names its type only."""
    with pytest.raises(ModelDownError) as raised:
        get(heard, "p", fails, ttl=0 if bypassed else None, subject=PARAM)
    (event,) = events
    assert event.error is raised.value
    assert (event.outcome, event.reason, event.not_stored) == (None, None, None)
    assert f"p {event.key[:8]}: error (ModelDownError)" in caplog.messages
    assert PARAM not in caplog.text.replace(repr(raised.value), "")


def test_a_miss_in_replay_is_told(heard, get, told, events):
    """As the error that it is."""
    with heard.mode("replay"), pytest.raises(LookupError):
        get(heard, "p", fails, subject=PARAM)
    assert type(events[0].error).__name__ == "ReplayMissError"
    assert told() == [(None, None)]


async def test_who_waited_is_told(heard, told):
    """Of many that ask at once each has an event, and one of them missed."""
    heard._engine.components.store.open()
    go = asyncio.Event()

    async def generate():
        await go.wait()
        return "text"

    async with asyncio.timeout(GUARD_S):
        tasks = [asyncio.create_task(heard.get_or_generate("p", generate)) for _ in range(5)]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*tasks)
    assert sorted(told()) == [
        *[(Outcome.COALESCED, Reason.WAITED)] * 4,
        (Outcome.MISS, Reason.NOTHING_STORED),
    ]


async def test_of_those_who_waited_for_an_error_each_is_told(heard, events):
    """An error for everyone who got it."""
    heard._engine.components.store.open()
    go = asyncio.Event()

    async def generate():
        await go.wait()
        raise ModelDownError

    async with asyncio.timeout(GUARD_S):
        tasks = [asyncio.create_task(heard.get_or_generate("p", generate)) for _ in range(3)]
        await asyncio.sleep(0)
        go.set()
        await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(event.error) for event in events] == [ModelDownError] * 3


def test_what_was_not_stored_is_told(heard, get, events, caplog):
    """With the reason, in the event and in the line."""
    get(heard, "p", lambda: "", policy=CachePolicy(store_if=["not_empty"]))
    assert events[0].not_stored == "empty"
    line = f"p {events[0].key[:8]}: miss (nothing is stored for it, not stored: empty)"
    assert line in caplog.messages


def test_another_type_and_the_future_are_reasons(heard, clock, get, told):
    """Why an entry that is there does not answer."""

    def number() -> int:
        return 5

    heard.put("p", "text")
    get(heard, "p", number)
    assert told() == [(Outcome.MISS, Reason.OF_ANOTHER_TYPE)]
    clock.now -= HOUR_S
    get(heard, "p", number)
    assert told() == [(Outcome.MISS, Reason.FROM_THE_FUTURE)]


@pytest.mark.parametrize("is_async", [False, True])
def test_decorated_functions_tell(heard, told, is_async):
    """Also on the short way from their arguments to memory, and when they refresh."""
    if is_async:

        @cached_llm_call("p", cache=heard)
        async def page(subject):
            return "text"

        def call(function):
            return asyncio.run(function(PARAM))
    else:

        @cached_llm_call("p", cache=heard)
        def page(subject):
            return "text"

        def call(function):
            return function(PARAM)

    for _ in range(3):
        call(page)
    call(page.refresh)
    assert told() == [
        (Outcome.MISS, Reason.NOTHING_STORED),
        (Outcome.HIT, Reason.FRESH),
        (Outcome.HIT, Reason.FRESH),
        (Outcome.MISS, Reason.REFRESHED),
    ]


def test_the_key_is_that_of_the_function(heard, events):
    """In full, so that an event leads to its entry."""
    page = cached_llm_call("p", cache=heard)(lambda n: "text")
    with heard.tenant("acme"):
        page(1)
        page(1)
        assert [event.key for event in events] == [page.key(1)] * 2
        assert heard.find(events[0].key[:8])[0].key.hex() == events[0].key
    assert [event.tenant for event in events] == ["acme"] * 2


def test_looking_is_no_event(heard, events):
    """`peek`, `why`, `put`, `invalidate` and listings ask for no value."""
    heard.put("p", "text", n=1)
    heard.peek("p", n=1)
    heard.why("p", n=1)
    list(heard.entries())
    heard.invalidate("p", n=1)
    assert events == []


def test_a_callback_that_raises_changes_nothing(make_cache, clock, get, caplog):
    """Neither values nor errors nor counts; it is warned of once."""

    def on_event(event):
        raise KeyError(event.prefix)

    cache = make_cache(on_event=on_event)
    assert [get(cache, "p", lambda: "text") for _ in range(3)] == ["text"] * 3
    with pytest.raises(ModelDownError):
        get(cache, "q", fails)
    total = cache.get_stats()["total"]
    assert (total["hits"], total["misses"], total["errors"]) == (2, 1, 1)
    assert caplog.messages == ["on_event raised KeyError, and is ignored"]


def test_a_callback_may_ask_the_cache(make_cache, events):
    """For something else, on the thread it is told on."""

    def on_event(event):
        events.append(event.prefix)
        if event.prefix == "p":
            cache.get_or_generate_sync("q", lambda: "text")

    cache = make_cache(on_event=on_event)
    cache.get_or_generate_sync("p", lambda: "text")
    assert events == ["p", "q"]


def test_nothing_is_logged_unless_it_is_wanted(make_cache, get, caplog):
    """At INFO an answered request leaves no line."""
    caplog.set_level(logging.INFO, "llm_cache")
    cache = make_cache()
    get(cache, "p", lambda: "text")
    get(cache, "p", lambda: "text")
    assert caplog.messages == []


def test_the_log_is_heard_without_a_callback(make_cache, get, caplog):
    """Hits in memory, too."""
    caplog.set_level(logging.DEBUG, "llm_cache")
    cache = make_cache()
    for _ in range(3):
        get(cache, "p", lambda: "text")
    outcomes = [m.partition(": ")[2] for m in caplog.messages if m.startswith("p ")]
    assert outcomes == ["miss (nothing is stored for it)", "hit (fresh)", "hit (fresh)"]


def test_an_event_does_not_change(heard, events):
    """Who keeps it may rely on it."""
    heard.get_or_generate_sync("p", lambda: "text")
    with pytest.raises(AttributeError):
        events[0].outcome = None
