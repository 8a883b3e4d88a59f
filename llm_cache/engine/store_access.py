"""Calls of the store: on a request's way, trouble there is a miss, a count and one warning."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from llm_cache.errors import StoreError
from llm_cache.store.records import Lease

if TYPE_CHECKING:
    from collections.abc import Sequence
    from concurrent.futures import Future

    from llm_cache.core.entry import Entry
    from llm_cache.engine._flights import Ending, Flight
    from llm_cache.engine.steps import Components
    from llm_cache.store.records import Held, Removed, Selection

_log: Final = logging.getLogger("llm_cache")


def read(components: Components, key: bytes) -> Entry | None:
    """The entry of a key; None also where the store is in trouble."""
    if not components.reads.allows_call():
        return None
    try:
        entry = components.store.get(key)
    except StoreError as error:
        components.reads.failed()
        _report_trouble(components, error)
        return None
    components.reads.succeeded()
    return entry


def stamp(components: Components, key: bytes) -> bytes:
    """The stamp of a key now; empty if there is none."""
    try:
        return components.store.stamps.reader(key)()
    except OSError:
        return b""


def acquire(
    components: Components, flight: Flight, unfit: Entry | None, askers: Sequence[Lease]
) -> Lease | Entry | Held | None:
    """What the store's `acquire` returns, a lease as the flight's; None where it is in trouble."""
    if not components.writes.allows_call():
        return None
    try:
        # Before the lease: an invalidation that comes after it voids that.
        components.store.open()
        flight.stamp = stamp(components, flight.identity.key)
        got = components.store.acquire(flight.identity, unfit=unfit, askers=askers)
    except StoreError as error:
        _in_trouble(components, error)
        return None
    components.writes.succeeded()
    if isinstance(got, Lease):
        flight.lease = got
        if flight.future.done():
            release(components, flight)  # nobody waits for it any more
    return got


def is_held(components: Components, key: bytes) -> bool:
    """Whether somebody else is generating; not, as far as a store in trouble can tell."""
    try:
        return components.store.is_held(key)
    except StoreError as error:
        _report_trouble(components, error)
        return False


def release(components: Components, flight: Flight) -> None:
    """Gives a flight's lease back, if it still has one."""
    lease, flight.lease = flight.lease, None
    if lease is not None:
        # Where the store cannot be told, the lease ends with its deadline.
        with suppress(StoreError):
            components.store.release(lease)


def land(components: Components, flight: Flight, ending: Ending) -> None:
    """Hands `ending` to everyone who waits; whoever asks after that finds the lease free."""
    release(components, flight)
    components.flights.land(flight, ending)
    # Once more: it may just have been granted to a flight that was given up.
    release(components, flight)


def publish(
    components: Components,
    entry: Entry,
    flight: Flight,
    lease: Lease,
    stored: Future[None],
    *,
    refresh: bool,
) -> None:
    """Has an entry stored under the lease it was made under; sets `stored` when that is over."""
    was_kept, reason = False, "store trouble"
    try:
        was_kept = components.store.put(entry, lease=lease)
        if not was_kept:
            # It was invalidated meanwhile, or another took over: theirs stands.
            reason = "invalidated"
            components.tier.drop(entry.key, only=entry)
        elif refresh:
            # A fresh entry was replaced: nobody's memory may go on serving the one before.
            components.store.stamps.renew((entry.key,))
        components.writes.succeeded()
        make_room(components)
    except StoreError as error:
        if refresh:
            components.tier.drop(entry.key)
        _in_trouble(components, error)
    finally:
        if not was_kept:
            components.usage.not_stored(flight.identity, entry.model, reason)
        components.flights.stored(flight)
        stored.set_result(None)


def _in_trouble(components: Components, error: StoreError) -> None:
    components.writes.failed()
    _report_trouble(components, error)


def make_room(components: Components) -> Removed:
    """Keeps the store under its size limit, and counts what had to go. Raises StoreError."""
    removed = components.store.make_room(
        components.policies.resolve, components.clock(), dry_run=False
    )
    note_evictions(components, removed)
    return removed


def note_evictions(components: Components, removed: Removed) -> None:
    """Counts what went only because it was too much."""
    evictions = sum(group.entries for group in removed.groups if group.why == "evicted")
    if evictions:
        components.usage.count("", "", evictions=evictions)
        _log.info("max_disk: %d entries were evicted", evictions)


def _report_trouble(components: Components, error: StoreError) -> None:
    components.usage.count("", "", errors=1)
    components.notices.once(("store",), "the cache goes on without its store: %s", error)


def remove(components: Components, which: Selection, *, keep: bool = False) -> Removed:
    """Drops entries, or moves them to the trash to `keep` them; nobody serves them any more.

    What is being generated for them is not kept. Raises StoreError if that cannot be done.
    """
    components.flights.void(which.covers)
    try:
        removed = components.store.remove(which, keep=keep)
    except BaseException:  # some of it may be gone all the same
        with suppress(StoreError):
            _renew_stamps(components, which)
        raise
    _renew_stamps(components, which)
    return removed


def _renew_stamps(components: Components, which: Selection) -> None:
    stamps = components.store.stamps  # others once the store is open
    if which.keys is None:
        stamps.renew_all()
    else:
        stamps.renew(which.keys)
