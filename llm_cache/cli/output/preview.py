"""Preview of a value: a text as it was stored, anything else as indented JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from llm_cache.cli.output.formatting import counted
from llm_cache.cli.output.layout import wrap
from llm_cache.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Sequence

    from llm_cache.cli.output.screen import Screen
    from llm_cache.core.entry import Entry

PREVIEW_LINES: Final = 12
"""With the facts above them they fill a terminal of 24 lines."""
INDENT: Final = "  "
_HEAD_CHARS: Final = 16_384
_HEAD_LINES: Final = 200
"""So much of a text is laid out at most, however long it is."""
_JSON_CHARS: Final = 2**18
"""A longer text is not looked at for whether it is JSON."""
_JSON_NAME: Final = re.compile(r'^( *)("(?:[^"\\]|\\.)*")(?=: )')
_BOLD: Final = "\\1\x1b[1m\\2\x1b[0m"


@dataclass(frozen=True, slots=True)
class _Excerpt:
    """The lines of a text that are shown, and how many of its own lines they are; 0 is not one."""

    lines: Sequence[str]
    source_lines: int


def draw_text(screen: Screen, entry: Entry, value: object) -> None:
    """Draws the first lines of a value, and says how many there are and where all of it is."""
    text, is_json = _readable(entry, value)
    if not text:
        screen.line(INDENT, "(an empty text)")
        return
    text = text.removesuffix("\n")
    shown = _first(*_head(screen, text), screen.columns - len(INDENT))
    for line in shown.lines:
        painted = _JSON_NAME.sub(_BOLD, line) if is_json and screen.colour else line
        screen.put(f"{INDENT}{painted}".rstrip(" ") + "\n")
    total = text.count("\n") + 1
    if shown.source_lines == total:
        return
    size = len(text.encode("utf-8", "surrogatepass"))
    part = (
        f"first {shown.source_lines:,} of {counted(total, 'line')}"
        if shown.source_lines
        else f"the start of {format_size(size)}"
    )
    note = f"({part}; llm-cache inspect {entry.id} --raw for the exact value)"
    for words in wrap(note, screen.columns - len(INDENT)):
        screen.line(INDENT, words)


def _readable(entry: Entry, value: object) -> tuple[str, bool]:
    """A value as text for a reader, and whether that is JSON."""
    if not isinstance(value, str):
        return _json_of(entry, value), True
    document = _json_in(value)
    return (value, False) if document is None else (document, True)


def _json_of(entry: Entry, value: object) -> str:
    """A value as JSON, a line an item."""
    import orjson

    if entry.encoding.partition("+")[0] == "json":  # orjson wrote it, and is far quicker
        return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()
    return json.dumps(value, ensure_ascii=False, indent=2)


def _json_in(text: str) -> str | None:
    """A text that is a JSON object or array, a line an item; None if it is none."""
    if len(text) > _JSON_CHARS or not text.lstrip().startswith(("{", "[")):
        return None
    try:
        value: Any = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return json.dumps(value, ensure_ascii=False, indent=2)


def _head(screen: Screen, text: str) -> tuple[list[str], int]:
    """The first lines of a text, made printable, and how many of them are whole."""
    head = text[:_HEAD_CHARS].split("\n")
    whole = len(head) - (len(text) > _HEAD_CHARS)
    lines = (line.removesuffix("\r").expandtabs(4) for line in head[:_HEAD_LINES])
    return list(map(screen.printable, lines)), min(whole, _HEAD_LINES)


def _first(source: Sequence[str], whole: int, cells: int) -> _Excerpt:
    """As many whole lines of a text as there is room for.

    Where the next one is so long that they are few, its beginning with them.
    """
    lines: list[str] = []
    for number, line in enumerate(source):
        parts = list(islice(wrap(line, cells), PREVIEW_LINES + 1))
        if number == whole or len(lines) + len(parts) > PREVIEW_LINES:
            if len(lines) >= PREVIEW_LINES // 2:
                return _Excerpt(lines, number)
            return _Excerpt((lines + parts)[:PREVIEW_LINES], 0)
        if lines or line.strip(" "):  # blank ends tell nothing
            lines += parts
    while lines and not lines[-1].strip(" "):
        lines.pop()
    return _Excerpt(lines or [""], len(source))
