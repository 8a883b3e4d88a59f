"""`llm-cache clear`: drop everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from llm_cache.cli.commands import Command
from llm_cache.cli.confirm import agreed, can_ask, removal_flags
from llm_cache.cli.failures import ExitCode
from llm_cache.cli.figures import entries
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llm_cache.cli.render import Screen


@click.command(cls=Command)
@removal_flags
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_session
def command(session: Session, *, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Drop everything, the trash too, for good. Says how much it is before it asks.

    With --dry-run in a pipe every prefix is a line: its name, entries, bytes.

    \b
    Examples:
      llm-cache clear --dry-run
      llm-cache clear --yes
    """  # noqa: D301 - \b is a mark of Click's
    from llm_cache.units import format_size

    stats = session.cache.get_stats()
    held, size_bytes = stats["total"]["entries"], stats["total"]["size_bytes"]
    amount = f"{entries(held)} ({format_size(size_bytes)})"
    if dry_run:
        _write(session, session.out, stats["prefixes"], as_json=as_json)
        if held and session.out.is_terminal:
            session.tell("")
        session.tell(f"Would remove {amount}. Nothing was removed.")
        return ExitCode.DONE
    if held and not yes:
        if can_ask(session):
            _write_table(session.err, stats["prefixes"])
            session.tell("")
        question = f"Remove all {amount} in {session.cache.cache_dir} for good?"
        if not agreed(session, question, what=f"all {entries(held)}"):
            return ExitCode.FAILED
    removed = session.cache.clear_all()
    if as_json:
        freed = {"removed": int(removed), "freed_bytes": removed.freed_bytes}
        session.out.json({"schema": 1, "dry_run": False, **freed})
    elif removed:
        since = f"; {removed - held:,} came since they were counted" if removed > held else ""
        session.tell(f"Removed {entries(removed)} ({format_size(removed.freed_bytes)}{since}).")
    else:
        session.tell(f"There is no entry in {session.cache.cache_dir}: nothing was removed.")
    return ExitCode.DONE


def _write(
    session: Session, out: Screen, prefixes: Mapping[str, Mapping[str, Any]], *, as_json: bool
) -> None:
    held = {prefix: counts for prefix, counts in prefixes.items() if counts["entries"]}
    if as_json:
        fields = ("entries", "size_bytes")
        shown = {prefix: {name: of[name] for name in fields} for prefix, of in held.items()}
        session.out.json({"schema": 1, "dry_run": True, "prefixes": shown})
    elif out.is_terminal:
        _write_table(out, held)
    else:
        for prefix, counts in held.items():
            out.fields(prefix, counts["entries"], counts["size_bytes"])


def _write_table(screen: Screen, prefixes: Mapping[str, Mapping[str, Any]]) -> None:
    from llm_cache.cli.table import Column, write_table
    from llm_cache.units import format_size

    columns = (
        Column("PREFIX", least=8),
        Column("ENTRIES", right=True),
        Column("SIZE", right=True),
    )
    rows = [
        (prefix, f"{counts['entries']:,}", format_size(counts["size_bytes"]))
        for prefix, counts in prefixes.items()
        if counts["entries"]
    ]
    if rows:
        write_table(screen, columns, rows)
    screen.flush()
