"""One generation per key in this process, shared by its tasks, event loops and threads."""

from __future__ import annotations

import contextvars
import sys
import threading
import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from llm_cache.core.fork_locks import reset_after_fork
from llm_cache.errors import RecursiveGenerationError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable
    from types import TracebackType

    from llm_cache.core.entry import Entry
    from llm_cache.core.keys import Identity
    from llm_cache.core.usage import Usage
    from llm_cache.core.values.codec import Codec
    from llm_cache.store.records import Lease


@dataclass(frozen=True, slots=True)
class Landed:
    """The flight ended with a value; `entry` is None where it cannot be written."""

    value: Any
    entry: Entry | None
    usage: Usage
    """What making it took."""
    codec: Codec
    """The type that its leader asked for: who joined may have asked for another."""
    was_fresh: bool = False
    """It was in the store."""
    has_waited: bool = False
    """It came there from another process, while this one waited."""
    not_stored: str | None = None
    is_kept: bool = True
    """Whether the entry is for more than to hand out copies."""


@dataclass(frozen=True, slots=True)
class Failed:
    """The generator raised; everyone who waits gets this very exception."""

    error: Exception
    traceback: TracebackType | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The flight ended with its leader (cancelled, or its loop is gone): a waiter takes over."""

    error: BaseException | None


@dataclass(frozen=True, slots=True)
class GaveUp:
    """This caller cannot or will not wait any longer: it makes the value for itself."""


Ending: TypeAlias = Landed | Failed | Abandoned

current_flight: Final[contextvars.ContextVar[Flight | None]] = contextvars.ContextVar(
    "llm_cache_current_flight", default=None
)
"""The flight in whose generator this code runs."""


class Flight:
    """One generation under way. Its future gets an `Ending`, never an exception."""

    def __init__(
        self, identity: Identity, loop: asyncio.AbstractEventLoop | None, stamp: bytes
    ) -> None:
        self.identity = identity
        self.stamp = stamp
        """From before its making began: while it is still the same, nobody has invalidated it."""
        self.loop = loop
        self.thread_id: int = threading.get_ident()
        self.future: Future[Ending] = Future()
        # A future that is not running can be cancelled by anybody who wraps it.
        self.future.set_running_or_notify_cancel()
        self.task: asyncio.Task[None] | None = None
        self.waits_for: list[Flight] = []
        """What its generator asked for and has not got yet."""
        self.askers: list[Flight] = []
        """Those, of any cache, whose generators wait for this one."""
        self.is_void = False
        self.is_behind = False
        """Whether nobody waits for it: it refreshes a value that was served stale."""
        self.lease: Lease | None = None
        self._seen_idle_at: float | None = None

    def is_out_of_reach(self, *, blocking: bool) -> bool:
        """Whether waiting here, `blocking` the thread or not, would keep it from ever landing."""
        if self.loop is None or self.thread_id != threading.get_ident():
            return False
        return blocking or running_loop() is not self.loop

    def is_stranded(self, now: float) -> bool:
        """Whether its event loop is closed, or was seen idle twice, a moment apart."""
        if self.loop is None or self.loop.is_running():
            self._seen_idle_at = None
            return False
        if self.loop.is_closed():
            return True
        if self._seen_idle_at is None:
            self._seen_idle_at = now
        return now - self._seen_idle_at >= IDLE_LOOP_S


IDLE_LOOP_S: Final = 1.0
CUT_OFF_AT_MOST: Final = 10_000
"""Keys of which it is remembered; where there are more, one refresh each may be lost again."""


class Flights:
    """The flights of a cache in this process."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        reset_after_fork(self._make_locks)
        self._open_to_join: dict[tuple[bytes, bool], Flight] = {}
        self._not_yet_stored: set[Flight] = set()
        self._cut_off: set[bytes] = set()
        self._monotonic = monotonic

    def join(
        self,
        identity: Identity,
        asker: Flight | None,
        loop: asyncio.AbstractEventLoop | None,
        *,
        refresh: bool,
        stamp: bytes,
    ) -> tuple[Flight, bool]:
        """The flight that makes this value, and whether the caller has to launch it, on `loop`.

        Who asks after an invalidation, in whatever process, joins none that began before it: theirs
        is not the `stamp` of now. Leases see to it that one of the two generates.

        Raises RecursiveGenerationError if that flight waits, directly or over others, for `asker`,
        the one in whose generator this code runs.
        """
        with self._lock:
            flight = self._open_to_join.get((identity.key, refresh))
            if flight is not None and flight.stamp != stamp:
                self._close_to_joining(flight)
                flight = None
            leads = flight is None
            if flight is None:
                flight = Flight(identity, loop, stamp)
                self._open_to_join[identity.key, refresh] = flight
                self._not_yet_stored.add(flight)
            elif asker is not None and _waits_for(flight, asker):
                raise RecursiveGenerationError(_recursion_message(flight, asker))
            if asker is not None:
                asker.waits_for.append(flight)
                flight.askers.append(asker)
        return flight, leads

    def leases_waiting_for(self, flight: Flight) -> list[Lease]:
        """The leases of the flights whose generators wait for this one, directly or over others."""
        with self._lock:
            waiting = _reached_from(flight, lambda one: one.askers)
        return [one.lease for one in waiting if one.lease is not None and one is not flight]

    def leave(self, flight: Flight, asker: Flight | None) -> None:
        """The caller does not wait for the flight any more."""
        if asker is not None:
            with self._lock:
                asker.waits_for.remove(flight)
                flight.askers.remove(asker)

    def land(self, flight: Flight, ending: Ending, *, is_being_stored: bool = False) -> None:
        """Hands `ending` to everyone who waits; only the first of several counts.

        Nobody joins it after that. One whose value `is_being_stored` is over once it is `stored`.
        """
        with self._lock:
            self._close_to_joining(flight)
            if flight.future.done():
                return
            if isinstance(ending, Landed):
                self._cut_off.discard(flight.identity.key)
            else:
                flight.is_void = True
            if not is_being_stored:
                self._is_over(flight)
        flight.future.set_result(ending)

    def was_cut_off(self, key: bytes) -> bool:
        """Whether the last refresh behind a stale value ended with its event loop."""
        return key in self._cut_off

    def cut_off(self, flight: Flight) -> None:
        """A refresh behind a stale value has ended with its event loop: the next has to wait."""
        with self._lock:
            if len(self._cut_off) >= CUT_OFF_AT_MOST:
                self._cut_off.clear()
            self._cut_off.add(flight.identity.key)

    def stored(self, flight: Flight) -> None:
        """The store has the flight's value, or will never have it."""
        with self._lock:
            self._is_over(flight)

    def void(self, matches: Callable[[Identity], bool]) -> None:
        """What these flights make goes to their callers, is not stored, and nobody joins them."""
        with self._lock:
            for flight in [f for f in self._not_yet_stored if matches(f.identity)]:
                flight.is_void = True
                self._is_over(flight)
                self._close_to_joining(flight)

    def under_way(self) -> list[Flight]:
        """The flights that have not landed, or whose values are still on their way to the store."""
        with self._lock:
            return list(self._not_yet_stored)

    def wait_until_stored(self, timeout_s: float, key: bytes | None = None) -> bool:
        """Waits for the flights of `key`, or all, and for their values to be in the store.

        Those that an event loop of this very thread has to run on are left out: waiting would hold
        them up.
        """
        own_loop = running_loop()

        def is_clear() -> bool:
            return not any(
                key in (None, flight.identity.key)
                for flight in self._not_yet_stored
                if flight.loop is None or flight.loop is not own_loop or flight.future.done()
            )

        with self._some_stored:
            return self._some_stored.wait_for(is_clear, timeout_s)

    def is_stranded(self, flight: Flight) -> bool:
        """Whether a flight's event loop will never run it on."""
        return flight.is_stranded(self._monotonic())

    def _make_locks(self) -> None:
        self._lock = threading.RLock()
        self._some_stored = threading.Condition(self._lock)

    def _is_over(self, flight: Flight) -> None:
        self._not_yet_stored.discard(flight)
        self._some_stored.notify_all()

    def _close_to_joining(self, flight: Flight) -> None:
        for refresh in (False, True):
            place = flight.identity.key, refresh
            if self._open_to_join.get(place) is flight:
                del self._open_to_join[place]


def _waits_for(flight: Flight, asker: Flight) -> bool:
    return asker in _reached_from(flight, lambda one: one.waits_for)


def _reached_from(flight: Flight, following: Callable[[Flight], list[Flight]]) -> list[Flight]:
    """The flight itself, and those reached from it from one to the next."""
    reached, to_see = [flight], [flight]
    while to_see:
        for one in list(following(to_see.pop())):
            if one not in reached:
                reached.append(one)
                to_see.append(one)
    return reached


def _recursion_message(flight: Flight, asker: Flight) -> str:
    wanted, asks = flight.identity.prefix, asker.identity.prefix
    how = "itself" if flight is asker else f"{wanted!r}, which waits for it in turn"
    return recursion_message(asks, how)


def recursion_message(asks: str, how: str) -> str:
    """What a caller gets whose generator would wait for ever."""
    return (
        f"the generator of {asks!r} asks the cache for {how}: it would wait for ever; "
        "call the function that makes the value directly, or ask with other params"
    )


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop that runs this code, if one does; asyncio is not imported to find out."""
    if "asyncio" not in sys.modules:
        return None
    from asyncio import get_running_loop

    try:
        return get_running_loop()
    except RuntimeError:
        return None
