"""A value as plain JSON that keeps its type, or a clear refusal. See `keys` for the format."""

from __future__ import annotations

import base64
import dataclasses
import datetime as dt
import decimal
import enum
import math
import pathlib
import sys
import uuid
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import orjson

from llm_cache.core.values._equality import attributes_beside_fields, private_beyond_defaults
from llm_cache.core.values._schemas import has_schema, schema_digest
from llm_cache.core.values._unkeyable import Where, describe, refuse, way_out
from llm_cache.core.values.classes import defined_now
from llm_cache.errors import KeyParamError

if TYPE_CHECKING:
    from collections.abc import Callable, Container, Iterable

    from pydantic import BaseModel

MAX_DEPTH: Final = 200
"""Levels of JSON; orjson itself ends at 254."""
_TAG: Final = "$"
_STATE: Final = "$state"
"""What an object holds beside its fields; a field whose name begins so has a second tag."""
INT64: Final = range(-(2**63), 2**63)
"""The ints that are written as such. Beyond, Python refuses decimal digits by the thousand, and
JSON libraries lose them: those are tagged, in hex."""


def plain_dict(
    pairs: Iterable[tuple[object, object]], where: Where, depth: int
) -> dict[str, object]:
    """Named values as what orjson writes; a name cannot be taken for a tag."""
    named: dict[str, object] = {}
    for name, item in pairs:
        if type(name) is not str:
            kind = cast("type", type(name)).__name__
            if not where:
                msg = f"a param's name is of the type {kind}: names are str"
                raise KeyParamError(msg)
            refuse(where, f"has a name of the type {kind}", "use str names")
        inside = (*where, name)
        _str(name, inside, depth)
        named[_TAG + name if name.startswith(_TAG) else name] = plain(item, inside, depth)
    return named


def plain(value: object, where: Where, depth: int = 1) -> object:
    """`value` as what orjson writes without losing its type; KeyParamError if there is no such."""
    if depth > MAX_DEPTH:
        refuse(
            where[:1], f"is nested over {MAX_DEPTH} levels deep, or contains itself", "flatten it"
        )
    write = _EXACT.get(type(value)) or _writer_of_kin(value)
    if write is None:
        refuse(where, f"is {describe(value)}, which has no stable value", way_out(value))
    try:
        return write(value, where, depth)
    except RecursionError:
        refuse(where[:1], "is nested too deep for the stack left to this call", "flatten it")


# Plain JSON


def _str(value: object, where: Where, _depth: int) -> object:
    text = cast("str", value)
    try:
        text.encode()
    except UnicodeEncodeError:
        refuse(where, "has a lone surrogate, which no text can hold", "remove it")
    return text


def _int(value: object, _where: Where, _depth: int) -> object:
    number = cast("int", value)
    return number if number in INT64 else _tagged("int", f"{number:x}")


def _float(value: object, where: Where, _depth: int) -> object:
    number = cast("float", value)
    if not math.isfinite(number):
        refuse(where, f"is {number}, which equals nothing stable", "pass None or a number")
    # Python's own shortest form, which is settled; a JSON library's may change with its release.
    return orjson.Fragment(float.__repr__(number))


def _constant(value: object, _where: Where, _depth: int) -> object:
    return value


def _list(value: object, where: Where, depth: int) -> object:
    items = cast("list[object] | tuple[object, ...]", value)
    return [plain(item, (*where, index), depth + 1) for index, item in enumerate(items)]


def _dict(value: object, where: Where, depth: int) -> object:
    return plain_dict(cast("dict[object, object]", value).items(), where, depth + 1)


# What has a tag


def _tagged(kind: str, content: object, name: str = "") -> dict[str, object]:
    return {f"{_TAG}{kind}:{name}" if name else _TAG + kind: content}


def _bytes(value: object, _where: Where, _depth: int) -> object:
    content = cast("bytes | bytearray", value)
    name = "" if type(value) is bytes else type(value).__name__
    return _tagged("bytes", base64.b64encode(content).decode(), name)


