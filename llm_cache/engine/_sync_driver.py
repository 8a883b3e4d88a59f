"""The driver that blocks: carries out a lookup's steps on the calling thread."""

from __future__ import annotations

import concurrent.futures
import inspect
import math
import time
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar, cast

from llm_cache.engine import steps as do
from llm_cache.engine._flights import Abandoned, Failed, GaveUp, current_flight, running_loop
from llm_cache.engine.store_access import land
from llm_cache.engine.threads import start_thread

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from llm_cache.engine._flights import Ending, Flight
    from llm_cache.engine.steps import Components, Step, Steps
    from llm_cache.engine.threads import DaemonPool

T = TypeVar("T")


class SyncDriver:
    """Carries out steps by blocking the calling thread.

    A generator runs on that thread, too, in its context. Only one with a finite timeout gets a
    thread of its own, in a copy of that context: Python code cannot be interrupted in place.
    """

    def __init__(self, components: Components, publishing: DaemonPool) -> None:
        self._components = components
        self._publishing = publishing

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

    def _carry_out(self, step: Step) -> Any:
        match step:
            case do.Read(call) | do.Block(call):
                return call()
            case do.Launch(flight, steps, waits):
                if waits:
                    self._fly(flight, steps)
                else:
                    fly = partial(self._fly_alone, flight, steps)
                    start_thread(f"llm-cache flight {flight.identity.prefix}", fly)
            case do.Wait(flight, timeout_s):
                return self._wait(flight, timeout_s)
            case do.Generate(prefix, generator, timeout_s):
                return _generate(prefix, generator, timeout_s)
            case do.Pause(seconds):
                time.sleep(seconds)
            case do.Publish(write, stored):
                self._publishing.submit(write)
                self._wait_until_acknowledged(stored)
        return None

    def _wait_until_acknowledged(self, stored: Future[None]) -> None:
        # A queue is waited for, a store in trouble is not: while it is, no other job ends.
        while True:
            finished = self._publishing.finished
            if concurrent.futures.wait([stored], do.ACKNOWLEDGED_WITHIN_S).done:
                return
            if self._publishing.finished == finished:
                return

    def _fly(self, flight: Flight, steps: Steps[None]) -> None:
        """Raises nothing but what is meant for this thread: an interrupt, an exit."""
        outer = current_flight.set(flight)
        try:
            # What ended the flight is with its leader by now.
            with suppress(Exception):
                self.run(steps)
        finally:
            current_flight.reset(outer)

    def _fly_alone(self, flight: Flight, steps: Steps[None]) -> None:
        with suppress(BaseException):
            self._fly(flight, steps)

    def _wait(self, flight: Flight, timeout_s: float) -> Ending | GaveUp:
        if flight.is_out_of_reach(blocking=True):
            return GaveUp()
        ends_at = time.monotonic() + timeout_s
        while (left_s := ends_at - time.monotonic()) > 0:
            pause_s = left_s if flight.loop is None else min(left_s, do.LOOK_EVERY_S)
            concurrent.futures.wait([flight.future], None if math.isinf(pause_s) else pause_s)
            if flight.future.done():
                return flight.future.result()
            if self._components.flights.is_stranded(flight):
                land(self._components, flight, Abandoned(None))
        return GaveUp()


def call_sync(generator: Callable[[], object]) -> Any:
    """Calls a generator on this thread; an awaitable is run to its end on a loop of its own."""
    made = generator()
    if not inspect.isawaitable(made):
        return made
    run = partial(_run_to_its_end, made)
    return run() if running_loop() is None else _on_thread(run, None)


def _generate(prefix: str, generator: Callable[[], object], timeout_s: float) -> do.Made | Failed:
    try:
        if math.isinf(timeout_s):
            return do.Made(call_sync(generator))
        return do.Made(_on_thread(partial(call_sync, generator), timeout_s))
    except _StillRunningError:
        return Failed(do.timed_out(prefix, timeout_s), None)
    except Exception as error:  # noqa: BLE001 - the user's; every caller gets it
        return Failed(error, error.__traceback__)


class _StillRunningError(Exception):
    pass


def _on_thread(call: Callable[[], Any], timeout_s: float | None) -> Any:
    future: Future[Any] = Future()
    future.set_running_or_notify_cancel()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # noqa: BLE001 - goes to whoever waits
            future.set_exception(error)

    try:
        start_thread("llm-cache generator", run)
    except RuntimeError:
        run()  # no thread can be had: an answer that is late is better than none
    concurrent.futures.wait([future], timeout_s)
    if not future.done():
        raise _StillRunningError
    return future.result()


def _run_to_its_end(made: Awaitable[T]) -> T:
    import asyncio

    return asyncio.run(_awaited(made))


async def _awaited(made: Awaitable[T]) -> T:
    return await made
