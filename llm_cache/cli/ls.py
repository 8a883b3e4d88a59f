"""`llm-cache ls`: what is in the cache."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import click

from llm_cache.cli.commands import Command
from llm_cache.cli.select import Wanted, entries, hint_if_unknown, narrowed, selection_flags
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from llm_cache.cli.listing import Tally


@click.command(cls=Command)
@click.argument("prefix", required=False)
@selection_flags
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="At most N entries.")
@click.option("--json", "form", flag_value="json", help="One JSON document.")
@click.option("--jsonl", "form", flag_value="jsonl", help="JSON, one line an entry.")
@click.option("-q", "--quiet", "form", flag_value="ids", help="Only ids, one a line.")
@pass_session
def command(
    session: Session, *, prefix: str | None, wanted: Wanted, limit: int | None, form: str | None
) -> None:
    """List what is in the cache, by prefix, the newest first.

    A terminal gets a table. A pipe gets tab-separated values without a header: id, prefix, params
    as JSON, bytes, made, expires (ISO 8601, or "never"), hits, state.

    \b
    Examples:
      llm-cache ls intro_page
      llm-cache ls -p intro_page --limit 20
      llm-cache ls intro_page --json | jq '.entries[].params'
      llm-cache ls intro_page -q | xargs llm-cache inspect
    """  # noqa: D301 - \b is a mark of Click's
    from llm_cache.cli import listing

    cache, out = session.cache, session.out
    wanted = narrowed(wanted, prefix)
    found = entries(cache, wanted, limit=limit)
    match form:
        case "json":
            listing.write_json(out, cache, found)
        case "jsonl":
            listing.write_json_lines(out, cache, found)
        case "ids":
            listing.write_ids(out, found)
        case _:
            first = next(found, None)
            if first is None:
                _say_it_is_empty(session, wanted)
                return
            found = itertools.chain([first], found)
            if out.is_terminal:
                _say_what_it_was(session, listing.write_table(out, cache, found))
            else:
                listing.write_fields(out, cache, found)


def _say_what_it_was(session: Session, tally: Tally) -> None:
    session.out.flush()
    session.tell("")
    session.tell(tally.line(of=session.cache.get_stats()["total"]["entries"]))


def _say_it_is_empty(session: Session, wanted: Wanted) -> None:
    session.tell(f"There is no entry{wanted} in {session.cache.cache_dir}.")
    if hint := hint_if_unknown(session.cache, wanted):
        session.tell(f"hint: {hint}")
