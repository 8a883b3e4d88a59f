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

from llm_cache import store_calls
from llm_cache.codec import DecodeError, NotStorable, is_immutable
from llm_cache.entry import Entry, Freshness, judge
from llm_cache.errors import RecursiveGenerationError
from llm_cache.flights import Abandoned, Failed, Landed, current_flight
from llm_cache.leasing import landed_from, take_lease
from llm_cache.params import redact
from llm_cache.result import Outcome, Result
from llm_cache.steps import Generate, Launch, Publish, Read, Wait
from llm_cache.usage import Use

if TYPE_CHECKING:
    import asyncio

    from llm_cache.flights import Flight
    from llm_cache.steps import Call, Parts, Steps

TIME_TO_LAND_S: Final = 1.0
_GOOD_FOR: Final = {
    Freshness.FRESH: Outcome.HIT,
    Freshness.STALE: Outcome.STALE,
    Freshness.FALLBACK: Outcome.FALLBACK,
}
_log: Final = logging.getLogger("llm_cache")


def look(parts: Parts, call: Call) -> Result[Any] | None:
    """What the store has that may be an answer: fresh, stale, or to fall back on. Blocks."""
    key = call.identity.key
    stamp = parts.tier.stamp(key)
    entry = store_calls.read(parts, key)
    if entry is None:
        return None
    now = parts.clock()
    outcome = _GOOD_FOR.get(judge(entry, call.policy, now))
    if outcome is None:
        return None
    try:
        value = call.codec.decode(entry.body, entry.encoding)
    except DecodeError as error:
        _log.debug("%s: made again: %s", call.identity.prefix, error)
        return None
    if outcome is Outcome.HIT:
        parts.tier.put(entry, stamp)
        parts.usage.hit(Use(entry), now)
    return Result(value, outcome, entry)


def lookup(
    parts: Parts,
    call: Call,
    loop: asyncio.AbstractEventLoop | None,
    *,
    looked: bool,
    found: Result[Any] | None = None,
) -> Steps[Result[Any] | Failed]:
    """Answers one request: from the store, from a flight under way, or by launching one.

    `loop` is the event loop that a flight of this caller's is to run on, None for a thread;
    `looked` says that the store has just been looked at, and `found` what was there.
    """
    result: Result[Any] | Failed | None = None
    while result is None:
        if not looked and not call.refresh:
            found = yield Read(partial(look, parts, call))
        result = yield from _from_found(parts, call, loop, found)
        looked = False
    return result


def _from_found(
    parts: Parts, call: Call, loop: asyncio.AbstractEventLoop | None, found: Result[Any] | None
) -> Steps[Result[Any] | Failed | None]:
    """The answer that was found, if it is good enough; else that of a flight."""
    if found is None:
        return (yield from _from_flight(parts, call, loop))
    if found.outcome is Outcome.HIT:
        return found
    generator = parts.generators.of(call.identity.prefix)
    if found.outcome is Outcome.STALE:
        if generator.lets_through():
            with suppress(RuntimeError):  # no thread is to be had: there is an answer all the same
                yield from _refresh_behind(parts, call, loop)
        _count_old(parts, found, "stale_hits")
        return found
    if not generator.lets_through():
        return _fallen_back(parts, found)
    ending = yield from _from_flight(parts, call, loop)
    if isinstance(ending, Failed) and not isinstance(ending.error, RecursiveGenerationError):
        return _fallen_back(parts, found, ending.error)
    return ending


def _refresh_behind(
    parts: Parts, call: Call, loop: asyncio.AbstractEventLoop | None
) -> Steps[None]:
    """Has a stale value made anew, for those who come later."""
    stamp = store_calls.stamp(parts, call.identity.key)
    flight, leads = parts.flights.join(call.identity, None, loop, refresh=False, stamp=stamp)
    if leads:
        yield from _launch(parts, call, flight, waits=False)


def _fallen_back(parts: Parts, found: Result[Any], error: Exception | None = None) -> Result[Any]:
    """An old answer, since there is no new one."""
    _count_old(parts, found, "fallbacks")
    if found.entry is not None and error is not None:
        prefix = found.entry.prefix
        parts.notices.once(
            ("fallback", prefix), "%s: the generator fails, older entries answer: %r", prefix, error
        )
    return found


def _count_old(parts: Parts, found: Result[Any], name: str) -> None:
    entry = found.entry
    if entry is not None:
        saved = {name: 1, "saved_seconds": entry.generation_seconds or 0.0}
        parts.usage.count(entry.tenant, entry.prefix, entry.model, **saved)


def _from_flight(
    parts: Parts, call: Call, loop: asyncio.AbstractEventLoop | None
) -> Steps[Result[Any] | Failed | None]:
    """The end of the flight that makes this value; None if it was abandoned: look again."""
    # Kept, since a caller that is thrown away leaves in a context that is not its own.
    asker = current_flight.get()
    stamp = store_calls.stamp(parts, call.identity.key)
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
            answer = _delivered(parts, call, ending, leads=leads)
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
        yield Launch(flight, _fly(parts, call, flight), call.policy.timeout, waits=waits)
    except BaseException as error:
        # No thread could be started, say: nobody is to wait for it.
        store_calls.land(parts, flight, Abandoned(error))
        raise


