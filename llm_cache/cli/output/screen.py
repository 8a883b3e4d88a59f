"""Output streams with what they can show: width, colour, encoding; escapes all text.

A command hands over plain text; whatever reaches a stream has been through `printable` here, and
colour is added afterwards. So no command can forget it, and only our own colours are escapes.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple, TextIO, TypeAlias, cast

from llm_cache.cli.output.escape import printable, printable_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DEFAULT_COLUMNS: Final = 80

_UTF8: Final = frozenset({"utf-8", "utf8"})
_PLAIN: Final = {
    "…": "...", "·": "-", "–": "-", "✓": "ok", "✗": "x", "≈": "~", "█": "#",
    "▉": "#", "▊": "#", "▋": "#", "▌": "#", "▍": ".", "▎": ".", "▏": ".",
}  # fmt: skip
_EIGHTHS: Final = ("", "▏", "▎", "▍", "▌", "▋", "▊", "▉")
_LEVELS: Final = "▁▂▃▄▅▆▇█"
_GAP: Final = "·"
_PLAIN_LEVELS: Final = "_.-:=+*#"
_PLAIN_GAP: Final = " "
_TO_PLAIN: Final = str.maketrans(_PLAIN)


class Style(StrEnum):
    """A colour, by its ANSI code; the text it is on always says the same."""

    FRESH = "32"
    EXPIRING = "33"
    FAILED = "31"


class Styled(NamedTuple):
    """A text in a style."""

    text: str
    style: Style


Piece: TypeAlias = str | Styled
"""Raw text of any origin; it is made printable when it is shown."""


class ColourChoice(StrEnum):
    """What `--color` says."""

    AUTO = "auto"
    ALWAYS = "always"
    NEVER = "never"


class ReaderGoneError(Exception):
    """The reader of our output has closed its end of the pipe (`| head`)."""


@dataclass(frozen=True, slots=True)
class Screen:
    """An output stream, with what it can show.

    `encoding` is the one that may be counted on: a terminal under `LC_ALL=C` is ASCII even where
    Python writes UTF-8 to it. A dumb terminal cannot go back to what it showed.
    """

    stream: TextIO
    is_terminal: bool
    is_dumb: bool
    columns: int
    colour: bool
    encoding: str

    @property
    def is_unicode(self) -> bool:
        """Whether bars, ticks and CJK can be shown."""
        return self.encoding in _UTF8

    def text(self, piece: Piece) -> str:
        """A piece as it will be shown, without its colour."""
        return self.printable(piece.text if isinstance(piece, Styled) else piece)

    def printable(self, text: str) -> str:
        """Any text as it will be shown."""
        shown = printable(text)
        if self.is_unicode or shown.isascii():
            return shown
        plain = shown.translate(_TO_PLAIN)
        return plain.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def paint(self, shown: str, piece: Piece) -> str:
        """`shown`, which came from `text`, in the colour of `piece`."""
        if self.colour and isinstance(piece, Styled) and shown:
            return f"\x1b[{piece.style.value}m{shown}\x1b[0m"
        return shown

    def line(self, *pieces: Piece) -> None:
        """Writes one line."""
        self.put("".join(self.paint(self.text(piece), piece) for piece in pieces) + "\n")

    def put(self, shown: str) -> None:
        """Writes what was made printable before.

        Raises:
            ReaderGoneError: nobody reads it any more.
        """
        try:
            self.stream.write(shown)
        except BrokenPipeError:
            raise ReaderGoneError from None

    def flush(self) -> None:
        """Flushes the stream; ReaderGoneError if nobody reads it."""
        try:
            self.stream.flush()
        except BrokenPipeError:
            raise ReaderGoneError from None

    def exact(self, text: str) -> None:
        """Writes a text to the byte, with no line end added.

        A terminal would obey what is in it, so there it is escaped, but for line ends and tabs.
        """
        if self.is_terminal:
            self.put(self.multiline(text))
            return
        self.flush()
        try:
            self.stream.buffer.write(text.encode("utf-8", "surrogatepass"))
        except BrokenPipeError:
            raise ReaderGoneError from None

    def multiline(self, text: str) -> str:
        """A text of many lines as it will be shown, with its line ends and tabs."""
        lines = text.split("\n")
        return "\n".join("\t".join(map(self.printable, line.split("\t"))) for line in lines)

    def fields(self, *values: object) -> None:
        """Writes one line of tab-separated values; a tab inside a value is escaped."""
        self.put("\t".join(map(self._value, map(str, values))) + "\n")

    def _value(self, text: str) -> str:
        # A pipe gets data to the letter, so only what its encoding cannot say is replaced.
        encoding = self.stream.encoding or "utf-8"
        shown = printable(text)
        if shown.isascii() or encoding.lower() in _UTF8:
            return shown
        return shown.encode(encoding, "backslashreplace").decode(encoding)

    def json(self, document: object, *, indent: int | None = 2) -> None:
        """Writes a JSON document, safe to look at on a terminal."""
        self.put(self.json_text(document, indent=indent) + "\n")

    def json_text(self, document: object, *, indent: int | None = None) -> str:
        """A JSON document as it will be shown; what is not finite is null."""
        import json

        ascii_only = (self.stream.encoding or "").lower() not in _UTF8
        ascii_only |= self.is_terminal and not self.is_unicode
        try:
            text = json.dumps(
                document, indent=indent, ensure_ascii=ascii_only, allow_nan=False, default=str
            )
        except ValueError:
            document = _finite(document)
            text = json.dumps(document, indent=indent, ensure_ascii=ascii_only, default=str)
        return "\n".join(map(printable_json, text.split("\n")))


def screen_for(
    stream: TextIO,
    *,
    choice: ColourChoice = ColourChoice.AUTO,
    environ: Mapping[str, str] = os.environ,
) -> Screen:
    """The screen that a stream is, by the stream itself and the environment."""
    is_terminal = stream.isatty()
    dumb = environ.get("TERM") == "dumb"
    wanted = is_terminal and not dumb and not environ.get("NO_COLOR")
    return Screen(
        stream=stream,
        is_terminal=is_terminal,
        is_dumb=dumb,
        columns=_columns(stream, environ) if is_terminal else DEFAULT_COLUMNS,
        colour=choice is ColourChoice.ALWAYS or (choice is ColourChoice.AUTO and wanted),
        encoding=_encoding(stream, environ),
    )


def bar(share: float, cells: int, *, screen: Screen) -> str:
    """A bar of `cells` cells, filled to `share` (0 to 1), finer than a cell where Unicode is."""
    share = min(max(share, 0.0), 1.0)
    if not screen.is_unicode:
        return ("#" * round(share * cells)).ljust(cells, ".")
    eighths = round(share * cells * 8)
    full, part = divmod(eighths, 8)
    return ("█" * full + _EIGHTHS[part]).ljust(cells, "·")


def sparkline(shares: Sequence[float | None], *, screen: Screen) -> str:
    """A cell for each share, the smallest of them lowest and the largest highest; a gap for None.

    Where all are the same, all are high.
    """
    levels, gap = (_LEVELS, _GAP) if screen.is_unicode else (_PLAIN_LEVELS, _PLAIN_GAP)
    known = [share for share in shares if share is not None]
    low, high = min(known, default=0.0), max(known, default=0.0)
    top = len(levels) - 1

    def cell(share: float | None) -> str:
        if share is None:
            return gap
        return levels[round((share - low) / (high - low) * top) if high > low else top]

    return "".join(map(cell, shares))


def _columns(stream: TextIO, environ: Mapping[str, str]) -> int:
    try:
        set_by_user = int(environ.get("COLUMNS", ""))
    except ValueError:
        set_by_user = 0
    if set_by_user > 0:
        return set_by_user
    try:
        return os.get_terminal_size(stream.fileno()).columns or DEFAULT_COLUMNS
    except (OSError, ValueError):
        return DEFAULT_COLUMNS


def _encoding(stream: TextIO, environ: Mapping[str, str]) -> str:
    """The encoding that whoever reads `stream` understands.

    Under `LC_ALL=C` Python switches its streams to UTF-8, which such a terminal cannot show.
    """
    encoding = (stream.encoding or "ascii").lower()
    if encoding not in _UTF8 or environ.get("PYTHONIOENCODING") or environ.get("PYTHONUTF8") == "1":
        return encoding
    locale = environ.get("LC_ALL") or environ.get("LC_CTYPE") or environ.get("LANG") or ""
    return "ascii" if sys.flags.utf8_mode and locale in {"C", "POSIX"} else encoding


def _finite(value: object) -> object:
    match value:
        case float():
            return value if math.isfinite(value) else None
        case dict():
            return {n: _finite(item) for n, item in cast("dict[object, object]", value).items()}
        case list() | tuple():
            return [_finite(item) for item in cast("list[object]", value)]
        case _:
            return value
