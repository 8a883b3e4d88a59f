"""What a setting may be, how a wrong one is quoted, and how settings are documented."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

T = TypeVar("T")
SHOWN_CHARS: Final = 60
"""As much of a wrong value as a message quotes."""


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """The values that a setting may have.

    Args:
        check: returns a value as it is kept; its ValueError says what is wrong and what to write.
        schema: the JSON Schema of the same values in a TOML file.
        plain: returns a value that is kept as a TOML file has it.
    """

    check: Callable[[object], T]
    schema: Mapping[str, Any]
    plain: Callable[[T], Any] = lambda value: value


def shown_value(value: object) -> str:
    """A value as its file says it, short enough for a message."""
    match value:
        case bool():
            return str(value).lower()
        case date() | time():
            return str(value)
        case dict():
            return "a table"
        case list() | tuple():
            return "an array"
        case int() if abs(value) > 10**SHOWN_CHARS:
            return "a very long number"
        case _:
            return shortened(repr(value))


def shortened(text: str, limit: int = SHOWN_CHARS) -> str:
    """`text` with its middle left out if it is longer than `limit`."""
    return text if len(text) <= limit else f"{text[: limit // 2]}…{text[-limit // 3 :]}"


def with_args(doc: str | None, words: Mapping[str, str]) -> str | None:
    """A docstring with an `Args` section before its `Raises`; None under `python -OO`."""
    if doc is None:
        return None
    lines = (f"        {name}: {text}." for name, text in words.items())
    head, raises, rest = doc.partition("    Raises:")
    return "\n".join([head.rstrip(), "", "    Args:", *lines, "", raises + rest])
