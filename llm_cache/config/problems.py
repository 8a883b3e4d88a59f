"""How a wrong setting is reported, and where a right one came from."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from llm_cache.core.setting_types import shortened
from llm_cache.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from llm_cache.config._toml_lines import KeyPath

KEY_CHARS: Final = 160
"""As much of a key as a message quotes: no prefix is longer."""
_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_ELEMENT: Final = re.compile(r"(\w+)\[(\d{1,9})\]", re.ASCII)


class OriginKind(StrEnum):
    """Which kind of source a setting came from, the nearest first."""

    FLAG = "flag"
    ENVIRONMENT = "environment"
    FILE = "file"
    CODE = "code"
    BUILTIN = "built-in"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a setting came from.

    `name` is what to look for: a flag, a variable, or the file as the user would write it.
    """

    kind: OriginKind
    name: str
    path: Path | None = None
    line: int | None = None

    def __str__(self) -> str:
        """`cache.toml:14`, `LLM_CACHE_DIR`, `--cache-dir` or `built-in`."""
        return self.name if self.line is None else f"{self.name}:{self.line}"


BUILTIN: Final = Origin(OriginKind.BUILTIN, "built-in")
IN_CODE: Final = Origin(OriginKind.CODE, "code")


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong: which setting, why and what to do, and where it stands."""

    key: KeyPath
    message: str
    file: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        """One line: `cache.toml:14: prefixes.intro_page.tll is unknown; did you mean 'ttl'?`."""
        where = "" if self.file is None else f"{self.file}: "
        if self.line is not None:
            where = f"{self.file}:{self.line}: "
        # A message that starts with "is" goes on with the sentence that the key begins.
        between = " " if self.message.startswith("is ") else ": "
        setting = f"{dotted(self.key)}{between}" if self.key else ""
        return f"{where}{setting}{self.message}"

    def under(self, *outer: str | int) -> Problem:
        """The same problem seen from further out."""
        return replace(self, key=(*outer, *self.key))


class WrongSettingsError(ConfigError):
    """Everything that is wrong with a configuration; the message names the first."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems: tuple[Problem, ...] = tuple(
            sorted(problems, key=lambda problem: problem.line or 0)
        )
        super().__init__(self.problems)

    def __str__(self) -> str:
        """One line, also where there are several problems."""
        first, more = self.problems[0], len(self.problems) - 1
        if not more:
            return str(first)
        hint = "; llm-cache config check shows all" if first.file is not None else ""
        return f"{first} (and {more} more{hint})"


def dotted(key: KeyPath) -> str:
    """The key as one would write it in TOML: `prefixes.intro_page.ttl`, `warm[0].prefix`."""
    text = ""
    for part in key:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += f".{quoted_key(part)}" if text else quoted_key(part)
    return text


def split_key(text: str) -> KeyPath:
    """The parts of a setting's name as `dotted` writes it; quotes may be left out."""
    table, _, name = text.partition(".")
    in_array = _ELEMENT.fullmatch(table)
    if in_array:
        return (in_array[1], int(in_array[2]), name)
    if table in {"prefixes", "prices"} and "." in name:
        whose, _, name = name.rpartition(".")
        return (table, whose.removeprefix('"').removesuffix('"'), name)
    return (table, name) if name else (table,)


def quoted_key(name: str) -> str:
    """`name`, in quotes if TOML wants them."""
    return shortened(name if _BARE_KEY.fullmatch(name) else f'"{harmless(name)}"', KEY_CHARS)


def unknown(name: str, known: Iterable[str]) -> str:
    """The message about an unknown key: which one may have been meant."""
    import difflib

    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f"is unknown; did you mean '{close[0]}'?"
    return f"is unknown; known here: {', '.join(names)}"


def harmless(text: str) -> str:
    """`text` with everything that a terminal might act on, and quotes, escaped as TOML does."""
    return "".join(map(_harmless, text))


def _harmless(char: str) -> str:
    if char in '"\\':
        return f"\\{char}"
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\u{code:04X}" if code <= 0xFFFF else f"\\U{code:08X}"
