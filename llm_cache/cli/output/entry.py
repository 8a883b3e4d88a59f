"""Draws one entry for a reader on a terminal."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from rich.cells import cell_len

from llm_cache.cli.output.entries import age, params_of
from llm_cache.cli.output.formatting import (
    NEVER,
    UNKNOWN,
    counted,
    duration,
    money,
    on_the_clock,
    span,
)
from llm_cache.cli.output.layout import cut, flow, wrap
from llm_cache.cli.output.preview import INDENT, draw_text
from llm_cache.cli.output.screen import Style, Styled
from llm_cache.core.freshness import Freshness
from llm_cache.core.units import FOREVER, format_duration, format_size

if TYPE_CHECKING:
    from llm_cache.cli.output.provenance import Extension, Provenance
    from llm_cache.cli.output.screen import Piece, Screen

VALUE_CHARS: Final = 2000
"""As much of one param as is shown."""
_SECOND_COLUMN: Final = 35
"""In 80 columns there is room for a ttl and its origin behind this."""


def draw(screen: Screen, shown: Provenance, value: object) -> None:
    """Draws an entry: its head, its facts, and the beginning of its value."""
    _draw_head(screen, shown)
    for params in flow(_params(screen, shown), screen.columns - len(INDENT)):
        screen.line(INDENT, params)
    screen.line()
    for label, left, right in _facts(shown):
        _draw_fact(screen, label, left, right)
    screen.line()
    draw_text(screen, shown.entry, value)


def _draw_head(screen: Screen, shown: Provenance) -> None:
    style = Style.FRESH if shown.state == Freshness.FRESH else Style.EXPIRING
    right: list[Piece] = [Styled(shown.state, style), f" · {shown.entry.id}"]
    taken = sum(cell_len(screen.text(piece)) for piece in right)
    room = max(screen.columns - taken - 2, 8)
    prefix = cut(screen.printable(shown.entry.prefix), room, screen=screen)
    screen.line(prefix, " " * (room + 2 - cell_len(prefix)), *right)


def _params(screen: Screen, shown: Provenance) -> list[str]:
    entry = shown.entry
    items = {name: _value(value) for name, value in params_of(entry).items()}
    apart = {"tenant": entry.tenant, "version": entry.version}
    beside = [f"({name} {text})" for name, text in apart.items() if text]
    if entry.variant:
        beside.append(f"(variant {entry.variant})")
    if entry.redacted:
        beside.append("(partly redacted)")
    return [screen.printable(item) for item in [*(f"{n}={t}" for n, t in items.items()), *beside]]


def _value(value: object) -> str:
    """A param's value; a text that could be taken for another type is in quotes."""
    if isinstance(value, str) and value and not _reads_as_json(value):
        return value[:VALUE_CHARS]
    return json.dumps(value, ensure_ascii=False, default=str)[:VALUE_CHARS]


def _reads_as_json(text: str) -> bool:
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _facts(shown: Provenance) -> list[tuple[str, str, str]]:
    """What is known: a label, what stands beside it, and what goes to the right of that."""
    entry = shown.entry
    ends = "expires" if shown.expires_at > shown.now else "expired"
    facts = [
        ("made", _made(shown), ""),
        (ends, _expires(shown), f"ttl {_ttl(shown)}, {shown.ttl_origin}"),
        *map(_extension, shown.given),
        ("used", _used(shown), _saved(shown)),
        ("size", _size(shown), ""),
    ]
    tokens = f"{_number(entry.input_tokens)} in, {_number(entry.output_tokens)} out"
    are_known = entry.input_tokens is not None or entry.output_tokens is not None
    facts.append(("tokens", tokens if are_known else UNKNOWN, f"cost {money(entry.cost_usd)}"))
    return facts


def _made(shown: Provenance) -> str:
    entry = shown.entry
    by = f" by {entry.model}" if entry.model else ""
    took = "" if entry.generation_seconds is None else f" in {duration(entry.generation_seconds)}"
    return f"{age(entry, shown.now)} ago{by}{took}, {on_the_clock(entry.created_at)}"


def _expires(shown: Provenance) -> str:
    if shown.expires_at == FOREVER:
        return NEVER
    left = shown.expires_at - shown.now
    when = f"in {span(left)}" if left > 0 else f"{span(-left)} ago"
    return f"{when}, {on_the_clock(shown.expires_at)}"


def _ttl(shown: Provenance) -> str:
    less = f" less {duration(shown.jitter_seconds)} of jitter" if shown.jitter_seconds else ""
    return f"{format_duration(shown.ttl)}{less}"


def _extension(given: Extension) -> tuple[str, str, str]:
    """How much longer an entry is served, and by which setting."""
    until = "for ever" if given.until == FOREVER else f"until {on_the_clock(given.until)}"
    line, _, _ = given.origin.partition(" [")  # the table is that of the ttl, or [defaults]
    return given.state.value, until, f"{given.setting} {format_duration(given.seconds)}, {line}"


def _used(shown: Provenance) -> str:
    entry = shown.entry
    if not entry.hits or entry.last_used_at is None:
        return "never"
    return f"{counted(entry.hits, 'time')}, last {span(max(shown.now - entry.last_used_at, 0))} ago"


def _saved(shown: Provenance) -> str:
    if not shown.entry.hits:
        return ""
    time_saved = duration(shown.saved_seconds)
    if shown.saved_usd is None:
        return f"saved {time_saved}"
    return f"saved about {money(shown.saved_usd)} and {time_saved}"


def _size(shown: Provenance) -> str:
    """What it takes, how much of that are its params, and what compression saves of its value."""
    entry = shown.entry
    value, raw = entry.stored_value_bytes, entry.value_bytes
    size = f"{format_size(entry.size_bytes)}, {format_size(len(entry.params_json))} of it params"
    if value == raw or not value:
        return size
    return f"{size}; the value {format_size(raw)} raw ({raw / value:.1f}x)"


def _number(number: int | None) -> str:
    return UNKNOWN if number is None else f"{number:,}"


def _draw_fact(screen: Screen, label: str, left: str, right: str) -> None:
    head = f"{INDENT}{label:<10}"
    left, right = screen.printable(left), screen.printable(right)
    room = screen.columns - len(head)
    padded = left + " " * (_SECOND_COLUMN - len(head) - cell_len(left))
    on_one_line = [f"{start}  {right}" for start in (padded, left)]
    fitting = [line for line in on_one_line if cell_len(line) <= room]
    if not right:
        first, *more = wrap(left, room)
    elif fitting:
        first, more = fitting[0], []
    else:
        first, more = left, list(wrap(right, room))
    screen.line(head, first)
    for line in more:
        screen.line(" " * len(head), line)