def _delivered(parts: Parts, call: Call, landed: Landed, *, leads: bool) -> Result[Any] | None:
    """What a caller of a flight gets: a copy of its own; None if it is not of its type."""
    identity, entry = call.identity, landed.entry
    value = landed.value
    if entry is not None and not is_immutable(value):
        try:
            value = call.codec.decode(entry.body, entry.encoding)
        except DecodeError:
            return None
    if landed.was_fresh and not landed.has_waited and entry is not None:
        parts.usage.hit(Use(entry), parts.clock())
        return Result(value, Outcome.HIT, entry)
    if leads and not landed.has_waited:
        parts.usage.count(identity.tenant, identity.prefix, misses=1)
        return Result(value, Outcome.MISS, entry)
    parts.usage.count(identity.tenant, identity.prefix, coalesced=1)
    return Result(value, Outcome.COALESCED, entry)


def _alone(parts: Parts, call: Call) -> Steps[Result[Any] | Failed]:
    """Makes the value for this caller only, and keeps nothing: it could not wait for the flight."""
    parts.usage.count(call.identity.tenant, call.identity.prefix, misses=1, not_stored=1)
    made = yield _generate(call)
    return made if isinstance(made, Failed) else Result(made.value, Outcome.MISS)


# The flight


def _fly(parts: Parts, call: Call, flight: Flight) -> Steps[None]:
    """Makes the value, has it kept, and hands it to everyone who waits."""
    try:
        ending = yield from _make(parts, call, flight)
    except BaseException as error:
        store_calls.land(parts, flight, Abandoned(error))
        raise
    if isinstance(ending, Failed):
        parts.usage.count(call.identity.tenant, call.identity.prefix, errors=1)
        parts.generators.of(call.identity.prefix).failed()
    store_calls.land(parts, flight, ending)


def _make(parts: Parts, call: Call, flight: Flight) -> Steps[Landed | Failed]:
    key = call.identity.key
    stamp = parts.tier.stamp(key)
    entry: Entry | None = None
    if not call.refresh:
        # Another flight may have landed between this caller's look at the store and its joining.
        entry = yield Read(partial(store_calls.read, parts, key))
        landed = None if entry is None else landed_from(parts, call, entry)
        if landed is not None:
            parts.flights.stored(flight)
            return landed
    lease = yield from take_lease(parts, call, flight, unfit=entry)
    if isinstance(lease, Landed):
        if lease.entry is not None:
            parts.tier.put(lease.entry, stamp)
        parts.flights.stored(flight)
    if isinstance(lease, Landed | Failed):
        return lease
    stamp = parts.tier.stamp(key)
    begun = parts.monotonic()
    made = yield _generate(call)
    seconds = parts.monotonic() - begun
    if isinstance(made, Failed):
        return made
    parts.generators.of(call.identity.prefix).succeeded()
    return (yield from _keep(parts, call, flight, made.value, seconds, stamp))


def _keep(
    parts: Parts, call: Call, flight: Flight, value: object, seconds: float, stamp: bytes
) -> Steps[Landed]:
    """Has a value that was made kept, if it can be, and nobody invalidated it meanwhile."""
    identity = call.identity
    parts.usage.count(identity.tenant, identity.prefix, generations=1, generation_seconds=seconds)
    try:
        made = new_entry(parts, call, value, generation_seconds=seconds)
    except Exception as error:  # noqa: BLE001 - whatever it is, the value is paid for
        made = NotStorable(f"it cannot be written: {error!r}")
    if isinstance(made, NotStorable):
        parts.flights.stored(flight)
        parts.usage.count(identity.tenant, identity.prefix, not_stored=1)
        parts.notices.once(
            ("not stored", identity.prefix),
            "%s: a value is not kept: %s",
            identity.prefix,
            made.reason,
        )
        return Landed(value, None)
    if not call.refresh and not flight.is_void:
        parts.tier.put(made, stamp)
    lease, flight.lease = flight.lease, None
    if lease is None:
        # Nobody could tell whether it was invalidated since, or is being made elsewhere.
        parts.flights.stored(flight)
        parts.usage.count(identity.tenant, identity.prefix, not_stored=1)
        return Landed(value, made)
    publish = partial(store_calls.publish, parts, made, flight, lease, refresh=call.refresh)
    try:
        yield Publish(publish)
    finally:
        # Whatever became of the storing, or of this flight's loop: the value is paid for.
        parts.flights.land(flight, Landed(value, made))
    return Landed(value, made)


def new_entry(
    parts: Parts, call: Call, value: object, *, generation_seconds: float | None
) -> Entry | NotStorable:
    """The entry that keeps `value` from now on, or why it cannot be kept."""
    encoded = call.codec.encode(value)
    if isinstance(encoded, NotStorable):
        return encoded
    if encoded.value_bytes > parts.max_value_bytes:
        return NotStorable(
            f"it has {encoded.value_bytes} bytes, over the max_value of {parts.max_value_bytes}"
        )
    identity, now = call.identity, parts.clock()
    params_json, redacted = redact(identity.params_json)
    return Entry(
        key=identity.key,
        request=identity.request,
        params_json=params_json,
        prefix=identity.prefix,
        encoding=encoded.encoding,
        size_bytes=len(encoded.body),
        value_bytes=encoded.value_bytes,
        created_at=now,
        tenant=identity.tenant,
        version=identity.version,
        variant=identity.variant,
        redacted=redacted,
        call_ttl=call.policy.call_ttl,
        decorator_ttl=call.policy.decorator_ttl,
        generation_seconds=generation_seconds,
        used_at=now,
        body=encoded.body,
    )


def _generate(call: Call) -> Generate:
    return Generate(call.identity.prefix, call.generator, call.policy.timeout)
