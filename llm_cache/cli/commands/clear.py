"""`llm-cache clear`: drop everything."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import click

from llm_cache.cli.confirm import agreed, can_ask, removal_flags
from llm_cache.cli.errors import ExitCode
from llm_cache.cli.output.formatting import entries
from llm_cache.cli.registry import Command
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_cache.cli.output.screen import Screen
    from llm_cache.store.records import Removed, Total


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
    """  # noqa: D301 - \b is a mark of Click's
    from llm_cache.store.records import Removed

    held = _held(session)
    if dry_run:
        _write(session, session.out, held, as_json=as_json)
        if held.is_any and session.out.is_terminal:
            session.tell("")
        session.tell(f"Would remove {held.words}. Nothing was removed.")
        _hint_if_nowhere(session)
        return ExitCode.DONE
    if held.is_any and not yes:
        if can_ask(session):
            _write_table(session.err, held)
            session.tell("")
        question = f"Remove all {held.words}{_where(session)} for good?"
        if not agreed(session, question, what=f"all {held.words}"):
            return ExitCode.FAILED
    removed = Removed() if session.is_nowhere else session.cache.clear_all()
    if as_json:
        trash = {"entries": removed.trash.entries, "size_bytes": removed.trash.size_bytes}
        freed = {"removed": int(removed), "freed_bytes": removed.freed_bytes, "trash": trash}
        session.out.json({"schema": 1, "dry_run": False, **freed})
    else:
        _say(session, removed, held)
    return ExitCode.DONE


class _Amount(NamedTuple):
    entries: int
    size_bytes: int

    @property
    def words(self) -> str:
        """`7 entries (626 B)`."""
        from llm_cache.core.units import format_size

        return f"{entries(self.entries)} ({format_size(self.size_bytes)})"


class _Held(NamedTuple):
    """What there is, by prefix, and what the trash holds."""

    prefixes: dict[str, tuple[_Amount, _Amount]]
    kept: _Amount
    trashed: _Amount

    @property
    def is_any(self) -> bool:
        """Whether there is anything."""
        return bool(self.prefixes)

    @property
    def words(self) -> str:
        """`7 entries (626 B) and 2 of the trash (80 B)`."""
        return self.kept.words + _of_trash(*self.trashed)


def _held(session: Session) -> _Held:
    cache = session.cache
    store, scope = cache.engine.parts.store, cache.engine.scopes.current()
    tenant = scope.tenant if scope.names_tenant else None
    kept, trashed = (_by_prefix(t, tenant) for t in (store.totals(), store.trash_totals()))
    nothing = _Amount(0, 0)
    prefixes = {
        prefix: (kept.get(prefix, nothing), trashed.get(prefix, nothing))
        for prefix in sorted(kept.keys() | trashed.keys())
    }
    return _Held(prefixes, _sum(kept.values()), _sum(trashed.values()))


def _by_prefix(totals: Iterable[Total], tenant: str | None) -> dict[str, _Amount]:
    held, sizes = Counter[str](), Counter[str]()
    for total in totals:
        if tenant in (None, total.tenant) and total.entries:
            held[total.prefix] += total.entries
            sizes[total.prefix] += total.size_bytes
    return {prefix: _Amount(held[prefix], sizes[prefix]) for prefix in held}


def _sum(amounts: Iterable[_Amount]) -> _Amount:
    all_of_them = list(amounts)
    return _Amount(
        sum(each.entries for each in all_of_them), sum(each.size_bytes for each in all_of_them)
    )


def _of_trash(number: int, size_bytes: int) -> str:
    from llm_cache.core.units import format_size

    return f" and {number:,} of the trash ({format_size(size_bytes)})" if number else ""


def _where(session: Session) -> str:
    scope = session.cache.engine.scopes.current()
    whose = f" of the tenant '{scope.tenant}'" if scope.names_tenant else ""
    return f"{whose} in {session.cache.cache_dir}"


def _say(session: Session, removed: Removed, held: _Held) -> None:
    from llm_cache.core.units import format_size

    if removed or removed.trash.entries:
        came = removed - held.kept.entries
        since = f"; {came:,} came since they were counted" if came > 0 else ""
        size = format_size(removed.freed_bytes)
        more = _of_trash(removed.trash.entries, removed.trash.size_bytes)
        session.tell(f"Removed {entries(removed)} ({size}{since}){more}.")
    else:
        session.tell(f"There is no entry{_where(session)}: nothing was removed.")
        _hint_if_nowhere(session)


def _hint_if_nowhere(session: Session) -> None:
    if hint := session.hint_if_nowhere:
        session.tell(f"hint: {hint}")


def _write(session: Session, out: Screen, held: _Held, *, as_json: bool) -> None:
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


def _write_table(screen: Screen, held: _Held) -> None:
    from llm_cache.cli.output.table import Column, write_table
    from llm_cache.core.units import format_size

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
