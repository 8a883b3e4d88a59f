"""Dataclasses and models taken apart into fields and the state beside them, and rebuilt.

They come back by setting their state: no validator and no `__init__` gets to change it. The fields
are checked against their types first, since the class may have changed since they were written.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from llm_cache.core.values._equality import (
    attributes_beside_fields,
    fields_of,
    is_model,
    is_same_but_for_whole_floats,
    private_attributes,
)
from llm_cache.core.values.annotations import portable
from llm_cache.core.values.classes import fields_in, model_fields_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import BaseModel, TypeAdapter

Components: TypeAlias = dict[str, dict[str, Any]]


def beside_fields(value: object) -> tuple[list[str], Components]:
    """The names that a model does not count as set, and attributes: private ones, and others."""
    parts: Components = {"more": attributes_beside_fields(value)}
    unset: list[str] = []
    if is_model(value):
        parts["private"] = private_attributes(value)
        names = [*fields_of(value), *(value.model_extra or ())]
        unset = [name for name in names if name not in value.model_fields_set]
    return unset, {name: part for name, part in parts.items() if part}


def set_beside_fields(value: object, unset: list[str] | None, parts: Components) -> None:
    """Gives an object what `beside_fields` found of another."""
    if unset:
        cast("BaseModel", value).__pydantic_fields_set__.difference_update(unset)
    if "private" in parts:
        object.__setattr__(value, "__pydantic_private__", dict(parts["private"]))
    for name, content in parts.get("more", {}).items():
        object.__setattr__(value, name, content)


def new_object(cls: type, fields: dict[str, Any], extra: dict[str, Any] | None) -> object:
    """An object with these fields, and defaults for those that its class has got since.

    Raises KeyError, TypeError or pydantic's ValidationError where they are not those of the class.
    """
    if not builds_unchecked(cls):
        check(_checker_of(cls), fields)
    whole = _completed(cls, fields)
    if model_fields_in(cls) is None:
        made: object = object.__new__(cast("Any", cls))
        for name, content in whole.items():
            object.__setattr__(made, name, content)
        return made
    model = cast("type[BaseModel]", cls)
    parts: dict[str, Any] = {
        "__dict__": whole,
        "__pydantic_fields_set__": {*fields, *(extra or ())},
    }
    if not model.__pydantic_root_model__:  # which has neither of these
        parts["__pydantic_extra__"] = extra
        parts["__pydantic_private__"] = {} if model.__private_attributes__ else None
    made = model.__new__(model)
    for name, part in parts.items():
        object.__setattr__(made, name, part)
    return made


def builds_unchecked(cls: type) -> bool:
    """Whether a class makes models of whatever a server sends, and says so by its own constructor.

    So do the models of the SDKs of OpenAI and Anthropic.
    """
    construct: Callable[..., object] | None = getattr(cls, "model_construct", None)
    return construct is not None and not construct.__module__.startswith("pydantic.")


def is_instance(value: object, cls: object) -> bool:
    """Whether a value is of a class; of a generic model, whatever its variables stand for."""
    generic: dict[str, Any] = getattr(cls, "__pydantic_generic_metadata__", {})
    return (generic.get("origin") or cls) in type(value).__mro__


def check(adapter: TypeAdapter[Any], value: object) -> None:
    """Raises if a value is not of a type: TypeError, or pydantic's ValidationError."""
    if not is_same_but_for_whole_floats(adapter.validate_python(value, strict=True), value):
        raise TypeError


def _completed(cls: type, fields: dict[str, Any]) -> dict[str, Any]:
    """The fields of a class, with defaults for those that it has got since they were written."""
    models = model_fields_in(cls)
    if models is None:
        names = [field.name for field in dataclasses.fields(cls)]
        defaults = _defaults_of_dataclass(cls, fields)
    else:
        names = list(models)
        defaults = {
            name: field.get_default(call_default_factory=True, validated_data=fields)
            for name, field in models.items()
            if name not in fields and not field.is_required()
        }
    whole = {**defaults, **fields}
    if whole.keys() != set(names):
        raise KeyError
    return {name: whole[name] for name in names}


def _defaults_of_dataclass(cls: Any, fields: dict[str, Any]) -> dict[str, Any]:
    missing = [field for field in dataclasses.fields(cls) if field.name not in fields]
    return {
        field.name: field.default
        if field.default_factory is dataclasses.MISSING
        else field.default_factory()
        for field in missing
        if (field.default, field.default_factory) != (dataclasses.MISSING, dataclasses.MISSING)
    }


@functools.lru_cache(maxsize=1000)
def _checker_of(cls: type) -> TypeAdapter[Any]:
    """Checks the types of fields, without what the class itself would do with them."""
    from pydantic import ConfigDict, TypeAdapter
    from typing_extensions import TypedDict

    fields = {name: portable(annotation) for name, annotation in fields_in(cls).items()}
    make = cast("Callable[..., Any]", TypedDict)
    checked = make(cls.__name__, fields, total=False)
    checked.__pydantic_config__ = ConfigDict(arbitrary_types_allowed=True)
    return TypeAdapter[Any](checked)
