"""A cache of its own for each test, and generators that count and can be held up."""

import asyncio
import threading
from dataclasses import dataclass, field

import pytest

from llm_cache import LLMCache

GUARD_S = 20.0


@pytest.fixture
def cache(tmp_path):
    """A cache in a fresh directory."""
    with LLMCache(tmp_path / "cache") as cache:
        # Open, so that a task comes to wait for a flight in its very first step.
        cache._engine.components.store.open()
        yield cache


@dataclass
class Gate:
    """A generator that counts its calls, and waits inside until it is opened by any thread."""

    value: object = "text"
    calls: int = 0
    _began: threading.Event = field(default_factory=threading.Event)
    _open: threading.Event = field(default_factory=threading.Event)

    async def generate(self):
        """The value, or the exception that stands for it."""
        self.calls += 1
        self._began.set()
        await until(self._open.is_set)
        return self._outcome()

    def generate_sync(self):
        """The same, blocking."""
        self.calls += 1
        self._began.set()
        assert self._open.wait(GUARD_S)
        return self._outcome()

    async def began(self):
        """Waits until somebody generates."""
        await until(self._began.is_set)

    def began_sync(self):
        """The same, blocking."""
        assert self._began.wait(GUARD_S)

    def open(self):
        """Lets everybody go on."""
        self._open.set()

    def _outcome(self):
        if isinstance(self.value, BaseException):
            raise self.value
        return self.value


@pytest.fixture
def gate():
    """A generator that is held up until the test lets it go."""
    return Gate()


async def until(condition):
    """Gives other tasks and threads their turn until `condition` holds."""
    async with asyncio.timeout(GUARD_S):
        while not condition():  # noqa: ASYNC110 - it may be another thread that makes it true
            await asyncio.sleep(0)


@pytest.fixture(name="until")
def until_fixture():
    """`until`, for tests."""
    return until


@pytest.fixture
def in_thread():
    """Runs functions on threads of their own; gives their results in order."""

    def run(*functions):
        results: list = [None] * len(functions)

        def call(place, function):
            try:
                results[place] = function()
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                results[place] = error

        threads = [
            threading.Thread(target=call, args=(place, function), daemon=True)
            for place, function in enumerate(functions)
        ]
        for thread in threads:
            thread.start()

        def join():
            for thread in threads:
                thread.join(GUARD_S)
                assert not thread.is_alive(), "a thread hangs"
            return results

        return join

    return run