def _decimal(value: object, where: Where, _depth: int) -> object:
    number = cast("decimal.Decimal", value)
    if not number.is_finite():
        refuse(where, f"is the Decimal {number}", "pass None or a number")
    # In a context of our own: the thread's decides between e and E.
    return _tagged("decimal", decimal.Context(capitals=1).to_sci_string(number))


def _uuid(value: object, _where: Where, _depth: int) -> object:
    return _tagged("uuid", str(value))


def _timedelta(value: object, _where: Where, _depth: int) -> object:
    span = cast("dt.timedelta", value)
    return _tagged("timedelta", [span.days, span.seconds, span.microseconds])


def _instant(value: object, _where: Where, _depth: int) -> object:
    moment = cast("dt.date | dt.time", value)
    kind = next(k for t, k in _INSTANTS if isinstance(moment, t))
    text = moment.isoformat()
    zone = getattr(getattr(moment, "tzinfo", None), "key", None)
    if isinstance(zone, str):
        text += f"[{zone}]"  # as RFC 9557 writes a zone's name behind the offset
    if getattr(moment, "fold", 0):
        text += "[fold]"
    return _tagged(kind, text, "" if type(value).__name__ == kind else type(value).__name__)


_INSTANTS: Final = ((dt.datetime, "datetime"), (dt.date, "date"), (dt.time, "time"))


def _path(value: object, _where: Where, _depth: int) -> object:
    return _tagged("path", _str(str(value), _where, _depth), type(value).__name__)


def _enum(value: object, where: Where, depth: int) -> object:
    member = cast("enum.Enum", value)
    try:
        content = plain(member.value, where, depth + 2)
    except KeyParamError:
        content = None  # an enum of plain objects: its names are all that is stable
    # A combination of flags may have no name.
    return _tagged("enum", [plain(member.name, where, depth), content], type(value).__name__)


def _scalar_kin(value: object, where: Where, depth: int) -> object:
    for base in (str, int, float):
        if isinstance(value, base):
            exact = _exact_of(base, value)
            return _tagged(base.__name__, plain(exact, where, depth + 1), type(value).__name__)
    raise AssertionError


def _exact_of(base: type, value: object) -> object:
    if base is str:
        return str.__str__(cast("str", value))
    if base is int:
        return int.__int__(cast("int", value))
    return float.__float__(cast("float", value))


def _named_tuple(value: object, where: Where, depth: int) -> object:
    names = cast("tuple[str, ...]", getattr(value, "_fields"))  # noqa: B009 - no such attribute in its type
    pairs = zip(names, cast("tuple[object, ...]", value), strict=True)
    return _tagged("tuple", plain_dict(pairs, where, depth + 2), type(value).__name__)


def _dataclass(value: object, where: Where, depth: int) -> object:
    names = [f.name for f in dataclasses.fields(cast("type", value))]
    _refuse_if_absent(names, [name for name in names if hasattr(value, name)], where)
    fields = plain_dict(((name, getattr(value, name)) for name in names), where, depth + 2)
    content = _with_state(fields, attributes_beside_fields(value), where, depth)
    return _tagged("dataclass", content, type(value).__name__)


def _model(value: object, where: Where, depth: int) -> object:
    declared = cast("dict[str, object]", getattr(type(value), "model_fields"))  # noqa: B009
    # Not getattr: reading a deprecated field warns.
    state = cast("dict[str, object]", vars(value))
    _refuse_if_absent(list(declared), state, where)
    pairs = [(name, state[name]) for name in declared]
    pairs += (getattr(value, "model_extra", None) or {}).items()
    fields = plain_dict(pairs, where, depth + 2)
    private = private_beyond_defaults(cast("BaseModel", value))
    return _tagged("model", _with_state(fields, private, where, depth), type(value).__name__)


def _with_state(
    fields: dict[str, object], beside: dict[str, object], where: Where, depth: int
) -> dict[str, object]:
    """Fields, with what an object holds beside them; without such they are written as ever."""
    if not beside:
        return fields
    return {**fields, _STATE: plain_dict(beside.items(), where, depth + 3)}


