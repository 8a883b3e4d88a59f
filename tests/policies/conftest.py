"""Caches with a clock of their own, and every way to ask one for a value."""

import asyncio
import itertools

import pytest

from llm_cache import cached_llm_call, set_cache

GUARD_S = 20.0
WAYS = ("get_or_generate", "get_or_generate_sync", "decorated", "decorated_sync")


class ModelDownError(Exception):
    """What a provider's client raises."""


class Asker:
    """Asks a cache for values of the prefix `p` in one way; what is made is numbered."""

    error = ModelDownError

    def __init__(self, cache, way, policy=None):
        self.cache = cache
        self.fails = False
        self.answer = None
        self.made = 0
        self._numbers = itertools.count(1)
        self._policy = policy
        self._is_async = way in ("get_or_generate", "decorated")
        if way == "decorated":

            @cached_llm_call("p", cache=cache, policy=policy, exclude=("self",))
            async def page(n):
                return self._generate()

            self.page = page
        elif way == "decorated_sync":

            @cached_llm_call("p", cache=cache, policy=policy, exclude=("self",))
            def page_sync(n):
                return self._generate()

            self.page = page_sync
        else:
            self.page = None

    def ask(self, n=1):
        """The value; what is made behind has ended."""
        return self._to_the_end(self._asked(n))

    def refresh(self, n=1):
        """The value, regenerated; decorated functions only."""
        return self._to_the_end(self.page.refresh(n))

    def _to_the_end(self, asked):
        if not self._is_async:
            value = asked
            assert self.cache._engine.components.flights.wait_until_stored(GUARD_S)
            return value

        async def main():
            value = await asked
            flights = self.cache._engine.components.flights.under_way()
            await asyncio.gather(*(flight.task for flight in flights if flight.task))
            return value

        return asyncio.run(main())

    def _asked(self, n):
        if self.page is not None:
            return self.page(n)
        ask = self.cache.get_or_generate if self._is_async else self.cache.get_or_generate_sync
        return ask("p", self._generate, policy=self._policy, n=n)

    def _generate(self):
        self.made += 1
        number = next(self._numbers)
        if self.fails:
            raise ModelDownError
        return f"made {number}" if self.answer is None else self.answer


@pytest.fixture
def cache(make_cache):
    """A cache that is also the process-wide one."""
    cache = make_cache()
    set_cache(cache)
    yield cache
    set_cache(None)


@pytest.fixture(params=WAYS)
def way(request):
    """How values are asked for."""
    return request.param


@pytest.fixture(params=["sync", "async"])
def get(request):
    """`get_or_generate` of a cache, blocking or awaited."""

    def get(cache, *args, **kwargs):
        if request.param == "sync":
            return cache.get_or_generate_sync(*args, **kwargs)
        return asyncio.run(cache.get_or_generate(*args, **kwargs))

    return get


@pytest.fixture
def asker():
    """`Asker`: for a cache and a way to ask it."""
    return Asker
