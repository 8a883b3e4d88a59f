"""What a request got, and how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from llm_cache.core.entry import Entry

T = TypeVar("T")


class Outcome(StrEnum):
    """How a request was answered."""

    HIT = "hit"
    """From the cache."""
    STALE = "stale"
    """From the cache, past its ttl: it is being regenerated."""
    FALLBACK = "fallback"
    """From the cache, past its ttl: the generator fails."""
    MISS = "miss"
    """By its own generator."""
    COALESCED = "coalesced"
    """By the generator of another request for the same, which was under way."""
    BYPASS = "bypass"
    """By its own generator, and the cache was left alone."""


class Reason(StrEnum):
    """Why a request was answered as it was."""

    FRESH = "fresh"
    RECORDED = "recorded, and the mode is replay"
    IN_GRACE = "past its ttl, within its grace"
    GENERATOR_FAILS = "the generator fails"
    NOTHING_STORED = "nothing is stored for it"
    EXPIRED = "expired"
    FROM_THE_FUTURE = "made later than now"
    OF_ANOTHER_TYPE = "stored as another type"
    REFRESHED = "asked to be refreshed"
    WAITED = "another request was generating it"
    ALONE = "could not wait for the request that is generating it"
    DISABLED = "the cache is disabled"
    MODE_OFF = "the mode is off"
    TTL_0 = "the ttl is 0"


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """The value of a request, how it was obtained and why, and its entry.

    `entry` is None where the value is not kept, and `not_stored` then says why: `empty`,
    `truncated`, `filtered`, `refused`, `cache_if`, `too large`, `not the same` (it would not come
    back so) or `no lease` (the store is busy or in trouble, and nobody could tell whether the value
    was invalidated meanwhile).
    """

    value: T
    outcome: Outcome
    entry: Entry | None = None
    reason: Reason = Reason.FRESH
    not_stored: str | None = None
