"""What `warm` would do, without doing it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llm_cache.cli.figures import counted, entries
from llm_cache.entry import Freshness

if TYPE_CHECKING:
    from llm_cache.cli.progress import Progress
    from llm_cache.cli.session import Session
    from llm_cache.warm_plan import PlannedSet

STATES: Final = ("fresh", "stale", "expired", "missing")


@dataclass(frozen=True, slots=True)
class Outlook:
    """What one set holds, and how many calls it would make."""

    prefix: str
    fresh: int
    stale: int
    expired: int
    missing: int
    to_make: int
    at_a_time: int

    @classmethod
    def of(cls, planned: PlannedSet, *, refresh: bool) -> Outlook:
        """The outlook of a set."""
        counts = dict.fromkeys(STATES, 0)
        for item in planned.items:
            match item.state:
                case Freshness.FRESH:
                    counts["fresh"] += 1
                case Freshness.MISSING:
                    counts["expired" if item.is_there else "missing"] += 1
                case Freshness.STALE | Freshness.FALLBACK:
                    counts["stale"] += 1
        to_make = len(planned.items) - (0 if refresh else counts["fresh"])
        at_a_time = min(planned.concurrency, to_make)
        return cls(planned.prefix, **counts, to_make=to_make, at_a_time=at_a_time)


def tell(session: Session, progress: Progress, *, as_json: bool) -> None:
    """Tells what would be made; nothing is called."""
    sets = [Outlook.of(planned, refresh=progress.refresh) for planned in progress.plan.sets]
    to_make = sum(one.to_make for one in sets)
    if as_json:
        rows = [
            {name: getattr(one, name) for name in ("prefix", *STATES, "to_make")} for one in sets
        ]
        session.out.json({"schema": 1, "dry_run": True, "to_make": to_make, "sets": rows})
        return
    if not sets:
        return
    _tell_head(session, sets)
    if session.out.is_terminal:
        _write_table(session, sets)
    else:
        for one in sets:
            counts = (getattr(one, name) for name in STATES)
            session.out.fields(one.prefix, *counts, one.to_make)
    session.out.flush()
    at_a_time = sum(one.at_a_time for one in sets)
    pace = f", {at_a_time} at a time" if to_make > 1 else ""
    session.tell(f"Would make {counted(to_make, 'call')}{pace}. Nothing was called.")


def _tell_head(session: Session, sets: list[Outlook]) -> None:
    source = session.config.source
    total = sum(one.fresh + one.stale + one.expired + one.missing for one in sets)
    counts = {name: sum(getattr(one, name) for one in sets) for name in STATES}
    told = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number)
    where = f"{source.name}: " if source is not None else ""
    session.tell(f"{where}{counted(len(sets), 'set')}, {entries(total)}: {told}.")


def _write_table(session: Session, sets: list[Outlook]) -> None:
    from llm_cache.cli.table import Column, write_table

    names = [name for name in STATES if name == "fresh" or any(getattr(o, name) for o in sets)]
    columns = (
        Column("SET", least=8),
        *(Column(name.upper(), right=True) for name in names),
        Column("TO MAKE", right=True),
    )
    rows = [
        (one.prefix, *(f"{getattr(one, name):,}" for name in names), f"{one.to_make:,}")
        for one in sets
    ]
    write_table(session.out, columns, rows)
