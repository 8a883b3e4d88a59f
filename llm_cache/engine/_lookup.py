"""The way of one request, written once: generators of steps that a sync and an async driver run.

A step says what has to be done (read, launch, wait, generate, publish); whether that means
awaiting or blocking is the driver's affair.
"""

from __future__ import annotations

import logging
import math
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from llm_cache.core.freshness import Freshness, judge
from llm_cache.core.policy import Mode
from llm_cache.core.result import Outcome, Reason, Result
from llm_cache.core.usage import usage_of
from llm_cache.core.values.codec import DecodeError, is_immutable
from llm_cache.engine import store_access
from llm_cache.engine._counters import Use, saved
from llm_cache.engine._flights import Abandoned, Failed, Landed, current_flight
from llm_cache.engine.explain import bypass_reason, missed_in_replay
from llm_cache.engine.generation import NO_LEASE, fly, generate
from llm_cache.engine.steps import Block, Launch, Read, Wait
from llm_cache.errors import RecursiveGenerationError

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Generator

    from llm_cache.engine._flights import Flight
    from llm_cache.engine.call import Call
    from llm_cache.engine.steps import Components, Steps

TIME_TO_LAND_S: Final = 1.0
_GOOD_FOR: Final[dict[Freshness, tuple[Outcome | None, Reason]]] = {
    Freshness.STALE: (Outcome.STALE, Reason.IN_GRACE),
    Freshness.FALLBACK: (Outcome.FALLBACK, Reason.GENERATOR_FAILS),
    Freshness.MISSING: (None, Reason.EXPIRED),
}
_log: Final = logging.getLogger("llm_cache")


def respond(
    components: Components,
    call: Call,
    find_loop: Callable[[], asyncio.AbstractEventLoop | None],
    found: Result[Any] | Reason | None,
    *,
    is_enabled: bool,
) -> Steps[Result[Any] | Failed]:
    """Answers one request under whatever policy, and reports how.

    `found` is what `look` has just found, if it was asked, and is no hit. `find_loop` gives the
    event loop that a flight of this caller's is to run on, None for a thread.
    """
    try:
        if not is_enabled or not call.policy.keeps:
            result = yield from _bypass(components, call, is_enabled=is_enabled)
        else:
            result = yield from lookup(components, call, find_loop(), found)
    except Exception as error:
        components.reporter.failed(call.identity, error)
        raise
    if isinstance(result, Failed):
        components.reporter.failed(call.identity, result.error)
    else:
        components.reporter.answered(call.identity, result)
    return result


def look(components: Components, call: Call) -> Result[Any] | Reason:
    """What the store has that may be an answer, or why there is none. Blocks."""
    key = call.identity.key
    stamp = components.tier.stamp(key)
    entry = store_access.read(components, key)
    if entry is None:
        return Reason.NOTHING_STORED
    now = components.clock()
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
        _log.debug("%s: regenerated: %s", call.identity.prefix, error)
        return Reason.OF_ANOTHER_TYPE
    if outcome is Outcome.HIT:
        components.tier.put(entry, stamp)
        components.usage.hit(Use(entry), now)
    return Result(value, outcome, entry, reason)


def lookup(
    components: Components,
    call: Call,
    loop: asyncio.AbstractEventLoop | None,
    found: Result[Any] | Reason | None = None,
) -> Steps[Result[Any] | Failed]:
    """Answers one request: from the store, from a flight under way, or by launching one.

    `found` is what `look` has just found, if it was asked.
    """
    while True:
        if call.refresh:
            found = Reason.REFRESHED
        elif found is None:
            there: Result[Any] | Reason = yield Read(partial(look, components, call))
            found = there
        served = yield from _without_flight(components, call, loop, found)
        if served is not None:
            return served
        reason = found if isinstance(found, Reason) else Reason.EXPIRED
        ending = yield from _from_flight(components, call, loop, reason)
        if isinstance(found, Result) and _is_served_after(found, ending):
            return _served_old(components, found, ending)
        if ending is not None:
            return ending
        found = None  # the flight was abandoned: look again


def _without_flight(
    components: Components,
    call: Call,
    loop: asyncio.AbstractEventLoop | None,
    found: Result[Any] | Reason,
) -> Steps[Result[Any] | Failed | None]:
    """What is served at once: a hit, an old answer, a miss of the mode replay; None if nothing."""
    if isinstance(found, Result):
        if found.outcome is Outcome.HIT:
            return found
        if not components.generators.of(call.identity.prefix).allows_call():
            return _served_old(components, found)
        # One that ended with its event loop (one loop a request, say) would do so each time.
        if found.outcome is Outcome.STALE and not components.flights.was_cut_off(call.identity.key):
            yield from _refresh_behind(components, call, loop)
            return _served_old(components, found)
    elif call.policy.mode is Mode.REPLAY:
        failed: Failed = yield Block(partial(missed_in_replay, components, call, found))
        return failed
    return None


def _is_served_after(old: Result[Any], ending: Result[Any] | Failed | None) -> bool:
    """Whether an old answer is served, since the flight that was to replace it did not."""
    if old.outcome is Outcome.STALE:
        return not isinstance(ending, Result)
    return isinstance(ending, Failed) and not isinstance(ending.error, RecursiveGenerationError)


