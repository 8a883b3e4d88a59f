"""The system gives no more threads, for a moment or at all: every call is answered all the same."""

import asyncio
import threading

import pytest

from llm_cache import CachePolicy, LLMCache, cached_llm_call
from llm_cache.store.sqlite import _heartbeat

GUARD_S = 20.0


NAMES = [
    "llm-cache writer",
    "llm-cache heartbeat",
    "llm-cache publisher",
    "llm-cache generator",
    "llm-cache counters",
]
LIMITED = CachePolicy(timeout="1m")


@pytest.mark.parametrize("name", NAMES)
def test_a_thread_that_could_not_be_started_is_started_later(tmp_path, monkeypatch, name):
    """Whoever comes next finds everything as if it had not been tried."""
    monkeypatch.setattr(_heartbeat._of_process, "heartbeat", _heartbeat.Heartbeat())
    start = threading.Thread.start
    failed = []

    def fails_once(thread):
        if thread.name == name and not failed:
            failed.append(thread)
            msg = "can't start new thread"
            raise RuntimeError(msg)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", fails_once)
    answers = []

    def ask():
        try:
            answers.append(
                cache.get_or_generate_sync("p", lambda: "text", policy=LIMITED, n=len(answers))
            )
        except RuntimeError as error:
            answers.append(str(error))

    with LLMCache(tmp_path / "cache") as cache:
        for _ in range(2):
            asking = threading.Thread(target=ask, daemon=True)
            start(asking)
            asking.join(GUARD_S)
        assert failed
        assert answers == ["text", "text"]
        cache.put("p", "put", n=2)
        assert cache.peek("p", n=2).value == "put"


@pytest.fixture
def no_threads(monkeypatch):
    """From now on nothing of ours can start a thread."""
    start = threading.Thread.start

    def refuse(thread):
        if thread.name.startswith("llm-cache"):
            msg = "can't start new thread"
            raise RuntimeError(msg)
        start(thread)

    monkeypatch.setattr(_heartbeat._of_process, "heartbeat", _heartbeat.Heartbeat())
    monkeypatch.setattr(threading.Thread, "start", refuse)


@pytest.mark.parametrize("policy", [CachePolicy(), LIMITED], ids=["forever", "limited"])
def test_without_any_thread_a_plain_call_is_answered_and_stored(directory, no_threads, policy):
    """Inline: by the thread that asks."""
    with LLMCache(directory) as cache:
        assert cache.get_or_generate_sync("p", lambda: "made", policy=policy, n=1) == "made"
        assert cache.peek("p", n=1).value == "made"
        assert not cache._engine.components.store.leases.is_holding
        assert cache.get_stats()["misses"] == 1


def test_without_any_thread_an_async_call_is_answered_and_stored(directory, no_threads):
    """On the event loop, which blocks for as long as a write takes."""
    with LLMCache(directory) as cache:
        assert asyncio.run(cache.get_or_generate("p", lambda: "made", n=1)) == "made"
        assert cache.peek("p", n=1).value == "made"
        assert not cache._engine.components.store.leases.is_holding


def test_without_any_thread_warming_makes_what_is_missing(directory, no_threads):
    """One after the other."""
    with LLMCache(directory) as cache:

        @cached_llm_call("warmed", cache=cache)
        def warmed(n: int) -> str:
            return str(n)

        report = asyncio.run(cache.warm({warmed: [{"n": n} for n in range(3)]}))
        assert (report.made, report.failed) == (3, [])
