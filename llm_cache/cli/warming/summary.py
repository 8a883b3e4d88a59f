"""What became of a `warm`: how much is warm now, what failed, and how to go on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from llm_cache.cli.output.formatting import counted, duration, entries, money
from llm_cache.cli.output.layout import cut, wrap
from llm_cache.cli.output.screen import Marked, Mood

if TYPE_CHECKING:
    from llm_cache.cli.output.screen import Screen
    from llm_cache.cli.session import Session
    from llm_cache.cli.warming.progress import FailedItem, Progress

FAILURES_SHOWN: Final = 20
_INDENT: Final = "    "


@dataclass(frozen=True, slots=True)
class Asked:
    """What the flags say."""

    prefix: str | None
    refresh: bool
    concurrency: int | None
    max_calls: int | None
    max_cost: float | None

    def flags(self) -> list[str]:
        """What has to be typed for the same."""
        said = {
            "--prefix": self.prefix,
            "--concurrency": self.concurrency,
            "--max-calls": self.max_calls,
            "--max-cost": None if self.max_cost is None else f"{self.max_cost:g}",
        }
        words = [word for flag, value in said.items() if value is not None
                 for word in (flag, str(value))]  # fmt: skip
        return [*words, *(["--refresh"] if self.refresh else [])]


def tell(session: Session, progress: Progress, asked: Asked) -> None:
    """Tells it on stderr."""
    sums = progress.sums()
    were = "was" if sums.fresh == 1 else "were"
    parts = [f"{sums.fresh:,} {were} fresh"] if sums.fresh else []
    if sums.made:
        parts.append(f"{sums.made:,} made in {duration(progress.seconds)}{_cost(progress)}")
    told = f": {', '.join(parts)}" if parts else ""
    are = "entry is" if sums.total == 1 else "entries are"
    sign = Marked("✓", Mood.FRESH) if sums.warm else Marked("✗", Mood.FAILED)
    session.err.line(sign, f" {sums.warm:,} of {sums.total:,} {are} warm{told}")
    _tell_failures(session, progress, asked)
    if progress.is_interrupted:
        session.err.line(Marked("interrupted:", Mood.FAILED), " what was made is kept")
        session.tell(f"hint: go on with: {_again(session, asked)}")
    elif progress.stopped is not None:
        _tell_stop(session, progress, asked)


def _cost(progress: Progress) -> str:
    """` for $0.02`, as far as it is known."""
    sums = progress.sums()
    if sums.unpriced >= sums.made:
        return ""
    least = "at least " if sums.unpriced else ""
    return f" for {least}{money(sums.cost_usd)}"


def _tell_failures(session: Session, progress: Progress, asked: Asked) -> None:
    for failure in progress.failures[:FAILURES_SHOWN]:
        _tell_failure(session.err, failure)
    if len(progress.failures) > FAILURES_SHOWN:
        session.tell(f"  … and {len(progress.failures) - FAILURES_SHOWN:,} more")
    if progress.is_interrupted or progress.stopped is not None:
        return  # how to go on is said for all of it
    for prefix in dict.fromkeys(failure.prefix for failure in progress.failures):
        again = replace(asked, prefix=prefix, refresh=False)
        session.tell(f"  again with: {_again(session, again)}")


def _tell_failure(screen: Screen, failure: FailedItem) -> None:
    """On one line, unless a terminal has no room for it: then the error goes below."""
    sign = Marked("✗ failed", Mood.FAILED)
    tries = f" ({counted(failure.tries, 'try', 'tries')})" if failure.tries > 1 else ""
    name, error = screen.words(f" {failure.name}"), screen.words(failure.error + tries)
    line = f"{name}: {error}"
    if not screen.is_terminal or cell_len(screen.text(sign) + line) <= screen.columns:
        screen.line(sign, line)
        return
    room = screen.columns - cell_len(screen.text(sign))
    screen.line(sign, cut(name, room, screen=screen))
    for part in wrap(error, screen.columns - len(_INDENT)):
        screen.line(_INDENT, part)


def _tell_stop(session: Session, progress: Progress, asked: Asked) -> None:
    hint = f"go on with: {_again(session, asked)}"
    match progress.stopped:
        case "max_calls":
            why = f"--max-calls {asked.max_calls} is reached"
        case "max_cost":
            why = f"the next call might go over --max-cost {money(asked.max_cost)}"
        case _:
            why = "a call told no cost, and --max-cost needs it"
            hint = "[prices.MODEL] in the settings is what tokens cost"
    left = f"{entries(progress.left)} {'is' if progress.left == 1 else 'are'} left"
    session.err.line(Marked("stopped:", Mood.EXPIRING), f" {why}; {left}")
    session.tell(f"hint: {hint}")


def _again(session: Session, asked: Asked) -> str:
    """The command that makes what is still missing."""
    words = ["llm-cache"]
    if session.config_path is not None:
        words += ["--config", session.config_path]
    if session.cache_dir is not None:
        words += ["--cache-dir", session.cache_dir]
    if session.tenant is not None:
        words += ["--tenant", session.tenant]
    return shlex.join([*words, "warm", *asked.flags()])
