"""`cached_llm_call`: a function whose answers are kept."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, Protocol, Self, TypeVar, overload

from llm_cache.api._cached import cached
from llm_cache.api.cache import LLMCache
from llm_cache.core.arguments import refuse_argument
from llm_cache.core.keys import check_prefix
from llm_cache.core.policy import CachePolicy, check_policy
from llm_cache.errors import ConfigError
from llm_cache.functions.callables import unpack

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from llm_cache.core.entry import Entry
    from llm_cache.core.units import Duration
    from llm_cache.core.usage import Generated
    from llm_cache.engine.explain import Why
    from llm_cache.store.records import Removed

P = ParamSpec("P")
Q = ParamSpec("Q")
S = TypeVar("S")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)


class CachedAsyncFunction(Protocol[P, R_co]):
    """An async function whose answers are kept."""

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Coroutine[Any, Any, R_co]:
        """The value for these arguments, kept from before or made now."""
        ...

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: CachedAsyncFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> CachedAsyncFunction[Q, R]: ...

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

    @overload
    def __get__(self, instance: None, owner: type | None = None) -> Self: ...
    @overload
    def __get__(
        self: CachedFunction[Concatenate[S, Q], R], instance: S, owner: type | None = None
    ) -> CachedFunction[Q, R]: ...

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
    """Keeps what a function returns, by its arguments and what it closes over.

    It works on async and plain functions, methods, partials and objects that can be called.

    Args:
        prefix: what kind of content it makes; its own, unless `shared`.
        ttl: how long an answer is fresh: `"7d"`, a timedelta, 0 for "do not keep".
        ttl_hours: the same as a number of hours.
        policy: the same and more; `ttl` overrides it. A `[prefixes.X]` in `cache.toml` goes
            before both.
        exclude: parameters, and variables the function closes over, that do not change the answer
            (`self`, a client): not in the key.
        shared: lets several functions use this prefix; they then share answers for equal params.
        cache: the cache to use; `get_cache()`, looked up at each call, if left out.

    The function gets `key`, `peek`, `why`, `invalidate` and `refresh`, which take its arguments;
    all but the first are awaitable where the function is async.

    Raises:
        PrefixError: the prefix is not allowed.
        PrefixConflictError: another function has this prefix, and not both are `shared`.
        ConfigError: a duration or another argument is wrong, or `exclude` names nothing there is.

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
    if cache is not None and not isinstance(cache, LLMCache):
        refuse_argument("cache", cache, "an LLMCache")
    merged = _policy(ttl, ttl_hours, policy)

    def decorate(function: Callable[..., Any]) -> Any:
        _refuse_streams(function)
        return cached(
            function, prefix, policy=merged, exclude=tuple(exclude), shared=shared, cache=cache
        )

    return decorate


def _policy(
    ttl: Duration | None, ttl_hours: float | None, policy: CachePolicy | None
) -> CachePolicy | None:
    own = CachePolicy(ttl=ttl, ttl_hours=ttl_hours)
    if policy is None:
        return None if own.ttl is None else own
    return check_policy(policy) if own.ttl is None else own.over(check_policy(policy))


def _refuse_streams(function: Callable[..., Any]) -> None:
    callee = unpack(getattr(function, "__func__", function))
    if inspect.isasyncgenfunction(callee.function) or inspect.isgeneratorfunction(callee.function):
        msg = (
            f"{callee.name} yields a stream, which is not kept yet: "
            "decorate a function that returns the whole value"
        )
        raise ConfigError(msg)
