"""The two drivers that carry out a lookup's steps: one awaits, one blocks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import inspect
import math
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from llm_cache.errors import GenerationTimeoutError
from llm_cache.flights import GaveUp, current_flight
from llm_cache.lookup import Generate, Launch, Publish, Read, Wait
from llm_cache.threads import DaemonPool, settled, start_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llm_cache.flights import Ending, Flight
    from llm_cache.lookup import Parts, Step, Steps

T = TypeVar("T")

ACKNOWLEDGED_WITHIN_S: Final = 0.25
"""How long a caller waits for the store's acknowledgement of a value it already has."""
LOOK_EVERY_S: Final = 0.25
"""How often a waiter looks whether another thread's event loop still runs its flight."""


class AsyncDriver:
    """Carries out steps on the running event loop.

    A local store is read inline, since that is quicker than any hand-over; all else that blocks
    goes to a pool of threads.
    """

    def __init__(self, parts: Parts, pool: DaemonPool) -> None:
        self._parts = parts
        self._pool = pool

    async def run(self, steps: Steps[T]) -> T:
        """Carries `steps` out to their end."""
        advance, reply = steps.send, None
        while True:
            try:
                step = advance(reply)
            except StopIteration as end:
                return cast("T", end.value)
            try:
                advance, reply = steps.send, await self._carry_out(step)
            except BaseException as error:  # noqa: BLE001 - the steps decide what it means
                advance, reply = cast("Callable[[Any], Step]", steps.throw), error

    async def off_loop(self, call: Callable[[], T]) -> T:
        """Calls something that blocks on a thread of the pool."""
        future = self._pool.submit(call)
        await settled(future, None)
        return future.result()

    async def _carry_out(self, step: Step) -> Any:  # noqa: ANN401 - each step has its own reply
        match step:
            case Read(read):
                store = self._parts.store
                inline = store.is_local and store.is_open
                return read() if inline else await self.off_loop(read)
            case Launch(flight, steps, _):
                name = f"llm-cache flight {flight.identity.prefix}"
                flight.task = asyncio.get_running_loop().create_task(
                    self._fly(flight, steps), name=name
                )
                flight.task.add_done_callback(_retrieve)
            case Wait(flight, timeout_s):
                return await self._wait(flight, timeout_s)
            case Generate(prefix, generator, timeout_s):
                return await _generate_async(prefix, generator, timeout_s)
            case Publish(write):
                await settled(self._pool.submit(write), ACKNOWLEDGED_WITHIN_S)
        return None

    async def _fly(self, flight: Flight, steps: Steps[None]) -> None:
        current_flight.set(flight)
        await self.run(steps)

    async def _wait(self, flight: Flight, timeout_s: float) -> Ending | GaveUp:
        if flight.is_out_of_reach():
            return GaveUp()
        is_of_other_loop = flight.loop not in (None, asyncio.get_running_loop())
        ends_at = time.monotonic() + timeout_s
        while (left_s := ends_at - time.monotonic()) > 0:
            pause_s = min(left_s, LOOK_EVERY_S) if is_of_other_loop else left_s
            if await settled(flight.future, None if math.isinf(pause_s) else pause_s):
                return flight.future.result()
            self._parts.flights.abandon_if_stranded(flight)
        return GaveUp()


class SyncDriver:
    """Carries out steps by blocking the calling thread.

    A generator runs on a thread of its own, in the caller's context, so that it can be waited for
    with a limit; under the timeout `forever` it runs on the caller's own thread.
    """

    def __init__(self, parts: Parts, pool: DaemonPool) -> None:
        self._parts = parts
        self._pool = pool

    def run(self, steps: Steps[T]) -> T:
        """Carries `steps` out to their end."""
        advance, reply = steps.send, None
        while True:
            try:
                step = advance(reply)
            except StopIteration as end:
                return cast("T", end.value)
            try:
                advance, reply = steps.send, self._carry_out(step)
            except BaseException as error:  # noqa: BLE001 - the steps decide what it means
                advance, reply = cast("Callable[[Any], Step]", steps.throw), error

    def _carry_out(self, step: Step) -> Any:  # noqa: ANN401 - each step has its own reply
        match step:
            case Read(read):
                return read()
            case Launch(flight, steps, timeout_s):
                fly = partial(self._fly, flight, steps)
                if math.isinf(timeout_s):
                    contextvars.copy_context().run(fly)
                else:
                    start_thread(f"llm-cache flight {flight.identity.prefix}", fly)
            case Wait(flight, timeout_s):
                return self._wait(flight, timeout_s)
            case Generate(prefix, generator, timeout_s):
                return _generate_sync(prefix, generator, timeout_s)
            case Publish(write):
                concurrent.futures.wait([self._pool.submit(write)], ACKNOWLEDGED_WITHIN_S)
        return None

    def _fly(self, flight: Flight, steps: Steps[None]) -> None:
        current_flight.set(flight)
        # What ended the flight is with its leader by now.
        with suppress(BaseException):
            self.run(steps)

    def _wait(self, flight: Flight, timeout_s: float) -> Ending | GaveUp:
        if flight.is_out_of_reach():
            return GaveUp()
        ends_at = time.monotonic() + timeout_s
        while (left_s := ends_at - time.monotonic()) > 0:
            pause_s = left_s if flight.loop is None else min(left_s, LOOK_EVERY_S)
            concurrent.futures.wait([flight.future], None if math.isinf(pause_s) else pause_s)
            if flight.future.done():
                return flight.future.result()
            self._parts.flights.abandon_if_stranded(flight)
        return GaveUp()


async def call_async(generator: Callable[[], object]) -> Any:  # noqa: ANN401 - the user's value
    """Calls a generator on this loop; what it returns is awaited if it can be."""
    made = generator()
    return await made if inspect.isawaitable(made) else made


def call_sync(generator: Callable[[], object]) -> Any:  # noqa: ANN401 - the user's value
    """Calls a generator on this thread; an awaitable is run to its end on a loop of its own."""
    made = generator()
    if not inspect.isawaitable(made):
        return made
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_awaited(made))
    return _on_thread(lambda: asyncio.run(_awaited(made)), None)


async def _generate_async(prefix: str, generator: Callable[[], object], timeout_s: float) -> Any:  # noqa: ANN401
    limit = asyncio.timeout(None if math.isinf(timeout_s) else timeout_s)
    try:
        async with limit:
            return await call_async(generator)
    except TimeoutError:
        if limit.expired():
            raise _timed_out(prefix, timeout_s) from None
        raise


def _generate_sync(prefix: str, generator: Callable[[], object], timeout_s: float) -> Any:  # noqa: ANN401
    if math.isinf(timeout_s):
        return call_sync(generator)
    try:
        return _on_thread(partial(call_sync, generator), timeout_s)
    except _StillRunningError:
        raise _timed_out(prefix, timeout_s) from None


class _StillRunningError(Exception):
    pass


def _on_thread(call: Callable[[], Any], timeout_s: float | None) -> Any:  # noqa: ANN401
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - goes to whoever waits
            future.set_exception(error)

    start_thread("llm-cache generator", run)
    concurrent.futures.wait([future], timeout_s)
    if not future.done():
        raise _StillRunningError
    return future.result()


async def _awaited(made: Awaitable[T]) -> T:
    return await made


def _timed_out(prefix: str, timeout_s: float) -> GenerationTimeoutError:
    return GenerationTimeoutError(
        f"{prefix}: the generator ran longer than {timeout_s:g} s and nothing was stored: "
        f"raise `timeout` under [prefixes.{prefix}] or in its CachePolicy"
    )


def _retrieve(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
