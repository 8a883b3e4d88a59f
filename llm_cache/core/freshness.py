"""Judges what an entry is good for now: fresh, stale, a fallback, or nothing.

`store/sqlite/_queries.py` says the same in SQL for whole tables; a test holds the two together.
"""

from __future__ import annotations

import math
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from llm_cache.core.entry import EntryInfo
    from llm_cache.core.policy_resolution import Policy

CLOCK_SKEW_S: Final = 300.0
"""An entry from up to this far in the future has age 0: the clocks of machines differ."""


class Freshness(StrEnum):
    """What an entry is good for now."""

    FRESH = "fresh"
    STALE = "stale"
    FALLBACK = "fallback"
    MISSING = "missing"


def judge(entry: EntryInfo, policy: Policy, now: float) -> Freshness:
    """What `entry` is good for at `now` (epoch seconds) under `policy`."""
    starts, ttl_ends = freshness_window(entry, policy)
    if now < starts:
        return Freshness.MISSING
    if now < ttl_ends:
        return Freshness.FRESH
    if policy.fresh_only:
        return Freshness.MISSING
    if now < ttl_ends + policy.grace_of(entry.remembered)[0]:
        return Freshness.STALE
    if now < ttl_ends + policy.stale_if_error_of(entry.remembered)[0]:
        return Freshness.FALLBACK
    return Freshness.MISSING


def freshness_window(entry: EntryInfo, policy: Policy) -> tuple[float, float]:
    """The instants between which `entry` is fresh: from (inclusive) and until (exclusive)."""
    ttl, _ = policy.ttl(entry.call_ttl, entry.decorator_ttl)
    if ttl <= 0:
        return math.inf, -math.inf
    jitter = policy.jitter_of(entry.remembered)
    if jitter:
        ttl *= 1 - jitter * share_of(entry.key)
    return entry.created_at - CLOCK_SKEW_S, entry.created_at + ttl


def share_of(key: bytes) -> float:
    """A number from 0 to below 1, evenly spread over keys, the same in every process."""
    return int.from_bytes(key[-8:]) / 2**64


def wall_clock() -> float:
    """The clock that entries are dated by: `time.time` of now, also where a test replaced it."""
    return time.time()
