"""Making what is to be warm and is not: several at a time, again after failures, never twice."""

from __future__ import annotations

import asyncio
import math
import random
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from llm_cache.core.freshness import Freshness
from llm_cache.core.result import Outcome
from llm_cache.engine.async_driver import settled
from llm_cache.engine.threads import DaemonPool
from llm_cache.errors import (
    ConfigError,
    KeyParamError,
    RecursiveGenerationError,
    ReplayMissError,
    StoreError,
)
from llm_cache.warm.budget import Budget, Limits, Stopped

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from llm_cache.core.result import Result
    from llm_cache.engine.call import Call
    from llm_cache.engine.engine import Engine
    from llm_cache.warm.budget import Ticket
    from llm_cache.warm.plan import PlannedSet, WarmItem, WarmPlan

FIRST_PAUSE_S: Final = 0.5
LONGEST_PAUSE_S: Final = 30.0
KEPT_WITHIN_S: Final = 5.0
ENDS_WITHIN_S: Final = 0.1
LANDS_WITHIN_S: Final = 60.0
_FINAL: Final = (ConfigError, KeyParamError, RecursiveGenerationError, ReplayMissError, TypeError)
"""Errors that come again however often one tries."""


class WarmStep(StrEnum):
    """What just happened to an item."""

    SKIPPED = "skipped"
    """It was fresh."""
    STARTED = "started"
    RETRYING = "retrying"
    MADE = "made"
    FOUND = "found"
    """Another made it meanwhile."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WarmEvent:
    """Something that happened to an item, while it is being warmed."""

    item: WarmItem
    step: WarmStep
    attempt: int = 1
    seconds: float = 0.0
    error: Exception | None = None
    cost_usd: float | None = None


@dataclass(slots=True)
class SetReport:
    """What became of the items of one set.

    What another made meanwhile counts as fresh. `cost_usd` is what making them cost, as far as it
    is known; of `unpriced` ones it is not. `under_way` are those being made now, by their id().
    """

    prefix: str
    total: int
    fresh: int = 0
    made: int = 0
    failed: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    under_way: dict[int, WarmItem] = field(default_factory=dict[int, "WarmItem"])

    @property
    def done(self) -> int:
        """Items that are over: fresh, made or failed."""
        return self.fresh + self.made + self.failed

    def count_made(self, item: WarmItem, cost_usd: float | None) -> None:
        """Counts an item as made, for so many dollars; None if nobody knows."""
        self.under_way.pop(id(item), None)
        self.made += 1
        self.cost_usd += cost_usd or 0.0
        self.unpriced += cost_usd is None


@dataclass(slots=True)
class WarmReport:
    """What became of a plan, set by set; `failures` are the last events of what failed.

    `stopped` says why items are left: a limit was reached, or the run was interrupted.
    """

    sets: list[SetReport]
    failures: list[WarmEvent] = field(default_factory=list["WarmEvent"])
    seconds: float = 0.0
    stopped: Stopped | None = None

    @property
    def total(self) -> int:
        """How many items the plan has."""
        return sum(one.total for one in self.sets)

    @property
    def fresh(self) -> int:
        """How many were fresh, or were made by another meanwhile."""
        return sum(one.fresh for one in self.sets)

    @property
    def made(self) -> int:
        """How many were made."""
        return sum(one.made for one in self.sets)

    @property
    def failed(self) -> list[tuple[WarmItem, Exception]]:
        """What failed, with which error."""
        return [(event.item, event.error) for event in self.failures if event.error is not None]

    @property
    def warm(self) -> int:
        """How many items are warm now."""
        return self.fresh + self.made

    @property
    def done(self) -> int:
        """How many are over: fresh, made or failed."""
        return sum(one.done for one in self.sets)

    @property
    def left(self) -> int:
        """How many were not come to, or are still under way."""
        return self.total - self.done

    @property
    def cost_usd(self) -> float:
        """What making them cost, as far as it is known."""
        return sum(one.cost_usd for one in self.sets)

    @property
    def unpriced(self) -> int:
        """How many were made for nobody knows how much."""
        return sum(one.unpriced for one in self.sets)


@dataclass(frozen=True, slots=True)
class Pace:
    """Time and chance, so that tests need neither."""

    sleep: Callable[[float], Awaitable[object]] = asyncio.sleep
    monotonic: Callable[[], float] = time.monotonic
    chance: Callable[[], float] = random.random


class Warming:
    """One run over a plan; `report` is right at every moment, also after an interruption.

    `on_event` is told what happens to each item, on the event loop of the run.
    """

    def __init__(
        self,
        engine: Engine,
        plan: WarmPlan,
        *,
        refresh: bool = False,
        limits: Limits | None = None,
        on_event: Callable[[WarmEvent], object] | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.report: Final = WarmReport([_begin(planned, refresh=refresh) for planned in plan.sets])
        self.on_event: Callable[[WarmEvent], object] = on_event or _ignore
        self._set_of: Final = {
            id(item): one
            for planned, one in zip(plan.sets, self.report.sets, strict=True)
            for item in planned.items
        }
        self._begun_at = math.inf
        self._budget: Final = Budget(limits or Limits())
        self._engine = engine
        self._plan = plan
        self._refresh = refresh
        self._pace = pace or Pace()

    async def run(self) -> WarmReport:
        """Makes what is not fresh; one that fails does not stop the others.

        What `on_event` raises does: no further call is made, and it is raised here once those under
        way are over, for which it waits a minute at most.
        """
        begun, self._begun_at = self._pace.monotonic(), self._engine.components.clock()
        try:
            await self._run_sets()
        except BaseExceptionGroup as errors:
            await self._engine.off_loop(self._wait_for_calls)
            raise errors.exceptions[0] from None  # the others are of calls that it cut short
        finally:
            self.report.seconds = self._pace.monotonic() - begun
            if self.report.left:
                self.report.stopped = self._budget.stopped
        return self.report

    def take_in_landed(self, within_s: float) -> None:
        """Counts what was under way when the run was interrupted and is stored within a moment."""
        components = self._engine.components
        self.report.stopped = Stopped.INTERRUPTED
        components.flights.wait_until_stored(within_s)
        for one in self.report.sets:
            for item in list(one.under_way.values()):
                entry = components.store.get(item.call.identity.key)
                if entry is not None and entry.created_at >= self._begun_at:
                    one.count_made(item, entry.cost_usd)

    async def _run_sets(self) -> None:
        with ExitStack() as pools:
            async with asyncio.TaskGroup() as group:
                for planned in self._plan.sets:
                    pool = DaemonPool("llm-cache warm", planned.concurrency)
                    # Those that wait end at once, those that are in a call with that.
                    pools.callback(pool.close, ENDS_WITHIN_S)
                    waiting = iter(planned.items)
                    starts = _Starts(planned.calls_per_second, self._pace)
                    for _ in range(planned.concurrency):
                        group.create_task(self._work(planned, waiting, pool, starts))

    def _wait_for_calls(self) -> None:
        """They are paid for: what they make is stored, though nobody here takes it any more."""
        flights, keys = (
            self._engine.components.flights,
            {i.call.identity.key for i in self._plan.items},
        )
        gives_up_at = time.monotonic() + LANDS_WITHIN_S
        for flight in flights.under_way():
            if flight.identity.key in keys:
                left_s = max(gives_up_at - time.monotonic(), 0.0)
                flights.wait_until_stored(left_s, flight.identity.key)

    async def _work(
        self, planned: PlannedSet, waiting: Iterator[WarmItem], pool: DaemonPool, starts: _Starts
    ) -> None:
        for item in waiting:
            if item.state is Freshness.FRESH and not self._refresh:
                self._over(WarmEvent(item, WarmStep.SKIPPED))
            else:
                await self._warm(planned, item, pool, starts)

    async def _warm(
        self, planned: PlannedSet, item: WarmItem, pool: DaemonPool, starts: _Starts
    ) -> None:
        begun = self._pace.monotonic()
        failed: WarmEvent | None = None
        for attempt in range(1, planned.retries + 2):
            if failed is not None:
                self.on_event(replace(failed, step=WarmStep.RETRYING))
                await self._pace.sleep(self._pause_s(failed.attempt))
            ticket = await self._budget.take(item.prefix)
            if ticket is None:
                break
            await starts.next()
            self._set_of[id(item)].under_way[id(item)] = item
            self.on_event(WarmEvent(item, WarmStep.STARTED, attempt))
            event = replace(
                await self._try(planned, item, pool, ticket),
                attempt=attempt,
                seconds=self._pace.monotonic() - begun,
            )
            if event.error is None:
                self._over(event)
                return
            failed = event
            if isinstance(event.error, _FINAL):
                break
        if failed is not None:
            self._over(failed)

    async def _try(
        self, planned: PlannedSet, item: WarmItem, pool: DaemonPool, ticket: Ticket
    ) -> WarmEvent:
        """Asks for an item once: made, found, or failed."""
        try:
            answer = await self._ask(planned, item, pool)
        except Exception as error:  # noqa: BLE001 - the generator's; the others go on
            await self._budget.failed(ticket)
            return WarmEvent(item, WarmStep.FAILED, error=error)
        if answer.outcome in {Outcome.HIT, Outcome.COALESCED}:
            await self._budget.found(ticket)
            return WarmEvent(item, WarmStep.FOUND)
        cost_usd = None if answer.entry is None else answer.entry.cost_usd
        await self._budget.made(ticket, cost_usd)
        return WarmEvent(item, WarmStep.MADE, cost_usd=cost_usd)

    def _over(self, event: WarmEvent) -> None:
        """Counts an item that there is nothing left to do about, and tells of it."""
        one = self._set_of[id(event.item)]
        match event.step:
            case WarmStep.MADE:
                one.count_made(event.item, event.cost_usd)
            case WarmStep.FOUND:
                one.fresh += 1
            case WarmStep.FAILED:
                one.failed += 1
                self.report.failures.append(event)
            case _:
                pass  # what was fresh is counted from the start
        one.under_way.pop(id(event.item), None)
        self.on_event(event)

    async def _ask(self, planned: PlannedSet, item: WarmItem, pool: DaemonPool) -> Result[Any]:
        call = item.call.refreshing() if self._refresh else _without_old_answers(item.call)
        if planned.is_async:
            answer = await self._engine.answer(call)
        else:
            future = pool.submit(self._engine.answer_sync, call)
            await settled(future, None)
            answer = future.result()
        await self._engine.off_loop(partial(self._check_kept, item, answer))
        return answer

    def _check_kept(self, item: WarmItem, answer: Result[Any]) -> None:
        """Lookups swallow the store's trouble; to be warm means to be kept."""
        key = item.call.identity.key
        if answer.entry is None:
            why = answer.not_stored or "the log says why"
            msg = f"{item.prefix}: the value was made but cannot be kept: {why}"
            raise StoreError(msg)
        self._engine.components.flights.wait_until_stored(KEPT_WITHIN_S, key)
        if self._engine.components.store.get(key) is None:
            msg = f"{item.prefix}: the value was made but the store did not keep it"
            raise StoreError(msg)

    def _pause_s(self, attempt: int) -> float:
        """Doubling, and up to half of it off by chance, so that retries do not come in a crowd."""
        pause_s = min(FIRST_PAUSE_S * 2.0 ** (attempt - 1), LONGEST_PAUSE_S)
        return pause_s * (1 - 0.5 * self._pace.chance())


def _begin(planned: PlannedSet, *, refresh: bool) -> SetReport:
    fresh = sum(item.state is Freshness.FRESH for item in planned.items)
    return SetReport(planned.prefix, len(planned.items), fresh=0 if refresh else fresh)


def _without_old_answers(call: Call) -> Call:
    """The same, that is not answered by what is past its ttl, however long that is given else."""
    return replace(call, policy=replace(call.policy, fresh_only=True))


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
