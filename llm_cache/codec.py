"""A value to bytes and back, the same or not at all.

Values are JSON, validated back into the function's return type by pydantic where it has one;
nothing stored is ever executed. `encode` decodes what it wrote and compares, type and value: what
would come back as anything else is refused here, so that it is never pinned.

The encoding's name says how to read a body back: `json` (orjson) or `json-wide` (the standard
library's, for ints over 64 bits, NaN and lone surrogates), then `+zlib` if it is compressed.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import functools
import json
import sys
import zlib
from collections.abc import Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

import orjson

from llm_cache.lazy import lazy

if TYPE_CHECKING:
    from pydantic import BaseModel, TypeAdapter

COMPRESS_FROM_BYTES: Final = 2048
LARGEST_VALUE_BYTES: Final = 64 * 1024 * 1024
"""No value is written or unpacked beyond this: a small bomb must not fill the memory."""
_RULES: Final = ("maxlen", "default_factory")
"""Attributes of collections (deque, defaultdict) that JSON knows nothing of."""
FORMATS: Final = ("json", "json-wide")
COMPRESSED: Final = "+zlib"
_IMMUTABLE: Final = frozenset({str, int, float, bool, type(None)})


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value ready for a store; `value_bytes` is its size before compression."""

    body: bytes
    encoding: str
    value_bytes: int


@dataclass(frozen=True, slots=True)
class NotStorable:
    """A value that cannot be kept, and why; `kind` is that in two words, to be counted by."""

    reason: str
    kind: str = "not the same"


class DecodeError(Exception):
    """A body does not hold a value of the type that was asked for."""


class Codec(Protocol):
    """How the values of one return type are written and read."""

    def encode(self, value: object) -> Encoded | NotStorable:
        """`value` as bytes that `decode` gives back the same, or the reason there are none."""
        ...

    def decode(self, body: bytes, encoding: str) -> Any:  # noqa: ANN401 - the caller's own type
        """The value in `body`, a new copy; DecodeError if there is no such value in it."""
        ...


def is_immutable(value: object) -> bool:
    """Whether callers can be handed the same object without being able to change each other's."""
    return type(value) in _IMMUTABLE


def codec_for(returned: object) -> Codec:
    """The codec for a return annotation; `UNTYPED` for Any and object."""
    if returned is Any or returned is object:
        return UNTYPED
    if isinstance(returned, type) and returned in _IMMUTABLE:
        return _exact_codec(returned)
    try:
        return _typed_codec(returned, repr(returned))
    except TypeError:  # an annotation that cannot be hashed
        return _Typed(returned)


class _Untyped:
    """Any JSON value, as itself."""

    def encode(self, value: object) -> Encoded | NotStorable:
        refusal = _refusal_of_streams(value)
        if refusal is not None:
            return refusal
        for encoding, dump in (("json", _dump), ("json-wide", _dump_wide)):
            try:
                encoded = pack(dump(value), encoding)
                same = is_same(self.decode(encoded.body, encoded.encoding), value)
            except (TypeError, ValueError, RecursionError, DecodeError) as error:
                refusal = refusal or NotStorable(f"a {_type_name(value)} is not JSON: {error}")
                continue
            if same:
                return encoded
        return refusal or NotStorable(
            f"a {_type_name(value)} would not come back the same from JSON: "
            "annotate the function's return type"
        )

    def decode(self, body: bytes, encoding: str) -> Any:  # noqa: ANN401
        return _load(body, encoding)


class _Exact(_Untyped):
    """A plain JSON type, checked when it is read."""

    def __init__(self, exact: type) -> None:
        self._exact = exact

    def encode(self, value: object) -> Encoded | NotStorable:
        if type(value) is not self._exact:
            expected = self._exact.__name__
            return NotStorable(f"its type is {_type_name(value)}, its return type {expected}")
        return super().encode(value)

    def decode(self, body: bytes, encoding: str) -> Any:  # noqa: ANN401
        value = _load(body, encoding)
        if type(value) is not self._exact:
            msg = f"a {_type_name(value)} is stored where a {self._exact.__name__} was asked for"
            raise DecodeError(msg)
        return value


class _Typed:
    """A type of the user's, validated by pydantic."""

    def __init__(self, returned: Any) -> None:  # noqa: ANN401 - annotations may be anything
        self._returned = returned

    @lazy
    def _adapter(self) -> TypeAdapter[Any]:
        from pydantic import TypeAdapter

        return TypeAdapter[Any](self._returned)

    def encode(self, value: object) -> Encoded | NotStorable:
        refusal = _refusal_of_streams(value)
        if refusal is not None:
            return refusal
        try:
            raw = self._adapter.dump_json(value, by_alias=True, round_trip=True, warnings=False)
            encoded = pack(raw, "json")
            came_back = self.decode(encoded.body, encoded.encoding)
            if is_same(came_back, value):
                return encoded
        except Exception as error:  # noqa: BLE001 - serialisers and validators are the user's code
            return NotStorable(f"a {_type_name(value)} is not its return type {self}: {error}")
        return NotStorable(
            f"a {_type_name(value)} would come back as a {_type_name(came_back)} or changed "
            f"under the return type {self}"
        )

    def decode(self, body: bytes, encoding: str) -> Any:  # noqa: ANN401
        raw = unpack(body, encoding)
        try:
            return self._adapter.validate_json(raw)
        except Exception as error:
            msg = f"what is stored is not a {self}: {error}"
            raise DecodeError(msg) from error

    def __str__(self) -> str:
        return getattr(self._returned, "__name__", None) or str(self._returned)


