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
    from llm_cache.engine.steps import Parts
    from llm_cache.store.records import Held, Removed, Selection

_log: Final = logging.getLogger("llm_cache")


def read(parts: Parts, key: bytes) -> Entry | None:
    """The entry of a key; None also where the store is in trouble."""
    if not parts.reads.allows_call():
        return None
    try:
        entry = parts.store.get(key)
    except StoreError as error:
        parts.reads.failed()
        _report_trouble(parts, error)
        return None
    parts.reads.succeeded()
    return entry


def stamp(parts: Parts, key: bytes) -> bytes:
    """The stamp of a key now; empty if there is none."""
    try:
        return parts.store.stamps.reader(key)()
    except OSError:
        return b""


def acquire(
    parts: Parts, flight: Flight, unfit: Entry | None, askers: Sequence[Lease]
) -> Lease | Entry | Held | None:
    """What the store's `acquire` returns, a lease as the flight's; None where it is in trouble."""
    if not parts.writes.allows_call():
        return None
    try:
        # Before the lease: an invalidation that comes after it voids that.
        parts.store.open()
        flight.stamp = stamp(parts, flight.identity.key)
        got = parts.store.acquire(flight.identity, unfit=unfit, askers=askers)
    except StoreError as error:
        _in_trouble(parts, error)
        return None
    parts.writes.succeeded()
    if isinstance(got, Lease):
        flight.lease = got
        if flight.future.done():
            release(parts, flight)  # nobody waits for it any more
    return got


def is_held(parts: Parts, key: bytes) -> bool:
    """Whether somebody else is generating; not, as far as a store in trouble can tell."""
    try:
        return parts.store.is_held(key)
    except StoreError as error:
        _report_trouble(parts, error)
        return False


def release(parts: Parts, flight: Flight) -> None:
    """Gives a flight's lease back, if it still has one."""
    lease, flight.lease = flight.lease, None
    if lease is not None:
        # Where the store cannot be told, the lease ends with its deadline.
        with suppress(StoreError):
            parts.store.release(lease)


def land(parts: Parts, flight: Flight, ending: Ending) -> None:
    """Hands `ending` to everyone who waits; whoever asks after that finds the lease free."""
    release(parts, flight)
    parts.flights.land(flight, ending)
    # Once more: it may just have been granted to a flight that was given up.
    release(parts, flight)


def publish(
    parts: Parts,
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
        was_kept = parts.store.put(entry, lease=lease)
        if not was_kept:
            # It was invalidated meanwhile, or another took over: theirs stands.
            reason = "invalidated"
            parts.tier.drop(entry.key, only=entry)
        elif refresh:
            # A fresh entry was replaced: nobody's memory may go on serving the one before.
            parts.store.stamps.renew((entry.key,))
        parts.writes.succeeded()
        make_room(parts)
    except StoreError as error:
        if refresh:
            parts.tier.drop(entry.key)
        _in_trouble(parts, error)
    finally:
        if not was_kept:
            parts.usage.not_stored(flight.identity, entry.model, reason)
        parts.flights.stored(flight)
        stored.set_result(None)


def _in_trouble(parts: Parts, error: StoreError) -> None:
    parts.writes.failed()
    _report_trouble(parts, error)


def make_room(parts: Parts) -> Removed:
    """Keeps the store under its size limit, and counts what had to go. Raises StoreError."""
    removed = parts.store.make_room(parts.policies.resolve, parts.clock(), dry_run=False)
    note_evictions(parts, removed)
    return removed


def note_evictions(parts: Parts, removed: Removed) -> None:
    """Counts what went only because it was too much."""
    evictions = sum(group.entries for group in removed.groups if group.why == "evicted")
    if evictions:
        parts.usage.count("", "", evictions=evictions)
        _log.info("max_disk: %d entries were evicted", evictions)


def _report_trouble(parts: Parts, error: StoreError) -> None:
    parts.usage.count("", "", errors=1)
    parts.notices.once(("store",), "the cache goes on without its store: %s", error)


def remove(parts: Parts, which: Selection, *, keep: bool = False) -> Removed:
    """Drops entries, or moves them to the trash to `keep` them; nobody serves them any more.

    What is being generated for them is not kept. Raises StoreError if that cannot be done.
    """
    parts.flights.void(which.covers)
    try:
        removed = parts.store.remove(which, keep=keep)
    except BaseException:  # some of it may be gone all the same
        with suppress(StoreError):
            _renew_stamps(parts, which)
        raise
    _renew_stamps(parts, which)
    return removed


def _renew_stamps(parts: Parts, which: Selection) -> None:
    stamps = parts.store.stamps  # others once the store is open
    if which.keys is None:
        stamps.renew_all()
    else:
        stamps.renew(which.keys)
