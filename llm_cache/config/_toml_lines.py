"""Finds the line of each key of a TOML text, for error messages: `tomllib` does not tell."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING, Final, TypeAlias

from llm_cache.config.checks import is_array, is_table

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KeyPath: TypeAlias = tuple[str | int, ...]
"""The way to a value: the names of tables and keys, and the index of each array element."""

_TOKEN: Final = re.compile(
    r"""
    \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\])*" | '[^']*' | \#[^\n]*
    | (?P<mark>[\[\]{}=\n])
    """,
    re.VERBOSE | re.DOTALL,
)


def key_lines(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of each table and each key of a table in `text`, which is valid TOML.

    What lies within arrays and inline tables has no line of its own: see `line_of`.
    """
    lines: dict[KeyPath, int] = {}
    last_of_array: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for line, statement in _statements(text):
        is_header = statement.startswith("[")
        value: object = tomllib.loads(statement if is_header else f"{statement} = 0")
        parts: list[str | int] = [] if is_header else [*table]
        while is_table(value) and value:
            ((name, value),) = value.items()
            parts.append(name)
            array = tuple(parts)
            if is_array(value):  # the end of [[a.b]]
                last_of_array[array] = last_of_array.get(array, -1) + 1
            if is_header and array in last_of_array:
                parts.append(last_of_array[array])
        path = tuple(parts)
        if is_header:
            table = path
        for length in range(1, len(path) + 1):
            lines.setdefault(path[:length], line)
    return lines


def line_of(lines: Mapping[KeyPath, int], path: KeyPath) -> int | None:
    """The line of `path`, else of the nearest thing around it that has one."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return None


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Each `[header]`, and each key up to its equals sign, with its line."""
    text += "\n"
    start = end = depth = 0
    line = 1
    for found in _TOKEN.finditer(text):
        match found["mark"]:
            case "[" | "{":
                depth += 1
            case "]" | "}":
                depth -= 1
            case "=" if not depth and not end:
                end = found.start()
            case "\n" if not depth:
                statement = text[start : end or found.start()].strip()
                if statement and not statement.startswith("#"):
                    yield line, statement
                line += text.count("\n", start, found.end())
                start, end = found.end(), 0
            case _:
                pass
