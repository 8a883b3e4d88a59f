"""`llm-cache invalidate`: drop entries, so that they are made anew when they are next wanted."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import click

from llm_cache.cli.commands import Command
from llm_cache.cli.confirm import agreed, can_ask, removal_flags
from llm_cache.cli.failures import ExitCode, Failure
from llm_cache.cli.figures import duration, entries
from llm_cache.cli.select import Wanted, hint_if_unknown, selection_flags
from llm_cache.cli.select import entries as select
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_cache.entry import EntryInfo
    from llm_cache.stores.base import Removed

SHOWN_BEFORE_ASKING: Final = 20


class Chosen(Protocol):
    """What is to go: exactly some entries, or whatever has a prefix when it happens."""

    @property
    def entries(self) -> int:
        """How many there are now."""
        ...

    @property
    def size_bytes(self) -> int:
        """What they hold now."""
        ...

    def listed(self) -> Iterable[EntryInfo]:
        """The entries there are now."""
        ...

    def remove(self, *, keep: bool) -> Removed:
        """Removes them; `keep` moves them to the trash."""
        ...


@click.command(cls=Command)
@click.argument("ids", metavar="[ID...]", nargs=-1)
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
    wanted: Wanted,
    dry_run: bool,
    yes: bool,
    purge: bool,
    form: str | None,
) -> int:
    """Drop entries, by their ids or all of a prefix; the next request makes them anew.

    They go to the trash, which is emptied after 7 days at most, or past it with --purge.
    --dry-run lists them as ls does. By ids exactly those are removed, or none if one is not
    there; by a prefix, whatever has it at that moment.

    \b
    Examples:
      llm-cache invalidate 9f2c4be1
      llm-cache invalidate --prefix word_problem --dry-run
      llm-cache invalidate --prefix word_problem --yes
    """  # noqa: D301 - \b is a mark of Click's
    chosen = _choose(session, ids, wanted)
    if dry_run:
        _preview(session, chosen, form)
        return ExitCode.DONE
    if chosen.entries and not yes:
        _show_before_asking(session, chosen)
        what = f"{entries(chosen.entries)}{wanted}"
        if not agreed(session, f"Remove {what} ({_size(chosen.size_bytes)})?", what=what):
            return ExitCode.FAILED
    gone = [info.id for info in chosen.listed()] if form == "ids" else []
    removed = chosen.remove(keep=not purge)
    _report(session, chosen, removed, form=form, purge=purge)
    for one in gone:
        session.out.line(one)
    if not removed and (hint := hint_if_unknown(session.cache, wanted)):
        session.tell(f"hint: {hint}")
    return ExitCode.DONE


@dataclass(frozen=True, slots=True)
class _ByIds:
    session: Session
    infos: tuple[EntryInfo, ...]

    @property
    def entries(self) -> int:
        return len(self.infos)

    @property
    def size_bytes(self) -> int:
        return sum(info.size_bytes for info in self.infos)

    def listed(self) -> Iterable[EntryInfo]:
        return self.infos

    def remove(self, *, keep: bool) -> Removed:
        keys = [info.key for info in self.infos]
        return self.session.cache.invalidate_entries(keys, keep=keep)


@dataclass(frozen=True, slots=True)
class _ByPrefix:
    session: Session
    wanted: Wanted
    prefix: str
    entries: int
    size_bytes: int

    def listed(self) -> Iterable[EntryInfo]:
        return select(self.session.cache, self.wanted)

    def remove(self, *, keep: bool) -> Removed:
        # Also where nothing is listed: an answer that is being made now must not be kept either.
        return self.session.cache.invalidate_prefix(self.prefix, keep=keep)


def _choose(session: Session, ids: tuple[str, ...], wanted: Wanted) -> Chosen:
    from llm_cache.cli.ids import find_entries, not_there

    if bool(ids) is not wanted.is_everything:
        raise Failure(
            message="ids and --prefix are both given" if ids else "nothing says what to drop",
            hint="give ids, or --prefix; llm-cache clear drops everything",
            code=ExitCode.USAGE,
        )
    if wanted.prefix is not None:
        held = session.cache.get_stats()["prefixes"].get(wanted.prefix, {})
        counts = held.get("entries", 0), held.get("size_bytes", 0)
        return _ByPrefix(session, wanted, wanted.prefix, *counts)
    found, missing = find_entries(session.cache, ids)
    if missing:
        raise not_there(missing)
    return _ByIds(session, tuple(found))


def _preview(session: Session, chosen: Chosen, form: str | None) -> None:
    from llm_cache.cli import listing

    out, cache = session.out, session.cache
    match form:
        case "json":
            listing.write_json(out, cache, chosen.listed(), dry_run=True)
        case "ids":
            listing.write_ids(out, chosen.listed())
        case _:
            write = listing.write_table if out.is_terminal else listing.write_fields
            tally = write(out, cache, chosen.listed()) if chosen.entries else listing.Tally()
            out.flush()
            remake = f", which took {duration(tally.seconds)} to make" if tally.seconds else ""
            if tally.entries and out.is_terminal:
                session.tell("")
            size = f" ({_size(tally.size_bytes)}{remake})" if tally.entries else ""
            session.tell(f"Would remove {entries(tally.entries)}{size}. Nothing was removed.")


def _show_before_asking(session: Session, chosen: Chosen) -> None:
    from llm_cache.cli import listing

    if not can_ask(session):
        return
    first = itertools.islice(chosen.listed(), SHOWN_BEFORE_ASKING)
    tally = listing.write_table(session.err, session.cache, first)
    if chosen.entries > tally.entries:
        session.tell(f"… and {chosen.entries - tally.entries:,} more")
    session.tell("")


def _report(
    session: Session, chosen: Chosen, removed: Removed, *, form: str | None, purge: bool
) -> None:
    if form == "json":
        freed = {"removed": int(removed), "freed_bytes": removed.freed_bytes, "purged": purge}
        session.out.json({"schema": 1, "dry_run": False, **freed})
        return
    if not removed:
        session.tell("No entry matched: nothing was removed.")
        return
    more = int(removed) - chosen.entries
    since = f"; {more:,} came since they were counted" if more > 0 else ""
    place = "" if purge else " They are in the trash for up to 7 days."
    size = _size(removed.freed_bytes)
    session.tell(f"Removed {entries(removed)} ({size}{since}).{place}")


def _size(size_bytes: int) -> str:
    from llm_cache.units import format_size

    return format_size(size_bytes)
