"""Lookups for values: async and sync, with types that follow the generator's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypeVar, overload

from llm_cache.api._management import Management
from llm_cache.core.arguments import refuse_argument
from llm_cache.engine.call import with_ttl
from llm_cache.engine.engine import NOT_IN_MEMORY
from llm_cache.functions.returns import codec_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from llm_cache.core.policy import CachePolicy
    from llm_cache.core.result import Result
    from llm_cache.core.units import Duration
    from llm_cache.core.usage import Generated
    from llm_cache.engine.call import Call

T = TypeVar("T")
_A_GENERATOR: Final = "a function that makes the value, as lambda: ask(prompt)"


class Lookups(Management):
    """The calls that generate what is missing."""

    @overload
    async def get_or_generate(
        self,
        /,
        prefix: str,
        generator: Callable[[], Awaitable[Generated[T]]],
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
        generator: Callable[[], Generated[T]],
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
                It may return `Generated(value, usage=Usage(...))` to say what that cost.
            ttl: how long the value is fresh: `"7d"`, a timedelta, 0 for "do not keep".
            policy: the same and more; `ttl` overrides it.
            params: what identifies the request, where one of these names is taken.
            **named: what identifies the request.

        Concurrent callers share one generation, and cancelling one never disturbs another.

        Raises:
            KeyParamError, PrefixError, TenantRequiredError: the request has no key.
            ConfigError: an argument is of a wrong type.
            GenerationTimeoutError: the generator ran longer than the policy's timeout.
            RecursiveGenerationError: the generator waits for itself.
            ReplayMissError: the mode is `replay`, and nothing recorded answers.
            Exception: whatever the generator raises. Never StoreError.
        """
        call = self._call(prefix, generator, with_ttl(policy, ttl), params, named)
        value = self._engine.from_memory(call.identity, call.policy, call.codec)
        return (await self._engine.answer(call)).value if value is NOT_IN_MEMORY else value

    @overload
    def get_or_generate_sync(
        self,
        /,
        prefix: str,
        generator: Callable[[], Awaitable[Generated[T]]],
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
        generator: Callable[[], Generated[T]],
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
        value = self._engine.from_memory(call.identity, call.policy, call.codec)
        return self._engine.answer_sync(call).value if value is NOT_IN_MEMORY else value

    @overload
    async def lookup(
        self,
        /,
        prefix: str,
        generator: Callable[[], Awaitable[Generated[T]]],
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
        generator: Callable[[], Generated[T]],
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
        """As `get_or_generate`, and how the value was obtained: a `Result`."""
        call = self._call(prefix, generator, with_ttl(policy, ttl), params, named)
        result = self._engine.result_from_memory(call) or await self._engine.answer(call)
        return _with_codec(result, call)

    @overload
    def lookup_sync(
        self,
        /,
        prefix: str,
        generator: Callable[[], Awaitable[Generated[T]]],
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
        generator: Callable[[], Generated[T]],
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
        """As `get_or_generate_sync`, and how the value was obtained: a `Result`."""
        call = self._call(prefix, generator, with_ttl(policy, ttl), params, named)
        result = self._engine.result_from_memory(call) or self._engine.answer_sync(call)
        return _with_codec(result, call)

    def _call(
        self,
        prefix: str,
        generator: Callable[[], Any],
        policy: CachePolicy | None,
        params: Mapping[str, object] | None,
        named: Mapping[str, object],
    ) -> Call:
        if not callable(generator):
            refuse_argument("generator", generator, _A_GENERATOR)
        codec = codec_of(generator)
        return self._engine.call(prefix, generator, policy, params, named, codec)


def _with_codec(result: Result[T], call: Call) -> Result[T]:
    """With an entry whose value is of the type that was asked for."""
    if result.entry is None:
        return result
    return replace(result, entry=replace(result.entry, codec=call.codec))
