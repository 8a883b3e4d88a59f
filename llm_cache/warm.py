"""Making what is to be warm and is not: several at a time, again after failures, never twice."""

from __future__ import annotations

import asyncio
import random
import time
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from llm_cache.async_driver import settled
from llm_cache.entry import Freshness
from llm_cache.errors import (
    ConfigError,
    KeyParamError,
    RecursiveGenerationError,
    ReplayMissError,
    StoreError,
)
from llm_cache.threads import DaemonPool

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llm_cache.engine import Engine
    from llm_cache.result import Result
    from llm_cache.warm_plan import PlannedSet, WarmItem, WarmPlan

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
KEPT_WITHIN_S: Final = 5.0
_FINAL: Final = (ConfigError, KeyParamError, RecursiveGenerationError, ReplayMissError, TypeError)
"""Errors that come again however often one tries."""


class WarmStep(StrEnum):
    """What just happened to an item."""

    SKIPPED = "skipped"
    STARTED = "started"
    RETRYING = "retrying"
    MADE = "made"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WarmEvent:
    """Something that happened to an item, while it is being warmed."""

    item: WarmItem
    step: WarmStep
    attempt: int = 1
    seconds: float = 0.0
    error: Exception | None = None


@dataclass(slots=True)
class WarmReport:
    """What became of a plan: how many were fresh and made, and what failed with which error."""

    fresh: int = 0
    made: int = 0
    failed: list[tuple[WarmItem, Exception]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def warm(self) -> int:
        """How many items are warm now."""
        return self.fresh + self.made


@dataclass(frozen=True, slots=True)
class Pace:
    """Time and chance, so that tests need neither."""

    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


class Warming:
    """One run over a plan; `report` is right at every moment, also after an interruption."""

    def __init__(
        self,
        engine: Engine,
        plan: WarmPlan,
        *,
        refresh: bool = False,
        on_event: Callable[[WarmEvent], object] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.report: Final = WarmReport()
        self._engine = engine
        self._plan = plan
        self._refresh = refresh
        self._on_event = on_event or _ignore
        self._pace = pace or Pace()

    async def run(self) -> WarmReport:
        """Makes what is not fresh; one that fails does not stop the others."""
        begun = self._pace.monotonic()
        try:
            await asyncio.gather(*(self._run_set(planned) for planned in self._plan.sets))
        finally:
            self.report.seconds = self._pace.monotonic() - begun
        return self.report

    async def _run_set(self, planned: PlannedSet) -> None:
        waiting = iter(planned.items)
        pool = DaemonPool("llm-cache warm", planned.concurrency)
        starts = _Starts(planned.calls_per_second, self._pace)

        async def work() -> None:
            for item in waiting:
                if item.state is Freshness.FRESH and not self._refresh:
                    self.report.fresh += 1
                    self._on_event(WarmEvent(item, WarmStep.SKIPPED))
                else:
                    await self._warm(planned, item, pool, starts)

        await asyncio.gather(*(work() for _ in range(planned.concurrency)))

    async def _warm(
        self, planned: PlannedSet, item: WarmItem, pool: DaemonPool, starts: _Starts
    ) -> None:
        begun = self._pace.monotonic()
        for attempt in range(1, planned.retries + 2):
            await starts.next()
            self._on_event(WarmEvent(item, WarmStep.STARTED, attempt))
            try:
                await self._make(planned, item, pool)
            except Exception as error:  # noqa: BLE001 - the generator's; the others go on
                seconds = self._pace.monotonic() - begun
                if attempt > planned.retries or isinstance(error, _FINAL):
                    self.report.failed.append((item, error))
                    self._on_event(WarmEvent(item, WarmStep.FAILED, attempt, seconds, error))
                    return
                self._on_event(WarmEvent(item, WarmStep.RETRYING, attempt, seconds, error))
                await self._pace.sleep(self._pause_s(attempt))
            else:
                self.report.made += 1
                seconds = self._pace.monotonic() - begun
                self._on_event(WarmEvent(item, WarmStep.MADE, attempt, seconds))
                return

    async def _make(self, planned: PlannedSet, item: WarmItem, pool: DaemonPool) -> None:
        call = item.call.refreshing() if self._refresh else item.call
        if planned.is_async:
            answer = await self._engine.answer(call)
        else:
            future = pool.submit(self._engine.answer_sync, call)
            await settled(future, None)
            answer = future.result()
        await self._engine.off_loop(partial(self._check_kept, item, answer))

    def _check_kept(self, item: WarmItem, answer: Result[Any]) -> None:
        """Lookups swallow the store's trouble; to be warm means to be kept."""
        key = item.call.identity.key
        if answer.entry is None:
            why = answer.not_stored or "the log says why"
            msg = f"{item.prefix}: the value was made but cannot be kept: {why}"
            raise StoreError(msg)
        self._engine.parts.flights.wait_until_stored(KEPT_WITHIN_S, key)
        if self._engine.parts.store.get(key) is None:
            msg = f"{item.prefix}: the value was made but the store did not keep it"
            raise StoreError(msg)

    def _pause_s(self, attempt: int) -> float:
        """Doubling, and up to half of it off by chance, so that retries do not come in a crowd."""
        pause_s = min(FIRST_PAUSE_S * 2.0 ** (attempt - 1), LONGEST_PAUSE_S)
        return pause_s * (1 - 0.5 * self._pace.chance())


class _Starts:
    """Lets so many calls start each second, evenly spread."""

    def __init__(self, per_second: float | None, pace: Pace) -> None:
        self._gap_s = 0.0 if per_second is None else 1.0 / per_second
        self._pace = pace
        self._next_at = pace.monotonic()

    async def next(self) -> None:
        """Waits for this call's turn."""
        now = self._pace.monotonic()
        turn_at = max(now, self._next_at)
        self._next_at = turn_at + self._gap_s
        if turn_at > now:
            await self._pace.sleep(turn_at - now)


def _ignore(_: WarmEvent) -> None:
    pass