UNTYPED: Final[Codec] = _Untyped()


@functools.cache
def _exact_codec(exact: type) -> Codec:
    return _Exact(exact)


@functools.lru_cache(maxsize=1000)
def _typed_codec(returned: object, _: str) -> Codec:
    # With its text: `A | B` equals `B | A`, but validates in another order.
    return _Typed(returned)


def is_same(one: object, other: object) -> bool:
    """Whether two values are the same in type and value, all the way down."""
    if type(one) is not type(other):
        return False
    items = _items(one)
    if items is not None:
        others = cast("list[object]", _items(other))
        same_rules = all(getattr(one, r, None) == getattr(other, r, None) for r in _RULES)
        return same_rules and len(items) == len(others) and all(map(is_same, items, others))
    match one:
        case float() | decimal.Decimal():
            return repr(one) == repr(other)
        case dt.datetime() | dt.time():
            return _is_same_time(one, cast("dt.datetime", other))
        case _:
            return bool(one == other)


def _items(value: object) -> list[object] | None:
    """What a value consists of, in an order of its own; None if it is one thing."""
    if isinstance(value, str | bytes | bytearray | enum.Enum):
        return None
    state = _state(value)
    if state is not None:
        return state
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return sorted(pairs, key=lambda pair: repr(cast("tuple[object, object]", pair)[0]))
    if isinstance(value, AbstractSet):
        return sorted(cast("AbstractSet[object]", value), key=repr)
    if isinstance(value, Collection):
        return list(cast("Collection[object]", value))
    return None


def _is_same_time(one: dt.datetime | dt.time, other: dt.datetime | dt.time) -> bool:
    """JSON holds an offset: no zone with rules of its own, and not the second of two times."""
    zones = [moment.tzinfo for moment in (one, other) if moment.tzinfo is not None]
    are_fixed = all(zone.utcoffset(None) is not None for zone in zones)
    return are_fixed and (one, one.utcoffset(), one.fold) == (other, other.utcoffset(), other.fold)


def _state(value: object) -> list[object] | None:
    """The fields of a dataclass or pydantic model; None for anything else."""
    if dataclasses.is_dataclass(value):
        return [getattr(value, field.name) for field in dataclasses.fields(value)]
    models = sys.modules.get("pydantic.main")
    if models is None or not isinstance(value, models.BaseModel):
        return None
    model = cast("BaseModel", value)
    # Not getattr: reading a deprecated field warns.
    fields = [vars(model)[name] for name in type(model).model_fields]
    return [*fields, model.model_extra, model.__pydantic_private__]


def _refusal_of_streams(value: object) -> NotStorable | None:
    """An iterator would be used up by writing it, and its caller find nothing."""
    try:
        return _refusal_inside(value)
    except Exception as error:  # noqa: BLE001 - collections may be the user's code
        return NotStorable(f"a {_type_name(value)} cannot be read: {error}")


def _refusal_inside(value: object) -> NotStorable | None:
    if isinstance(value, Iterator):
        kind = _type_name(cast("object", value))
        return NotStorable(f"a {kind} can be read only once: return a list")
    inside = map(_refusal_inside, _items(value) or ())
    return next((refusal for refusal in inside if refusal is not None), None)


def _dump(value: object) -> bytes:
    return orjson.dumps(value)


def _dump_wide(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def pack(raw: bytes, encoding: str) -> Encoded:
    """A JSON text as it is stored, compressed where that is worth it.

    Raises:
        ValueError: it is larger than any value that is kept.
    """
    if len(raw) > LARGEST_VALUE_BYTES:
        msg = f"it has {len(raw)} bytes, more than the {LARGEST_VALUE_BYTES} that are kept"
        raise ValueError(msg)
    if len(raw) >= COMPRESS_FROM_BYTES:
        squeezed = zlib.compress(raw)
        if len(squeezed) < 0.9 * len(raw):
            return Encoded(squeezed, encoding + COMPRESSED, len(raw))
    return Encoded(raw, encoding, len(raw))


def unpack(body: bytes, encoding: str) -> bytes:
    """The JSON text in a body; DecodeError if there is none, or a bomb."""
    if encoding.removesuffix(COMPRESSED) not in FORMATS:
        msg = f"the encoding {encoding!r} is of a newer release"
        raise DecodeError(msg)
    if not encoding.endswith(COMPRESSED):
        return body
    stream = zlib.decompressobj()
    try:
        raw = stream.decompress(body, LARGEST_VALUE_BYTES)
    except zlib.error as error:
        msg = f"the compressed value is damaged: {error}"
        raise DecodeError(msg) from None
    if not stream.eof or stream.unused_data:
        msg = f"the value is cut off, followed by more, or over {LARGEST_VALUE_BYTES} bytes"
        raise DecodeError(msg)
    return raw


def _load(body: bytes, encoding: str) -> Any:  # noqa: ANN401 - any JSON value
    raw = unpack(body, encoding)
    try:
        return (
            orjson.loads(raw)
            if encoding.startswith("json+") or encoding == "json"
            else json.loads(raw)
        )
    except (ValueError, RecursionError) as error:
        msg = f"the value is not JSON: {error}"
        raise DecodeError(msg) from None


def _type_name(value: object) -> str:
    return type(value).__name__
