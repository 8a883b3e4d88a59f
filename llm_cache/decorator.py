"""`cached_llm_call`: a function whose answers are kept."""

from __future__ import annotations

import inspect
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Final, ParamSpec, Protocol, TypeVar, overload

from llm_cache.arguments import refuse_argument
from llm_cache.binding import Binding
from llm_cache.claims import claim
from llm_cache.engine import NOT_IN_MEMORY
from llm_cache.errors import ConfigError
from llm_cache.keys import check_prefix
from llm_cache.policy import CachePolicy, check_policy
from llm_cache.process import get_cache
from llm_cache.shortcuts import Shortcuts

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from llm_cache.cache import LLMCache
    from llm_cache.entry import Entry
    from llm_cache.savings import Generated
    from llm_cache.stores.base import Removed
    from llm_cache.units import Duration
    from llm_cache.why import Why

P = ParamSpec("P")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class CachedAsyncFunction(Protocol[P, R_co]):
    """An async function whose answers are kept."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """The value for these arguments, kept from before or made now."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key of these arguments, in 64 hex digits."""
        ...

    async def peek(self, *args: P.args, **kwargs: P.kwargs) -> Entry | None:
        """The entry these arguments would be answered from, or None; never generates."""
        ...

    async def why(self, *args: P.args, **kwargs: P.kwargs) -> Why:
        """Whether a call with these arguments would hit now, and if not, why."""
        ...

    async def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> Removed:
        """Drops the entry of these arguments; returns how many, 0 or 1."""
        ...

    async def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Makes the value anew, and keeps it in place of the one before."""
        ...


class CachedFunction(Protocol[P, R_co]):
    """A plain function whose answers are kept."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """The value for these arguments, kept from before or made now."""
        ...

    def key(self, *args: P.args, **kwargs: P.kwargs) -> str:
        """The key of these arguments, in 64 hex digits."""
        ...

    def peek(self, *args: P.args, **kwargs: P.kwargs) -> Entry | None:
        """The entry these arguments would be answered from, or None; never generates."""
        ...

    def why(self, *args: P.args, **kwargs: P.kwargs) -> Why:
        """Whether a call with these arguments would hit now, and if not, why."""
        ...

    def invalidate(self, *args: P.args, **kwargs: P.kwargs) -> Removed:
        """Drops the entry of these arguments; returns how many, 0 or 1."""
        ...

    def refresh(self, *args: P.args, **kwargs: P.kwargs) -> R_co:
        """Makes the value anew, and keeps it in place of the one before."""
        ...


class Decorator(Protocol):
    """What `cached_llm_call(...)` returns."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # a coroutine is an R, too: the first wins
        self, function: Callable[P, Coroutine[Any, Any, Generated[R]]], /
    ) -> CachedAsyncFunction[P, R]: ...
    @overload
    def __call__(  # type: ignore[overload-overlap]  # as above
        self, function: Callable[P, Coroutine[Any, Any, R]], /
    ) -> CachedAsyncFunction[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, Generated[R]], /) -> CachedFunction[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R], /) -> CachedFunction[P, R]: ...


def cached_llm_call(
    prefix: str,
    *,
    ttl: Duration | None = None,
    ttl_hours: float | None = None,
    policy: CachePolicy | None = None,
    exclude: tuple[str, ...] = (),
    shared: bool = False,
    cache: LLMCache | None = None,
) -> Decorator:
    """Keeps what a function returns, by its arguments; works on async and plain functions.

    Args:
        prefix: what kind of content it makes; its own, unless `shared`.
        ttl: how long an answer is fresh: `"7d"`, a timedelta, 0 for "do not keep".
        ttl_hours: the same as a number of hours.
        policy: the same and more; `ttl` goes before it. A `[prefixes.X]` in `cache.toml` goes
            before both.
        exclude: parameters that do not change the answer (`self`, a client): not in the key.
        shared: lets several functions use this prefix; they then share answers for equal params.
        cache: the cache to use; `get_cache()`, looked up at each call, if left out.

    The function gets `key`, `peek`, `why`, `invalidate` and `refresh`, which take its arguments;
    all but the first are awaitable where the function is async.

    Raises:
        PrefixError: the prefix is not allowed.
        PrefixConflictError: another function has this prefix, and not both are `shared`.
        ConfigError: a duration or another argument is wrong, or `exclude` names no parameter.

    Example:
        >>> @cached_llm_call("intro_page", ttl="7d")
        ... def intro_page(subject: str) -> str:
        ...     return f"About {subject}."
    """
    check_prefix(prefix)
    if isinstance(exclude, str):
        msg = f"exclude={exclude!r} is a str: write a tuple, exclude=({exclude!r},)"
        raise ConfigError(msg)
    if not isinstance(exclude, tuple | list | set | frozenset):
        refuse_argument("exclude", exclude, "a tuple of names, exclude=('client',)")
    if cache is not None and not hasattr(cache, "engine"):
        refuse_argument("cache", cache, "an LLMCache")
    merged = _policy(ttl, ttl_hours, policy)

    def decorate(function: Callable[..., Any]) -> Any:  # noqa: ANN401 - `Decorator` says what
        _refuse_streams(function)
        binding = Binding(function, prefix, policy=merged, exclude=tuple(exclude))
        claim(binding, shared=shared)
        answering = _Answering(binding, cache)
        if _is_method(function, binding):
            return CachedMethod(answering)
        return _function(answering, ())

    return decorate