def _refuse_if_absent(names: list[str], present: Container[str], where: Where) -> None:
    absent = [name for name in names if name not in present]
    if absent:
        refuse(where, f"lacks its field {absent[0]!r}", "set it")


def _class(value: object, where: Where, _depth: int) -> object:
    """A class: by what values it takes, where it says so, else by its full name."""
    cls = cast("type", value)
    if not has_schema(cls):
        return _tagged("class", f"{cls.__module__}.{cls.__qualname__}", cls.__name__)
    try:
        return _tagged("class", schema_digest(cls), cls.__name__)
    except Exception as error:  # noqa: BLE001 - pydantic's, or of a class of the user's
        what = f"is the class {cls.__name__}, which has no JSON schema ({type(error).__name__})"
        refuse(where, what, "pass a name for it")


def _secret(value: object, where: Where, depth: int) -> object:
    reveal = cast("Callable[[], object]", getattr(value, "get_secret_value"))  # noqa: B009
    return _tagged("secret", plain(reveal(), where, depth + 1), type(value).__name__)


def _url(value: object, where: Where, depth: int) -> object:
    return _tagged("url", _str(str(value), where, depth), type(value).__name__)


_Writer: TypeAlias = "Callable[[object, Where, int], object]"
_EXACT: Final[dict[type, _Writer]] = {
    str: _str,
    int: _int,
    float: _float,
    bool: _constant,
    type(None): _constant,
    list: _list,
    tuple: _list,
    dict: _dict,
    bytes: _bytes,
    bytearray: _bytes,
    decimal.Decimal: _decimal,
    uuid.UUID: _uuid,
    dt.timedelta: _timedelta,
}


def _writer_of_kin(value: object) -> _Writer | None:
    """The writer for what is not exactly a built-in type but has a stable value all the same."""
    for kind, is_stable, write in _BY_KIND:
        if isinstance(value, kind):
            return write if is_stable(value) else None
    if dataclasses.is_dataclass(value):
        return _dataclass
    return _writer_of_pydantic(value)


def _always(_: object) -> bool:
    return True


def _never(_: object) -> bool:
    return False


def _is_bare(value: object) -> bool:
    """Whether a subclass of a built-in carries nothing that its built-in value does not show."""
    slots = (vars(cls).get("__slots__") for cls in type(value).__mro__)
    return _has_no_attributes(value) and not any(slots)


def _has_no_attributes(value: object) -> bool:
    return not getattr(value, "__dict__", None)


def _is_known(cls: object) -> bool:
    """Whether a class has a schema, or its module knows it by its name."""
    return has_schema(cast("type", cls)) or defined_now(cast("type", cls)) is cls


def _is_named_tuple(value: object) -> bool:
    return hasattr(value, "_fields") and _is_bare(value)


_BY_KIND: Final[tuple[tuple[type | tuple[type, ...], Callable[[object], bool], _Writer], ...]] = (
    (enum.Enum, _always, _enum),
    ((str, int, float), _is_bare, _scalar_kin),
    (tuple, _is_named_tuple, _named_tuple),
    (type, _is_known, _class),
    ((list, dict, set, frozenset, bytes), _never, _constant),
    ((dt.date, dt.time), _is_bare, _instant),
    (pathlib.PurePath, _has_no_attributes, _path),
)
"""What a value of a kind is written by, and whether that tells all of it; the first counts."""


def _writer_of_pydantic(value: object) -> _Writer | None:
    # A value of pydantic's can only exist where its module is loaded: nothing is imported here.
    for module_name, class_names, write in _PYDANTIC:
        module = sys.modules.get(module_name)
        classes = tuple(getattr(module, n) for n in class_names if hasattr(module, n))
        if isinstance(value, classes):
            return write
    return None


_PYDANTIC: Final[tuple[tuple[str, tuple[str, ...], _Writer], ...]] = (
    ("pydantic.main", ("BaseModel",), _model),
    ("pydantic.types", ("Secret", "SecretStr", "SecretBytes"), _secret),
    ("pydantic.networks", ("_BaseUrl", "_BaseMultiHostUrl"), _url),
)
