"""Why a value cannot be kept, told without anything of the value.

What other code's exceptions say may quote what they were given (pydantic's `input_value=`, a
validator's message): of those only the kind is told, and where it was, in names of the program's.
"""

from __future__ import annotations

import sys
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

from llm_cache.core.values._equality import find_iterator

if TYPE_CHECKING:
    from pydantic import ValidationError

    from llm_cache.core.values.classes import Classes

_QUOTES_INPUT: Final = frozenset({"value_error", "assertion_error", "union_tag_invalid"})


@dataclass(frozen=True, slots=True)
class NotStorable:
    """A value that cannot be kept, and why; `kind` is that in two words, to be counted by."""

    reason: str
    kind: str = "not the same"


def refusal_of_streams(value: object) -> NotStorable | None:
    """An iterator would be used up by writing it, and its caller find nothing."""
    try:
        iterator = find_iterator(value)
    except Exception as error:  # noqa: BLE001 - collections may be the user's code
        return NotStorable(f"a {type(value).__name__} cannot be read ({told(error)})")
    if iterator is None:
        return None
    return NotStorable(f"a {type(iterator).__name__} can be read only once: return a list")


def said_by_pydantic(error: ValidationError) -> str:
    """What pydantic says is wrong with a value; not what a validator of the user's says of it."""
    first = error.errors(include_url=False, include_input=False)[0]
    is_known = first["type"] in _known_kinds() and first["type"] not in _QUOTES_INPUT
    return first["msg"] if is_known else "its validator refuses it"


def told(error: BaseException, classes: Classes | None = None) -> str:
    """What may be told of an exception of other code's: its kind, never what it says."""
    kind = type(error).__name__
    pydantic = sys.modules.get("pydantic_core")
    if pydantic is None or not isinstance(error, pydantic.ValidationError):
        return kind
    first = cast("Any", error).errors(
        include_url=False, include_context=False, include_input=False
    )[0]
    what = first["type"] if first["type"] in _known_kinds() else "as a validator says"
    # A step may be a key of a dict as well: only names that the program declares are told.
    steps = [step if classes and classes.has_field(step) else "…" for step in first["loc"]]
    return f"{kind}: {'.'.join(steps)}: {what}" if steps else f"{kind}: {what}"


def _known_kinds() -> tuple[str, ...]:
    """The kinds of errors that are pydantic's own: a validator may make up others."""
    from pydantic_core import core_schema

    return typing.get_args(core_schema.ErrorType)
