"""`llm-cache warm`: generate what cache.toml lists and is not there yet."""

from __future__ import annotations

import contextlib
import shlex
import sys
from typing import TYPE_CHECKING, Final

import click

from llm_cache.cli.commands import Command
from llm_cache.cli.failures import ExitCode
from llm_cache.cli.figures import counted, duration
from llm_cache.cli.render import Marked, Mood
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from llm_cache.cli.progress import Progress
    from llm_cache.warm_plan import WarmPlan

FAILURES_SHOWN: Final = 20


@click.command(cls=Command)
@click.option("-p", "--prefix", metavar="PREFIX", help="Only the sets of this prefix.")
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be made.")
@click.option("--refresh", is_flag=True, help="Make everything anew, also what is fresh.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_session
def command(
    session: Session, *, prefix: str | None, dry_run: bool, refresh: bool, as_json: bool
) -> int:
    """Generate what the [[warm]] tables list and is missing, expired or stale.

    Failures are tried again, and stop nothing else; exit 1 if one remains. Ctrl-C keeps what was
    made. With --dry-run in a pipe every set is a line: prefix, fresh, stale, expired, missing, and
    how many would be made.

    \b
    Examples:
      llm-cache warm --dry-run
      llm-cache warm --prefix intro_page
      llm-cache --config cache.toml.example warm --refresh
    """  # noqa: D301 - \b is a mark of Click's
    from llm_cache.cli.progress import Progress

    out = session.out
    with contextlib.redirect_stdout(sys.stderr):  # what the generators print is not our data
        plan = session.cache.warm_plan(prefix=prefix)
        if not plan.items:
            session.tell(f"There is nothing to warm: {_no_set(session)}.")
        progress = Progress(plan, refresh=refresh)
        if dry_run:
            from llm_cache.cli import warm_dry_run

            warm_dry_run.tell(session, progress, as_json=as_json)
            return ExitCode.DONE
        was_stopped = progress.left > 0 and _make(session, plan, progress)
    if as_json:
        out.json({"schema": 1, "dry_run": False, **progress.as_json()})
    if plan.items:
        _summarise(session, progress)
    if was_stopped:
        _say_how_to_go_on(session, prefix, refresh=refresh)
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if progress.failures else ExitCode.DONE


def _make(session: Session, plan: WarmPlan, progress: Progress) -> bool:
    """Makes what is to be made; True if the user stopped it."""
    import asyncio

    from llm_cache.cli.progress_view import shown

    try:
        with shown(session, progress):
            asyncio.run(session.cache.warm(plan, refresh=progress.refresh, on_event=progress.note))
    except KeyboardInterrupt:
        return True
    return False


def _summarise(session: Session, progress: Progress) -> None:
    sums = progress.sums()
    parts = [f"{sums.fresh:,} were fresh"] if sums.fresh else []
    if sums.made:
        parts.append(f"{sums.made:,} made in {duration(progress.seconds)}")
    told = f": {', '.join(parts)}" if parts else ""
    are = "entry is" if sums.total == 1 else "entries are"
    sign = Marked("✓", Mood.FRESH) if sums.warm else Marked("✗", Mood.FAILED)
    session.err.line(sign, f" {sums.warm:,} of {sums.total:,} {are} warm{told}")
    for failure in progress.failures[:FAILURES_SHOWN]:
        tries = f" after {counted(failure.tries, 'try', 'tries')}" if failure.tries > 1 else ""
        session.err.line(
            Marked("✗ failed", Mood.FAILED), f" {failure.name}: {failure.error}{tries}"
        )
    if len(progress.failures) > FAILURES_SHOWN:
        session.tell(f"  … and {len(progress.failures) - FAILURES_SHOWN:,} more")
    for prefix in dict.fromkeys(failure.prefix for failure in progress.failures):
        session.tell(f"  again with: {_again(session, prefix)}")


def _say_how_to_go_on(session: Session, prefix: str | None, *, refresh: bool) -> None:
    session.err.line(Marked("interrupted:", Mood.FAILED), " what was made is kept")
    again = _again(session, prefix) + (" --refresh" if refresh else "")
    session.tell(f"hint: go on with: {again}")


def _again(session: Session, prefix: str | None) -> str:
    """The command that makes what is still missing."""
    words = ["llm-cache"]
    if session.config_path is not None:
        words += ["--config", str(session.config_path)]
    if session.cache_dir is not None:
        words += ["--cache-dir", str(session.cache_dir)]
    words += ["warm"] if prefix is None else ["warm", "--prefix", prefix]
    return shlex.join(words)


def _no_set(session: Session) -> str:
    source = session.config.source
    return "no settings file was found" if source is None else f"{source} has no [[warm]] table"
