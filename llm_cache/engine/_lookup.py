"""What one request does, written once: generators of steps that two drivers carry out.

A step says what has to be done (read, launch, wait, generate, publish); whether that means
awaiting or blocking is the driver's affair.
"""

from __future__ import annotations

import logging
import math
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from llm_cache.core.entry import Freshness, judge
from llm_cache.core.policy import Mode
from llm_cache.core.result import Outcome, Reason, Result
from llm_cache.core.usage import usage_of
from llm_cache.core.values.codec import DecodeError, is_immutable
from llm_cache.engine import store_access
from llm_cache.engine._counters import Use, saved
from llm_cache.engine._flights import Abandoned, Failed, Landed, current_flight
from llm_cache.engine.explain import missed_in_replay
from llm_cache.engine.generation import NO_LEASE, fly, generate
from llm_cache.engine.steps import Block, Launch, Read, Wait
from llm_cache.errors import RecursiveGenerationError

if TYPE_CHECKING:
    import asyncio

    from llm_cache.engine._flights import Flight
    from llm_cache.engine.steps import Call, Parts, Steps

TIME_TO_LAND_S: Final = 1.0
_GOOD_FOR: Final[dict[Freshness, tuple[Outcome | None, Reason]]] = {
    Freshness.STALE: (Outcome.STALE, Reason.IN_GRACE),
    Freshness.FALLBACK: (Outcome.FALLBACK, Reason.GENERATOR_FAILS),
    Freshness.MISSING: (None, Reason.EXPIRED),
}
_log: Final = logging.getLogger("llm_cache")


def look(parts: Parts, call: Call) -> Result[Any] | Reason:
    """What the store has that may be an answer, or why there is none. Blocks."""
    key = call.identity.key
    stamp = parts.tier.stamp(key)
    entry = store_access.read(parts, key)
    if entry is None:
        return Reason.NOTHING_STORED
    now = parts.clock()
    freshness = judge(entry, call.policy, now)
    outcome: Outcome | None = Outcome.HIT
    reason = Reason.FRESH
    if call.policy.mode is Mode.REPLAY:
        reason = Reason.RECORDED
    elif freshness is not Freshness.FRESH:
        outcome, reason = _GOOD_FOR[freshness]
    if outcome is None:
        return reason if entry.created_at <= now else Reason.FROM_THE_FUTURE
    try:
        value = call.codec.decode(entry.body, entry.encoding)
    except DecodeError as error:
        _log.debug("%s: made again: %s", call.identity.prefix, error)
        return Reason.OF_ANOTHER_TYPE
    if outcome is Outcome.HIT:
        parts.tier.put(entry, stamp)
        parts.usage.hit(Use(entry), now)
    return Result(value, outcome, entry, reason)


def lookup(
    parts: Parts,
    call: Call,
    loop: asyncio.AbstractEventLoop | None,
    found: Result[Any] | Reason | None = None,
) -> Steps[Result[Any] | Failed]:
    """Answers one request: from the store, from a flight under way, or by launching one.

    `loop` is the event loop that a flight of this caller's is to run on, None for a thread; `found`
    is what was there if the store has just been looked at.
    """
    result: Result[Any] | Failed | None = None
    while result is None:
        there: Result[Any] | Reason
        if call.refresh:
            there = Reason.REFRESHED
        else:
            there = found or (yield Read(partial(look, parts, call)))
        result = yield from _from_found(parts, call, loop, there)
        found = None
    return result


def _from_found(
    parts: Parts,
    call: Call,
    loop: asyncio.AbstractEventLoop | None,
    found: Result[Any] | Reason,
) -> Steps[Result[Any] | Failed | None]:
    """The answer that was found, if it is good enough; else that of a flight."""
    if isinstance(found, Result):
        return (yield from _from_entry(parts, call, loop, found))
    if call.policy.mode is Mode.REPLAY:
        failed: Failed = yield Block(partial(missed_in_replay, parts, call, found))
        return failed
    return (yield from _from_flight(parts, call, loop, found))


def _from_entry(
    parts: Parts, call: Call, loop: asyncio.AbstractEventLoop | None, found: Result[Any]
) -> Steps[Result[Any] | Failed | None]:
    """The answer that an entry is, if it is good enough; else that of a flight."""
    if found.outcome is Outcome.HIT:
        return found
    generator = parts.generators.of(call.identity.prefix)
    if found.outcome is Outcome.STALE:
        if generator.lets_through():
            refreshed = yield from _refresh(parts, call, loop)
            if isinstance(refreshed, Result):
                return refreshed
        _count_old(parts, found, "stale_hits")
        return found
    if not generator.lets_through():
        return _fallen_back(parts, found)
    ending = yield from _from_flight(parts, call, loop, Reason.EXPIRED)
    if isinstance(ending, Failed) and not isinstance(ending.error, RecursiveGenerationError):
        return _fallen_back(parts, found, ending.error)
    return ending


