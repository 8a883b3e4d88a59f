"""Sums up the entries of a listing."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from llm_cache.cli.output.formatting import UNKNOWN, duration, entries, money
from llm_cache.core.freshness import Freshness
from llm_cache.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.api.cache import LLMCache
    from llm_cache.core.entry import EntryInfo


@dataclass(slots=True)
class ListingTotals:
    """Sums of the entries listed, for the line below them."""

    entries: int = 0
    size_bytes: int = 0
    states: Counter[Freshness] = field(default_factory=Counter[Freshness])
    seconds: float = 0.0
    timed: int = 0
    usd: float = 0.0
    priced: int = 0

    def counting(self, cache: LLMCache, infos: Iterable[EntryInfo]) -> Iterator[EntryInfo]:
        """The same entries, counted as they are taken."""
        for info in infos:
            self.add(info, cache.judge(info))
            yield info

    def add(self, info: EntryInfo, state: Freshness) -> None:
        """Counts one."""
        self.entries += 1
        self.size_bytes += info.size_bytes
        self.states[state] += 1
        if info.generation_seconds is not None:
            self.timed += 1
            self.seconds += info.generation_seconds
        if info.cost_usd is not None:
            self.priced += 1
            self.usd += info.cost_usd

    def line(self, *, of: int | None = None, where: str = "") -> str:
        """`3 of 214 entries · 13.0 KiB · 1 expired`; `where` goes behind the number."""
        number = entries(self.entries)
        if of is not None and of > self.entries:
            number = f"{self.entries:,} of {entries(of)}"
        parts = [number + where, format_size(self.size_bytes)]
        if expired := self.states[Freshness.MISSING]:
            parts.append(f"{expired:,} expired")
        return " · ".join(parts)

    @property
    def by_state(self) -> str:
        """`2 fresh, 1 expired`."""
        named = {state: state.value for state in Freshness} | {Freshness.MISSING: "expired"}
        counts = [(self.states[state], name) for state, name in named.items()]
        return ", ".join(f"{count:,} {name}" for count, name in counts if count)

    @property
    def remake(self) -> str:
        """What they cost to make: `$0.0129 and 10.5 s`, or more where not all of it is known."""
        cost = _at_least(money(self.usd if self.priced else None), self.priced < self.entries)
        time = _at_least(duration(self.seconds if self.timed else None), self.timed < self.entries)
        return f"{cost} and {time}" if cost != time else UNKNOWN


def _at_least(shown: str, is_more: bool) -> str:  # noqa: FBT001
    return f"at least {shown}" if is_more and shown != UNKNOWN else shown
