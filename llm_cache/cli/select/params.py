"""Params as a user types them: NAME=VALUE."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llm_cache.cli.errors import ExitCode, Failure

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class TypedParam:
    """A param that was typed, with every value that may be meant: JSON first, then text.

    `5` may be a number or a text; `"5"`, in quotes of JSON, is the text.
    """

    name: str
    values: tuple[Any, ...]
    typed: str
    _meant: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_meant", frozenset(map(_exact, self.values)))

    @classmethod
    def of(cls, typed: str) -> TypedParam:
        """What `NAME=VALUE` says.

        Raises:
            Failure: it is not of that form.
        """
        name, mark, text = typed.partition("=")
        if not mark or not name:
            raise Failure(
                message=f"'{typed}' is no param",
                hint="write NAME=VALUE, like subject=math",
                code=ExitCode.USAGE,
            )
        try:
            value = json.loads(text, parse_float=_finite, parse_constant=_finite)
        except (ValueError, RecursionError):
            return cls(name, (text,), typed)
        return cls(name, (value,) if isinstance(value, str) else (value, text), typed)

    def is_in(self, params: Mapping[str, object]) -> bool:
        """Whether these params have it, with one of the values and the type of that."""
        return self.name in params and _exact(params[self.name]) in self._meant

    def narrowed(self, other: TypedParam) -> TypedParam | None:
        """What both say of one param; None if nothing can be both."""
        values = tuple(value for value in self.values if _exact(value) in other._meant)
        narrower = min(self, other, key=lambda param: len(param.values))
        return TypedParam(self.name, values, narrower.typed) if values else None

    def nearest_to(self, params: Mapping[str, object]) -> Any:  # noqa: ANN401 - any value of JSON
        """The value that these params have, if it may be meant; else the first, of that type."""
        there = params.get(self.name)
        same = [value for value in self.values if _exact(value) == _exact(there)]
        alike = [value for value in self.values if type(value) is type(there)]
        return [*same, *alike, *self.values][0]


def _finite(text: str) -> float:
    """A number; ValueError for what JSON has no number for."""
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _exact(value: object) -> str:
    return json.dumps(value, sort_keys=True, default=str)
