"""A generator that raises: everyone who waits gets that, and nothing is kept."""

import asyncio
import logging
import threading
import traceback
from typing import Annotated

import pydantic
import pytest

from llm_cache import cached_llm_call
from llm_cache.errors import StoreError


class ModelDownError(Exception):
    """What a provider's client raises."""


def depth(error):
    """How long an exception's traceback is."""
    return len(traceback.extract_tb(error.__traceback__))


async def test_all_waiters_get_the_very_exception(cache, gate):
    """One failing generation raises its own exception in each of its callers."""
    gate.value = ModelDownError("503")
    tasks = [asyncio.create_task(cache.get_or_generate("p", gate.generate)) for _ in range(20)]
    await gate.began()
    gate.open()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert all(result is gate.value for result in results)
    assert gate.calls == 1


async def test_the_next_call_tries_again(cache, gate):
    """A failure is not kept."""
    gate.value = ModelDownError("503")
    gate.open()
    with pytest.raises(ModelDownError):
        await cache.get_or_generate("p", gate.generate)
    assert cache.peek("p") is None
    gate.value = "text"
    assert await cache.get_or_generate("p", gate.generate) == "text"
    assert gate.calls == 2


async def test_tracebacks_do_not_grow_with_the_waiters(cache, gate):
    """The thousandth waiter sees a traceback as short as the first one's."""
    gate.value = ModelDownError("503")
    depths = []

    async def ask():
        try:
            await cache.get_or_generate("p", gate.generate)
        except ModelDownError as error:
            depths.append(depth(error))

    tasks = [asyncio.create_task(ask()) for _ in range(1000)]
    await gate.began()
    gate.open()
    await asyncio.gather(*tasks)
    assert len(depths) == 1000
    assert max(depths) <= depths[0] + 3


def test_tracebacks_do_not_grow_over_calls(cache):
    """1,000 failing calls in a row leave as short a traceback as one."""

    def fail():
        raise ModelDownError

    depths = []
    for _ in range(1000):
        with pytest.raises(ModelDownError) as raised:
            cache.get_or_generate_sync("p", fail)
        depths.append(depth(raised.value))
    assert set(depths[1:]) == {depths[1]}


def test_the_traceback_leads_to_the_generator(cache):
    """Who reads it finds the line that raised."""

    def fail():
        raise ModelDownError

    with pytest.raises(ModelDownError) as raised:
        cache.get_or_generate_sync("p", fail)
    assert traceback.extract_tb(raised.value.__traceback__)[-1].name == "fail"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit(3)], ids=type)
def test_an_interrupt_goes_to_the_leader(cache, error):
    """What ends a program is not swallowed."""

    def interrupt():
        raise error

    with pytest.raises(type(error)):
        cache.get_or_generate_sync("p", interrupt)
    assert cache.get_or_generate_sync("p", lambda: "later") == "later"


def test_stop_iteration_is_an_exception_like_others(cache):
    """A generator that raises StopIteration does not end our own machinery."""

    def stop():
        raise StopIteration

    with pytest.raises(StopIteration):
        cache.get_or_generate_sync("p", stop)


async def test_a_store_that_fails_costs_nobody_the_value(cache, monkeypatch, caplog):
    """Reading and writing fail: the value is returned, one warning is logged."""

    def fail(*_args, **_kwargs):
        message = "the disk is on fire"
        raise StoreError(message)

    store = cache._engine.components.store
    monkeypatch.setattr(store, "get", fail)
    monkeypatch.setattr(store, "put", fail)
    with caplog.at_level(logging.WARNING, "llm_cache"):
        for n in range(5):
            assert await cache.get_or_generate("p", lambda: "text", n=n) == "text"
    assert [r.getMessage() for r in caplog.records] == [
        "the cache goes on without its store: the disk is on fire"
    ]
    monkeypatch.undo()
    assert cache.get_stats()["errors"] > 0


async def test_a_store_that_hangs_holds_nobody_up(cache, monkeypatch, gate):
    """A caller waits for the acknowledgement a moment only."""
    store = cache._engine.components.store
    put = store.put

    def slow_put(entry, *, lease):
        gate.generate_sync()
        return put(entry, lease=lease)

    monkeypatch.setattr(store, "put", slow_put)
    async with asyncio.timeout(10):
        assert await cache.get_or_generate("p", lambda: "text") == "text"
        assert await cache.get_or_generate("p", lambda: "another") == "text"
    gate.open()
    assert await asyncio.to_thread(cache._engine.components.flights.wait_until_stored, 10.0)
    assert cache.peek("p").value == "text"


def test_a_value_is_not_looked_into_while_others_wait_for_the_file(cache):
    """That it is no answer was found before: a large one would keep everybody waiting."""
    looked_by = []

    def look(value):
        looked_by.append(threading.current_thread().name)
        msg = "it is none of ours"
        raise ValueError(msg)

    cache.put("p", "whatever")

    @cached_llm_call("p", cache=cache)
    def ask() -> Annotated[str, pydantic.AfterValidator(look)]:
        return "made"

    assert ask() == "made"
    assert looked_by
    assert "llm-cache writer" not in looked_by
