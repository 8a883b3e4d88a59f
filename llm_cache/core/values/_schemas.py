"""What a class says of its values, in a digest: for requests that name one."""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import typing
import weakref
from typing import Any, Final

import orjson

from llm_cache.core.values.annotations import portable
from llm_cache.core.values.classes import model_fields_in

_digests: Final[weakref.WeakKeyDictionary[type, str]] = weakref.WeakKeyDictionary()


def has_schema(cls: Any) -> bool:
    """Whether a class declares what its values consist of."""
    if dataclasses.is_dataclass(cls) or typing.is_typeddict(cls):
        return True
    is_named_tuple = tuple in cls.__mro__ and hasattr(cls, "_fields")
    return is_named_tuple or enum.Enum in cls.__mro__ or model_fields_in(cls) is not None


def schema_digest(cls: type) -> str:
    """A digest of the JSON schema of a class: 64 hex digits.

    It has names, types, defaults and descriptions: what a model is told when it is to answer so.
    Raises whatever pydantic does where there is none.
    """
    digest = _digests.get(cls)
    if digest is None:
        schema = orjson.dumps(_schema_of(cls), option=orjson.OPT_SORT_KEYS)
        digest = _digests[cls] = hashlib.sha256(schema).hexdigest()
    return digest


def _schema_of(cls: type) -> dict[str, Any]:
    from pydantic import TypeAdapter
    from pydantic.json_schema import GenerateJsonSchema

    class Silent(GenerateJsonSchema):
        ignored_warning_kinds = {"skipped-choice", "non-serializable-default"}  # noqa: RUF012 - as there

    return TypeAdapter[Any](portable(cls)).json_schema(schema_generator=Silent)
