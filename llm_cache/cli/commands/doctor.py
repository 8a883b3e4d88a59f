"""`llm-cache doctor`: is everything all right, and what to do where it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click

from llm_cache.cli.errors import ExitCode
from llm_cache.cli.output.formatting import counted
from llm_cache.cli.output.screen import Style, Styled
from llm_cache.cli.registry import Command
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.cli.output.screen import Screen
    from llm_cache.store.findings import Finding, Repair

REPAIRED: Final = "repaired"
_STYLES: Final = {
    "ok": Style.FRESH,
    REPAIRED: Style.FRESH,
    "warn": Style.EXPIRING,
    "fail": Style.FAILED,
}
_GAP: Final = "  "
_ABOUT_CELLS: Final = 9
_FEWEST_CELLS: Final = 20


@dataclass(frozen=True, slots=True)
class _CheckResult:
    """The result of one check; `level` is `ok`, `warn`, `fail` or `repaired`."""

    about: str
    level: str
    text: str
    advice: str
    can_repair: bool

    def as_json(self) -> dict[str, object]:
        """For a program."""
        return {
            "about": self.about,
            "level": self.level,
            "text": self.text,
            "advice": self.advice or None,
            "can_repair": self.can_repair,
        }


@click.command(cls=Command)
@click.option("--repair", is_flag=True, help="Repair what can be repaired without losing anything.")
@click.option("--quick", is_flag=True, help="Leave out what reads every entry.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_session
def command(session: Session, *, repair: bool, quick: bool, as_json: bool) -> int:
    """Look everything over: settings, directory, files, disk, entries, leases, counts.

    It only reads, and may run beside the application. Exit 1 if anything fails. Without --quick
    every entry is read, and its checksum compared.

    --repair takes rights from others, removes what the dead left, drops damaged entries, counts
    totals again, sets the reserve aside, and moves a damaged file aside; it takes no sound entry
    away. In a pipe every finding is a line: level, what it is about, how it is, what to do.

    \b
    Examples:
      llm-cache doctor
      llm-cache doctor --repair
      llm-cache doctor --json | jq '.findings[] | select(.level != "ok")'
    """
    from llm_cache.cli.output.log_lines import show_warnings
    from llm_cache.doctor import check_up

    stop_warnings = show_warnings(session.err)
    try:
        findings = check_up(session.config_path, cache_dir=session.cache_dir, is_quick=quick)
        told = _tell(session, _check_results(findings, repair=repair), silent=as_json, wide=repair)
    finally:
        stop_warnings()
    failures, warnings = (sum(each.level == name for each in told) for name in ("fail", "warn"))
    if as_json:
        session.out.json(
            {
                "schema": 1,
                "failures": failures,
                "warnings": warnings,
                "findings": [each.as_json() for each in told],
            }
        )
    else:
        session.out.flush()
        _summarise(session, told, failures, warnings)
    return ExitCode.FAILED if failures else ExitCode.DONE


def _check_results(findings: Iterable[Finding], *, repair: bool) -> Iterator[_CheckResult]:
    """The findings; with `repair`, each is repaired before the next check."""
    for found in findings:
        level, advice = str(found.level), found.advice
        if found.repair is None:
            yield _CheckResult(found.about, level, found.text, advice, can_repair=False)
        elif repair:
            yield _repaired(found, found.repair)
        else:
            advice += f"; --repair would {found.repair.purpose}"
            yield _CheckResult(found.about, level, found.text, advice, can_repair=True)


def _repaired(found: Finding, repair: Repair) -> _CheckResult:
    from llm_cache.errors import CacheError

    try:
        done = repair.run()
    except (CacheError, OSError) as error:
        failed = f"could not {repair.purpose}: {error}"
        return _CheckResult(found.about, "fail", found.text, failed, can_repair=True)
    return _CheckResult(found.about, REPAIRED, f"{found.text}: {done}", "", can_repair=False)


def _tell(
    session: Session, coming: Iterable[_CheckResult], *, silent: bool, wide: bool
) -> list[_CheckResult]:
    """Shows each as it comes: some take their time."""
    told: list[_CheckResult] = []
    level_cells = max(len(level) for level in _STYLES if wide or level != REPAIRED)
    for each in coming:
        told.append(each)
        if silent:
            continue
        if session.out.is_terminal:
            _draw(session.out, each, level_cells)
            session.out.flush()
        else:
            session.out.fields(each.level, each.about, each.text, each.advice)
    return told


def _draw(out: Screen, each: _CheckResult, level_cells: int) -> None:
    from llm_cache.cli.output.layout import wrap

    level = out.paint(each.level, Styled(each.level, _STYLES[each.level]))
    padding = " " * (level_cells - len(each.level))
    head = f"{level}{padding}{_GAP}{out.printable(each.about):<{_ABOUT_CELLS}}{_GAP}"
    indent = " " * (level_cells + _ABOUT_CELLS + 2 * len(_GAP))
    cells = max(out.columns - len(indent), _FEWEST_CELLS)
    texts = [each.text, f"- {each.advice}"] if each.advice else [each.text]
    for text in texts:
        for line in wrap(out.printable(text), cells):
            out.put(f"{head}{line}\n")
            head = indent


def _summarise(session: Session, told: list[_CheckResult], failures: int, warnings: int) -> None:
    session.tell("")
    repaired = sum(each.level == REPAIRED for each in told)
    parts = [f"{repaired:,} repaired"] if repaired else []
    if not failures and not warnings:
        session.tell(", ".join([*parts, "everything is all right"]).capitalize() + ".")
        return
    parts += [counted(failures, "failure")] if failures else []
    parts += [counted(warnings, "warning")] if warnings else []
    session.tell(", ".join(parts) + ".")
    can = sum(each.can_repair for each in told)
    if can and not repaired:
        which = "it" if can == failures + warnings == 1 else f"{can} of these"
        session.hint(f"llm-cache doctor --repair mends {which}")