class _Answering:
    """Answers the calls of one function from a cache."""

    def __init__(self, binding: Binding, cache: LLMCache | None) -> None:
        self.binding: Final = binding
        self.get_cache: Final = get_cache if cache is None else lambda: cache
        shortcuts = Shortcuts(binding, self.get_cache)
        self.from_memory: Final = shortcuts.from_memory
        self.call: Final = shortcuts.call


def _function(answering: _Answering, bound: tuple[Any, ...]) -> Any:  # noqa: ANN401
    """A real function, so that frameworks see whether it is async; `bound` go first in calls."""
    wrapper = _async_function if answering.binding.is_async else _sync_function
    function = wrapper(answering, bound)
    update_wrapper(function, answering.binding.function)
    signature = answering.binding.signature
    if bound:
        remaining = list(signature.parameters.values())[len(bound) :]
        function.__signature__ = signature.replace(parameters=remaining)

    def key(*args: Any, **kwargs: Any) -> str:  # noqa: ANN401
        return answering.call(bound + args, kwargs).identity.key.hex()

    function.key = key
    function.llm_cache_binding = answering.binding
    return function


def _async_function(answering: _Answering, bound: tuple[Any, ...]) -> Any:  # noqa: ANN401
    from_memory = answering.from_memory

    async def cached(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
        if bound:
            args = bound + args
        value = from_memory(args, kwargs)
        if value is not NOT_IN_MEMORY:
            return value
        return (await answering.get_cache().engine.answer(answering.call(args, kwargs))).value

    async def peek(*args: Any, **kwargs: Any) -> Entry | None:  # noqa: ANN401
        cache, call = answering.get_cache(), answering.call(bound + args, kwargs)
        return await cache.engine.off_loop(lambda: cache.peek_call(call))

    async def why(*args: Any, **kwargs: Any) -> Why:  # noqa: ANN401
        cache, call = answering.get_cache(), answering.call(bound + args, kwargs)
        return await cache.engine.off_loop(lambda: cache.why_call(call))

    async def invalidate(*args: Any, **kwargs: Any) -> Removed:  # noqa: ANN401
        key = answering.call(bound + args, kwargs).identity.key
        return await answering.get_cache().aio.invalidate_entries((key,))

    async def refresh(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        call = answering.call(bound + args, kwargs, refresh=True)
        return (await answering.get_cache().engine.answer(call)).value

    function: Any = cached
    function.peek, function.why = peek, why
    function.invalidate, function.refresh = invalidate, refresh
    return function


def _sync_function(answering: _Answering, bound: tuple[Any, ...]) -> Any:  # noqa: ANN401
    from_memory = answering.from_memory

    def cached(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the function's own
        if bound:
            args = bound + args
        value = from_memory(args, kwargs)
        if value is not NOT_IN_MEMORY:
            return value
        return answering.get_cache().engine.answer_sync(answering.call(args, kwargs)).value

    def peek(*args: Any, **kwargs: Any) -> Entry | None:  # noqa: ANN401
        return answering.get_cache().peek_call(answering.call(bound + args, kwargs))

    def why(*args: Any, **kwargs: Any) -> Why:  # noqa: ANN401
        return answering.get_cache().why_call(answering.call(bound + args, kwargs))

    def invalidate(*args: Any, **kwargs: Any) -> Removed:  # noqa: ANN401
        key = answering.call(bound + args, kwargs).identity.key
        return answering.get_cache().invalidate_entries((key,))

    def refresh(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        call = answering.call(bound + args, kwargs, refresh=True)
        return answering.get_cache().engine.answer_sync(call).value

    function: Any = cached
    function.peek, function.why = peek, why
    function.invalidate, function.refresh = invalidate, refresh
    return function


class CachedMethod:
    """A decorated method: a descriptor that gives each object a function bound to it."""

    def __init__(self, answering: _Answering) -> None:
        self._answering = answering
        update_wrapper(self, answering.binding.function)  # type: ignore[arg-type]
        self.llm_cache_binding = answering.binding

    def __get__(self, instance: object, owner: type | None = None) -> Any:  # noqa: ANN401
        """The method of `instance`, or of the class, where `self` is an argument like others."""
        return _function(self._answering, () if instance is None else (instance,))


def _is_method(function: Callable[..., Any], binding: Binding) -> bool:
    """Whether this is a function in a class body whose first parameter is its object."""
    outer = function.__qualname__.rpartition(".")[0]
    in_class = bool(outer) and not outer.endswith("<locals>")
    return in_class and next(iter(binding.signature.parameters), None) in ("self", "cls")


def _policy(
    ttl: Duration | None, ttl_hours: float | None, policy: CachePolicy | None
) -> CachePolicy | None:
    own = CachePolicy(ttl=ttl, ttl_hours=ttl_hours)
    if policy is None:
        return None if own.ttl is None else own
    return check_policy(policy) if own.ttl is None else own.over(check_policy(policy))


def _refuse_streams(function: Callable[..., Any]) -> None:
    if inspect.isasyncgenfunction(function) or inspect.isgeneratorfunction(function):
        msg = (
            f"{function.__qualname__} yields a stream, which is not kept yet: "
            "decorate a function that returns the whole value"
        )
        raise ConfigError(msg)
