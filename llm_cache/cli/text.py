"""The beginning of a value as a reader sees it: text as markdown, anything else as JSON."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from llm_cache.cli.cells import wrap
from llm_cache.cli.figures import counted
from llm_cache.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from llm_cache.cli.render import Screen
    from llm_cache.entry import Entry

PREVIEW_LINES: Final = 12
"""With the facts above them they fill a terminal of 24 lines."""
INDENT: Final = "  "
_HEAD_CHARS: Final = 16_384
_HEAD_LINES: Final = 200
"""So much of a text is laid out at most, however long it is."""
_JSON_CHARS: Final = 2**18
"""A longer text is not looked at for whether it is JSON."""
_JSON_NAME: Final = re.compile(r'( *)("(?:[^"\\]|\\.)*")(?=: )')


class Weight(StrEnum):
    """How a text stands out; no colour, since colours mean something."""

    BOLD = "1"
    ITALIC = "3"
    STRUCK = "9"


Span: TypeAlias = tuple[str, tuple[Weight, ...]]
"""A text that was made printable, and how it stands out."""
Line: TypeAlias = "Sequence[Span]"
Layout: TypeAlias = "Callable[[Sequence[str]], Sequence[Line]]"
"""What lays out the first lines of a text; more lines take as much room or more."""


@dataclass(frozen=True, slots=True)
class _Shown:
    """The lines of a text that are shown, and how many of its own lines they are; 0 is not one."""

    lines: Sequence[Line]
    source_lines: int


def draw_text(screen: Screen, entry: Entry, value: object) -> None:
    """Draws the first lines of a value, and says how many there are and where all of it is."""
    text, layout = _readable(screen, entry, value)
    if not text:
        screen.line(INDENT, "(an empty text)")
        return
    text = text.removesuffix("\n")
    shown = _first(*_head(screen, text), layout)
    for line in shown.lines:
        painted = "".join(_painted(screen, span) for span in line)
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


def _readable(screen: Screen, entry: Entry, value: object) -> tuple[str, Layout]:
    """A value as text for a reader, and what lays that out."""
    room = screen.columns - len(INDENT)
    if not isinstance(value, str):
        return _json_of(entry, value), partial(_as_json, cells=room)
    document = _json_in(value)
    if document is not None:
        return document, partial(_as_json, cells=room)
    if not screen.colour:  # emphasis could not be seen: its marks are better
        return value, partial(_as_written, cells=room)
    from llm_cache.cli.markdown import laid_out

    return value, partial(laid_out, cells=room, screen=screen)


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
    return list(map(screen.words, lines)), min(whole, _HEAD_LINES)


def _first(source: Sequence[str], whole: int, layout: Layout) -> _Shown:
    """As many whole lines of a text as there is room for.

    Where the next one is so long that they are few, its beginning with them.
    """
    fitting, too_many = 0, whole + 1
    lines: Sequence[Line] = ()
    number = min(whole, PREVIEW_LINES)
    while fitting < number < too_many:
        tried = _without_blank_ends(layout(source[:number]))
        if len(tried) <= PREVIEW_LINES:
            fitting, lines = number, tried
            number = min(2 * number, (number + too_many) // 2)
        else:
            too_many = number
            number = (fitting + too_many) // 2
    if len(lines) >= PREVIEW_LINES // 2 or fitting == len(source):
        return _Shown(lines, fitting)
    more = _without_blank_ends(layout(source[: fitting + 1]))
    return _Shown(more[:PREVIEW_LINES], 0)


def _without_blank_ends(lines: Sequence[Line]) -> Sequence[Line]:
    """The lines without the blank ones before and after them."""
    told = [n for n, line in enumerate(lines) if any(text.strip(" ") for text, _ in line)]
    return lines[told[0] : told[-1] + 1] if told else lines[:1]


def _as_written(lines: Sequence[str], *, cells: int) -> list[Line]:
    return [((part, ()),) for line in lines for part in wrap(line, cells)]


def _as_json(lines: Sequence[str], *, cells: int) -> list[Line]:
    """JSON with its names in bold."""
    return [_with_bold_name(part) for line in lines for part in wrap(line, cells)]


def _with_bold_name(shown: str) -> Line:
    found = _JSON_NAME.match(shown)
    if found is None:
        return ((shown, ()),)
    indent, name = found.groups()
    return ((indent, ()), (name, (Weight.BOLD,)), (shown[found.end() :], ()))


def _painted(screen: Screen, span: Span) -> str:
    text, weights = span
    if not (screen.colour and weights and text.strip(" ")):
        return text
    return f"\x1b[{';'.join(weights)}m{text}\x1b[0m"
