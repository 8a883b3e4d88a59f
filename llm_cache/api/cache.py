"""`LLMCache`: everything that is done with one cache."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self

from llm_cache.api._generate import Lookups
from llm_cache.api.aio import AsyncManagement
from llm_cache.config import CacheConfig, load_config
from llm_cache.core.arguments import refuse_argument
from llm_cache.core.freshness import wall_clock
from llm_cache.engine.engine import Engine
from llm_cache.engine.events import check_listener
from llm_cache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path
    from types import TracebackType

    from llm_cache.engine.events import Event
    from llm_cache.warm.budget import Limits
    from llm_cache.warm.estimate import Outlook
    from llm_cache.warm.plan import WarmPlan
    from llm_cache.warm.run import WarmEvent, Warming, WarmReport


class LLMCache(Lookups):
    """Keeps what models generated under a directory, and gives it back.

    Args:
        cache_dir: where to keep it; `.cache/llm` if neither this nor a config says otherwise. It
            starts from the working directory of now; `~` and `$NAME` are understood.
        config: the settings; no file is read, and of the environment only what a `$NAME` names.
        on_event: told how each request was answered, on the thread that asks; what it raises is
            ignored, with one warning.
        clock: gives epoch seconds; another than the wall clock is for tests. `time.time` is asked
            anew each time, so that a library that freezes it freezes ages, too.

    Nothing is opened or written before the first use.

    Raises:
        ConfigError: an argument is wrong; the message names it.
    """

    def __init__(
        self,
        cache_dir: str | Path | None = None,
        *,
        config: CacheConfig | None = None,
        on_event: Callable[[Event], object] | None = None,
        clock: Callable[[], float] = wall_clock,
    ) -> None:
        config = CacheConfig() if config is None else config
        if not isinstance(config, CacheConfig):
            refuse_argument("config", config, "CacheConfig(...)")
        if not callable(clock):
            refuse_argument("clock", clock, "a function that returns epoch seconds")
        check_listener(on_event)
        if cache_dir is not None:
            config = config.with_values(cache_dir=CacheConfig(cache_dir=cache_dir).cache_dir)
        super().__init__(Engine(_in_one_place(config), clock, on_event))
        self.aio: Final = AsyncManagement(self, self._engine.off_loop)

    @classmethod
    def from_file(cls, path: str | Path) -> LLMCache:
        """A cache with the settings of a `cache.toml`, the environment's on top."""
        return cls(config=load_config(path))

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
        from llm_cache.warm import plan as warm_plan

        if calls is None:
            return warm_plan.plan_of_config(self._engine, prefix)
        return warm_plan.plan_of_calls(self._engine, calls)

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
        check_listener(on_event)
        from llm_cache.warm.plan import WarmPlan

        if not isinstance(plan, WarmPlan):
            plan = await self._engine.off_loop(partial(self.warm_plan, plan))
        warming = self.warming(plan, refresh=refresh)
        if on_event is not None:
            warming.on_event = on_event
        return await warming.run()

    def warming(
        self, plan: WarmPlan, *, refresh: bool = False, limits: Limits | None = None
    ) -> Warming:
        """A run over a plan, to be awaited by `run()`; its `report` is right at every moment.

        Args:
            plan: from `warm_plan`.
            refresh: makes what is fresh, too.
            limits: how many calls may be made, and for how many dollars.
        """
        from llm_cache.warm.run import Warming

        return Warming(self._engine, plan, refresh=refresh, limits=limits)

    def warm_estimate(self, plan: WarmPlan, *, refresh: bool = False) -> list[Outlook]:
        """What making each set of a plan would take, by what generating took of late.

        Seconds and US dollars are None where nothing is known of them. Raises StoreError if the
        store cannot be read.
        """
        from llm_cache.warm.estimate import estimate

        return estimate(self._engine.components, plan, refresh=refresh)

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


def _in_one_place(config: CacheConfig) -> CacheConfig:
    """With a directory that stays where it is when the working directory becomes another."""
    try:
        return config.with_values(cache_dir=config.cache_dir.absolute())
    except OSError:
        msg = (
            f"cache_dir={str(config.cache_dir)!r} starts from the working directory, which does "
            "not exist any more: write it from the root, or change to another"
        )
        raise ConfigError(msg) from None
