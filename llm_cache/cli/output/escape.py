"""Text of others made safe to show: nothing in it can move a cursor, hide, or turn the line round.

Prefixes, params, values, models, paths and error messages are written by models and users. What a
terminal would obey, or show as nothing at all, comes out as the escape a programmer would write for
it; everything else, CJK, emoji and right-to-left letters among it, stays as it is.
"""

from __future__ import annotations

import re
from typing import Final

_ALWAYS: Final = (
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: escape sequences begin here
    "\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f"  # shown as nothing
    "\u200b\u200e\u200f"  # zero-width space, direction marks
    "\u2028\u2029\u202a-\u202e\u2060-\u206f"  # separators, bidi overrides and isolates
    "\u3164\ufeff\uffa0\ufff0-\ufffb"
    "\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    "\U000e0000-\U000e0fff"  # tags, and selectors that can carry hidden text
    "\ud800-\udfff"  # halves of a pair: no encoding takes them
)
_JOINED_SCRIPTS: Final = "\u0600-\u08ff\u0900-\u0dff\u1780-\u17ff"  # joiners are spelling here
_PICTURES: Final = "\u00a9\u00ae\u2190-\u2bff\u3030\u303d\u3297\u3299\U0001f000-\U0001faff"
_HARMFUL: Final = re.compile(
    f"[{_ALWAYS}]"
    f"|(?<![{_JOINED_SCRIPTS}])\u200c|\u200c(?![{_JOINED_SCRIPTS}])"
    f"|(?<![{_JOINED_SCRIPTS}{_PICTURES}\ufe0f])\u200d|\u200d(?![{_JOINED_SCRIPTS}{_PICTURES}])"
    "|^[\ufe00-\ufe0f]|(?<=[\ufe00-\ufe0f])[\ufe00-\ufe0f]",  # a selector has something to select
)
_SHORT: Final = {"\t": r"\t", "\n": r"\n", "\r": r"\r"}
_ONE_BYTE: Final = 0x100
_ONE_UNIT: Final = 0x10000


def printable(text: str) -> str:
    r"""`text` on one line, with what a terminal would obey or hide as an escape: `\x1b`, `\u202e`.

    Every text of a user or a model goes through here on its way to a terminal.
    """
    return text if _is_plain(text) else _HARMFUL.sub(_escape, text)


def is_harmless(text: str) -> bool:
    """Whether `printable` would leave `text` as it is."""
    return _HARMFUL.search(text) is None


def printable_json(document: str) -> str:
    r"""The same JSON, with what a terminal would obey or hide as `\u` escapes.

    `document` is valid JSON without line breaks of its own: they would be escaped too.
    """
    return document if _is_plain(document) else _HARMFUL.sub(_escape_in_json, document)


def _is_plain(text: str) -> bool:
    """Whether there is nothing to look for; most texts are told by this alone, 50 times quicker."""
    return text.isascii() and text.isprintable()


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    code = ord(char)
    if code < _ONE_BYTE:
        return _SHORT.get(char, f"\\x{code:02x}")
    return f"\\u{code:04x}" if code < _ONE_UNIT else f"\\U{code:08x}"


def _escape_in_json(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < _ONE_UNIT:
        return f"\\u{code:04x}"
    high, low = divmod(code - _ONE_UNIT, 0x400)
    return f"\\u{0xD800 + high:04x}\\u{0xDC00 + low:04x}"
