"""`llm-cache invalidate`: drop entries, so that they are regenerated when next asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from llm_cache.cli import completion
from llm_cache.cli.confirm import can_ask, confirm, removal_flags
from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.output.formatting import entries
from llm_cache.cli.registry import Command
from llm_cache.cli.select.filters import EntryFilter, selection_flags
from llm_cache.cli.select.filters import entries as select
from llm_cache.cli.session import Session, pass_session
from llm_cache.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_cache.cli.output.totals import ListingTotals
    from llm_cache.cli.select.removal import RemovalResult, RemovalTarget
    from llm_cache.core.entry import EntryInfo


@click.command(cls=Command)
@click.argument("ids", metavar="[ID...]", nargs=-1, shell_complete=completion.ids)
@click.option("--from", "id_list", metavar="FILE",
              help="Also the ids in FILE, one a line; - is stdin.")  # fmt: skip
@selection_flags
@removal_flags
@click.option("--purge", is_flag=True, help="Remove for good, past the trash.")
@click.option("--json", "form", flag_value="json", help="One JSON document.")
@click.option("-q", "--quiet", "form", flag_value="ids", help="Only the ids of what went.")
@pass_session
def command(
    session: Session,
    *,
    ids: tuple[str, ...],
    id_list: str | None,
    wanted: EntryFilter,
    dry_run: bool,
    yes: bool,
    purge: bool,
    form: str | None,
) -> int:
    """Drop entries, by their ids or by the flags of ls; the next request makes them anew.

    They go to the trash, where restore finds them for 7 days at most, or past it with --purge.
    Exactly what is listed goes, and nothing if an id is not there. By a prefix alone it is
    whatever has that when it happens. --dry-run lists it all as ls does, with what it would cost
    to make again; in a pipe these are two more fields, seconds and dollars.

    \b
    Examples:
      llm-cache invalidate 9f2c4be1
      llm-cache invalidate --prefix word_problem --dry-run
      llm-cache invalidate --param grade=5 --older-than 7d --yes
      llm-cache ls --expired -q | llm-cache invalidate --from - --yes
    """
    by_id = bool(ids) or id_list is not None
    _make_sure_of_one_way(wanted, by_id=by_id)
    if id_list is not None:
        ids += _listed_in(session, id_list, may_ask=not (yes or dry_run))
    if dry_run:
        infos = _by_ids(session, ids) if by_id else select(session.cache, wanted)
        _tell_what_would_go(session, _preview(session, infos, form), wanted, form)
        return ExitCode.DONE
    chosen = _choose(session, wanted, ids if by_id else None)
    if chosen.entries and not yes and not _is_confirmed(session, chosen, wanted):
        return ExitCode.FAILED
    removal = chosen.remove(keep=not purge, with_ids=form == "ids")
    for one in removal.ids:
        session.out.line(one)
    _report(session, removal, wanted, shown=None if yes else chosen.entries, purge=purge, form=form)
    return ExitCode.DONE


def _make_sure_of_one_way(wanted: EntryFilter, *, by_id: bool) -> None:
    if by_id is not wanted.is_everything:
        raise Failure(
            message="ids and flags that choose are both given"
            if by_id
            else "nothing says what to drop",
            hint="give ids, or the flags of ls; llm-cache clear drops everything",
            code=ExitCode.USAGE,
        )


def _listed_in(session: Session, path: str, *, may_ask: bool) -> tuple[str, ...]:
    from llm_cache.cli.select.ids import STDIN, read_ids

    if path == STDIN and may_ask and not can_ask(session):
        raise Failure(
            message="what stdin names would be removed, and there is no terminal to ask on",
            hint="add --yes, or --dry-run to see them",
            code=ExitCode.USAGE,
        )
    return tuple(read_ids(session, path))


def _by_ids(session: Session, ids: Iterable[str]) -> list[EntryInfo]:
    from llm_cache.cli.select.ids import find_infos, no_such_entry

    found, missing = find_infos(session.cache, ids)
    if missing:
        raise no_such_entry(missing, hint=session.hint_if_nowhere)
    return found


def _choose(session: Session, wanted: EntryFilter, ids: Iterable[str] | None) -> RemovalTarget:
    from llm_cache.cli.select.removal import ListedEntries, WholePrefix

    if ids is not None:
        return ListedEntries(session, _by_ids(session, ids))
    if wanted.prefix is not None and not wanted.is_filtered and not session.is_nowhere:
        return WholePrefix(session, wanted.prefix)
    return ListedEntries(session, select(session.cache, wanted))


def _preview(
    session: Session, infos: Iterable[EntryInfo], form: str | None
) -> ListingTotals | None:
    """Lists what would go; its sum, unless the form has none."""
    from llm_cache.cli.output import entries as listing

    view = listing.View(
        fields=listing.REMOVAL_COLUMNS, values=lambda info: (info.generation_seconds, info.cost_usd)
    )
    return listing.write_preview(session.out, session.cache, infos, view, form)


def _tell_what_would_go(
    session: Session, totals: ListingTotals | None, wanted: EntryFilter, form: str | None
) -> None:
    if totals is None:
        return
    session.out.flush()
    if not totals.entries:
        session.tell(f"{_none(wanted)}: nothing would be removed.")
        _hint_what_was_meant(session, wanted)
        return
    if session.out.is_terminal and form is None:
        session.tell("")
    amount = f"{entries(totals.entries)} ({format_size(totals.size_bytes)})"
    session.tell(f"To make them again: {totals.remake}.")
    session.tell(f"Would remove {amount}: {totals.by_state}. Nothing was removed.")


def _is_confirmed(session: Session, chosen: RemovalTarget, wanted: EntryFilter) -> bool:
    from llm_cache.cli.output import entries as listing

    if can_ask(session):
        view = listing.View(fields=listing.REMOVAL_COLUMNS)
        listing.write_table(session.err, session.cache, chosen.first, view)
        more = chosen.entries - len(chosen.first)
        if more > 0:
            session.tell(f"… and {more:,} more")
        session.tell("")
    what = f"{entries(chosen.entries)}{wanted}"
    return confirm(session, f"Remove {what} ({format_size(chosen.size_bytes)})?", what=what)


def _report(
    session: Session,
    removal: RemovalResult,
    wanted: EntryFilter,
    *,
    shown: int | None,
    purge: bool,
    form: str | None,
) -> None:
    removed = removal.removed
    if form == "json":
        freed = {"removed": removed.entries, "freed_bytes": removed.freed_bytes, "purged": purge}
        more = {"stayed": removal.stayed}
        session.out.json({"schema": 1, "dry_run": False, **freed, **more})
        return
    session.out.flush()
    if removed:
        place = "" if purge else " They are in the trash for up to 7 days."
        since = _came_since(removed.entries, shown)
        size = format_size(removed.freed_bytes)
        session.tell(f"Removed {entries(removed.entries)} ({size}{since}).{place}")
        if session.err.is_terminal and not purge:
            session.hint("llm-cache restore takes them back")
    if removal.stayed:
        was = "was" if removal.stayed == 1 else "were"
        session.tell(f"{entries(removal.stayed)} {was} regenerated meanwhile and stayed.")
    elif not removed:
        session.tell(f"{_none(wanted)}: nothing was removed.")
        _hint_what_was_meant(session, wanted)


def _came_since(removed: int, shown: int | None) -> str:
    if shown is None or removed <= shown:
        return ""
    return f"; {shown:,} shown, {removed - shown:,} came since"


def _none(wanted: EntryFilter) -> str:
    return "There are no ids" if wanted.is_everything else f"There is no entry{wanted}"


def _hint_what_was_meant(session: Session, wanted: EntryFilter) -> None:
    from llm_cache.cli.select.hints import hint_in_cache

    session.hint(session.hint_if_nowhere or hint_in_cache(session.cache, wanted))
