"""On which line of a TOML text each key stands.

`tomllib` does not say, and an error that names the line is worth more than one that does not. The
text has been accepted by `tomllib`, so this scanner only has to find its way, never to judge.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way to a value: the names of tables and keys, and the index of each array element."""

_TOKEN: Final = re.compile(
    r"""
    (?P<text>\"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\])*" | '[^']*')
    | (?P<skip>[ \t\r]+ | \#[^\n]*)
    | (?P<mark>[\[\]{},=.\n])
    | (?P<bare>[^\s\[\]{},=.\#"']+)
    """,
    re.VERBOSE | re.DOTALL,
)


class _Token(NamedTuple):
    text: str
    mark: str
    """The text again if it is punctuation or the end of a line, else empty."""
    line: int


@dataclass(slots=True)
class _Scan:
    """What was found so far."""

    lines: dict[KeyPath, int] = field(default_factory=dict[KeyPath, int])
    last_of_array: dict[KeyPath, int] = field(default_factory=dict[KeyPath, int])

    def note(self, path: KeyPath, line: int) -> KeyPath:
        """Note that `path`, and every table it implies, stands on `line` unless seen before."""
        for length in range(1, len(path) + 1):
            self.lines.setdefault(path[:length], line)
        return path

    def open_table(self, names: list[str], line: int, *, in_array: bool) -> KeyPath:
        """The path that a `[header]` opens; an array of tables on the way is its last element."""
        path: KeyPath = ()
        for name in names[:-1]:
            path = self._into_last((*path, name))
        path = (*path, names[-1])
        if in_array:
            self.last_of_array[path] = self.last_of_array.get(path, -1) + 1
        return self.note(self._into_last(path), line)

    def _into_last(self, path: KeyPath) -> KeyPath:
        return (*path, self.last_of_array[path]) if path in self.last_of_array else path


@dataclass(slots=True)
class _Container:
    """An array or inline table being read; `index` is None in a table, `at_key` false in an array.

    `at` is the path of the value being read.
    """

    path: KeyPath
    index: int | None
    at_key: bool
    at: KeyPath = ()

    def locate(self, scan: _Scan, token: _Token, tokens: Iterator[_Token]) -> KeyPath:
        """The path of the value that `token` belongs to; reads on to the `=` if it is a key."""
        if self.index is not None:
            self.at = scan.note((*self.path, self.index), token.line)
        elif self.at_key:
            self.at = _read_key(scan, self.path, token, tokens)
            self.at_key = False
        return self.at

    def after_comma(self) -> None:
        """Turn to the next element or key."""
        if self.index is None:
            self.at_key = True
        else:
            self.index += 1


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every key, table and array element of `text`, which is valid TOML."""
    scan = _Scan()
    tokens = _tokens(text)
    table: KeyPath = ()
    for token in tokens:
        if token.mark == "[":
            table = _read_header(scan, tokens, token.line)
        elif not token.mark:
            _read_value(scan, _read_key(scan, table, token, tokens), tokens)
    return scan.lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """The line of `path`, else of the nearest thing around it that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _tokens(text: str) -> Iterator[_Token]:
    line = 1
    for found in _TOKEN.finditer(text):
        if found.lastgroup != "skip":
            yield _Token(found[0], found["mark"] or "", line)
        line += found[0].count("\n")


def _read_header(scan: _Scan, tokens: Iterator[_Token], line: int) -> KeyPath:
    """Read the rest of `[a.b]` or `[[a.b]]`, whose first bracket was just read."""
    names: list[str] = []
    in_array = False
    for token in tokens:
        match token.mark:
            case "]":
                break
            case "[":
                in_array = True
            case "":
                names.append(_name(token))
            case _:
                pass
    if in_array:
        next(tokens)
    return scan.open_table(names, line, in_array=in_array)


def _read_key(scan: _Scan, inside: KeyPath, first: _Token, tokens: Iterator[_Token]) -> KeyPath:
    """Read a key of the table `inside` that starts with `first`, up to its equals sign."""
    path: KeyPath = (*inside, _name(first))
    for token in tokens:
        if token.mark == "=":
            break
        if not token.mark:
            path = (*path, _name(token))
    return scan.note(path, first.line)


def _read_value(scan: _Scan, path: KeyPath, tokens: Iterator[_Token]) -> None:
    """Read the value of `path`, up to the end of its line.

    The open brackets are a list, not calls: a file may nest as deep as it likes.
    """
    opened: list[_Container] = []
    for token in tokens:
        inside = opened[-1] if opened else None
        match token.mark:
            case "\n":
                if inside is None:
                    return
            case ".":  # the point of a number
                pass
            case "]" | "}":
                opened.pop()
            case ",":
                opened[-1].after_comma()
            case bracket:
                at = path if inside is None else inside.locate(scan, token, tokens)
                if bracket:
                    is_array = bracket == "["
                    opened.append(_Container(at, 0 if is_array else None, at_key=not is_array))


def _name(token: _Token) -> str:
    if token.text[0] in "\"'":
        return next(iter(tomllib.loads(f"{token.text} = 0")))
    return token.text
