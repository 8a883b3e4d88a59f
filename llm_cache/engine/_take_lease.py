"""The right to generate, among the processes that share a store."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Final

from llm_cache.core.entry import Entry
from llm_cache.core.freshness import Freshness, judge
from llm_cache.core.usage import usage_of
from llm_cache.core.values.codec import DecodeError
from llm_cache.engine._flights import Failed, Landed, recursion_message
from llm_cache.engine.steps import Block, Pause, Read
from llm_cache.engine.store_access import acquire, is_held
from llm_cache.errors import RecursiveGenerationError
from llm_cache.store.records import Held, Lease

if TYPE_CHECKING:
    from llm_cache.engine._flights import Flight
    from llm_cache.engine.call import Call
    from llm_cache.engine.steps import Components, Steps

SHORTEST_PAUSE_S: Final = 0.005
LONGEST_PAUSE_S: Final = 0.1


def take_lease(
    components: Components, call: Call, flight: Flight, *, unfit: Entry | None
) -> Steps[Lease | Landed | Failed | None]:
    """The lease of the flight's key, or the answer of whoever had it.

    `unfit` is an entry that was found to be no answer. What the store has in its place is judged
    here, outside of the transaction: decoding runs the user's validators, which may take their
    time, or use this very cache. None if the store is in trouble, or the other takes longer than
    `lock_timeout`: generate, and store nothing.
    """
    gives_up_at = components.monotonic() + call.policy.lock_timeout
    has_waited = False

    while True:
        askers = components.flights.leases_waiting_for(flight)
        got: Lease | Entry | Held | None = yield Block(
            partial(acquire, components, flight, unfit, askers)
        )
        match got:
            case Entry():
                landed = landed_from(components, call, got, has_waited=has_waited)
                if landed is not None:
                    return landed
                unfit = got
            case Held.IN_A_CYCLE:
                how = "what is being made elsewhere, which waits for it in turn"
                message = recursion_message(call.identity.prefix, how)
                return Failed(RecursiveGenerationError(message), None)
            case Held.BY_ANOTHER:
                has_waited = True
                if not (yield from _wait(components, flight, askers, gives_up_at)):
                    return None
            case _:
                return got


def landed_from(
    components: Components, call: Call, entry: Entry, *, has_waited: bool = False
) -> Landed | None:
    """The answer that an entry is, if it is fresh and of the type that is asked for."""
    if call.refresh or judge(entry, call.policy, components.clock()) is not Freshness.FRESH:
        return None
    try:
        value = call.codec.decode(entry.body, entry.encoding)
    except DecodeError:
        return None
    usage = usage_of(entry)
    return Landed(value, entry, usage, call.codec, was_fresh=True, has_waited=has_waited)


def _wait(
    components: Components, flight: Flight, askers: list[Lease], gives_up_at: float
) -> Steps[bool]:
    """Waits until it is worth asking for the lease again; False once it is too late."""
    pause_s = SHORTEST_PAUSE_S
    while components.monotonic() < gives_up_at:
        # Of random length, so that those who wait do not come all at once.
        yield Pause(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, not a secret
        pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        is_still_held: bool = yield Read(partial(is_held, components, flight.identity.key))
        if not is_still_held or components.flights.leases_waiting_for(flight) != askers:
            return True
    return False
