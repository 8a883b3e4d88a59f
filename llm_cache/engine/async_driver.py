"""The driver that awaits: carries out a lookup's steps on an event loop."""

from __future__ import annotations

import asyncio
import inspect
import math
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar, cast

from llm_cache.engine import steps as do
from llm_cache.engine._flights import Abandoned, Failed, GaveUp, current_flight
from llm_cache.engine.store_access import land

if TYPE_CHECKING:
    from collections.abc import Callable
    from concurrent.futures import Future

    from llm_cache.engine._flights import Ending, Flight
    from llm_cache.engine.steps import Components, Step, Steps
    from llm_cache.engine.threads import DaemonPool

T = TypeVar("T")


class AsyncDriver:
    """Carries out steps on the running event loop.

    A local store is read inline, since that is quicker than any hand-over; all else that blocks
    goes to a pool of threads.
    """

    def __init__(self, components: Components, pool: DaemonPool, publishing: DaemonPool) -> None:
        self._components = components
        self._pool = pool
        self._publishing = publishing

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

    async def call(self, generator: Callable[[], object]) -> Any:
        """Calls a generator on this loop; what it returns is awaited if it can be."""
        made = generator()
        return await made if inspect.isawaitable(made) else made

    async def off_loop(self, call: Callable[[], T]) -> T:
        """Calls something that blocks on a thread of the pool."""
        future = self._pool.submit(call)
        await settled(future, None)
        return future.result()

    async def _carry_out(self, step: Step) -> Any:
        match step:
            case do.Read(read):
                store = self._components.store
                inline = store.is_local and store.is_open
                return read() if inline else await self.off_loop(read)
            case do.Launch(flight, steps):
                name = f"llm-cache flight {flight.identity.prefix}"
                flight.task = asyncio.get_running_loop().create_task(
                    self._fly(flight, steps), name=name
                )
                flight.task.add_done_callback(_retrieve)
            case do.Wait(flight, timeout_s):
                return await self._wait(flight, timeout_s)
            case do.Generate(prefix, generator, timeout_s):
                return await self._generate(prefix, generator, timeout_s)
            case do.Block(call):
                return await self.off_loop(call)
            case do.Pause(seconds):
                await asyncio.sleep(seconds)
            case do.Publish(write, stored):
                self._publishing.submit(write)
                await self._acknowledged(stored)
        return None

    async def _generate(
        self, prefix: str, generator: Callable[[], object], timeout_s: float
    ) -> do.Made | Failed:
        limit = None if math.isinf(timeout_s) else asyncio.timeout(timeout_s)
        try:
            if limit is None:
                return do.Made(await self.call(generator))
            async with limit:
                return do.Made(await self.call(generator))
        except Exception as error:  # noqa: BLE001 - the user's; every caller gets it
            if limit is not None and isinstance(error, TimeoutError) and limit.expired():
                return Failed(do.timed_out(prefix, timeout_s), None)
            return Failed(error, error.__traceback__)

    async def _acknowledged(self, stored: Future[None]) -> None:
        # A queue is waited for, a store in trouble is not: while it is, no other job ends.
        while True:
            finished = self._publishing.finished
            if await settled(stored, do.ACKNOWLEDGED_WITHIN_S):
                return
            if self._publishing.finished == finished:
                return

    async def _fly(self, flight: Flight, steps: Steps[None]) -> None:
        current_flight.set(flight)
        await self.run(steps)

    async def _wait(self, flight: Flight, timeout_s: float) -> Ending | GaveUp:
        if flight.is_out_of_reach(blocking=False):
            return GaveUp()
        is_of_other_loop = flight.loop not in (None, asyncio.get_running_loop())
        ends_at = time.monotonic() + timeout_s
        while (left_s := ends_at - time.monotonic()) > 0:
            pause_s = min(left_s, do.LOOK_EVERY_S) if is_of_other_loop else left_s
            if await settled(flight.future, None if math.isinf(pause_s) else pause_s):
                return flight.future.result()
            if self._components.flights.is_stranded(flight):
                land(self._components, flight, Abandoned(None))
        return GaveUp()


async def settled(future: Future[Any], timeout_s: float | None) -> bool:
    """Waits until `future` is done, for at most `timeout_s`, without ever cancelling it."""
    if future.done():
        return True
    loop = asyncio.get_running_loop()
    woken = loop.create_future()

    def wake(_: Future[Any]) -> None:
        with suppress(RuntimeError):  # the waiting loop is closed: nobody waits any more
            loop.call_soon_threadsafe(_set, woken)

    future.add_done_callback(wake)
    try:
        async with asyncio.timeout(timeout_s):
            await woken
    except TimeoutError:
        return future.done()
    return True


def _set(woken: asyncio.Future[None]) -> None:
    if not woken.done():
        woken.set_result(None)


def _retrieve(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()
