"""How far `warm` has come; kept apart from how it is shown."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from llm_cache.cli.output.entries import value_text
from llm_cache.core.entry import Freshness

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.core.entry import Entry
    from llm_cache.warm.budget import Stopped
    from llm_cache.warm.plan import PlannedSet, WarmItem, WarmPlan
    from llm_cache.warm.run import WarmEvent


@dataclass(slots=True)
class SetProgress:
    """How far one set is: entries that were fresh, were made, failed, and are under way."""

    prefix: str
    total: int = 0
    fresh: int = 0
    made: int = 0
    failed: int = 0
    cost_usd: float = 0.0
    unpriced: int = 0
    """Of those made, the ones of unknown cost."""
    under_way: dict[int, WarmItem] = field(default_factory=dict[int, "WarmItem"])

    @property
    def done(self) -> int:
        """Entries there is nothing left to do about."""
        return self.fresh + self.made + self.failed

    @property
    def warm(self) -> int:
        """Entries that are warm now."""
        return self.fresh + self.made


@dataclass(frozen=True, slots=True)
class FailedItem:
    """An entry that could not be made."""

    prefix: str
    params: dict[str, object]
    name: str
    error: str
    tries: int


class Progress:
    """How far a plan is, set by set; fed by the events of the engine."""

    def __init__(
        self, plan: WarmPlan, *, refresh: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.plan: Final = plan
        self.refresh: Final = refresh
        self.failures: Final[list[FailedItem]] = []
        self.listeners: Final[list[Callable[[WarmEvent], None]]] = []
        self.is_interrupted = False
        self.stopped: Stopped | None = None
        self.sets: Final = [self._begin(planned) for planned in plan.sets]
        self._set_of: Final = {
            id(item): one
            for planned, one in zip(plan.sets, self.sets, strict=True)
            for item in planned.items
        }
        self._clock = clock
        self._begun_at = clock()

    @property
    def seconds(self) -> float:
        """Seconds since it began."""
        return self._clock() - self._begun_at

    @property
    def left(self) -> int:
        """How many entries are still to be made."""
        sums = self.sums()
        return sums.total - sums.done

    def sums(self) -> SetProgress:
        """All sets together."""
        return SetProgress(
            "",
            total=sum(one.total for one in self.sets),
            fresh=sum(one.fresh for one in self.sets),
            made=sum(one.made for one in self.sets),
            failed=sum(one.failed for one in self.sets),
            cost_usd=sum(one.cost_usd for one in self.sets),
            unpriced=sum(one.unpriced for one in self.sets),
        )

    def note(self, event: WarmEvent) -> None:
        """Takes in what happened to an item."""
        item, one = event.item, self._set_of[id(event.item)]
        match event.step.value:
            case "started":
                one.under_way[id(item)] = item
            case "made":
                self._made(item, event.cost_usd)
            case "found":
                one.under_way.pop(id(item), None)
                one.fresh += 1
            case "failed":
                one.under_way.pop(id(item), None)
                one.failed += 1
                self.failures.append(_failed(event))
            case _:
                pass
        for listener in self.listeners:
            listener(event)

    def take_in_landed(self, get: Callable[[bytes], Entry | None], *, since: float) -> None:
        """Counts what was still under way when the run was interrupted, and has been kept since."""
        for one in self.sets:
            for item in list(one.under_way.values()):
                entry = get(item.call.identity.key)
                if entry is not None and entry.created_at >= since:
                    self._made(item, entry.cost_usd)

    def _made(self, item: WarmItem, cost_usd: float | None) -> None:
        one = self._set_of[id(item)]
        one.under_way.pop(id(item), None)
        one.made += 1
        one.cost_usd += cost_usd or 0.0
        one.unpriced += cost_usd is None

    def as_json(self) -> dict[str, object]:
        """The same for a program."""
        sums = self.sums()
        stopped = "interrupted" if self.is_interrupted else self.stopped
        return {
            **_numbers(sums),
            "left": self.left,
            "stopped": None if stopped is None else str(stopped),
            "seconds": round(self.seconds, 3),
            "sets": [{"prefix": one.prefix, **_numbers(one)} for one in self.sets],
            # A number in each set, a list of them all here.
            "failed": [
                {
                    "prefix": failure.prefix,
                    "params": failure.params,
                    "error": failure.error,
                    "tries": failure.tries,
                }
                for failure in self.failures
            ],
        }

    def _begin(self, planned: PlannedSet) -> SetProgress:
        fresh = sum(item.state is Freshness.FRESH for item in planned.items)
        return SetProgress(
            planned.prefix, total=len(planned.items), fresh=0 if self.refresh else fresh
        )


def _numbers(one: SetProgress) -> dict[str, object]:
    return {
        "total": one.total,
        "fresh": one.fresh,
        "made": one.made,
        "failed": one.failed,
        "cost_usd": one.cost_usd if one.unpriced < one.made else None,
        "unpriced": one.unpriced,
    }


def params_name(item: WarmItem) -> str:
    """An item by its params: `operation=division context_type=sports`."""
    return " ".join(f"{name}={value_text(value)}" for name, value in item.shown_params.items())


def error_text(error: Exception | None) -> str:
    """An error on one line, with its kind: `RateLimitError: slow down`."""
    if error is None:
        return "unknown"
    first = next(iter(str(error).strip().splitlines()), "")
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _failed(event: WarmEvent) -> FailedItem:
    return FailedItem(
        prefix=event.item.prefix,
        params=event.item.shown_params,
        name=f"{event.item.prefix} {params_name(event.item)}",
        error=error_text(event.error),
        tries=event.attempt,
    )
