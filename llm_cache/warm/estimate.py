"""What warming would take: by what generating for the same prefix took before."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final

from llm_cache.core.freshness import Freshness
from llm_cache.core.usage import Usage
from llm_cache.store.records import Selection

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_cache.engine.steps import Components
    from llm_cache.store.records import UsageDay
    from llm_cache.warm.plan import PlannedSet, WarmPlan

LOOK_AT: Final = 100
"""Generations, the latest ones, that an estimate goes by."""


@dataclass(frozen=True, slots=True)
class Past:
    """What a generation of a prefix took of late, on average; None where nothing is known."""

    model: str | None = None
    seconds: float | None = None
    cost_usd: float | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one set holds, how many calls it would make, and about what that takes.

    `calls` are made `at_a_time`; `seconds` and `cost_usd` are of all of them together, None where
    nothing is known.
    """

    prefix: str
    fresh: int
    stale: int
    expired: int
    missing: int
    to_make: int
    at_a_time: int
    model: str | None
    seconds: float | None
    cost_usd: float | None


def estimate(components: Components, plan: WarmPlan, *, refresh: bool) -> list[Outlook]:
    """What making each set of a plan would take; with `refresh`, all of it."""
    past = past_of(components, {planned.prefix for planned in plan.sets})
    return [outlook(planned, past[planned.prefix], refresh=refresh) for planned in plan.sets]


def outlook(planned: PlannedSet, past: Past, *, refresh: bool) -> Outlook:
    """What making a set would take; with `refresh`, all of it."""
    counts = {"fresh": 0, "stale": 0, "expired": 0, "missing": 0}
    for item in planned.items:
        match item.state:
            case Freshness.FRESH:
                counts["fresh"] += 1
            case Freshness.MISSING:
                counts["expired" if item.is_there else "missing"] += 1
            case Freshness.STALE | Freshness.FALLBACK:
                counts["stale"] += 1
    to_make = len(planned.items) - (0 if refresh else counts["fresh"])
    return Outlook(
        planned.prefix,
        **counts,
        to_make=to_make,
        at_a_time=min(planned.concurrency, to_make),
        model=past.model,
        seconds=None if past.seconds is None else _seconds(planned, past.seconds, to_make),
        cost_usd=None if past.cost_usd is None else round(past.cost_usd * to_make, 9),
    )


def _seconds(planned: PlannedSet, each_s: float, to_make: int) -> float:
    seconds = each_s * math.ceil(to_make / planned.concurrency)
    if planned.calls_per_second is not None and to_make:
        seconds = max(seconds, each_s + (to_make - 1) / planned.calls_per_second)
    return round(seconds, 3)


def past_of(components: Components, prefixes: Iterable[str]) -> dict[str, Past]:
    """What a generation of each prefix took: by the counts that are kept, else by its entries."""
    days: dict[str, list[UsageDay]] = {prefix: [] for prefix in prefixes}
    for day in sorted(components.store.usage(), key=lambda day: day.day, reverse=True):
        if day.prefix in days and day.usage.generations:
            days[day.prefix].append(day)
    return {
        prefix: _by_counts(components, some) if some else _by_entries(components, prefix)
        for prefix, some in days.items()
    }


@dataclass(slots=True)
class _Sums:
    """Generations added up, each with what is known of it."""

    generations: int = 0
    seconds: float = 0.0
    timed: int = 0
    usd: float = 0.0
    priced: int = 0


def _by_counts(components: Components, days: Iterable[UsageDay]) -> Past:
    """By the latest days that have enough generations together, newest first."""
    sums, models = _Sums(), dict[str, int]()
    for day in days:
        usage = day.usage
        models[day.model] = models.get(day.model, 0) + usage.generations
        sums.generations += usage.generations
        sums.timed += usage.generations
        sums.seconds += usage.generation_seconds
        usd, priced = usage.cost_usd, usage.generations - usage.unpriced
        if not priced:
            usd, priced = _priced(components, day)
        sums.usd += usd
        sums.priced += priced
        if sums.generations >= LOOK_AT:
            break
    return _past(sums, models)


def _priced(components: Components, day: UsageDay) -> tuple[float, int]:
    """What generations of unknown cost would cost by the prices of now; of how many."""
    usage = day.usage
    if not usage.output_tokens:
        return 0.0, 0
    tokens = Usage(
        model=day.model or None, input_tokens=usage.input_tokens, output_tokens=usage.output_tokens
    )
    usd = components.prices.priced(tokens).cost_usd
    return (0.0, 0) if usd is None else (usd, usage.generations)


def _by_entries(components: Components, prefix: str) -> Past:
    """By the newest entries."""
    sums, models = _Sums(), dict[str, int]()
    for info in islice(components.store.select(Selection(prefix=prefix), limit=LOOK_AT), LOOK_AT):
        sums.generations += 1
        if info.model:
            models[info.model] = models.get(info.model, 0) + 1
        if info.generation_seconds is not None:
            sums.timed += 1
            sums.seconds += info.generation_seconds
        if info.cost_usd is not None:
            sums.priced += 1
            sums.usd += info.cost_usd
    return _past(sums, models)


def _past(sums: _Sums, models: dict[str, int]) -> Past:
    model = max(models, key=models.__getitem__, default="")
    return Past(
        model=model or None,
        seconds=sums.seconds / sums.timed if sums.timed else None,
        cost_usd=sums.usd / sums.priced if sums.priced else None,
    )
