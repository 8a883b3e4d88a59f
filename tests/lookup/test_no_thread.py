"""The system gives no more threads for a moment: an error then, and nothing that hangs after."""

import threading

import pytest

from llm_cache import LLMCache
from llm_cache.stores import heartbeat

GUARD_S = 20.0


@pytest.mark.parametrize(
    "name", ["llm-cache writer", "llm-cache flight p", "llm-cache heartbeat", "llm-cache publisher"]
)
def test_a_thread_that_could_not_be_started_is_started_later(tmp_path, monkeypatch, name):
    """Whoever comes next finds everything as if it had not been tried."""
    monkeypatch.setattr(heartbeat._of_process, "heartbeat", heartbeat.Heartbeat())
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
            answers.append(cache.get_or_generate_sync("p", lambda: "text", n=1))
        except RuntimeError as error:
            answers.append(str(error))

    with LLMCache(tmp_path / "cache") as cache:
        for _ in range(2):
            asking = threading.Thread(target=ask, daemon=True)
            start(asking)
            asking.join(GUARD_S)
        assert failed
        assert answers[-1] == "text"
        assert len(answers) == 2
        cache.put("p", "put", n=2)
        assert cache.peek("p", n=2).value == "put"
