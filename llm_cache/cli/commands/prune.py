"""`llm-cache prune`: sweep what is expired, and bring the cache under its size limit."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.output.formatting import UNKNOWN, about, duration, entries, money
from llm_cache.cli.registry import Command
from llm_cache.cli.session import Session, pass_session
from llm_cache.core.units import format_size

if TYPE_CHECKING:
    from llm_cache.store.records import Group, Removed

LEAST_SIZE: Final = 1024**2
"""As for max_disk: an empty cache takes some of it."""


@click.command(cls=Command)
@click.option("--max-size", metavar="SIZE",
              help="Bring the cache under SIZE, as 500MiB, whatever max_disk says.")  # fmt: skip
@click.option("--orphaned", is_flag=True, help="Also sweep entries of versions not current.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would go.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_session
def command(
    session: Session, *, max_size: str | None, orphaned: bool, dry_run: bool, as_json: bool
) -> None:
    """Sweep expired entries, and enforce max_disk. Asks nothing: what it sweeps is of no use.

    Where the cache is over max_disk, or SIZE, the trash goes, then the expired, then what was not
    used for longest. With --orphaned go entries whose version is not current, too: not the one
    that the settings say for the prefix, else none of the functions that [[warm]] names. Prefixes
    of which neither says a version are left alone.

    Reads and writes of the application go on meanwhile. In a pipe every reason is a line: why,
    entries, bytes, and the seconds and dollars it took to make them.

    \b
    Examples:
      llm-cache prune --dry-run
      llm-cache prune
      llm-cache prune --max-size 500MiB
      llm-cache prune --orphaned --dry-run
    """
    _refuse_tenant(session)
    limit_bytes = None if max_size is None else _bytes_of(max_size)
    if session.is_nowhere:
        _tell_nowhere(session, _PruneRequest(0, limit_bytes, orphaned, dry_run), as_json=as_json)
        return
    held = sum(amount.entries for amount in session.cache.totals().values())
    if orphaned:
        from llm_cache.warm.plan import import_functions

        with contextlib.redirect_stdout(sys.stderr):  # what they print is not our data
            import_functions(session.config)
    request = _PruneRequest(held, limit_bytes, orphaned, dry_run)
    removed = _prune(session, request)
    if as_json:
        _write_json(session, removed, request)
        return
    _say(session, removed, request)
    if session.out.is_terminal:
        _write_table(session, removed, request)
        return
    for group in removed.groups:
        known = _seconds(group), _dollars(group)
        session.out.fields(group.why, group.entries, group.size_bytes, *map(_field, known))


def _tell_nowhere(session: Session, request: _PruneRequest, *, as_json: bool) -> None:
    """Says that there is nothing, and where it was looked for."""
    from llm_cache.store.records import Removed

    if as_json:
        _write_json(session, Removed(), request)
    session.tell(f"There is nothing to sweep: there is no cache in {session.cache.cache_dir}.")
    session.hint("llm-cache config show tells what says that it is this directory")


class _PruneRequest(NamedTuple):
    """What the flags ask for, and how many entries there are."""

    held: int
    limit_bytes: int | None
    orphaned: bool
    dry_run: bool

    @property
    def limit(self) -> str:
        """The size limit by its name, or as it was typed in."""
        return "max_disk" if self.limit_bytes is None else format_size(self.limit_bytes)

    def words(self, why: str) -> str:
        """Why a group goes."""
        words = {"evicted": f"over {self.limit}, least used", "orphaned": "of another version"}
        return words.get(why, why)


def _bytes_of(max_size: str) -> int:
    from llm_cache.cli.select import parse

    size_bytes = parse.size("--max-size", (max_size,)) or 0
    if size_bytes < LEAST_SIZE:
        least = format_size(LEAST_SIZE)
        raise Failure(
            message=f"--max-size: {format_size(size_bytes)} is too little: at least {least}",
            hint="write a unit, as in 500MiB; llm-cache clear drops everything",
            code=ExitCode.USAGE,
        )
    return size_bytes


def _refuse_tenant(session: Session) -> None:
    if session.tenant is not None:
        raise Failure(
            message="prune is about all tenants: they share one size limit",
            hint="leave --tenant out; llm-cache invalidate takes it",
            code=ExitCode.USAGE,
        )


def _prune(session: Session, request: _PruneRequest) -> Removed:
    from llm_cache.cli.output.status_line import StatusLine
    from llm_cache.store.records import Group

    status, so_far = StatusLine(session.err), Group("", 0, 0)

    def went(group: Group) -> None:
        nonlocal so_far
        so_far = Group.total("", (so_far, group))
        status.show(lambda: f"{_amount(so_far)} removed")

    try:
        return session.cache.prune(
            dry_run=request.dry_run,
            orphaned=request.orphaned,
            max_bytes=request.limit_bytes,
            on_swept=went,
        )
    except KeyboardInterrupt:
        status.clear()
        session.err.put("\n" if session.err.is_terminal else "")
        raise Failure(
            message=f"interrupted: {_amount(so_far)} removed",
            hint="the rest is as it was; the same command goes on",
            code=ExitCode.INTERRUPTED,
        ) from None
    finally:
        status.clear()


def _amount(group: Group) -> str:
    return f"{entries(group.entries)} ({format_size(group.size_bytes)})"


def _say(session: Session, removed: Removed, request: _PruneRequest) -> None:
    did, end = ("Would remove", " Nothing was removed.") if request.dry_run else ("Removed", "")
    verb = "free" if request.dry_run else "freed"
    if removed.trash.entries:
        session.tell(f"{did} {_amount(removed.trash)} from the trash.")
    if not removed:
        none = (
            "none of them expired or of another version"
            if request.orphaned
            else "none of them expired"
        )
        end = end if removed.trash.entries else ""
        session.tell(f"There is nothing to sweep: {entries(request.held)}, {none}.{end}")
        return
    size = format_size(removed.freed_bytes)
    session.tell(f"{did} {removed.entries:,} of {entries(request.held)} and {verb} {size}.{end}")


def _write_table(session: Session, removed: Removed, request: _PruneRequest) -> None:
    from llm_cache.cli.output.table import Column, write_table

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
            request.words(group.why),
            f"{group.entries:,}",
            format_size(group.size_bytes),
            to_remake(group),
        )
        for group in removed.groups
    ]
    write_table(session.out, columns, rows)


def _seconds(group: Group) -> float | None:
    """What making them took, as far as it is known; None if it is not of any."""
    return None if group.untimed == group.entries else group.generation_seconds


def _dollars(group: Group) -> float | None:
    """What making them cost, as far as it is known; None if it is not of any."""
    return None if group.unpriced == group.entries else group.cost_usd


def to_remake(group: Group) -> str:
    """`≈$0.06`, `≈20.0 s`, and `–` where neither is known; `at least` where it is not of all."""
    usd, took = _dollars(group), _seconds(group)
    if usd is not None:
        return about(money(usd), is_all=not group.unpriced)
    return UNKNOWN if took is None else about(duration(took), is_all=not group.untimed)


def _field(amount: float | None) -> object:
    """An amount for a pipe."""
    return UNKNOWN if amount is None else amount


def _write_json(session: Session, removed: Removed, request: _PruneRequest) -> None:
    trash = removed.trash
    session.out.json(
        {
            "schema": 1,
            "dry_run": request.dry_run,
            "removed": removed.entries,
            "freed_bytes": removed.freed_bytes,
            "groups": [
                {
                    "why": group.why,
                    "entries": group.entries,
                    "size_bytes": group.size_bytes,
                    "generation_seconds": _seconds(group),
                    "untimed": group.untimed,
                    "cost_usd": _dollars(group),
                    "unpriced": group.unpriced,
                }
                for group in removed.groups
            ],
            "trash": {"entries": trash.entries, "size_bytes": trash.size_bytes},
        }
    )
