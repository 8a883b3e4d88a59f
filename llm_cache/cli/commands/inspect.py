"""`llm-cache inspect`: one entry, where it came from, what it saved, its text."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click

from llm_cache.cli import completion
from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.registry import Command
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from llm_cache.cli.output.provenance import Provenance
    from llm_cache.core.entry import Entry


@click.command(cls=Command)
@click.argument("ids", metavar="ID...", nargs=-1, required=True, shell_complete=completion.ids)
@click.option("--raw", "form", flag_value="raw", help="Only the value, to the byte.")
@click.option("--json", "form", flag_value="json", help="One JSON document, with the value.")
@pass_session
def command(session: Session, *, ids: tuple[str, ...], form: str | None) -> None:
    """Show entries: what they are for, where they came from, what they saved, and their text.

    An ID is 4 or more hex digits of those that ls shows. --raw writes a text itself and any other
    value as JSON, and adds nothing; a terminal gets what could confuse it escaped.
    In a pipe every field is a line: its name, a tab, and its value.

    \b
    Examples:
      llm-cache inspect 9f2c
      llm-cache inspect 9f2c --raw > page.md
      llm-cache inspect 9f2c4be1 b81d07aa --json | jq '.entries[].cost_usd'
    """
    from llm_cache.cli.output.provenance import Provenance
    from llm_cache.cli.select.ids import find_entries, no_such_entry

    if form == "raw" and len(set(ids)) > 1:
        raise Failure(message="--raw shows one value", hint="name one id", code=ExitCode.USAGE)
    entries, missing = find_entries(session.cache, ids)
    shown = [Provenance.of(entry, session.cache, session.config) for entry in entries]
    match form:
        case "raw":
            _write_raw(session, entries)
        case "json":
            session.out.json({"schema": 1, "entries": [_as_json(session, one) for one in shown]})
        case _:
            _write(session, shown)
    if missing:
        raise no_such_entry(missing, hint=session.hint_if_nowhere)


def value_of(entry: Entry) -> Any:
    """The value of an entry.

    Raises:
        Failure: what is stored cannot be read.
    """
    from llm_cache.core.values.codec import DecodeError

    try:
        return entry.value
    except DecodeError as error:
        raise Failure(message=f"the value of {entry.id} cannot be read: {error}") from None


def as_text(value: object) -> str:
    """A text as it is, anything else as JSON."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _write_raw(session: Session, entries: list[Entry]) -> None:
    for entry in entries:
        session.out.exact(as_text(value_of(entry)))


def _write(session: Session, shown: list[Provenance]) -> None:
    from llm_cache.cli.output.entry import draw

    for number, one in enumerate(shown):
        if number:
            session.out.put("\n")
        if session.out.is_terminal:
            draw(session.out, one, value_of(one.entry))
            continue
        for name, value in _as_json(session, one).items():
            text = value if isinstance(value, str) and name != "value" else None
            session.out.fields(name, session.out.json_text(value) if text is None else text)


def _as_json(session: Session, shown: Provenance) -> dict[str, object]:
    from llm_cache.cli.output.entries import as_json

    return {
        **as_json(session.cache, shown.entry),
        **shown.as_json(),
        "value": value_of(shown.entry),
    }
