"""`llm-cache stats`: what it holds, its hit rate, what it saved."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import click

from llm_cache.cli.commands import Command
from llm_cache.cli.figures import UNKNOWN, counted, duration, entries, percent
from llm_cache.cli.render import Marked, Mood, bar
from llm_cache.cli.session import Session, pass_session
from llm_cache.statistics import hit_rate

if TYPE_CHECKING:
    from llm_cache.cli.render import Screen
    from llm_cache.stores.base import Removed

Counts: TypeAlias = dict[str, Any]
"""What `get_stats` tells of the whole or of a prefix."""

ALL_PREFIXES: Final = "*"
FIELDS: Final = (
    "entries", "size_bytes", "value_bytes", "hits", "misses", "coalesced", "bypassed", "errors",
    "not_stored", "evictions", "generations", "generation_seconds", "saved_seconds", "stale_hits",
    "fallbacks",
)  # fmt: skip
_MAIN_BAR: Final = range(4, 41)
_SMALL_BAR: Final = range(4, 25)
_BESIDE_SMALL_BAR: Final = 64
"""Cells of the other columns, about; the bar takes what is left."""


@click.command(cls=Command)
@click.option("--json", "as_json", is_flag=True, help="One JSON document, with every number.")
@pass_session
def command(session: Session, *, as_json: bool) -> None:
    """Show what the cache holds, how often it had the answer, and what that saved.

    The hit rate is hits, stale ones too, of all answers but coalesced ones, which waited for
    another's generation.
    In a pipe "*", for all, and then every prefix is a line: its name, entries, bytes, bytes before
    compression, hits, misses, coalesced, bypassed, errors, not stored, evictions, generations,
    seconds spent to generate, seconds saved, stale hits, fallbacks.

    \b
    Examples:
      llm-cache stats
      llm-cache stats --json | jq .total.hit_rate
    """  # noqa: D301 - \b is a mark of Click's
    stats = session.cache.get_stats()
    if as_json:
        session.out.json(_as_json(stats, session.cache.prune(dry_run=True)))
    elif session.out.is_terminal:
        _draw(session.out, stats)
        session.out.flush()
        _advise(session, session.cache.prune(dry_run=True))
    else:
        for prefix, counts in {ALL_PREFIXES: stats["total"], **stats["prefixes"]}.items():
            session.out.fields(prefix, *(counts[name] for name in FIELDS))


def _as_json(stats: Counts, sweepable: Removed) -> dict[str, object]:
    def told(counts: Counts) -> Counts:
        return {**{name: counts[name] for name in FIELDS}, "hit_rate": hit_rate(counts)}

    return {
        "schema": 1,
        **{name: stats[name] for name in ("cache_dir", "disk_bytes", "max_disk", "since")},
        "sweepable": {"entries": int(sweepable), "size_bytes": sweepable.freed_bytes},
        "total": told(stats["total"]),
        "prefixes": {prefix: told(counts) for prefix, counts in stats["prefixes"].items()},
    }


def _draw(screen: Screen, stats: Counts) -> None:
    from llm_cache.cli.cells import flow
    from llm_cache.units import format_size

    total = stats["total"]
    disk = f"{format_size(stats['disk_bytes'])} of {format_size(stats['max_disk'])}"
    facts = [entries(total["entries"]), disk, _nearby(stats["cache_dir"])]
    for line in flow(map(screen.words, facts), screen.columns, gap="   "):
        screen.line(line)
    screen.line()
    _draw_rate(screen, total)
    since = f"   since {stats['since']}" if stats["since"] else ""
    saved = f"{_duration(total['saved_seconds'])} of waiting"
    spent = f"   {_duration(total['generation_seconds'])} spent to generate"
    screen.line(f"saved      {saved}{spent}{since}")
    _draw_trouble(screen, total)
    if stats["prefixes"]:
        screen.line()
        _draw_prefixes(screen, stats["prefixes"])


def _draw_rate(screen: Screen, total: Counts) -> None:
    rate = hit_rate(total)
    if rate is None:
        screen.line(f"hit rate   {UNKNOWN}   nothing was asked for yet")
        return
    told = [
        counted(total["hits"], "hit"),
        counted(total["misses"], "miss", "misses"),
        f"{total['coalesced']:,} coalesced",
    ]
    if total["stale_hits"]:
        told.insert(1, f"{total['stale_hits']:,} stale")
    beside = f"  {percent(rate, digits=1)}   {'   '.join(told)}"
    cells = _within(screen.columns - len("hit rate   ") - len(beside), _MAIN_BAR)
    screen.line("hit rate   ", bar(rate, cells, screen=screen), beside)


def _draw_trouble(screen: Screen, total: Counts) -> None:
    """What did not go well, where there is any."""
    told = [
        counted(total[name], one, many)
        for name, one, many in (
            ("fallbacks", "answer of an older entry", "answers of older entries"),
            ("errors", "error", "errors"),
            ("not_stored", "value not kept", "values not kept"),
            ("evictions", "eviction", "evictions"),
        )
        if total[name]
    ]
    if told:
        screen.line(Marked("trouble", Mood.FAILED), "    ", "   ".join(told))


def _draw_prefixes(screen: Screen, prefixes: dict[str, Counts]) -> None:
    from llm_cache.cli.table import Column, write_table
    from llm_cache.units import format_size

    cells = _within(screen.columns - _BESIDE_SMALL_BAR, _SMALL_BAR)
    columns = (
        Column("PREFIX", least=8),
        Column("ENTRIES", right=True),
        Column("SIZE", right=True, spare=1),
        Column("HIT RATE"),
        Column("HITS", right=True, spare=3),
        Column("SAVED", right=True, spare=2),
    )
    rows = [
        (
            prefix,
            f"{counts['entries']:,}",
            format_size(counts["size_bytes"]),
            _rate(screen, counts, cells),
            f"{counts['hits']:,}",
            _duration(counts["saved_seconds"]),
        )
        for prefix, counts in prefixes.items()
    ]
    write_table(screen, columns, rows)


def _rate(screen: Screen, counts: Counts, cells: int) -> str:
    rate = hit_rate(counts)
    if rate is None:
        return UNKNOWN
    return f"{bar(rate, cells, screen=screen)} {percent(rate):>4}"


def _advise(session: Session, sweepable: Removed) -> None:
    from llm_cache.units import format_size

    if sweepable:
        held = f"{sweepable:,} expired {'entry holds' if sweepable == 1 else 'entries hold'}"
        session.tell("")
        session.tell(f"! {held} {format_size(sweepable.freed_bytes)}: llm-cache prune")


def _duration(seconds: float) -> str:
    return duration(seconds) if seconds else UNKNOWN


def _nearby(directory: str) -> str:
    """A path as short as it can be said from here."""
    try:
        return str(Path(directory).relative_to(Path.cwd()))
    except (ValueError, OSError):
        return directory


def _within(cells: int, allowed: range) -> int:
    return min(max(cells, allowed.start), allowed.stop - 1)
