"""A value as JSON that names the type of all that JSON has no form for, and back.

It is for what plain JSON would bring back changed. As in canonical params, what JSON does not know
is an object with one tag, and a name of the user's that begins with `$` gets a second one. Classes
are named, and looked up among those that the return type allows for.
"""

from __future__ import annotations

import base64
import datetime as dt
import enum
import functools
import math
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import orjson

from llm_cache.core.values._equality import fields_of, is_dataclass, is_model, is_same
from llm_cache.core.values._objects import beside_fields, new_object, set_beside_fields
from llm_cache.core.values.classes import UnknownClassError

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import TypeAdapter

    from llm_cache.core.values.classes import Classes

Where: TypeAlias = tuple[str | int, ...]
"""The way to a part of a value: names of fields, and indices."""
_INT64: Final = range(-(2**63), 2**63)
_PLAIN: Final = frozenset({str, bool, type(None)})
_SEQUENCES: Final[dict[type, str]] = {tuple: "$tuple", set: "$set", frozenset: "$frozenset"}


class UnwritableError(Exception):
    """A value cannot be written; the message names the type of the part, never its content."""


class Tree:
    """Writes and builds the values of one return type."""

    def __init__(self, classes: Classes) -> None:
        self._classes = classes
        self._builders: Final[dict[str, Callable[[Any], Any]]] = {
            **_SCALARS,
            "$tuple": lambda items: tuple(self.build(items)),
            "$set": lambda items: set(self.build(items)),
            "$frozenset": lambda items: frozenset(self.build(items)),
            "$dict": lambda pairs: {self.build(n): self.build(item) for n, item in pairs},
            "$enum": lambda content: self._enum(*content),
            "$named": lambda content: self._named_tuple(*content),
            "$value": lambda content: self._other(*content),
            "$object": self._object,
        }

    def write(self, value: object, where: Where = ()) -> Any:
        """A value as JSON. UnwritableError if there is a part of it that has no such form."""
        cls = type(value)
        if cls in _PLAIN:
            return value
        if cls is list or cls in _SEQUENCES:
            items = enumerate(cast("list[object]", value))
            written = [self.write(item, (*where, index)) for index, item in items]
            return written if cls is list else {_SEQUENCES[cls]: written}
        if cls is dict:
            return self._write_dict(cast("dict[object, object]", value), where)
        scalar = _scalar(value)
        return self._write_instance(value, where) if scalar is None else scalar

    def build(self, node: Any) -> Any:
        """The value that was written. Raises anything at all if none was."""
        if isinstance(node, list):
            return [self.build(item) for item in cast("list[object]", node)]
        if not isinstance(node, dict):
            return node
        tag, content = _tag_of(cast("dict[str, Any]", node))
        if not tag:
            return {name: self.build(item) for name, item in content.items()}
        return self._builders[tag](content)

    def write_beside(self, value: object, where: Where) -> dict[str, Any]:
        """What an object holds beside its fields."""
        unset, parts = beside_fields(value)
        written: dict[str, Any] = {"unset": unset} if unset else {}
        for name, part in parts.items():
            written[name] = self._write_named(part, where)
        return written

    def set_beside(self, value: object, written: dict[str, Any]) -> None:
        """Gives an object what was written by `write_beside`."""
        parts: dict[str, dict[str, Any]] = {}
        for name in ("private", "more"):
            if name in written:
                parts[name] = {n: self.build(node) for n, node in written[name].items()}
        set_beside_fields(value, written.get("unset"), parts)

    def _write_dict(self, value: dict[object, object], where: Where) -> dict[str, Any]:
        if all(type(name) is str for name in value):
            names = cast("dict[str, object]", value)
            return {_escaped(name): self.write(item, where) for name, item in names.items()}
        pairs = value.items()
        return {"$dict": [[self.write(n, where), self.write(item, where)] for n, item in pairs]}

    def _write_named(self, named: dict[str, Any], where: Where) -> dict[str, Any]:
        return {name: self.write(item, (*where, name)) for name, item in named.items()}

    def _write_instance(self, value: object, where: Where) -> dict[str, Any]:
        cls: Any = type(value)
        try:
            name = self._classes.name_of(cls)
        except UnknownClassError as error:
            raise UnwritableError(_message(where, value, str(error))) from None
        if is_model(value) or is_dataclass(value):
            fields = self._write_named(fields_of(value), where)
            written = {"class": name, "fields": fields, **self.write_beside(value, where)}
            if is_model(value) and value.model_extra is not None:
                # Its names are the sender's: no part of the way that messages tell.
                extra = value.model_extra.items()
                written["extra"] = {name: self.write(item, where) for name, item in extra}
            return {"$object": written}
        if isinstance(value, enum.Enum) and not isinstance(value, enum.Flag):
            return {"$enum": [name, value.name]}
        if hasattr(cls, "_fields") and issubclass(cls, tuple):
            return {"$named": [name, self.write(list(cast("tuple[object]", value)), where)]}
        return {"$value": [name, _written_by_pydantic(value, where)]}

    def _object(self, written: dict[str, Any]) -> object:
        fields = {name: self.build(node) for name, node in written["fields"].items()}
        extra: dict[str, Any] | None = None
        if "extra" in written:
            extra = {name: self.build(node) for name, node in written["extra"].items()}
        made = new_object(self._classes.find(written["class"]), fields, extra)
        self.set_beside(made, written)
        return made

    def _enum(self, name: str, member: str) -> object:
        members: dict[str, object] = getattr(self._classes.find(name), "__members__")  # noqa: B009
        return members[member]

    def _named_tuple(self, name: str, items: list[object]) -> object:
        cls: Any = self._classes.find(name)
        if len(items) != len(cls._fields):
            raise TypeError
        return cast("Any", tuple).__new__(cls, self.build(items))

    def _other(self, name: str, written: object) -> object:
        return _adapter_of(self._classes.find(name)).validate_json(orjson.dumps(written))


