"""Whether two values are the same in type, value and state, and what an object's state is."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any, Final, TypeGuard, cast

if TYPE_CHECKING:
    from pydantic import BaseModel

_RULES: Final = ("maxlen", "default_factory")
"""Attributes of collections (deque, defaultdict) that JSON knows nothing of."""
_OF_PYTHON: Final = frozenset({"__dict__", "__weakref__", "__orig_class__"})
_NO_NAMES: Final[dict[str, object]] = {}
_METHODS: Final = (types.FunctionType, classmethod, staticmethod)


def is_same(one: object, other: object) -> bool:
    """Whether two values are the same in type, value and state, all the way down."""
    return _is_same(one, other, is_same)


def is_same_but_for_whole_floats(one: object, other: object) -> bool:
    """As `is_same`; an int in `other` may stand for the float it equals."""
    if type(one) is float and type(other) is int:
        return one == other
    return one is other or _is_same(one, other, is_same_but_for_whole_floats)


def _is_same(one: object, other: object, compare: Callable[[object, object], bool]) -> bool:
    if bare_class(type(one)) is not bare_class(type(other)):
        return False
    items = _items(one)
    if items is not None:
        others = cast("list[object]", _items(other))
        same_rules = all(getattr(one, r, None) == getattr(other, r, None) for r in _RULES)
        return same_rules and len(items) == len(others) and all(map(compare, items, others))
    match one:
        case float() | decimal.Decimal():
            return repr(one) == repr(other)
        case dt.datetime() | dt.time():
            return _is_same_time(one, cast("dt.datetime", other))
        case _:
            return bool(one == other)


def find_iterator(value: object) -> Iterator[object] | None:
    """An iterator in a value, at any depth: to write it would use it up."""
    if isinstance(value, Iterator):
        return cast("Iterator[object]", value)
    found = map(find_iterator, _items(value) or ())
    return next((iterator for iterator in found if iterator is not None), None)


def bare_class(cls: type) -> type:
    """A class; for a generic model with nothing but type variables filled in, the model itself."""
    generic: dict[str, Any] | None = getattr(cls, "__pydantic_generic_metadata__", None)
    if generic and generic["args"] and all(hasattr(a, "__bound__") for a in generic["args"]):
        return cast("type", generic["origin"])
    return cls


def is_model(value: object) -> TypeGuard[BaseModel]:
    """Whether a value is a model of pydantic's, which is not imported for that."""
    models = sys.modules.get("pydantic.main")
    return models is not None and isinstance(value, models.BaseModel)


def is_dataclass(value: object) -> bool:
    """Whether a value is an instance of a dataclass."""
    return dataclasses.is_dataclass(value) and not isinstance(value, type)


def fields_of(value: object) -> dict[str, object]:
    """The declared fields of a dataclass or model, as far as they are set."""
    if is_model(value):
        # Not getattr: reading a deprecated field warns.
        state = vars(value)
        return {name: state[name] for name in value.__pydantic_fields__ if name in state}
    names = [field.name for field in dataclasses.fields(cast("Any", value))]
    return {name: getattr(value, name) for name in names if hasattr(value, name)}


def attributes_beside_fields(value: object) -> dict[str, object]:
    """What a dataclass or model has in attributes that are no fields, but for private ones.

    What a `cached_property` and its like have worked out is derived, and no state of its own.
    """
    names: AbstractSet[str] = getattr(value, "__dict__", _NO_NAMES).keys()
    if is_model(value):
        names = names - value.__pydantic_fields__.keys()
    else:
        declared = {field.name for field in dataclasses.fields(cast("Any", value))}
        names = {*names, *_slots_of(type(value))} - declared
    return {
        name: getattr(value, name)
        for name in sorted(names - _OF_PYTHON)
        if not _is_derived(type(value), name) and hasattr(value, name)
    }


def has_attributes(value: object) -> bool:
    """Whether a value of a built-in type's subclass may carry more than its built-in value."""
    return bool(getattr(value, "__dict__", None)) or any(_slots_of(type(value)))


def private_attributes(model: BaseModel) -> dict[str, object]:
    """The private attributes of a model that have a value."""
    return model.__pydantic_private__ or {}


def private_beyond_defaults(model: BaseModel) -> dict[str, object]:
    """The private attributes that are not at their defaults; models are unequal that differ there.

    Which fields were set, and what else was attached to it, makes no model unequal to another.
    """
    declared = model.__private_attributes__
    return {
        name: item
        for name, item in private_attributes(model).items()
        if name not in declared or not is_same(declared[name].default, item)
    }


def _slots_of(cls: type) -> Iterator[str]:
    for each in cls.__mro__:
        slots = vars(each).get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            is_mangled = name.startswith("__") and not name.endswith("__")
            yield f"_{each.__name__.lstrip('_')}{name}" if is_mangled else name


def _is_derived(cls: type, name: str) -> bool:
    """Whether a descriptor keeps what it has worked out under its own name in the instance."""
    attribute: object = next((vars(c)[name] for c in cls.__mro__ if name in vars(c)), None)
    kind = cast("type", type(attribute))
    return (
        hasattr(kind, "__get__")
        and not hasattr(kind, "__set__")
        and not isinstance(attribute, _METHODS)
    )


def _items(value: object) -> list[object] | None:
    """What a value consists of, in an order of its own; None if it is one thing."""
    match value:
        case str() | bytes() | bytearray() | enum.Enum():
            return None
        case _ if is_model(value) or is_dataclass(value):
            return _state_of(value)
        case Mapping():
            pairs: Any = cast("Mapping[object, object]", value).items()
            return sorted(pairs, key=_repr_of_key)
        case AbstractSet():
            return sorted(cast("AbstractSet[object]", value), key=repr)
        case Collection():
            return list(cast("Collection[object]", value))
        case _:
            return None


def _repr_of_key(pair: tuple[object, object]) -> str:
    return repr(pair[0])


def _state_of(value: object) -> list[object]:
    fields = fields_of(value)
    state: list[object] = [" ".join(fields), *fields.values(), attributes_beside_fields(value)]
    if is_model(value):
        was_set = " ".join(sorted(value.model_fields_set))
        state += [was_set, private_attributes(value), value.model_extra or {}]
    return state


def _is_same_time(one: dt.datetime | dt.time, other: dt.datetime | dt.time) -> bool:
    """JSON holds an offset: no zone with rules of its own, and not the second of two times."""
    zones = [moment.tzinfo for moment in (one, other) if moment.tzinfo is not None]
    are_fixed = all(zone.utcoffset(None) is not None for zone in zones)
    return are_fixed and _told_of(one) == _told_of(other)


def _told_of(moment: dt.datetime | dt.time) -> tuple[object, ...]:
    return moment, moment.utcoffset(), moment.tzname(), moment.fold
