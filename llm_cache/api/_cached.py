"""What decorating makes: a function, or a method, whose calls are answered from a cache."""

from __future__ import annotations

import types
from functools import WRAPPER_ASSIGNMENTS, partial, update_wrapper
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from llm_cache.api._methods import OPERATIONS, CachedClassMethod, CachedMethod
from llm_cache.api.default import get_cache
from llm_cache.engine.engine import NOT_IN_MEMORY
from llm_cache.engine.fast_path import Shortcuts
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
) -> Any:  # noqa: ANN401 - `decorator.Decorator` says what
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
    operations.shortcuts.claim(shared=shared)
    plain = _dressed(operations.function(), operations)
    if is_of_class or binding.is_method:
        return _dressed((CachedClassMethod if is_of_class else CachedMethod)(plain), operations)
    return plain


class _Operations:
    """What can be done with the calls of one function."""

    def __init__(self, binding: Binding, cache: LLMCache | None) -> None:
        self.get_cache: Final = get_cache if cache is None else lambda: cache
        self.shortcuts: Final = Shortcuts(binding, self.get_cache)

    def function(self) -> Any:  # noqa: ANN401
        """A real function, so that frameworks see whether it is async."""
        raise NotImplementedError

    def key(self, /, *args: Any, **kwargs: Any) -> str:  # noqa: ANN401 - the function's own
        """The key of these arguments, in 64 hex digits."""
        return self._call(args, kwargs).identity.key.hex()

    def _call(self, args: Args, kwargs: Kwargs, *, refresh: bool = False) -> Call:
        return self.shortcuts.call(args, kwargs, refresh=refresh)


class _Blocking(_Operations):
    """Those of a plain function."""

    def function(self) -> Any:  # noqa: ANN401
        from_memory, told_by = self.shortcuts.from_memory, self.shortcuts.told_by
        answer = self._answer
        if told_by is None:

            def cached(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
                value = from_memory((args, kwargs), args, kwargs)
                return answer(args, kwargs) if value is NOT_IN_MEMORY else value
        else:

            def cached(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
                value = from_memory(told_by(args, kwargs), args, kwargs)
                return answer(args, kwargs) if value is NOT_IN_MEMORY else value

        return cached

    def peek(self, /, *args: Any, **kwargs: Any) -> Entry | None:  # noqa: ANN401
        """The entry these arguments would be answered from, or None; never generates."""
        return self.get_cache().peek_call(self._call(args, kwargs))

    def why(self, /, *args: Any, **kwargs: Any) -> Why:  # noqa: ANN401
        """Whether a call with these arguments would hit now, and if not, why."""
        return self.get_cache().why_call(self._call(args, kwargs))

    def invalidate(self, /, *args: Any, **kwargs: Any) -> Removed:  # noqa: ANN401
        """Drops the entry of these arguments; returns how many, 0 or 1."""
        key = self._call(args, kwargs).identity.key
        return self.get_cache().invalidate_entries((key,))

    def refresh(self, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Regenerates the value, and stores it in place of the one before."""
        call = self._call(args, kwargs, refresh=True)
        return self.get_cache().engine.answer_sync(call).value

    def _answer(self, args: Args, kwargs: Kwargs) -> Any:  # noqa: ANN401
        return self.get_cache().engine.answer_sync(self._call(args, kwargs)).value


class _Awaitable(_Operations):
    """Those of an async function."""

    def function(self) -> Any:  # noqa: ANN401
        from_memory, told_by = self.shortcuts.from_memory, self.shortcuts.told_by
        answer = self._answer
        if told_by is None:

            async def cached(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
                value = from_memory((args, kwargs), args, kwargs)
                return await answer(args, kwargs) if value is NOT_IN_MEMORY else value
        else:

            async def cached(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
                value = from_memory(told_by(args, kwargs), args, kwargs)
                return await answer(args, kwargs) if value is NOT_IN_MEMORY else value

        return cached

    async def peek(self, /, *args: Any, **kwargs: Any) -> Entry | None:  # noqa: ANN401
        """The entry these arguments would be answered from, or None; never generates."""
        cache, call = self.get_cache(), self._call(args, kwargs)
        return await cache.engine.off_loop(partial(cache.peek_call, call))

    async def why(self, /, *args: Any, **kwargs: Any) -> Why:  # noqa: ANN401
        """Whether a call with these arguments would hit now, and if not, why."""
        cache, call = self.get_cache(), self._call(args, kwargs)
        return await cache.engine.off_loop(partial(cache.why_call, call))

    async def invalidate(self, /, *args: Any, **kwargs: Any) -> Removed:  # noqa: ANN401
        """Drops the entry of these arguments; returns how many, 0 or 1."""
        key = self._call(args, kwargs).identity.key
        return await self.get_cache().aio.invalidate_entries((key,))

    async def refresh(self, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        """Regenerates the value, and stores it in place of the one before."""
        call = self._call(args, kwargs, refresh=True)
        return (await self.get_cache().engine.answer(call)).value

    async def _answer(self, args: Args, kwargs: Kwargs) -> Any:  # noqa: ANN401
        return (await self.get_cache().engine.answer(self._call(args, kwargs))).value


def _dressed(function: Any, operations: _Operations) -> Any:  # noqa: ANN401
    """With the name, the documentation and so on of what was decorated, and the operations."""
    binding = operations.shortcuts.binding
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