def write_beside_by_path(tree: Tree, plain: object, value: object) -> list[Any] | None:
    """What the objects of a value hold beside their fields, each with the way to it.

    None if `plain` has other fields, so that this is not all that it lacks.
    """
    found: list[Any] = []
    return found if _collect(tree, plain, value, (), found) else None


def set_beside_by_path(tree: Tree, value: object, found: list[Any]) -> None:
    """Gives the objects of a value what was written by `write_beside_by_path`."""
    for path, written in found:
        part: Any = value
        for step in path:
            part = _step_into(part, step)
        unset = written.pop("unset", None)
        if unset:  # most have no more than this, and many objects have this
            part.__pydantic_fields_set__.difference_update(unset)
        if written:
            tree.set_beside(part, written)


def _step_into(value: Any, step: Any) -> Any:
    if isinstance(value, list | dict):
        return cast("Any", value)[step]
    try:
        return value.__dict__[step]  # not getattr: reading a deprecated field warns
    except AttributeError:  # a dataclass with slots
        return getattr(value, step)


def shown(node: Any) -> Any:
    """A written value for a reader: plain JSON, without the names of classes."""
    if isinstance(node, list):
        return [shown(item) for item in cast("list[object]", node)]
    if not isinstance(node, dict):
        return node
    tag, content = _tag_of(cast("dict[str, Any]", node))
    if tag == "$object":
        tag, content = "", content["fields"]
    if not tag:
        return {name: shown(item) for name, item in content.items()}
    told = {"$enum": 1, "$named": 1, "$value": 1, "$datetime": 0}
    return shown(content[told[tag]] if tag in told else content)


def _collect(tree: Tree, plain: object, value: object, path: Where, found: list[Any]) -> bool:
    """Adds what the objects in `value` hold beside fields; False if more than that differs."""
    if type(plain) is not type(value):
        return False
    if is_model(value) or is_dataclass(value):
        written = tree.write_beside(value, path)
        if written:
            found.append([path, written])
    one, other = _steps_of(plain), _steps_of(value)
    if one is None or other is None:
        return is_same(plain, value)
    return one.keys() == other.keys() and all(
        _collect(tree, one[step], other[step], (*path, step), found) for step in other
    )


def _steps_of(value: object) -> dict[Any, object] | None:
    """The parts of a value that a way may lead through; None if there are none."""
    if is_model(value) or is_dataclass(value):
        return cast("dict[Any, object]", fields_of(value))
    if type(value) is list:
        return dict(enumerate(cast("list[object]", value)))
    if type(value) is dict:
        named = cast("dict[Any, object]", value)
        return named if all(type(name) in (str, int) for name in named) else None
    return None


def _escaped(name: str) -> str:
    return f"${name}" if name.startswith("$") else name


def _tag_of(node: dict[str, Any]) -> tuple[str, Any]:
    """The tag of a node and what stands behind it; without a tag, the names as they were."""
    tag = next(iter(node), "")
    if tag.startswith("$") and not tag.startswith("$$"):
        (content,) = node.values()
        return tag, content
    return "", {name.removeprefix("$"): item for name, item in node.items()}


def _scalar(value: object) -> Any:
    """A value of a type that needs no class; None if it is none."""
    cls = type(value)
    if cls is int:
        number = cast("int", value)
        return number if number in _INT64 else {"$int": f"{number:x}"}
    if cls is float:
        return value if math.isfinite(cast("float", value)) else {"$float": repr(value)}
    if cls is bytes or cls is bytearray:
        return {f"${cls.__name__}": base64.b64encode(cast("bytes", value)).decode()}
    if cls is dt.datetime:
        moment = cast("dt.datetime", value)
        if type(moment.tzinfo) is dt.timezone:
            return {"$datetime": [moment.isoformat(), moment.tzname()]}
    return None


def _datetime(content: Any) -> dt.datetime:
    text, name = content
    moment = dt.datetime.fromisoformat(text)
    zone = cast("dt.timezone", moment.tzinfo)
    return moment.replace(tzinfo=_zone(zone.utcoffset(None), name))


def _zone(offset: dt.timedelta, name: str) -> dt.timezone:
    unnamed = dt.timezone(offset)
    return unnamed if unnamed.tzname(None) == name else dt.timezone(offset, name)


def _from_base64(content: str) -> bytes:
    return base64.b64decode(content, validate=True)


_SCALARS: Final[dict[str, Callable[[Any], Any]]] = {
    "$int": lambda content: int(content, 16),
    "$float": float,
    "$bytes": _from_base64,
    "$bytearray": lambda content: bytearray(_from_base64(content)),
    "$datetime": _datetime,
}


def _written_by_pydantic(value: object, where: Where) -> Any:
    try:
        return orjson.loads(_adapter_of(cast("type", type(value))).dump_json(value, warnings=False))
    except Exception as error:  # noqa: BLE001 - pydantic's, or the class's own
        why = f"it has no form in JSON ({type(error).__name__}): leave it out"
        raise UnwritableError(_message(where, value, why)) from None


@functools.lru_cache(maxsize=1000)
def _adapter_of(cls: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter[Any](cls)


def _message(where: Where, value: object, why: str) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in where)
    return f"{path.lstrip('.')} is a {type(value).__name__}: {why}" if where else why
