"""`llm-cache ls`: what is in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llm_cache.cli import completion
from llm_cache.cli.registry import Command
from llm_cache.cli.select.filters import EntryFilter, entries, selection_flags, with_prefix
from llm_cache.cli.select.order import SortOrder, sort_flag
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from llm_cache.cli.output.totals import ListingTotals


@click.command(cls=Command)
@click.argument("prefix", required=False, shell_complete=completion.prefixes)
@selection_flags
@sort_flag
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N entries.")
@click.option("--json", "form", flag_value="json", help="One JSON document.")
@click.option("--jsonl", "form", flag_value="jsonl", help="JSON, one line an entry.")
@click.option("-q", "--quiet", "form", flag_value="ids", help="Only ids, one a line.")
@pass_session
def command(
    session: Session,
    *,
    prefix: str | None,
    wanted: EntryFilter,
    order: SortOrder | None,
    limit: int | None,
    form: str | None,
) -> None:
    """List what is in the cache, by prefix, the newest first. Every flag given narrows it.

    A terminal gets a table. A pipe gets tab-separated values without a header: id, prefix, params
    as JSON, bytes, made, expires (ISO 8601, or "never"), hits, state.

    \b
    Examples:
      llm-cache ls intro_page
      llm-cache ls 'intro*' --stale --sort expires
      llm-cache ls --param grade=5 --sort saved --limit 20
      llm-cache ls intro_page --json | jq '.entries[].params'
      llm-cache ls intro_page -q | xargs llm-cache inspect
    """
    from llm_cache.cli.output import entries as listing

    cache, out = session.cache, session.out
    wanted = with_prefix(wanted, prefix)
    found = entries(cache, wanted, order=order, limit=limit)
    by_savings = order is not None and order.by == "saved"
    match form:
        case "json":
            listing.write_json(out, cache, found)
        case "jsonl":
            listing.write_json_lines(out, cache, found)
        case "ids":
            listing.write_ids(out, found)
        case _:
            view = listing.View(fields=listing.SAVINGS_COLUMNS) if by_savings else listing.LS_VIEW
            totals = listing.write(out, cache, found, view)
            if not totals.entries:
                _say_it_is_empty(session, wanted)
            elif out.is_terminal:
                _say_what_it_was(session, totals)


def _say_what_it_was(session: Session, totals: ListingTotals) -> None:
    session.out.flush()
    session.tell("")
    session.tell(totals.line(of=session.cache.get_stats()["total"]["entries"]))


def _say_it_is_empty(session: Session, wanted: EntryFilter) -> None:
    from llm_cache.cli.select.hints import hint_in_cache

    cache = session.cache
    whose = f" of the tenant '{session.tenant}'" if session.tenant else ""
    session.tell(f"There is no entry{wanted}{whose} in {cache.cache_dir}.")
    hint = hint_in_cache(cache, wanted)
    if hint is None and not whose and not cache.get_stats()["total"]["entries"]:
        hint = "llm-cache config show tells what says that it is this directory"
    session.hint(hint)
