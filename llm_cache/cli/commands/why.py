"""`llm-cache why`: would this request hit, and if not, why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from llm_cache.cli import completion
from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.registry import Command
from llm_cache.cli.select.filters import EntryFilter, hint_if_unknown, with_prefix
from llm_cache.cli.select.parse import TypedParam
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.cli.output.screen import Screen
    from llm_cache.engine.explain import Why

GOES_ON: Final = "    "


@click.command(cls=Command)
@click.argument("prefix", shell_complete=completion.prefixes)
@click.argument("params", metavar="[NAME=VALUE...]", nargs=-1)
@click.option("--version", metavar="V", shell_complete=completion.versions,
              help="The version asked for, where code says it.")  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_session
def command(
    session: Session, *, prefix: str, params: tuple[str, ...], version: str | None, as_json: bool
) -> None:
    """Say whether a request would hit, and if not, why: what differs from the nearest entry.

    A value that reads as JSON (5, true, [1, 2]) is tried as that and as text; "5" in quotes is a
    text. What ls shows of an enum, a date, a path and such stands for that. Without --version it is
    the one of the settings, else any that is there. In a pipe every fact is a line: outcome, the
    reasons, and the differences.

    \b
    Examples:
      llm-cache why intro_page subject=math topic=fractions grade=5
      llm-cache why intro_page subject=math 'grade="5"'
    """
    from llm_cache.cli.select.why_params import best_reading

    wanted = with_prefix(EntryFilter(), prefix)
    typed = list(map(TypedParam.of, params))
    _refuse_twins(typed)
    why = best_reading(session.cache, prefix, typed, version)
    if as_json:
        session.out.json(_as_json(why))
        return
    for line in str(why).split("\n"):  # `splitlines` breaks at more, which the text may have
        for shown in _fitted(session.out, line):
            session.out.put(shown + "\n")
    session.out.flush()
    session.hint(_hint(session, why, wanted))


def _fitted(screen: Screen, line: str) -> Iterator[str]:
    """A fact as it will be shown; on a terminal what does not fit goes on below, further in."""
    from llm_cache.cli.output.layout import wrap

    shown = screen.printable(line)
    if not screen.is_terminal or len(list(wrap(shown, screen.columns))) == 1:
        yield shown
        return
    first, *more = wrap(shown, screen.columns - len(GOES_ON))
    yield first
    yield from (GOES_ON + part for part in more)


def _hint(session: Session, why: Why, wanted: EntryFilter) -> str | None:
    if why.nearest is not None:
        return f"llm-cache inspect {why.nearest.id} shows the nearest entry"
    if why.entry is not None:
        return None
    return session.hint_if_nowhere or hint_if_unknown(session.cache, wanted)


def _refuse_twins(params: Iterable[TypedParam]) -> None:
    seen: set[str] = set()
    for param in params:
        if param.name in seen:
            raise Failure(
                message=f"the param '{param.name}' is given twice",
                hint="keep one of them",
                code=ExitCode.USAGE,
            )
        seen.add(param.name)


def _as_json(why: Why) -> dict[str, object]:
    return {
        "schema": 1,
        "prefix": why.prefix,
        "tenant": why.tenant,
        "key": why.key,
        "outcome": str(why.outcome),
        "reasons": [str(reason) for reason in why.reasons],
        "entry": None if why.entry is None else why.entry.id,
        "nearest": None if why.nearest is None else why.nearest.id,
        "differences": [
            {"param": each.param, "here": each.here, "there": each.there, "hint": each.hint or None}
            for each in why.differences
        ],
    }
