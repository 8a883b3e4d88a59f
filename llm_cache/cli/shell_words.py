"""The line a shell has so far, as words; and a word as a shell takes it.

What is completed comes out of the cache, where models and users wrote it: a shell must get it as
text, never as something to expand.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_BLANK: Final = " \t\n"
_ESCAPED_IN: Final = {'"': '"\\$`', "'": ""}
_ESCAPED_IN_FISH: Final = {'"': '"\\$', "'": "\\'"}
_PLAIN_IN_BASH: Final = re.compile(r"[^\w@%+=:,./-]")
_ACTIVE_IN_DOUBLE_QUOTES: Final = re.compile(r'[$`"\\]')


@dataclass(frozen=True, slots=True)
class Line:
    """A line up to the cursor, without its quoting.

    Args:
        words: the words that are whole.
        word: what there is of the one that is being typed.
        quote: the quotation mark that is open in it; empty if none is.
        kept: as many of its characters the shell leaves as they are; what follows is replaced.
    """

    words: tuple[str, ...]
    word: str
    quote: str
    kept: int


def split(text: str, *, breaks: str = "", is_fish: bool = False) -> Line:
    """The words of a line; at the unquoted characters of `breaks` a shell begins a word anew."""
    reader = _Reader(breaks, _ESCAPED_IN_FISH if is_fish else _ESCAPED_IN)
    chars = iter(text)
    for char in chars:
        if char == "\\" and reader.may_escape:
            reader.take_escaped(next(chars, ""))
        else:
            reader.take(char)
    return reader.line()


class _Reader:
    """Takes a line character by character."""

    def __init__(self, breaks: str, escaped_in: dict[str, str]) -> None:
        self._breaks = breaks
        self._escaped_in = escaped_in
        self._words: list[str] = []
        self._word: str | None = None
        self._quote = ""
        self._quoted_from = 0
        self._kept = 0

    @property
    def may_escape(self) -> bool:
        """Whether a backslash means something here."""
        return not self._quote or bool(self._escaped_in[self._quote])

    def take_escaped(self, char: str) -> None:
        """Takes what a backslash stands before."""
        is_escape = not self._quote or char in self._escaped_in[self._quote]
        self._add(char if is_escape else f"\\{char}")

    def take(self, char: str) -> None:
        """Takes a character that no backslash stands before."""
        if self._quote:
            if char == self._quote:
                self._quote = ""
            else:
                self._add(char)
        elif char in self._escaped_in:
            self._add("")
            self._quote, self._quoted_from = char, len(self._word or "")
        elif char in _BLANK:
            if self._word is not None:
                self._words.append(self._word)
            self._word, self._kept = None, 0
        else:
            self._add(char)
            if char in self._breaks:
                self._kept = len(self._word or "")

    def line(self) -> Line:
        """What was taken."""
        kept = self._quoted_from if self._quote else self._kept
        return Line(tuple(self._words), self._word or "", self._quote, kept)

    def _add(self, text: str) -> None:
        self._word = (self._word or "") + text


def quoted_for_bash(text: str, quote: str) -> str:
    """`text` as bash reads it back to the letter, after an open `quote` or outside of any."""
    if quote:
        if quote == "'":
            quoted = text.replace("'", r"'\''")
        else:
            # History is expanded within double quotes, and a backslash before a ! would stay.
            quoted = _ACTIVE_IN_DOUBLE_QUOTES.sub(r"\\\g<0>", text).replace("!", "\"'!'\"")
        # Readline closes what is open, but where it sees the same mark it takes it for closed.
        return quoted + quote if quoted.endswith(quote) else quoted
    return _PLAIN_IN_BASH.sub(r"\\\g<0>", text)
