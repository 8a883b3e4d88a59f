"""The management calls for async callers: `await cache.aio.prune()`."""

from __future__ import annotations

from functools import partial, wraps
from typing import TYPE_CHECKING, Any, Concatenate, Final, ParamSpec, Protocol, TypeVar, cast

from llm_cache.api._management import Management

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from llm_cache.core.entry import EntryInfo

P = ParamSpec("P")
T = TypeVar("T")


def _off_loop(
    method: Callable[Concatenate[Management, P], T],
) -> Callable[Concatenate[AsyncManagement, P], Coroutine[Any, Any, T]]:
    """`method`, called on a thread that may block."""

    @wraps(method)
    async def call(self: AsyncManagement, *args: P.args, **kwargs: P.kwargs) -> T:
        made = partial(method, self._management, *args, **kwargs)  # pyright: ignore[reportPrivateUsage]
        return await self._off_loop(made)  # pyright: ignore[reportPrivateUsage]

    return cast("Callable[Concatenate[AsyncManagement, P], Coroutine[Any, Any, T]]", call)


class _OffLoop(Protocol):
    """Calls a function on a thread that may block."""

    async def __call__(self, call: Callable[[], T], /) -> T: ...


class AsyncManagement:
    """Every management call of a cache, awaitable; the event loop is never blocked by one."""

    def __init__(
        self,
        management: Management,
        off_loop: _OffLoop,
    ) -> None:
        self._management: Final = management
        self._off_loop: Final = off_loop

    peek: Final = _off_loop(Management.peek)
    why: Final = _off_loop(Management.why)
    put: Final = _off_loop(Management.put)
    invalidate: Final = _off_loop(Management.invalidate)
    invalidate_prefix: Final = _off_loop(Management.invalidate_prefix)
    invalidate_entries: Final = _off_loop(Management.invalidate_entries)
    prune: Final = _off_loop(Management.prune)
    clear_all: Final = _off_loop(Management.clear_all)
    get: Final = _off_loop(Management.get)
    find: Final = _off_loop(Management.find)
    totals: Final = _off_loop(Management.totals)
    breakdown: Final = _off_loop(Management.breakdown)
    upkeep: Final = _off_loop(Management.upkeep)
    get_stats: Final = _off_loop(Management.get_stats)
    close: Final = _off_loop(Management.close)

    async def entries(
        self, prefix: str | None = None, *, tenant: str | None = None, limit: int | None = None
    ) -> list[EntryInfo]:
        """As `entries`, all at once."""
        listing = partial(self._management.entries, prefix, tenant=tenant, limit=limit)
        return await self._off_loop(lambda: list(listing()))
