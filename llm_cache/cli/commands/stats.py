"""`llm-cache stats`: what it holds, its hit rate, what it saved."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.registry import Command
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from datetime import date

    from llm_cache.api.upkeep import Measured, Upkeep

Counts: TypeAlias = dict[str, Any]
"""What is told of the whole, or of a prefix, a model or a day."""

PLACES: Final = ("cache_dir", "disk_bytes", "max_disk", "since")
FIELDS: Final = (
    "entries", "size_bytes", "value_bytes", "hits", "misses", "coalesced", "bypassed", "errors",
    "not_stored", "evictions", "generations", "generation_seconds", "saved_seconds", "stale_hits",
    "fallbacks", "input_tokens", "output_tokens", "cost_usd", "unpriced", "saved_input_tokens",
    "saved_output_tokens", "saved_usd", "saved_unpriced",
)  # fmt: skip
RATE: Final = "hit_rate"
PARTS: Final = {"prefix": "prefixes", "model": "models", "day": "days"}
"""By what `--by` says, what `breakdown` calls it."""
_DAY_S: Final = 86_400.0


@click.command(cls=Command)
@click.option("--since", metavar="WHEN",
              help="Only counts of that day (UTC) and later: 14d, 2026-11-01.")  # fmt: skip
@click.option("--by", type=click.Choice(list(PARTS)),
              help="What each line of the table is about; prefix if it is left out.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with every number.")
@pass_session
def command(session: Session, *, since: str | None, by: str | None, as_json: bool) -> None:
    """Show what the cache holds, how often it had the answer, and what that saved.

    The hit rate is hits, stale ones too, of all answers but coalesced ones, which waited for
    another's generation. Counts are kept by whole days of UTC; entries and sizes are those of now.
    In a pipe every figure of the whole is a line, its name and its value, named as in --json. With
    --by it is a table instead: a line of names, then one for every prefix, model or day.

    \b
    Examples:
      llm-cache stats --since 14d
      llm-cache stats --by model
      llm-cache stats | grep hit_rate
      llm-cache stats --json | jq .total.hit_rate
    """
    cache = session.cache
    stats: Counts = {**cache.breakdown(since=_day(since))}  # its columns are picked by name
    if as_json:
        session.out.json(_as_json(stats, cache.upkeep()))
    elif session.out.is_terminal:
        from llm_cache.cli.output.advice import advice, write_advice
        from llm_cache.cli.output.stats import draw

        draw(session.out, stats, by=by or "prefix")
        session.out.flush()
        found = advice(
            stats,
            cache.upkeep(),
            by=by or "prefix",
            since=since,
            has_sets=bool(cache.config.warm),
        )
        if found:
            session.tell("")
            write_advice(session.err, found)
    elif by is None:
        total = {**{name: stats[name] for name in PLACES}, **_told(stats["total"])}
        for name, value in total.items():
            session.out.fields(name, _field(value))
    else:
        names = (*(FIELDS if by == "prefix" else FIELDS[3:]), RATE)
        session.out.fields(by, *names)
        for part, counts in stats[PARTS[by]].items():
            session.out.fields(part, *(_field(counts[name]) for name in names))


def _told(counts: Counts) -> Counts:
    """What is told of the whole, or of a part, in order; sizes only where it has them."""
    return {name: counts[name] for name in (*FIELDS, RATE) if name in counts}


def _field(value: object) -> object:
    return "" if value is None else value


def _day(since: str | None) -> date | None:
    """The first day, in UTC, whose counts are shown; None for all.

    Raises:
        Failure: it is none, or is still to come.
    """
    from datetime import UTC, date, datetime

    from llm_cache.core.units import parse_instant

    if since is None:
        return None
    now = time.time()
    try:
        try:
            day = date.fromisoformat(since.strip())  # a day is one, wherever it is asked for
        except ValueError:
            day = datetime.fromtimestamp(parse_instant(since, now), UTC).date()
    except (ValueError, OverflowError, OSError) as error:
        raise Failure(message=f"--since: {error}", code=ExitCode.USAGE) from None
    if day > datetime.fromtimestamp(now + _DAY_S, UTC).date():
        message = f"--since: {day.isoformat()} is still to come"
        raise Failure(message=message, code=ExitCode.USAGE)
    return day


def _as_json(stats: Counts, found: Upkeep) -> dict[str, object]:
    def told(counts: Counts) -> Counts:
        because = {name: counts[name] for name in ("not_stored_because",) if name in counts}
        return _told(counts) | because

    parts = ("prefixes", "models", "days")
    return {
        "schema": 1,
        **{name: stats[name] for name in PLACES},
        "sweepable": _measured(found.expired),
        "trash": _measured(found.trash),
        "never_hit": {"prefixes": found.unused, "is_all": found.unused_is_all},
        "total": told(stats["total"]),
        **{part: {name: told(counts) for name, counts in stats[part].items()} for part in parts},
    }


def _measured(measured: Measured | None) -> dict[str, object] | None:
    return None if measured is None else measured._asdict()
