"""The classes that may stand in the values of one return type, found by their names.

What is stored names the class of an object where its return type does not say it. Such a name is
looked up among the classes that the type names, and those that are derived from them and are there
already: nothing is imported, and no other class is ever built.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import pathlib
import sys
import typing
import uuid
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from llm_cache.core.fork_locks import lazy
from llm_cache.core.values._equality import bare_class

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

_STANDARD: Final[tuple[type, ...]] = (
    dt.date, dt.datetime, dt.time, dt.timedelta, decimal.Decimal, uuid.UUID,
    pathlib.PurePosixPath, pathlib.PureWindowsPath, pathlib.PosixPath,
)  # fmt: skip


class UnknownClassError(Exception):
    """There is no such class where a return type allows for it, or more than one."""


class Classes:
    """The classes that one return type allows for."""

    def __init__(self, returned: object) -> None:
        self._returned = returned
        self._found: dict[str, type] = {}

    def name_of(self, cls: type) -> str:
        """The name by which `find` finds a class. UnknownClassError if it does not."""
        cls = bare_class(cls)
        name = _name(cls)
        if self.find(name) is not cls:
            msg = f"another class is meant by that name in {type_text(self._returned)}"
            raise UnknownClassError(msg)
        return name

    def find(self, name: str) -> type:
        """The class of a name, as it is now. UnknownClassError if there is not exactly one."""
        found = self._found.get(name)
        if found is None or not is_current(found):
            found = self._found[name] = self._search(name)
        return found

    def has_field(self, name: object) -> bool:
        """Whether a class that the return type names declares a field of this name."""
        return any(name in fields_in(cls) for cls in self._named if _has_fields(cls))

    def _search(self, name: str) -> type:
        _, _, qualname = name.partition(":")
        there = [cls for cls in {*_STANDARD, *self._families()} if _name(cls) == name]
        # The return type itself means a class, whatever the module is called in this process.
        there = there or [cls for cls in self._named if cls.__qualname__ == qualname]
        if len(there) > 1:  # classes of before a redefinition live on for a while
            there = [cls for cls in there if is_current(cls)]
        if len(there) != 1:
            known = "names several of these" if there else "names no such class: name it there"
            msg = f"its return type {type_text(self._returned)} {known}"
            raise UnknownClassError(msg)
        return there[0]

    @lazy
    def _named(self) -> tuple[type, ...]:
        found: dict[type, None] = {}
        _collect(self._returned, found)
        return tuple(found)

    def _families(self) -> Iterator[type]:
        waiting = list(self._named)
        seen: set[type] = set()
        while waiting:
            cls = waiting.pop()
            if cls not in seen:
                seen.add(cls)
                yield bare_class(cls)
                waiting += type.__subclasses__(cls)


def type_text(annotation: object) -> str:
    """An annotation as it is written."""
    return annotation.__name__ if isinstance(annotation, type) else str(annotation)


def is_current(cls: type) -> bool:
    """Whether its module has no other class under the name of this one.

    It has once the class is defined anew, in a notebook or by a reload.
    """
    now = defined_now(cls)
    return now is None or now is cls


def defined_now(cls: type) -> object:
    """What the module of a class has under the name of the class; None if nothing."""
    found: Any = sys.modules.get(cls.__module__)
    for part in cls.__qualname__.split("."):
        names: dict[str, Any] = getattr(found, "__dict__", {})
        found = names.get(part)
    return found


def model_fields_in(cls: type) -> dict[str, FieldInfo] | None:
    """The declared fields of a pydantic model; None if the class is none."""
    is_model = hasattr(cls, "__pydantic_fields__") and not dataclasses.is_dataclass(cls)
    return cast("type[BaseModel]", cls).model_fields if is_model else None


def fields_in(cls: type) -> dict[str, Any]:
    """The annotations of what a dataclass or model declares; Any where they are unknown."""
    declared = model_fields_in(cls)
    if declared is not None:
        return {n: typing.Annotated[f.annotation, *f.metadata, ""] for n, f in declared.items()}
    hints: dict[str, Any] = {}
    with suppress(Exception):  # an annotation may be any expression at all
        hints = typing.get_type_hints(cls, include_extras=True)
    return {
        field.name: hints.get(field.name, Any) for field in dataclasses.fields(cast("Any", cls))
    }


def _has_fields(cls: Any) -> bool:
    return dataclasses.is_dataclass(cls) or model_fields_in(cls) is not None


def _name(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


def _collect(annotation: Any, found: dict[type, None]) -> None:
    """Adds the classes that an annotation names, and those that their fields name."""
    bound = getattr(annotation, "__bound__", None)
    for part in (typing.get_origin(annotation), *typing.get_args(annotation), bound):
        if part is not None:
            _collect(part, found)
    if not isinstance(annotation, type) or annotation.__module__ == "builtins":
        return
    cls = bare_class(annotation)
    if cls not in found:
        found[cls] = None
        for part in _named_by(cls):
            if part is not None:
                _collect(part, found)


def _named_by(cls: Any) -> list[Any]:
    """What a class says its instances hold; of a generic model, the model itself, too."""
    if _has_fields(cls):
        generic: dict[str, Any] = getattr(cls, "__pydantic_generic_metadata__", {})
        return [generic.get("origin"), *fields_in(cls).values()]
    if not (typing.is_typeddict(cls) or hasattr(cls, "_fields")):
        return []
    with suppress(Exception):  # an annotation may be any expression at all
        return list(typing.get_type_hints(cls).values())
    return []