def _refresh(
    parts: Parts, call: Call, loop: asyncio.AbstractEventLoop | None
) -> Steps[Result[Any] | Failed | None]:
    """Has a stale value refreshed behind this caller, for those who come later: None.

    Where the last one ended with its event loop (one loop a request, say), this caller waits for
    it: behind each of them it would never come to its end.
    """
    key = call.identity.key
    if parts.flights.was_cut_off(key):
        return (yield from _from_flight(parts, call, loop, Reason.EXPIRED))
    stamp = store_access.stamp(parts, key)
    flight, leads = parts.flights.join(call.identity, None, loop, refresh=False, stamp=stamp)
    if leads:
        flight.is_behind = True
        with suppress(RuntimeError):  # no thread is to be had: there is an answer all the same
            yield from _launch(parts, call, flight, waits=False)
    elif parts.flights.is_stranded(flight):
        parts.flights.cut_off(flight)
        store_access.land(parts, flight, Abandoned(None))
    return None


def _fallen_back(parts: Parts, found: Result[Any], error: Exception | None = None) -> Result[Any]:
    """An old answer, since there is no new one."""
    _count_old(parts, found, "fallbacks")
    if found.entry is not None and error is not None:
        prefix = found.entry.prefix
        parts.notices.once(
            ("fallback", prefix),
            "%s: the generator fails (%s), older entries answer",
            prefix,
            type(error).__name__,  # what it says may hold a key of the provider's
        )
    return found


def _count_old(parts: Parts, found: Result[Any], name: str) -> None:
    entry = found.entry
    if entry is not None:
        counts = saved(usage_of(entry), entry.generation_seconds)
        parts.usage.count(entry.tenant, entry.prefix, entry.model, **{name: 1}, **counts)


def _from_flight(
    parts: Parts, call: Call, loop: asyncio.AbstractEventLoop | None, reason: Reason
) -> Steps[Result[Any] | Failed | None]:
    """The end of the flight that makes this value; None if it was abandoned: look again."""
    # Kept, since a caller that is thrown away leaves in a context that is not its own.
    asker = current_flight.get()
    stamp = store_access.stamp(parts, call.identity.key)
    flight, leads = parts.flights.join(
        call.identity, asker, loop, refresh=call.refresh, stamp=stamp
    )
    try:
        if leads:
            yield from _launch(parts, call, flight)
        # A flight ends by its own timeout: who leads it waits for that, who joined gives it time.
        limit_s = math.inf if leads else call.policy.lock_timeout + TIME_TO_LAND_S
        ending = yield Wait(flight, limit_s)
    finally:
        parts.flights.leave(flight, asker)
    match ending:
        case Landed():
            answer = _delivered(parts, call, ending, reason if leads else Reason.WAITED)
            return answer or (yield from _alone(parts, call))
        case Failed():
            return ending
        case Abandoned(error):
            if leads and error is not None:
                raise error
            return None
        case _:
            return (yield from _alone(parts, call))


def _launch(parts: Parts, call: Call, flight: Flight, *, waits: bool = True) -> Steps[None]:
    try:
        yield Launch(flight, fly(parts, call, flight), waits=waits)
    except BaseException as error:
        # No thread could be started, say: nobody is to wait for it.
        store_access.land(parts, flight, Abandoned(error))
        raise


def _delivered(parts: Parts, call: Call, landed: Landed, reason: Reason) -> Result[Any] | None:
    """What a caller of a flight gets: a copy of its own; None if it is not of its type."""
    identity, entry, value = call.identity, landed.entry, landed.value
    is_its_type = landed.codec is call.codec
    if entry is None and not is_its_type:
        return None  # nobody can tell
    if entry is not None and not (is_its_type and is_immutable(value)):
        try:
            value = call.codec.decode(entry.body, entry.encoding)
        except DecodeError:
            return None
    kept = entry if landed.is_kept else None
    if landed.was_fresh and not landed.has_waited and entry is not None:
        parts.usage.hit(Use(entry), parts.clock())
        return Result(value, Outcome.HIT, kept)
    model = landed.usage.model
    if reason is not Reason.WAITED and not landed.has_waited:
        parts.usage.count(identity.tenant, identity.prefix, model, misses=1)
        return Result(value, Outcome.MISS, kept, reason, landed.not_stored)
    # It has saved what another has paid, but no time.
    counts = saved(landed.usage, None)
    parts.usage.count(identity.tenant, identity.prefix, model, coalesced=1, **counts)
    return Result(value, Outcome.COALESCED, kept, Reason.WAITED, landed.not_stored)


def _alone(parts: Parts, call: Call) -> Steps[Result[Any] | Failed]:
    """Makes the value for this caller only, and keeps nothing: it could not wait for the flight."""
    paid = yield from generate(parts, call)
    identity = call.identity
    if isinstance(paid, Failed):
        parts.usage.count(identity.tenant, identity.prefix, errors=1)
        return paid
    parts.usage.count(identity.tenant, identity.prefix, paid.usage.model, misses=1)
    parts.usage.not_stored(identity, paid.usage.model, NO_LEASE)
    return Result(paid.value, Outcome.MISS, None, Reason.ALONE, NO_LEASE)
