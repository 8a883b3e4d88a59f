"""`llm-cache stats`: what it holds, its hit rate, what it saved."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from llm_cache.cli.commands import Command
from llm_cache.cli.failures import ExitCode, Failure
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from llm_cache.upkeep import Measured, Upkeep

Counts: TypeAlias = dict[str, Any]
"""What is told of the whole, or of a prefix, a model or a day."""

ALL: Final = "*"
FIELDS: Final = (
    "entries", "size_bytes", "value_bytes", "hits", "misses", "coalesced", "bypassed", "errors",
    "not_stored", "evictions", "generations", "generation_seconds", "saved_seconds", "stale_hits",
    "fallbacks", "input_tokens", "output_tokens", "cost_usd", "unpriced", "saved_input_tokens",
    "saved_output_tokens", "saved_usd", "saved_unpriced",
)  # fmt: skip
PARTS: Final = {"prefix": "prefixes", "model": "models", "day": "days"}
"""By what `--by` says, what `breakdown` calls it."""
_DAY_S: Final = 86_400.0


@click.command(cls=Command)
@click.option("--since", metavar="WHEN",
              help="Only counts of that day (UTC) and later: 14d, 2026-11-01.")  # fmt: skip
@click.option("--by", type=click.Choice(list(PARTS)), default="prefix", show_default=True,
              help="What each line of the table, or of the pipe, is about.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with every number.")
@pass_session
def command(session: Session, *, since: str | None, by: str, as_json: bool) -> None:
    """Show what the cache holds, how often it had the answer, and what that saved.

    The hit rate is hits, stale ones too, of all answers but coalesced ones, which waited for
    another's generation. Counts are kept by whole days of UTC; entries and sizes are those of now.
    In a pipe "*", for all, and then every prefix, model or day is a line: its name, entries,
    bytes, bytes before compression (none of a model or day), hits, misses, coalesced, bypassed,
    errors, not stored, evictions, generations, seconds spent to generate, seconds saved, stale
    hits, fallbacks; then spent on generating: input tokens, output tokens, dollars, generations of
    unknown cost; and the same four saved.

    \b
    Examples:
      llm-cache stats --since 14d
      llm-cache stats --by model
      llm-cache stats --json | jq .total.hit_rate
    """  # noqa: D301 - \b is a mark of Click's
    from llm_cache.statistics import breakdown
    from llm_cache.upkeep import upkeep

    cache, tenant = session.cache, _tenant(session)
    stats = breakdown(cache.engine.parts, cache.config, tenant, since=_day(since))
    if as_json:
        session.out.json(_as_json(stats, upkeep(cache.engine.parts, tenant)))
    elif session.out.is_terminal:
        from llm_cache.cli.advice import advice, write_advice
        from llm_cache.cli.stats_picture import draw

        draw(session.out, stats, by=by)
        session.out.flush()
        found = advice(
            stats,
            upkeep(cache.engine.parts, tenant),
            by=by,
            since=since,
            has_sets=bool(cache.config.warm),
        )
        if found:
            session.tell("")
            write_advice(session.err, found)
    else:
        for part, counts in {ALL: stats["total"], **stats[PARTS[by]]}.items():
            told = FIELDS if part == ALL or by == "prefix" else FIELDS[3:]
            unknown = [""] * (len(FIELDS) - len(told))
            session.out.fields(part, *unknown, *(counts[name] for name in told))


def _tenant(session: Session) -> str | None:
    """The one tenant that is asked about, None for all."""
    scope = session.cache.engine.scopes.current()
    return scope.tenant if scope.names_tenant else None


def _day(since: str | None) -> str:
    """The day, in UTC, that counts are wanted from; empty for the first.

    Raises:
        Failure: it is none, or is still to come.
    """
    from datetime import UTC, date, datetime

    from llm_cache.units import parse_instant

    if since is None:
        return ""
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
    return day.isoformat()


def _as_json(stats: Counts, found: Upkeep) -> dict[str, object]:
    def told(counts: Counts) -> Counts:
        named = (*FIELDS, "hit_rate", "not_stored_because")
        return {name: counts[name] for name in named if name in counts}

    places = ("cache_dir", "disk_bytes", "max_disk", "since")
    parts = ("prefixes", "models", "days")
    return {
        "schema": 1,
        **{name: stats[name] for name in places},
        "sweepable": _measured(found.expired),
        "trash": _measured(found.trash),
        "never_hit": {"prefixes": found.unused, "is_all": found.unused_is_all},
        "total": told(stats["total"]),
        **{part: {name: told(counts) for name, counts in stats[part].items()} for part in parts},
    }


def _measured(measured: Measured | None) -> dict[str, object] | None:
    return None if measured is None else measured._asdict()