def _served_old(
    components: Components, old: Result[Any], ending: Result[Any] | Failed | None = None
) -> Result[Any]:
    """Counts an answer that is stale, or a fallback after a failure."""
    entry = old.entry
    if entry is not None:
        name = "stale_hits" if old.outcome is Outcome.STALE else "fallbacks"
        counts = saved(usage_of(entry), entry.generation_seconds)
        components.usage.count(entry.tenant, entry.prefix, entry.model, **{name: 1}, **counts)
        if isinstance(ending, Failed) and old.outcome is Outcome.FALLBACK:
            components.notices.once(
                ("fallback", entry.prefix),
                "%s: the generator fails (%s), older entries are served",
                entry.prefix,
                type(ending.error).__name__,  # what it says may hold a key of the provider's
            )
    return old


def _refresh_behind(
    components: Components, call: Call, loop: asyncio.AbstractEventLoop | None
) -> Steps[None]:
    """Has a stale value refreshed behind this caller (stale-while-revalidate)."""
    stamp = store_access.stamp(components, call.identity.key)
    flight, leads = components.flights.join(call.identity, None, loop, refresh=False, stamp=stamp)
    if leads:
        flight.is_behind = True
        with suppress(RuntimeError):  # no thread is to be had: there is an answer all the same
            yield from _launch(components, call, flight, waits=False)
    elif components.flights.is_stranded(flight):
        components.flights.cut_off(flight)
        store_access.land(components, flight, Abandoned(None))


def _from_flight(
    components: Components, call: Call, loop: asyncio.AbstractEventLoop | None, reason: Reason
) -> Steps[Result[Any] | Failed | None]:
    """The end of the flight that makes this value; None if it was abandoned: look again."""
    with _joined(components, call, loop) as (flight, leads):
        if leads:
            yield from _launch(components, call, flight)
        # A flight ends by its own timeout: who leads it waits for that, who joined gives it time.
        limit_s = math.inf if leads else call.policy.lock_timeout + TIME_TO_LAND_S
        ending = yield Wait(flight, limit_s)
    match ending:
        case Landed():
            answer = _delivered(components, call, ending, reason if leads else Reason.WAITED)
            return answer or (yield from _alone(components, call))
        case Failed():
            return ending
        case Abandoned(error):
            if leads and error is not None:
                raise error
            return None
        case _:
            return (yield from _alone(components, call))


@contextmanager
def _joined(
    components: Components, call: Call, loop: asyncio.AbstractEventLoop | None
) -> Generator[tuple[Flight, bool]]:
    """Waits for the flight of a call's key within the block; whether this caller leads it."""
    # Kept, since a caller that is thrown away leaves in a context that is not its own.
    asker = current_flight.get()
    stamp = store_access.stamp(components, call.identity.key)
    flight, leads = components.flights.join(
        call.identity, asker, loop, refresh=call.refresh, stamp=stamp
    )
    try:
        yield flight, leads
    finally:
        components.flights.leave(flight, asker)


def _launch(
    components: Components, call: Call, flight: Flight, *, waits: bool = True
) -> Steps[None]:
    try:
        yield Launch(flight, fly(components, call, flight), waits=waits)
    except BaseException as error:
        # No thread could be started, say: nobody is to wait for it.
        store_access.land(components, flight, Abandoned(error))
        raise


def _delivered(
    components: Components, call: Call, landed: Landed, reason: Reason
) -> Result[Any] | None:
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
        components.usage.hit(Use(entry), components.clock())
        return Result(value, Outcome.HIT, kept)
    model = landed.usage.model
    if reason is not Reason.WAITED and not landed.has_waited:
        components.usage.count(identity.tenant, identity.prefix, model, misses=1)
        return Result(value, Outcome.MISS, kept, reason, landed.not_stored)
    # It has saved what another has paid, but no time.
    counts = saved(landed.usage, None)
    components.usage.count(identity.tenant, identity.prefix, model, coalesced=1, **counts)
    return Result(value, Outcome.COALESCED, kept, Reason.WAITED, landed.not_stored)


def _alone(components: Components, call: Call) -> Steps[Result[Any] | Failed]:
    """Generates for this caller only, and stores nothing: it could not wait for the flight."""
    paid = yield from generate(components, call)
    identity = call.identity
    if isinstance(paid, Failed):
        components.usage.count(identity.tenant, identity.prefix, errors=1)
        return paid
    components.usage.count(identity.tenant, identity.prefix, paid.usage.model, misses=1)
    components.usage.not_stored(identity, paid.usage.model, NO_LEASE)
    return Result(paid.value, Outcome.MISS, None, Reason.ALONE, NO_LEASE)


def _bypass(components: Components, call: Call, *, is_enabled: bool) -> Steps[Result[Any] | Failed]:
    """Generates, and leaves the cache alone."""
    reason = bypass_reason(call, is_enabled=is_enabled) or Reason.DISABLED
    if call.policy.mode is Mode.REPLAY:
        failed: Failed = yield Block(partial(missed_in_replay, components, call, reason))
        return failed
    is_counted = reason is Reason.TTL_0  # the others leave no trace
    paid = yield from generate(components, call, timeout_s=math.inf, is_counted=is_counted)
    if isinstance(paid, Failed):
        return paid
    if is_counted:
        identity = call.identity
        components.usage.count(identity.tenant, identity.prefix, paid.usage.model, bypassed=1)
    return Result(paid.value, Outcome.BYPASS, None, reason)
