"""Shows the result of `warm`: how much is warm now, what failed, and how to go on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from llm_cache.cli.output.formatting import counted, duration, entries, money
from llm_cache.cli.output.layout import cut, wrap
from llm_cache.cli.output.screen import Style, Styled
from llm_cache.cli.warming.progress import error_text, params_name

if TYPE_CHECKING:
    from llm_cache.cli.output.screen import Screen
    from llm_cache.cli.session import Session
    from llm_cache.warm.run import SetReport, WarmEvent, WarmReport

FAILURES_SHOWN: Final = 20
_INDENT: Final = "    "


@dataclass(frozen=True, slots=True)
class WarmFlags:
    """The flags of `llm-cache warm`."""

    prefix: str | None
    refresh: bool
    concurrency: int | None
    max_calls: int | None
    max_cost: float | None

    def flags(self) -> list[str]:
        """The flags as words of a command line."""
        said = {
            "--prefix": self.prefix,
            "--concurrency": self.concurrency,
            "--max-calls": self.max_calls,
            "--max-cost": None if self.max_cost is None else f"{self.max_cost:g}",
        }
        words = [word for flag, value in said.items() if value is not None
                 for word in (flag, str(value))]  # fmt: skip
        return [*words, *(["--refresh"] if self.refresh else [])]


def tell(session: Session, report: WarmReport, asked: WarmFlags) -> None:
    """Writes the result to stderr."""
    were = "was" if report.fresh == 1 else "were"
    parts = [f"{report.fresh:,} {were} fresh"] if report.fresh else []
    if report.made:
        parts.append(f"{report.made:,} made in {duration(report.seconds)}{_cost(report)}")
    told = f": {', '.join(parts)}" if parts else ""
    are = "entry is" if report.total == 1 else "entries are"
    sign = Styled("✓", Style.FRESH) if report.warm else Styled("✗", Style.FAILED)
    session.err.line(sign, f" {report.warm:,} of {report.total:,} {are} warm{told}")
    _tell_failures(session, report, asked)
    if report.stopped == "interrupted":
        session.err.line(Styled("interrupted:", Style.FAILED), " what was made is kept")
        session.hint(f"go on with: {_again(session, asked)}")
    elif report.stopped is not None:
        _tell_stop(session, report, asked)


def as_json(report: WarmReport) -> dict[str, object]:
    """The same for a program."""
    return {
        **_numbers(report),
        "failed": [  # a number in each set, a list of them all here
            {
                "prefix": failure.item.prefix,
                "params": failure.item.shown_params,
                "error": error_text(failure.error),
                "tries": failure.attempt,
            }
            for failure in report.failures
        ],
        "left": report.left,
        "stopped": None if report.stopped is None else str(report.stopped),
        "seconds": round(report.seconds, 3),
        "sets": [{"prefix": one.prefix, **_numbers(one)} for one in report.sets],
    }


def _numbers(one: WarmReport | SetReport) -> dict[str, object]:
    return {
        "total": one.total,
        "fresh": one.fresh,
        "made": one.made,
        "failed": one.failed,
        "cost_usd": one.cost_usd if one.unpriced < one.made else None,
        "unpriced": one.unpriced,
    }


def _cost(report: WarmReport) -> str:
    """` for $0.02`, as far as it is known."""
    if report.unpriced >= report.made:
        return ""
    least = "at least " if report.unpriced else ""
    return f" for {least}{money(report.cost_usd)}"


def _tell_failures(session: Session, report: WarmReport, asked: WarmFlags) -> None:
    for failure in report.failures[:FAILURES_SHOWN]:
        _tell_failure(session.err, failure)
    if len(report.failures) > FAILURES_SHOWN:
        session.tell(f"  … and {len(report.failures) - FAILURES_SHOWN:,} more")
    if report.stopped is not None:
        return  # how to go on is said for all of it
    for prefix in dict.fromkeys(failure.item.prefix for failure in report.failures):
        again = replace(asked, prefix=prefix, refresh=False)
        session.tell(f"  again with: {_again(session, again)}")


def _tell_failure(screen: Screen, failure: WarmEvent) -> None:
    """On one line, unless a terminal has no room for it: then the error goes below."""
    sign = Styled("✗ failed", Style.FAILED)
    tries = f" ({counted(failure.attempt, 'try', 'tries')})" if failure.attempt > 1 else ""
    name = screen.printable(f" {failure.item.prefix} {params_name(failure.item)}")
    error = screen.printable(error_text(failure.error) + tries)
    line = f"{name}: {error}"
    if not screen.is_terminal or cell_len(screen.text(sign) + line) <= screen.columns:
        screen.line(sign, line)
        return
    room = screen.columns - cell_len(screen.text(sign))
    screen.line(sign, cut(name, room, screen=screen))
    for part in wrap(error, screen.columns - len(_INDENT)):
        screen.line(_INDENT, part)


def _tell_stop(session: Session, report: WarmReport, asked: WarmFlags) -> None:
    hint = f"go on with: {_again(session, asked)}"
    match report.stopped:
        case "max_calls":
            why = f"--max-calls {asked.max_calls} is reached"
        case "max_cost":
            why = f"the next call might go over --max-cost {money(asked.max_cost)}"
        case _:
            why = "a call told no cost, and --max-cost needs it"
            hint = "[prices.MODEL] in the settings is what tokens cost"
    left = f"{entries(report.left)} {'is' if report.left == 1 else 'are'} left"
    session.err.line(Styled("stopped:", Style.EXPIRING), f" {why}; {left}")
    session.hint(hint)


def _again(session: Session, asked: WarmFlags) -> str:
    """The command that makes what is still missing."""
    words = ["llm-cache"]
    if session.config_path is not None:
        words += ["--config", session.config_path]
    if session.cache_dir is not None:
        words += ["--cache-dir", session.cache_dir]
    if session.tenant is not None:
        words += ["--tenant", session.tenant]
    return shlex.join([*words, "warm", *asked.flags()])
