"""`llm-cache prune`: sweep what is expired, and bring the cache under its size limit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from llm_cache.cli.commands import Command
from llm_cache.cli.figures import UNKNOWN, duration, entries
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from llm_cache.stores.base import Removed

_WHY: Final = {"evicted": "over max_disk, least used"}


@click.command(cls=Command)
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_session
def command(session: Session, *, dry_run: bool, as_json: bool) -> None:
    """Sweep expired entries, and enforce max_disk. Asks nothing: what it sweeps is of no use.

    In a pipe every reason is a line: why, entries, bytes, and the seconds it took to make them.

    \b
    Examples:
      llm-cache prune --dry-run
      llm-cache prune
    """  # noqa: D301 - \b is a mark of Click's
    held = session.cache.get_stats()["total"]["entries"]
    removed = session.cache.prune(dry_run=dry_run)
    if as_json:
        _write_json(session, removed, dry_run=dry_run)
        return
    _say(session, removed, held, dry_run=dry_run)
    if session.out.is_terminal:
        _write_table(session, removed)
        return
    for group in removed.groups:
        session.out.fields(group.why, group.entries, group.size_bytes, group.generation_seconds)


def _say(session: Session, removed: Removed, held: int, *, dry_run: bool) -> None:
    from llm_cache.units import format_size

    if not removed:
        session.tell(f"There is nothing to sweep: {entries(held)}, none of them expired.")
        return
    did, end = ("Would remove", " Nothing was removed.") if dry_run else ("Removed", "")
    size = format_size(removed.freed_bytes)
    verb = "free" if dry_run else "freed"
    session.tell(f"{did} {removed:,} of {entries(held)} and {verb} {size}.{end}")


def _write_table(session: Session, removed: Removed) -> None:
    from llm_cache.cli.table import Column, write_table
    from llm_cache.units import format_size

    if not removed:
        return
    columns = (
        Column("WHY", least=10),
        Column("ENTRIES", right=True),
        Column("SIZE", right=True),
        Column("TO REMAKE", right=True),
    )
    rows = [
        (
            _WHY.get(group.why, group.why),
            f"{group.entries:,}",
            format_size(group.size_bytes),
            f"≈{duration(group.generation_seconds)}" if group.generation_seconds else UNKNOWN,
        )
        for group in removed.groups
    ]
    write_table(session.out, columns, rows)


def _write_json(session: Session, removed: Removed, *, dry_run: bool) -> None:
    session.out.json(
        {
            "schema": 1,
            "dry_run": dry_run,
            "removed": int(removed),
            "freed_bytes": removed.freed_bytes,
            "groups": [
                {
                    "why": group.why,
                    "entries": group.entries,
                    "size_bytes": group.size_bytes,
                    "generation_seconds": group.generation_seconds or None,
                }
                for group in removed.groups
            ],
        }
    )
