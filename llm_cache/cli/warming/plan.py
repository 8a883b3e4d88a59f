"""Shows the plan of `warm`, set by set, with the estimated time and cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.output.formatting import UNKNOWN, about, counted, duration, entries, money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from llm_cache.cli.output.screen import Screen
    from llm_cache.cli.session import Session
    from llm_cache.warm.budget import Limits
    from llm_cache.warm.estimate import Outlook

STATES: Final = ("fresh", "stale", "expired", "missing")
_NUMBERS: Final = ("prefix", *STATES, "to_make", "model", "seconds", "cost_usd")


def limits_for(
    sets: Iterable[Outlook], *, max_calls: int | None, max_cost_usd: float | None
) -> Limits:
    """The limits that were asked for.

    Raises:
        Failure: there is one on the cost, and nobody knows what a call costs.
    """
    from llm_cache.warm.budget import Limits

    expected: dict[str, float] = {}
    for one in sets:
        if one.to_make and one.cost_usd is not None:
            expected[one.prefix] = one.cost_usd / one.to_make
        elif one.to_make and max_cost_usd is not None:
            raise Failure(
                message=f"--max-cost: nobody knows what a call for '{one.prefix}' costs",
                hint="make one with --max-calls 1; if it tells no cost, set [prices.MODEL]",
                code=ExitCode.USAGE,
            )
    return Limits(max_calls=max_calls, max_cost_usd=max_cost_usd, expected_usd=expected)


def report_dry_run(
    session: Session, sets: Sequence[Outlook], limits: Limits, *, as_json: bool
) -> None:
    """Shows what would be generated; nothing is called."""
    if as_json:
        to_make = sum(one.to_make for one in sets)
        rows = [{name: getattr(one, name) for name in _NUMBERS} for one in sets]
        totals = {"to_make": to_make, "seconds": _seconds(sets), "cost_usd": _cost(sets)}
        session.out.json({"schema": 1, "dry_run": True, **totals, "sets": rows})
        return
    if not sets:
        return
    _tell_head(session, sets)
    if session.out.is_terminal:
        _write_table(session.out, sets)
    else:
        for one in sets:
            values = (getattr(one, name) for name in _NUMBERS)
            session.out.fields(*(UNKNOWN if value is None else value for value in values))
    session.out.flush()
    if stop := _stop(sets, limits):
        session.tell(stop)
    session.tell(f"Would make {_task(sets)} Nothing was called.")


def report_plan(session: Session, sets: Sequence[Outlook], limits: Limits) -> None:
    """Shows what is going to be generated, before it is."""
    _tell_head(session, sets)
    if session.err.is_terminal:
        _write_table(session.err, sets)
    if stop := _stop(sets, limits):
        session.tell(stop)
    session.tell(f"Making {_task(sets)}")
    session.err.flush()


def _tell_head(session: Session, sets: Sequence[Outlook]) -> None:
    source = session.config.source
    counts = {name: sum(getattr(one, name) for one in sets) for name in STATES}
    told = ", ".join(f"{number:,} {name}" for name, number in counts.items() if number)
    where = f"{source.name}: " if source is not None else ""
    total = sum(counts.values())
    session.tell(f"{where}{counted(len(sets), 'set')}, {entries(total)}: {told}.")


def _task(sets: Sequence[Outlook]) -> str:
    """`9 calls, 4 at a time: ≈20.0 s, ≈$0.02.`."""
    to_make, at_a_time = (sum(getattr(one, n) for one in sets) for n in ("to_make", "at_a_time"))
    pace = f", {at_a_time:,} at a time" if at_a_time > 1 else ""
    amounts = [duration(_seconds(sets)), money(_cost(sets))]
    told = ", ".join(about(amount) for amount in amounts if amount != UNKNOWN)
    return f"{counted(to_make, 'call')}{pace}{f': {told}' if told else ''}."


def _stop(sets: Sequence[Outlook], limits: Limits) -> str | None:
    """Which limit is likely to end it before everything is made."""
    to_make, usd = sum(one.to_make for one in sets), _cost(sets)
    if limits.max_calls is not None and to_make > limits.max_calls:
        return f"--max-calls {limits.max_calls:,} ends it before all is made."
    if limits.max_cost_usd is not None and usd is not None and usd > limits.max_cost_usd:
        return f"--max-cost {money(limits.max_cost_usd)} ends it before all is made."
    return None


def _seconds(sets: Sequence[Outlook]) -> float | None:
    """About how long all of it takes: sets are made beside each other."""
    return _of_all(max, [one.seconds for one in sets if one.to_make])


def _cost(sets: Sequence[Outlook]) -> float | None:
    """About what all of it costs."""
    return _of_all(sum, [one.cost_usd for one in sets if one.to_make])


def _of_all(
    together: Callable[[list[float]], float], amounts: Sequence[float | None]
) -> float | None:
    """Amounts taken together; None if one of them is not known, or there is none."""
    known = [amount for amount in amounts if amount is not None]
    return together(known) if known and len(known) == len(amounts) else None


def _write_table(screen: Screen, sets: Sequence[Outlook]) -> None:
    from llm_cache.cli.output.table import Column, write_table

    names = [name for name in STATES if name == "fresh" or any(getattr(o, name) for o in sets)]
    columns = (
        Column("SET", least=12),
        *(Column(name.upper(), right=True, spare=2 * (name != "fresh")) for name in names),
        Column("TO MAKE", right=True),
        Column("MODEL", least=10, spare=1),
        Column("TIME", right=True),
        Column("COST", right=True),
    )
    rows = [
        (
            one.prefix,
            *(f"{getattr(one, name):,}" for name in names),
            f"{one.to_make:,}",
            one.model or UNKNOWN,
            _about(duration(one.seconds), one),
            _about(money(one.cost_usd), one),
        )
        for one in sets
    ]
    write_table(screen, columns, rows)


def _about(shown: str, one: Outlook) -> str:
    return about(shown) if one.to_make else UNKNOWN
