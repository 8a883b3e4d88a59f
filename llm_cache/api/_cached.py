"""What decorating makes: a function, or a method, whose calls are answered from a cache."""

from __future__ import annotations

import types
from functools import WRAPPER_ASSIGNMENTS, partial, update_wrapper
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from llm_cache.api._management import engine_of
from llm_cache.api._methods import OPERATIONS, CachedClassMethod, CachedMethod
from llm_cache.api.default import engine_in_use, get_cache
from llm_cache.engine.engine import NOT_IN_MEMORY
from llm_cache.engine.fast_path import FastPath
from llm_cache.functions.binding import Binding

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.api.cache import LLMCache
    from llm_cache.core.entry import Entry
    from llm_cache.core.policy import CachePolicy
    from llm_cache.engine.call import Call
    from llm_cache.engine.explain import Why
    from llm_cache.store.records import Removed

Args: TypeAlias = tuple[Any, ...]
Kwargs: TypeAlias = dict[str, Any]


def cached(
    function: Callable[..., Any],
    prefix: str,
    *,
    policy: CachePolicy | None,
    exclude: tuple[str, ...],
    shared: bool,
    cache: LLMCache | None,
) -> Any:
    """A function that answers the calls of `function` from a cache.

    What stands in a class body becomes a descriptor; a static method stays one. Raises as `Binding`
    and `claim`.
    """
    options: Any = {"policy": policy, "exclude": exclude, "shared": shared, "cache": cache}
    inner: Any = getattr(function, "__func__", None)
    if isinstance(function, staticmethod):
        return staticmethod(cached(inner, prefix, **options))
    is_of_class = isinstance(function, classmethod)
    bare: Callable[..., Any] = inner if is_of_class else function
    binding = Binding(bare, prefix, policy=policy, exclude=exclude)
    operations = (_Awaitable if binding.is_async else _Blocking)(binding, cache)
    operations.fast_path.claim(shared=shared)
    plain = _dressed(operations.function(), operations)
    if is_of_class or binding.is_method:
        return _dressed((CachedClassMethod if is_of_class else CachedMethod)(plain), operations)
    return plain


class _Operations:
    """What can be done with the calls of one function, beside calling it."""

    def __init__(self, binding: Binding, cache: LLMCache | None) -> None:
        self._cache: Final = cache
        engine = None if cache is None else engine_of(cache)
        self.get_engine: Final = engine_in_use if engine is None else lambda: engine
        self.fast_path: Final = FastPath(binding, self.get_engine)

    @property
    def cache(self) -> LLMCache:
        """The cache given to the decorator, or that of the process."""
        return get_cache() if self._cache is None else self._cache

    def key(self, /, *args: Any, **kwargs: Any) -> str:
        """The key of these arguments, in 64 hex digits."""
        return self._call(args, kwargs).identity.key.hex()

    def _call(self, args: Args, kwargs: Kwargs, *, refresh: bool = False) -> Call:
        return self.fast_path.call(args, kwargs, refresh=refresh)


class _Blocking(_Operations):
    """Those of a plain function."""

    def function(self) -> Any:
        """A real function, so that frameworks see that it is not async."""
        from_memory, answer = self.fast_path.from_memory, self._answer

        def cached(*args: Any, **kwargs: Any) -> Any:
            value = from_memory(args, kwargs)
            return answer(args, kwargs) if value is NOT_IN_MEMORY else value

        return cached

    def peek(self, /, *args: Any, **kwargs: Any) -> Entry | None:
        """The entry these arguments would be answered from, or None; never generates."""
        return self.get_engine().peek(self._call(args, kwargs))

    def why(self, /, *args: Any, **kwargs: Any) -> Why:
        """Whether a call with these arguments would hit now, and if not, why."""
        return self.get_engine().why(self._call(args, kwargs))

    def invalidate(self, /, *args: Any, **kwargs: Any) -> Removed:
        """Drops the entry of these arguments; returns how many, 0 or 1."""
        return self.cache.invalidate_entries((self._call(args, kwargs).identity.key,))

    def refresh(self, /, *args: Any, **kwargs: Any) -> Any:
        """Regenerates the value, and stores it in place of the one before."""
        return self._answer(args, kwargs, refresh=True)

    def _answer(self, args: Args, kwargs: Kwargs, *, refresh: bool = False) -> Any:
        return self.get_engine().answer_sync(self._call(args, kwargs, refresh=refresh)).value


class _Awaitable(_Operations):
    """Those of an async function."""

    def function(self) -> Any:
        """A real function, so that frameworks see that it is async."""
        from_memory, answer = self.fast_path.from_memory, self._answer

        async def cached(*args: Any, **kwargs: Any) -> Any:
            value = from_memory(args, kwargs)
            return await answer(args, kwargs) if value is NOT_IN_MEMORY else value

        return cached

    async def peek(self, /, *args: Any, **kwargs: Any) -> Entry | None:
        """The entry these arguments would be answered from, or None; never generates."""
        engine, call = self.get_engine(), self._call(args, kwargs)
        return await engine.off_loop(partial(engine.peek, call))

    async def why(self, /, *args: Any, **kwargs: Any) -> Why:
        """Whether a call with these arguments would hit now, and if not, why."""
        engine, call = self.get_engine(), self._call(args, kwargs)
        return await engine.off_loop(partial(engine.why, call))

    async def invalidate(self, /, *args: Any, **kwargs: Any) -> Removed:
        """Drops the entry of these arguments; returns how many, 0 or 1."""
        key = self._call(args, kwargs).identity.key
        return await self.cache.aio.invalidate_entries((key,))

    async def refresh(self, /, *args: Any, **kwargs: Any) -> Any:
        """Regenerates the value, and stores it in place of the one before."""
        return await self._answer(args, kwargs, refresh=True)

    async def _answer(self, args: Args, kwargs: Kwargs, *, refresh: bool = False) -> Any:
        call = self._call(args, kwargs, refresh=refresh)
        return (await self.get_engine().answer(call)).value


def _dressed(function: Any, operations: _Blocking | _Awaitable) -> Any:
    """With the name, the documentation and so on of what was decorated, and the operations."""
    binding = operations.fast_path.binding
    original: Any = binding.function
    if isinstance(original, types.FunctionType):
        update_wrapper(function, original)
    else:
        there = tuple(name for name in WRAPPER_ASSIGNMENTS if hasattr(original, name))
        update_wrapper(function, original, there, ())  # the attributes of an object are its own
        function.__qualname__ = binding.name
        function.__name__ = binding.name.rpartition(".")[2]
    for name in OPERATIONS:
        setattr(function, name, getattr(operations, name))
    function.llm_cache_binding = binding
    return function
