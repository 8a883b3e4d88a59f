"""Never run: what type checkers say of the public API."""

from collections.abc import Coroutine
from functools import partial
from typing import Any, assert_type

from llm_cache import (
    CacheConfig,
    CachedAsyncFunction,
    CachedFunction,
    CachePolicy,
    Entry,
    LLMCache,
    Outcome,
    Removed,
    Result,
    Stats,
    cached_llm_call,
    get_cache,
    load_config,
)


@cached_llm_call("page", ttl_hours=168)
async def page(subject: str, grade: int = 5) -> str:
    """An async function."""
    return f"{subject} {grade}"


@cached_llm_call("context", policy=CachePolicy(ttl="1h"), exclude=("client",))
def context(client: object, subject: str) -> list[str]:
    """A plain one."""
    return [f"{client}", subject]


class Lessons:
    """A class with cached methods."""

    @cached_llm_call("lesson", exclude=("self",))
    async def lesson(self, topic: str) -> str:
        """An async method."""
        return topic

    @cached_llm_call("exercise", exclude=("self",))
    def exercise(self, topic: str) -> list[str]:
        """A plain one."""
        return [topic]


class Teacher:
    """An object that can be called."""

    def __call__(self, topic: str) -> str:
        """A text."""
        return topic


async def methods(lessons: Lessons) -> None:
    """Methods are bound, and so are their operations; objects and partials can be decorated."""
    assert_type(await lessons.lesson("sums"), str)
    assert_type(lessons.exercise("sums"), list[str])
    assert_type(lessons.exercise.key("sums"), str)
    assert_type(await lessons.lesson.peek("sums"), Entry | None)
    assert_type(Lessons.exercise(lessons, "sums"), list[str])
    lessons.exercise(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    assert_type(cached_llm_call("teacher")(Teacher())("sums"), str)
    assert_type(cached_llm_call("bound")(partial(len, "sums"))(), int)


def takes_async(function: CachedAsyncFunction[[str], str]) -> None:
    """Decorated functions can be passed on as such."""
    del function


def takes_plain(function: CachedFunction[[object, str], list[str]]) -> None:
    """The same for plain ones."""
    del function


async def decorated() -> None:
    """Parameters and results are those of the function."""
    waiting: Coroutine[Any, Any, str] = page("math", 5)
    assert_type(await waiting, str)
    assert_type(await page("math", grade=5), str)
    assert_type(await page.refresh("math"), str)
    assert_type(await page.peek("math"), Entry | None)
    assert_type(await page.invalidate("math"), Removed)
    assert_type(page.key("math"), str)
    assert_type(context(None, "math"), list[str])
    assert_type(context.refresh(None, "math"), list[str])
    assert_type(context.peek(None, "math"), Entry | None)
    takes_plain(context)
    await page(1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    context(None, topic="x")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def make() -> int:
    """An async generator of a value."""
    return 1


async def called(cache: LLMCache) -> None:
    """The result is what the generator makes."""
    assert_type(await cache.get_or_generate("p", make, n=1), int)
    assert_type(await cache.get_or_generate("p", lambda: "text", ttl="1h"), str)
    assert_type(cache.get_or_generate_sync("p", make, params={"ttl": 1}), int)
    assert_type(await cache.lookup("p", make, n=1), Result[int])
    assert_type((await cache.lookup("p", lambda: "text", ttl="1h")).value, str)
    assert_type(cache.lookup_sync("p", make, n=1), Result[int])
    assert_type(cache.lookup_sync("p", lambda: [1]).entry, Entry | None)
    assert_type(cache.lookup_sync("p", lambda: [1]).outcome, Outcome)
    assert_type(cache.get_or_generate_sync("p", generator=lambda: [1]), list[int])
    assert_type(cache.peek("p", n=1), Entry | None)
    assert_type(cache.prune(), Removed)
    assert_type(await cache.aio.invalidate("p", n=1), Removed)
    assert_type(await cache.aio.get_stats(), Stats)
    async with LLMCache("dir", config=CacheConfig(enabled=True, mine_ttl_hours=2)) as other:
        assert_type(other, LLMCache)
    assert_type(get_cache(), LLMCache)
    assert_type(load_config(), CacheConfig)
