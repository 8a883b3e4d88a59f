"""Answering calls that memory has no answer to: async and sync, over the same lookup."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from llm_cache.core.policy import Mode
from llm_cache.core.result import Outcome, Reason, Result
from llm_cache.core.usage import Paid, unwrapped
from llm_cache.engine._flights import Failed, running_loop
from llm_cache.engine._lookup import look, lookup
from llm_cache.engine._sync_driver import SyncDriver, call_sync
from llm_cache.engine.explain import bypass_reason, missed_in_replay
from llm_cache.errors import EventLoopError

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable

    from llm_cache.engine.async_driver import AsyncDriver
    from llm_cache.engine.engine import Engine
    from llm_cache.engine.steps import Call
    from llm_cache.engine.threads import DaemonPool

T = TypeVar("T")


class Answering:
    """Answers calls with the parts of an engine; a forked child takes another."""

    def __init__(self, engine: Engine, pool: DaemonPool, publishing: DaemonPool) -> None:
        self._engine: Final = engine
        self._parts: Final = engine.parts
        self._teller: Final = engine.teller
        self._pool: Final = pool
        self._publishing: Final = publishing
        self._sync: Final = SyncDriver(engine.parts, publishing)
        self._async_driver: AsyncDriver | None = None

    @property
    def _async(self) -> AsyncDriver:
        driver = self._async_driver
        if driver is None:
            from llm_cache.engine.async_driver import AsyncDriver  # asyncio is slow to import

            driver = self._async_driver = AsyncDriver(self._parts, self._pool, self._publishing)
        return driver

    async def off_loop(self, call: Callable[[], T]) -> T:
        """Calls something that blocks on a thread, and awaits what it returns."""
        _asyncio_loop()
        return await self._async.off_loop(call)

    async def answer(self, call: Call) -> Result[Any]:
        """Answers on the running event loop; raises what the generator raises."""
        try:
            if not call.policy.keeps or not self._engine.is_enabled:
                result = await self._bypass(call)
            else:
                found = look(self._parts, call) if self._engine.looks_inline(call) else None
                if isinstance(found, Result) and found.outcome is Outcome.HIT:
                    result = found
                else:
                    steps = lookup(self._parts, call, _asyncio_loop(), found)
                    result = _raised(await self._async.run(steps))
        except Exception as error:
            self._failed(call, error)
            raise
        if self._teller.is_heard():
            self._teller.answered(call.identity, result)
        return result

    def answer_sync(self, call: Call) -> Result[Any]:
        """Answers by blocking this thread; raises what the generator raises."""
        try:
            if not call.policy.keeps or not self._engine.is_enabled:
                result = self._bypass_sync(call)
            else:
                found = look(self._parts, call) if self._engine.looks_inline(call) else None
                if isinstance(found, Result) and found.outcome is Outcome.HIT:
                    result = found
                else:
                    steps = lookup(self._parts, call, None, found)
                    result = _raised(self._sync.run(steps))
        except Exception as error:
            self._failed(call, error)
            raise
        if self._teller.is_heard():
            self._teller.answered(call.identity, result)
        return result

    async def _bypass(self, call: Call) -> Result[Any]:
        """Generates, and leaves the cache alone."""
        reason = self._reason_to_bypass(call)
        begun = time.monotonic()
        made = await self._async.call(call.generator)
        paid = Paid(*unwrapped(made), time.monotonic() - begun)
        if reason is Reason.TTL_0 and not self._parts.prices.knows_at_once(paid.usage):
            paid = await self._async.off_loop(partial(self._priced, paid))
        return self._bypassed(call, reason, paid)

    def _bypass_sync(self, call: Call) -> Result[Any]:
        reason = self._reason_to_bypass(call)
        begun = time.monotonic()
        made = call_sync(call.generator)
        return self._bypassed(call, reason, Paid(*unwrapped(made), time.monotonic() - begun))

    def _reason_to_bypass(self, call: Call) -> Reason:
        """Why the cache is left alone. ReplayMissError where nothing may be generated."""
        reason = bypass_reason(call, is_enabled=self._engine.is_enabled) or Reason.DISABLED
        if call.policy.mode is Mode.REPLAY:
            raise missed_in_replay(self._parts, call, reason).error
        return reason

    def _priced(self, paid: Paid) -> Paid:
        return replace(paid, usage=self._parts.prices.priced(paid.usage))

    def _bypassed(self, call: Call, reason: Reason, paid: Paid) -> Result[Any]:
        if reason is Reason.TTL_0:  # the others leave no trace, not even a count
            usage, identity = self._parts.usage, call.identity
            paid = self._priced(paid)
            usage.count(identity.tenant, identity.prefix, paid.usage.model, bypassed=1)
            usage.generated(identity, paid.usage, paid.seconds or 0.0)
        return Result(paid.value, Outcome.BYPASS, None, reason)

    def _failed(self, call: Call, error: Exception) -> None:
        if self._teller.is_heard():
            self._teller.failed(call.identity, error)


def _asyncio_loop() -> AbstractEventLoop:
    loop = running_loop()
    if loop is None:
        msg = (
            "this call has to be run by asyncio, and no event loop of its runs here: under trio or "
            "without any, make the call with asyncio.run, or use its sync form on a thread"
        )
        raise EventLoopError(msg)
    return loop


def _raised(result: Result[Any] | Failed) -> Result[Any]:
    if isinstance(result, Failed):
        # With the traceback as it was: raised in every waiter, it would grow with each of them.
        raise result.error.with_traceback(result.traceback)
    return result
