"""`llm-cache warm`: generate what cache.toml lists and is not there yet."""

from __future__ import annotations

import contextlib
import math
import sys
from typing import TYPE_CHECKING, Final

import click

from llm_cache.cli import completion
from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.registry import Command
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from llm_cache.warm.run import Warming

LAND_WITHIN_S: Final = 1.0
"""How long calls that are under way may still take once the user wants an end."""


def _dollars(_ctx: click.Context, _param: click.Parameter, typed: str | None) -> float | None:
    if typed is None:
        return None
    try:
        usd = float(typed.strip().removeprefix("$"))
    except ValueError:
        usd = math.nan
    if not (math.isfinite(usd) and usd >= 0):
        raise Failure(
            message=f"--max-cost: '{typed}' is no amount of dollars",
            hint="write a number, as 2.50",
            code=ExitCode.USAGE,
        )
    return usd


@click.command(cls=Command)
@click.option("-p", "--prefix", metavar="PREFIX", shell_complete=completion.prefixes_to_warm,
              help="Only the sets of this prefix.")  # fmt: skip
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would be made.")
@click.option("--refresh", is_flag=True, help="Make everything anew, also what is fresh.")
@click.option("--concurrency", type=click.IntRange(1, 1000), metavar="N",
              help="So many calls at a time in each set, whatever it says.")  # fmt: skip
@click.option("--max-calls", type=click.IntRange(min=1), metavar="N",
              help="Stop before more than N calls are made.")  # fmt: skip
@click.option("--max-cost", callback=_dollars, metavar="USD",
              help="Stop before the calls are likely to cost more.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_session
def command(
    session: Session,
    *,
    prefix: str | None,
    dry_run: bool,
    refresh: bool,
    concurrency: int | None,
    max_calls: int | None,
    max_cost: float | None,
    as_json: bool,
) -> int:
    """Generate what the [[warm]] tables list and is missing, expired or stale.

    First it says what it is going to make, with about the time and the cost that this took of
    late. Failures are tried again, and stop nothing else. Exit 1 if one remains, or if a limit
    was reached before everything was warm. Ctrl-C keeps what was made.

    With --dry-run in a pipe every set is a line: prefix, fresh, stale, expired, missing, how many
    would be made, model, seconds, dollars.

    \b
    Examples:
      llm-cache warm --dry-run
      llm-cache warm --prefix intro_page
      llm-cache warm --max-cost 2.50
      llm-cache --config cache.toml.example warm --refresh
    """
    from llm_cache.cli.warming import plan as warm_plan
    from llm_cache.cli.warming import summary

    asked = summary.WarmFlags(prefix, refresh, concurrency, max_calls, max_cost)
    out = session.out  # before stdout is another
    with contextlib.redirect_stdout(sys.stderr):  # what the generators print is not our data
        plan = session.cache.warm_plan(prefix=prefix)
        if concurrency is not None:
            plan = plan.at_a_time(concurrency)
        sets = session.cache.warm_estimate(plan, refresh=refresh)
        if not plan.items:
            session.tell(f"There is nothing to warm: {_no_set(session)}.")
        limits = warm_plan.limits_for(sets, max_calls=max_calls, max_cost_usd=max_cost)
        if dry_run:
            warm_plan.report_dry_run(session, sets, limits, as_json=as_json)
            return ExitCode.DONE
        warming = session.cache.warming(plan, refresh=refresh, limits=limits)
        report = warming.report
        if report.left:
            warm_plan.report_plan(session, sets, limits)
            _make(session, warming)
    if as_json:
        out.json({"schema": 1, "dry_run": False, **summary.as_json(report)})
    if plan.items:
        summary.tell(session, report, asked)
    if report.stopped == "interrupted":
        return ExitCode.INTERRUPTED
    return ExitCode.FAILED if report.failures or report.left else ExitCode.DONE


def _make(session: Session, warming: Warming) -> None:
    """Makes what is to be made, until the user wants an end to it."""
    import asyncio

    from llm_cache.cli.warming.progress import shown

    try:
        with shown(session.err, warming):
            asyncio.run(warming.run())
    except KeyboardInterrupt:
        warming.take_in_landed(LAND_WITHIN_S)
        session.cache.close(0.0)


def _no_set(session: Session) -> str:
    source = session.config.source
    return "no settings file was found" if source is None else f"{source} has no [[warm]] table"
