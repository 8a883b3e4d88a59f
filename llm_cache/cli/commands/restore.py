"""`llm-cache restore`: take what was invalidated back from the trash."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import click

from llm_cache.cli import completion
from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.interrupts import batches, defer_interrupts
from llm_cache.cli.output.formatting import entries
from llm_cache.cli.registry import Command
from llm_cache.cli.select.filters import EntryFilter, matching, selection_flags
from llm_cache.cli.session import Session, pass_session
from llm_cache.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.cli.output.totals import ListingTotals
    from llm_cache.cli.output.trash import TrashListing
    from llm_cache.core.entry import EntryInfo
    from llm_cache.store.records import Trashed

_Rows: TypeAlias = "dict[bytes, tuple[str, int]]"
"""Ids and sizes in bytes, by key."""


@click.command(cls=Command)
@click.argument("ids", metavar="[ID...]", nargs=-1, shell_complete=completion.trashed_ids)
@selection_flags
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would come back.")
@click.option("--json", "form", flag_value="json", help="One JSON document.")
@click.option("-q", "--quiet", "form", flag_value="ids", help="Only ids, one a line.")
@pass_session
def command(
    session: Session, *, ids: tuple[str, ...], wanted: EntryFilter, dry_run: bool, form: str | None
) -> int:
    """Take entries back that were invalidated, by their ids or by the flags of ls.

    Without either it lists what is in the trash, the last removed first. What was regenerated since
    stays as it is; if it was named by its id, the exit code is 1. In a pipe the fields are those
    of ls, then when it was removed, and "regenerated" or "nothing" for what happened since.

    \b
    Examples:
      llm-cache restore
      llm-cache restore 9f2c4be1
      llm-cache restore --prefix word_problem --dry-run
    """
    from llm_cache.cli.output.entries import write_preview
    from llm_cache.cli.output.trash import TrashListing

    if ids and not wanted.is_everything:
        raise Failure(
            message="ids and flags that choose are both given",
            hint="give ids, or the flags of ls; llm-cache restore alone lists what there is",
            code=ExitCode.USAGE,
        )
    trash = TrashListing(session.cache)
    infos = trash.looked_at(_by_ids(session, ids) if ids else _chosen(session, wanted))
    if dry_run or (not ids and wanted.is_everything):
        totals = write_preview(session.out, session.cache, infos, trash.view, form)
        _tell_what_there_is(session, totals, trash, wanted, by_id=bool(ids))
        return ExitCode.DONE
    restored = _restore(session, infos)
    _report(session, restored, wanted, form)
    return ExitCode.FAILED if ids and (restored.anew or restored.gone) else ExitCode.DONE


class _RestoreResult(NamedTuple):
    """What was restored, what was regenerated since, and what had left the trash."""

    back: _Rows
    anew: _Rows
    gone: _Rows


def _by_ids(session: Session, ids: Iterable[str]) -> list[Trashed]:
    from llm_cache.cli.select.ids import find_trashed, no_such_entry

    found, missing = find_trashed(session.cache, ids)
    if missing:
        are_back = all(session.cache.find(one.strip()) for one in missing)
        are_back_hint = "in the cache it is: there is nothing to restore" if are_back else None
        hint = session.hint_if_nowhere or are_back_hint
        raise no_such_entry(missing, where=" in the trash", hint=hint)
    return found


def _chosen(session: Session, wanted: EntryFilter) -> Iterator[Trashed]:
    """What is in the trash of what is wanted, judged as if it were back."""
    cache = session.cache
    for trashed in cache.trash.entries(wanted.prefix):
        if wanted.is_of_prefix(trashed.entry) and any(matching(cache, wanted, [trashed.entry])):
            yield trashed


def _tell_what_there_is(
    session: Session,
    totals: ListingTotals | None,
    trash: TrashListing,
    wanted: EntryFilter,
    *,
    by_id: bool,
) -> None:
    if totals is None:
        return
    session.out.flush()
    if not totals.entries:
        _say_that_nothing_is_there(session, wanted)
        return
    if session.out.is_terminal:
        session.tell("")
    if wanted.is_everything and not by_id:
        anew = f" · {trash.anew:,} regenerated" if trash.anew else ""
        session.tell(f"{totals.line(where=' in the trash')}{anew}")
        session.hint("llm-cache restore ID takes one back, llm-cache restore -p '*' all")
        return
    free = totals.entries - trash.anew
    stays = f"; {_anew(trash.anew)}" if trash.anew else ""
    session.tell(f"Would restore {entries(free)}{stays}. Nothing was restored.")


def _say_that_nothing_is_there(session: Session, wanted: EntryFilter) -> None:
    from llm_cache.cli.select.hints import hint_among

    session.tell(f"There is no entry{wanted} in the trash of {session.cache.cache_dir}.")
    there = (trashed.entry for trashed in session.cache.trash.entries())
    session.hint(hint_among(there, wanted))


def _restore(session: Session, infos: Iterable[EntryInfo]) -> _RestoreResult:
    """Takes back what is listed now; what comes into the trash meanwhile stays there."""
    from llm_cache.cli.output.status_line import StatusLine

    cache, status = session.cache, StatusLine(session.err)
    rows = {info.key: (info.id, info.size_bytes) for info in infos}
    result = _RestoreResult({}, {}, {})

    def so_far() -> str:
        return f"{len(result.back):,} of {len(rows):,} restored"

    try:
        for keys in batches(rows):
            with defer_interrupts():
                back = set(cache.trash.restore(keys))
                left = [key for key in keys if key not in back]
                there = {info.key for info in cache.entries(keys=left)} if left else set[bytes]()
                for key in keys:
                    into = (
                        result.back if key in back else result.anew if key in there else result.gone
                    )
                    into[key] = rows[key]
            status.show(so_far)
    except KeyboardInterrupt:
        status.clear()
        session.tell(f"At least {so_far()}; the same command goes on.")
        raise
    status.clear()
    return result


def _report(
    session: Session, restored: _RestoreResult, wanted: EntryFilter, form: str | None
) -> None:
    back, anew, gone = restored
    match form:
        case "json":
            ids = {"ids": _ids(back), "made_anew": _ids(anew), "gone": _ids(gone)}
            session.out.json({"schema": 1, "dry_run": False, "restored": len(back), **ids})
            return
        case "ids":
            for one in _ids(back):
                session.out.line(one)
            session.out.flush()
        case _:
            pass
    if not (back or anew or gone):
        _say_that_nothing_is_there(session, wanted)
    if back:
        size = format_size(sum(size for _, size in back.values()))
        session.tell(f"Restored {entries(len(back))} ({size}).")
    if anew:
        session.tell(f"{_anew(len(anew))}; the older stays in the trash.")
        one = _ids(anew)[0]
        session.tell(
            f"hint: for the older one: llm-cache invalidate --purge {one}, then restore {one}"
        )
    if gone:
        session.tell(f"{entries(len(gone))} left the trash meanwhile.")


def _anew(number: int) -> str:
    if number == 1:
        return "1 was regenerated since and stays as it is"
    return f"{number:,} were regenerated since and stay as they are"


def _ids(rows: _Rows) -> list[str]:
    return [one for one, _ in rows.values()]
