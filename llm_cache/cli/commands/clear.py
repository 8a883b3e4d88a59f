"""`llm-cache clear`: drop everything."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import click

from llm_cache.cli.confirm import can_ask, confirm, removal_flags
from llm_cache.cli.errors import ExitCode
from llm_cache.cli.output.formatting import entries
from llm_cache.cli.registry import Command
from llm_cache.cli.session import Session, pass_session
from llm_cache.core.units import format_size

if TYPE_CHECKING:
    from llm_cache.api.stats import Amount
    from llm_cache.cli.output.screen import Screen
    from llm_cache.store.records import Removed


@click.command(cls=Command)
@removal_flags
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_session
def command(session: Session, *, dry_run: bool, yes: bool, as_json: bool) -> int:
    """Drop everything, the trash too, for good. Says how much it is before it asks.

    With --tenant it is everything of that tenant. The counts of use stay. With --dry-run in a pipe
    every prefix is a line: its name, entries, bytes, and entries and bytes in the trash.

    \b
    Examples:
      llm-cache clear --dry-run
      llm-cache clear --yes
      llm-cache clear --tenant acme
    """
    from llm_cache.store.records import Removed

    held = _held(session)
    if dry_run:
        _write(session, session.out, held, as_json=as_json)
        if held.is_any and session.out.is_terminal:
            session.tell("")
        session.tell(f"Would remove {held.words}. Nothing was removed.")
        session.hint(session.hint_if_nowhere)
        return ExitCode.DONE
    if held.is_any and not yes:
        if can_ask(session):
            _write_table(session.err, held)
            session.tell("")
        question = f"Remove all {held.words}{_where(session)} for good?"
        if not confirm(session, question, what=f"all {held.words}"):
            return ExitCode.FAILED
    removed = Removed() if session.is_nowhere else session.cache.clear_all()
    if as_json:
        trash = {"entries": removed.trash.entries, "size_bytes": removed.trash.size_bytes}
        freed = {"removed": removed.entries, "freed_bytes": removed.freed_bytes, "trash": trash}
        session.out.json({"schema": 1, "dry_run": False, **freed})
    else:
        _say(session, removed, held)
    return ExitCode.DONE


class _Contents(NamedTuple):
    """What the cache and its trash hold, by prefix and in total."""

    prefixes: dict[str, tuple[Amount, Amount]]
    kept: Amount
    trashed: Amount

    @property
    def is_any(self) -> bool:
        """Whether there is anything."""
        return bool(self.prefixes)

    @property
    def words(self) -> str:
        """`7 entries (626 B) and 2 of the trash (80 B)`."""
        kept = f"{entries(self.kept.entries)} ({format_size(self.kept.size_bytes)})"
        return kept + _of_trash(*self.trashed)


def _held(session: Session) -> _Contents:
    from llm_cache.api.stats import Amount

    kept, trashed = session.cache.totals(), session.cache.trash.totals()
    nothing = Amount(0, 0)
    prefixes = {
        prefix: (kept.get(prefix, nothing), trashed.get(prefix, nothing))
        for prefix in sorted(kept.keys() | trashed.keys())
    }
    sums = (
        Amount(sum(one.entries for one in held), sum(one.size_bytes for one in held))
        for held in (kept.values(), trashed.values())
    )
    return _Contents(prefixes, *sums)


def _of_trash(number: int, size_bytes: int) -> str:
    return f" and {number:,} of the trash ({format_size(size_bytes)})" if number else ""


def _where(session: Session) -> str:
    tenant = session.cache.tenant_in_force
    whose = "" if tenant is None else f" of the tenant '{tenant}'"
    return f"{whose} in {session.cache.cache_dir}"


def _say(session: Session, removed: Removed, held: _Contents) -> None:
    if removed or removed.trash.entries:
        came = removed.entries - held.kept.entries
        since = f"; {came:,} came since they were counted" if came > 0 else ""
        size = format_size(removed.freed_bytes)
        more = _of_trash(removed.trash.entries, removed.trash.size_bytes)
        session.tell(f"Removed {entries(removed.entries)} ({size}{since}){more}.")
    else:
        session.tell(f"There is no entry{_where(session)}: nothing was removed.")
        session.hint(session.hint_if_nowhere)


def _write(session: Session, out: Screen, held: _Contents, *, as_json: bool) -> None:
    if as_json:
        shown = {
            prefix: {"entries": kept.entries, "size_bytes": kept.size_bytes}
            | {"trash": trashed._asdict()}
            for prefix, (kept, trashed) in held.prefixes.items()
        }
        session.out.json({"schema": 1, "dry_run": True, "prefixes": shown})
    elif out.is_terminal:
        _write_table(out, held)
    else:
        for prefix, amounts in held.prefixes.items():
            out.fields(prefix, *(number for amount in amounts for number in amount))


def _write_table(screen: Screen, held: _Contents) -> None:
    from llm_cache.cli.output.table import Column, write_table

    has_trash = held.trashed.entries > 0
    columns = (
        Column("PREFIX", least=8),
        Column("ENTRIES", right=True),
        Column("SIZE", right=True),
        *([Column("IN TRASH", right=True), Column("SIZE", right=True)] if has_trash else []),
    )
    rows = [
        (
            prefix,
            *(
                text
                for amount in amounts[: 1 + has_trash]
                for text in (f"{amount.entries:,}", format_size(amount.size_bytes))
            ),
        )
        for prefix, amounts in held.prefixes.items()
    ]
    if rows:
        write_table(screen, columns, rows)
    screen.flush()
