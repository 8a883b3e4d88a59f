"""One generation: under a lease, timed, judged by the policy's gates, kept, handed to all."""

from __future__ import annotations

from concurrent.futures import Future
from functools import partial
from typing import TYPE_CHECKING, Final, Self

from llm_cache.core.entry import Entry, taken_bytes
from llm_cache.core.gates import reason_not_to_keep
from llm_cache.core.redaction import stored_params
from llm_cache.core.usage import Paid, unwrapped
from llm_cache.core.values.refusals import NotStorable, told
from llm_cache.engine import store_access
from llm_cache.engine._flights import Abandoned, Failed, Landed
from llm_cache.engine._take_lease import landed_from, take_lease
from llm_cache.engine.steps import Block, Generate, Made, Publish, Read

if TYPE_CHECKING:
    from types import TracebackType

    from llm_cache.engine._flights import Ending, Flight
    from llm_cache.engine.call import Call
    from llm_cache.engine.steps import Components, Steps

NO_LEASE: Final = "no lease"
TOO_LARGE: Final = "too large"


def fly(components: Components, call: Call, flight: Flight) -> Steps[None]:
    """Generates the value, has it stored, and hands it to everyone who waits."""
    with _Landing(components, flight) as landing:
        landing.ending = yield from _make(components, call, flight)
        if isinstance(landing.ending, Failed):
            components.usage.count(call.identity.tenant, call.identity.prefix, errors=1)
            components.generators.of(call.identity.prefix).failed()


class _Landing:
    """Owns a flight within the block: at its end the flight lands, and its lease is given back.

    What is being published keeps its lease: `store_access.publish` gives that up.
    """

    def __init__(self, components: Components, flight: Flight) -> None:
        self._components = components
        self._flight = flight
        self.ending: Ending | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and self._flight.is_behind and not isinstance(error, Exception):
            self._components.flights.cut_off(self._flight)
        ending = self.ending if error is None else None
        store_access.land(self._components, self._flight, ending or Abandoned(error))


def _make(components: Components, call: Call, flight: Flight) -> Steps[Landed | Failed]:
    key = call.identity.key
    stamp = components.tier.stamp(key)
    # Another flight may have landed between this caller's look at the store and its joining.
    entry: Entry | None = yield Read(partial(store_access.read, components, key))
    landed = None if entry is None else landed_from(components, call, entry)
    if landed is not None:
        return landed
    lease = yield from take_lease(components, call, flight, unfit=entry)
    if isinstance(lease, Landed) and lease.entry is not None:
        components.tier.put(lease.entry, stamp)
    if isinstance(lease, Landed | Failed):
        return lease
    stamp = components.tier.stamp(key)
    paid = yield from generate(components, call)
    if isinstance(paid, Failed):
        return paid
    components.generators.of(call.identity.prefix).succeeded()
    return (yield from _keep(components, call, flight, paid, stamp))


def generate(
    components: Components, call: Call, *, timeout_s: float | None = None, is_counted: bool = True
) -> Steps[Paid | Failed]:
    """Calls the generator, within the policy's timeout or another, and counts what that took."""
    limit_s = call.policy.timeout if timeout_s is None else timeout_s
    begun = components.monotonic()
    made: Made | Failed = yield Generate(call.identity.prefix, call.generator, limit_s)
    seconds = components.monotonic() - begun
    if isinstance(made, Failed):
        return made
    value, usage = unwrapped(made.value)
    if not is_counted:
        return Paid(value, usage, seconds)
    if components.prices.knows_at_once(usage):
        usage = components.prices.priced(usage)
    else:
        usage = yield Block(partial(components.prices.priced, usage))
    components.usage.generated(call.identity, usage, seconds)
    return Paid(value, usage, seconds)


def _keep(
    components: Components, call: Call, flight: Flight, paid: Paid, stamp: bytes
) -> Steps[Landed]:
    """Has a value that was made kept, if it may be, and nobody invalidated it meanwhile."""
    policy, value = call.policy, paid.value
    reason = reason_not_to_keep(value, policy.store_if, policy.cache_if)
    try:
        made = new_entry(components, call, paid)
    except Exception as error:  # noqa: BLE001 - whatever it is, the value is paid for
        made = NotStorable(f"it cannot be written ({told(error)})")
    if isinstance(made, NotStorable):
        return _refused(components, call, paid, reason or made.kind, made.reason)
    if reason is not None:
        return _refused(components, call, paid, reason, reason, made)
    if not call.refresh and not flight.is_void:
        components.tier.put(made, stamp)
    lease, flight.lease = flight.lease, None
    if lease is None:
        # Nobody could tell whether it was invalidated since, or is being made elsewhere.
        components.usage.not_stored(call.identity, paid.usage.model, NO_LEASE)
        return Landed(value, made, paid.usage, call.codec, not_stored=NO_LEASE)
    stored: Future[None] = Future()
    publish = partial(
        store_access.publish, components, made, flight, lease, stored, refresh=call.refresh
    )
    landed = Landed(value, made, paid.usage, call.codec)
    try:
        yield Publish(publish, stored)
    finally:
        # Whatever became of the storing, or of this flight's loop: the value is paid for.
        components.flights.land(flight, landed, is_being_stored=True)
    return landed


def _refused(
    components: Components,
    call: Call,
    paid: Paid,
    reason: str,
    words: str,
    entry: Entry | None = None,
) -> Landed:
    """What goes to its callers and is not kept; `entry` is for their copies only."""
    prefix = call.identity.prefix
    components.usage.not_stored(call.identity, paid.usage.model, reason)
    components.notices.once(
        ("not stored", prefix, reason), "%s: a value is not kept: %s", prefix, words
    )
    return Landed(paid.value, entry, paid.usage, call.codec, not_stored=reason, is_kept=False)


def new_entry(components: Components, call: Call, paid: Paid) -> Entry | NotStorable:
    """The entry that keeps a value from now on, or why it cannot be kept."""
    encoded = call.codec.encode(paid.value)
    if isinstance(encoded, NotStorable):
        return encoded
    limit = components.max_value_bytes
    if encoded.value_bytes > limit:
        size = f"it has {encoded.value_bytes} bytes, over the max_value of {limit}"
        return NotStorable(size, TOO_LARGE)
    identity, policy, now, usage = call.identity, call.policy, components.clock(), paid.usage
    params_json, redacted = stored_params(
        identity.params_json,
        policy.store_params,
        secret=policy.secret_params,
        public=policy.public_params,
    )
    return Entry(
        key=identity.key,
        request=identity.request,
        params_json=params_json,
        prefix=identity.prefix,
        encoding=encoded.encoding,
        size_bytes=taken_bytes(encoded.body, params_json),
        value_bytes=encoded.value_bytes,
        created_at=now,
        tenant=identity.tenant,
        version=identity.version,
        variant=identity.variant,
        redacted=redacted,
        call_ttl=policy.call_ttl,
        decorator_ttl=policy.decorator_ttl,
        generation_seconds=paid.seconds,
        model=usage.model,
        input_tokens=usage.input_tokens,
        output_tokens=usage.output_tokens,
        cost_usd=usage.cost_usd,
        used_at=now,
        remembered=policy.remembered,
        body=encoded.body,
    )
