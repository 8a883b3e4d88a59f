"""What a request got, and how."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from llm_cache.entry import Entry

T = TypeVar("T")


class Outcome(StrEnum):
    """How a request was answered."""

    HIT = "hit"
    """From the cache."""
    STALE = "stale"
    """From the cache, past its ttl: it is being made anew."""
    FALLBACK = "fallback"
    """From the cache, past its ttl: the generator fails."""
    MISS = "miss"
    """By its own generator."""
    COALESCED = "coalesced"
    """By the generator of another request for the same, which was under way."""
    BYPASS = "bypass"
    """By its own generator, since the cache is disabled or the ttl is 0."""


@dataclass(frozen=True, slots=True)
class Result(Generic[T]):
    """The value of a request, how it was come by, and its entry.

    `entry` is None where the value is not kept.
    """

    value: T
    outcome: Outcome
    entry: Entry | None = None
