"""`LLMCache`: lookups, async and sync, over one engine."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar, overload

from llm_cache.aio import AsyncManagement
from llm_cache.config import CacheConfig, load_config
from llm_cache.engine import NOT_IN_MEMORY, Engine
from llm_cache.management import Management, make_call, with_ttl
from llm_cache.returns import codec_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping
    from types import TracebackType

    from llm_cache.policy import CachePolicy
    from llm_cache.result import Result
    from llm_cache.steps import Call
    from llm_cache.units import Duration
    from llm_cache.warm import WarmEvent, WarmReport
    from llm_cache.warm_plan import WarmPlan

T = TypeVar("T")


class LLMCache(Management):
    """Keeps what models generated under a directory, and gives it back.

    Args:
        cache_dir: where to keep it; `.cache/llm` if neither this nor a config says otherwise.
        config: the settings; no file and no environment is read.
        clock: gives epoch seconds; another than the wall clock is for tests.

    Nothing is opened or written before the first use.
    """

    def __init__(
        self,
        cache_dir: str | Path | None = None,
        *,
        config: CacheConfig | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        config = config or CacheConfig()
        if cache_dir is not None:
            config = config.model_copy(update={"cache_dir": Path(cache_dir).absolute()})
        super().__init__(Engine(config, clock))
        self.aio: Final = AsyncManagement(self, self.engine.off_loop)

    @classmethod
    def from_file(cls, path: str | Path) -> LLMCache:
        """A cache with the settings of a `cache.toml`, the environment's on top."""
        return cls(config=load_config(path))

    @overload
    async def get_or_generate(
        self,
        /,
        prefix: str,
        generator: Callable[[], Awaitable[T]],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> T: ...
    @overload
    async def get_or_generate(
        self,
        /,
        prefix: str,
        generator: Callable[[], T],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> T: ...
    async def get_or_generate(
        self,
        /,
        prefix: str,
        generator: Callable[[], Any],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Any:
        """The value for these params: kept from before, or made now by `generator` and kept.

        Args:
            prefix: what kind of content it is.
            generator: makes the value. It is called without arguments on this event loop, and
                what it returns is awaited if it can be; wrap what blocks in `asyncio.to_thread`.
            ttl: how long the value is fresh: `"7d"`, a timedelta, 0 for "do not keep".
            policy: the same and more; `ttl` goes before it.
            params: what identifies the request, where one of these names is taken.
            **named: what identifies the request.

        Concurrent callers share one generation, and cancelling one never disturbs another.

        Raises:
            KeyParamError, PrefixError: the request has no key.
            GenerationTimeoutError: the generator ran longer than the policy's timeout.
            RecursiveGenerationError: the generator waits for itself.
            Exception: whatever the generator raises. Never StoreError.
        """
        call = self._call(prefix, generator, with_ttl(policy, ttl), params, named)
        value = self.engine.from_memory(call.identity, call.policy, call.codec)
        return (await self.engine.answer(call)).value if value is NOT_IN_MEMORY else value

    @overload
    def get_or_generate_sync(
        self,
        /,
        prefix: str,
        generator: Callable[[], Awaitable[T]],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> T: ...
    @overload
    def get_or_generate_sync(
        self,
        /,
        prefix: str,
        generator: Callable[[], T],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> T: ...
    def get_or_generate_sync(
        self,
        /,
        prefix: str,
        generator: Callable[[], Any],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Any:
        """As `get_or_generate`, for code that is not async.

        The generator runs on a thread of its own, in the caller's context, so that its timeout can
        be kept; under `timeout="forever"` it runs on the caller's thread.
        """
        call = self._call(prefix, generator, with_ttl(policy, ttl), params, named)
        value = self.engine.from_memory(call.identity, call.policy, call.codec)
        return self.engine.answer_sync(call).value if value is NOT_IN_MEMORY else value

    @overload
    async def lookup(
        self,
        /,
        prefix: str,
        generator: Callable[[], Awaitable[T]],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Result[T]: ...
    @overload
    async def lookup(
        self,
        /,
        prefix: str,
        generator: Callable[[], T],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Result[T]: ...
    async def lookup(
        self,
        /,
        prefix: str,
        generator: Callable[[], Any],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Result[Any]:
        """As `get_or_generate`, and how the value was come by: a `Result`."""
        call = self._call(prefix, generator, with_ttl(policy, ttl), params, named)
        result = self.engine.result_from_memory(call) or await self.engine.answer(call)
        return _with_codec(result, call)

    @overload
    def lookup_sync(
        self,
        /,
        prefix: str,
        generator: Callable[[], Awaitable[T]],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Result[T]: ...
    @overload
    def lookup_sync(
        self,
        /,
        prefix: str,
        generator: Callable[[], T],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Result[T]: ...
    def lookup_sync(
        self,
        /,
        prefix: str,
        generator: Callable[[], Any],
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Result[Any]:
        """As `get_or_generate_sync`, and how the value was come by: a `Result`."""
        call = self._call(prefix, generator, with_ttl(policy, ttl), params, named)
        result = self.engine.result_from_memory(call) or self.engine.answer_sync(call)
        return _with_codec(result, call)

    def warm_plan(
        self,
        calls: Mapping[Callable[..., Any], Iterable[Mapping[str, Any]]] | None = None,
        *,
        prefix: str | None = None,
    ) -> WarmPlan:
        """What `warm` would find fresh and what it would make; nothing is called.

        Args:
            calls: decorated functions, each with the arguments of its calls; the `[[warm]]`
                tables in force if left out.
            prefix: only the tables of this prefix.

        Raises:
            ConfigError: a function cannot be imported, or does not take what is listed for it.
            StoreError: the store cannot be read.
        """
        from llm_cache import warm_plan

        if calls is None:
            return warm_plan.plan_of_config(self.engine, prefix)
        return warm_plan.plan_of_calls(self.engine, calls)

    async def warm(
        self,
        plan: WarmPlan | Mapping[Callable[..., Any], Iterable[Mapping[str, Any]]] | None = None,
        *,
        refresh: bool = False,
        on_event: Callable[[WarmEvent], object] | None = None,
    ) -> WarmReport:
        """Makes what is planned and is not fresh, as `llm-cache warm` does.

        Args:
            plan: from `warm_plan`, or what that takes; the `[[warm]]` tables in force if left out.
            refresh: makes what is fresh, too.
            on_event: told what happens to each item, on this event loop.

        Returns:
            How many were fresh and made, and what failed with which error: a generator that
            raises stops no other.
        """
        from llm_cache.warm import Warming
        from llm_cache.warm_plan import WarmPlan

        if not isinstance(plan, WarmPlan):
            plan = await self.engine.off_loop(partial(self.warm_plan, plan))
        return await Warming(self.engine, plan, refresh=refresh, on_event=on_event).run()

    def __enter__(self) -> Self:
        """The cache itself, closed at the end of the block."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the cache."""
        self.close()

    async def __aenter__(self) -> Self:
        """The cache itself, closed at the end of the block."""
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Closes the cache without blocking the event loop."""
        await self.aio.close()

    def __repr__(self) -> str:
        """The class and the directory."""
        return f"LLMCache({str(self.cache_dir)!r})"

    def _call(
        self,
        prefix: str,
        generator: Callable[[], Any],
        policy: CachePolicy | None,
        params: Mapping[str, object] | None,
        named: Mapping[str, object],
    ) -> Call:
        codec = codec_of(generator)
        return make_call(self.engine, prefix, generator, policy, params, named, codec)


def _with_codec(result: Result[T], call: Call) -> Result[T]:
    """With an entry whose value is of the type that was asked for."""
    if result.entry is None:
        return result
    return replace(result, entry=replace(result.entry, codec=call.codec))
