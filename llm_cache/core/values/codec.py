"""A value to bytes and back, the same or not at all.

Values are JSON, validated back into the function's return type by pydantic where it has one;
nothing stored is ever executed. `encode` decodes what it wrote and compares, type, value and state:
what would come back as anything else is refused here, so that it is never pinned.

The encoding's name says how to read a body back, then `+zlib` if it is compressed:

    json         JSON, read by orjson; plain, or validated into the return type
    json-wide    the same by the standard library, for ints over 64 bits, NaN, lone surrogates
    json-beside  what plain JSON loses of objects (which fields were set, private and further
                 attributes) beside it, as `[length, [[path, state], ...], JSON]`
    json-tree    what plain JSON brings back changed, all types named: see `tree`
"""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Any, Final, Protocol

import orjson

from llm_cache.core.fork_locks import lazy
from llm_cache.core.values import _tree
from llm_cache.core.values._equality import has_attributes, is_same
from llm_cache.core.values._objects import check, is_instance
from llm_cache.core.values._packing import (
    BESIDE,
    COMPRESSED,
    FORMATS,
    JSON,
    LARGEST_VALUE_BYTES,
    TREE,
    WIDE,
    DecodeError,
    Encoded,
    TooLargeError,
    pack,
    pack_beside,
    split_beside,
    unpack,
)
from llm_cache.core.values.annotations import portable
from llm_cache.core.values.classes import Classes, type_text
from llm_cache.core.values.refusals import NotStorable, refusal_of_streams, told

if TYPE_CHECKING:
    from collections.abc import Callable

    from pydantic import TypeAdapter

__all__ = [
    "COMPRESSED",
    "FORMATS",
    "LARGEST_VALUE_BYTES",
    "SHOWN",
    "UNTYPED",
    "Codec",
    "DecodeError",
    "Encoded",
    "NotStorable",
    "codec_for",
    "is_immutable",
    "pack",
    "unpack",
    "untyped_since",
]

_IMMUTABLE: Final = frozenset({str, int, float, bool, type(None)})


class Codec(Protocol):
    """How the values of one return type are written and read."""

    def encode(self, value: object) -> Encoded | NotStorable:
        """`value` as bytes that `decode` gives back the same, or the reason there are none."""
        ...

    def decode(self, body: bytes, encoding: str) -> Any:
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

    def __init__(self, way_out: str = "annotate the function's return type") -> None:
        self._way_out = way_out

    def encode(self, value: object) -> Encoded | NotStorable:
        refusal = refusal_of_streams(value)
        if refusal is not None:
            return refusal
        for encoding, dump in ((JSON, _dump), (WIDE, _dump_wide)):
            try:
                encoded = pack(dump(value), encoding)
                same = is_same(self.decode(encoded.body, encoded.encoding), value)
            except TooLargeError as error:
                return NotStorable(str(error))
            except (TypeError, ValueError, RecursionError, DecodeError) as error:
                why = told(error)
                refusal = refusal or NotStorable(
                    f"a {_type_name(value)} is not JSON ({why}): {self._way_out}"
                )
                continue
            if same:
                return encoded
        return refusal or NotStorable(
            f"a {_type_name(value)} would not come back the same from JSON: {self._way_out}"
        )

    def decode(self, body: bytes, encoding: str) -> Any:
        raw, form = unpack(body, encoding), encoding.removesuffix(COMPRESSED)
        if form in (BESIDE, TREE):
            msg = "what is stored has a type, and the function that was asked has none"
            raise DecodeError(msg)
        return _load(raw, form)


class _Shown(_Untyped):
    """Any value for a reader, as plain JSON: what was stored of a type, too."""

    def decode(self, body: bytes, encoding: str) -> Any:
        raw, form = unpack(body, encoding), encoding.removesuffix(COMPRESSED)
        if form == BESIDE:
            return _load(split_beside(raw)[1])
        if form == TREE:
            return _read(_tree.shown, _load(raw))
        return _load(raw, form)


class _Exact(_Untyped):
    """A plain JSON type, checked when it is read."""

    def __init__(self, exact: type) -> None:
        super().__init__()
        self._exact = exact

    def encode(self, value: object) -> Encoded | NotStorable:
        if type(value) is self._exact:
            return super().encode(value)
        if self._exact is str and isinstance(value, str) and not has_attributes(value):
            # The return type promises a str: what is more than that is not kept.
            return super().encode(str.__str__(value))
        if self._exact is float and type(value) is int:
            return pack(orjson.dumps(_NO_CLASSES.write(value)), TREE)
        expected = self._exact.__name__
        return NotStorable(f"its type is {_type_name(value)}, its return type {expected}")

    def decode(self, body: bytes, encoding: str) -> Any:
        raw, form = unpack(body, encoding), encoding.removesuffix(COMPRESSED)
        value = _read(_NO_CLASSES.build, _load(raw)) if form == TREE else _load(raw, form)
        is_whole = form == TREE and self._exact is float and type(value) is int
        if type(value) is not self._exact and not is_whole:
            msg = f"a {_type_name(value)} is stored where a {self._exact.__name__} was asked for"
            raise DecodeError(msg)
        return value


class _Typed:
    """A type of the user's, validated by pydantic."""

    def __init__(self, returned: Any) -> None:
        self._returned = returned

    @lazy
    def _adapter(self) -> TypeAdapter[Any]:
        from pydantic import TypeAdapter

        return TypeAdapter[Any](portable(self._returned))

    @lazy
    def _classes(self) -> Classes:
        return Classes(self._returned)

    @lazy
    def _tree(self) -> _tree.Tree:
        return _tree.Tree(self._classes)

    def encode(self, value: object) -> Encoded | NotStorable:
        refusal = refusal_of_streams(value)
        if refusal is not None:
            return refusal
        try:
            self._adapter  # noqa: B018 - an annotation may be anything
        except Exception as error:  # noqa: BLE001 - pydantic's, or of a class of the user's
            way_out = "return a model, a dataclass or plain values"
            return NotStorable(f"pydantic knows no type {self} ({told(error)}): {way_out}")
        why = ""
        for write in (self._plain, self._whole):
            try:
                encoded = write(value)
                if encoded is not None:
                    return encoded
            except TooLargeError as error:
                return NotStorable(str(error))
            except _tree.UnwritableError as error:
                why = str(error)
            except Exception as error:  # noqa: BLE001 - serialisers and validators are the user's code
                why = why or f"return what this type says ({told(error, self._classes)})"
        why = why or "return what JSON can tell apart"
        kind = _type_name(value)
        return NotStorable(
            f"a {kind} would not come back the same as its return type {self}: {why}"
        )

    def _plain(self, value: object) -> Encoded | None:
        """As plain JSON, with what that lacks beside it; None if it lacks more."""
        raw = self._adapter.dump_json(value, by_alias=True, round_trip=True, warnings=False)
        encoded = pack(raw, JSON)
        came_back = self._read(encoded)
        if is_same(came_back, value):
            return encoded
        beside = _tree.write_beside_by_path(self._tree, came_back, value)
        if not beside:
            return None
        encoded = pack_beside(orjson.dumps(beside), raw)
        return self._checked(encoded, value)

    def _whole(self, value: object) -> Encoded | None:
        """As a tree of all its parts."""
        return self._checked(pack(orjson.dumps(self._tree.write(value)), TREE), value)

    def _checked(self, encoded: Encoded, value: object) -> Encoded | None:
        return encoded if is_same(self._read(encoded), value) else None

    def _read(self, encoded: Encoded) -> Any:
        return self._value_of(unpack(encoded.body, encoded.encoding), encoded.encoding)

    def _value_of(self, raw: bytes, encoding: str) -> Any:
        form = encoding.removesuffix(COMPRESSED)
        if form == BESIDE:
            beside, plain = split_beside(raw)
            value = self._adapter.validate_json(plain)
            _tree.set_beside_by_path(self._tree, value, orjson.loads(beside))
            return value
        if form == TREE:
            value = self._tree.build(orjson.loads(raw))
            if not is_instance(value, self._returned):
                check(self._adapter, value)
            return value
        return self._adapter.validate_json(raw)

    def decode(self, body: bytes, encoding: str) -> Any:
        raw = unpack(body, encoding)
        try:
            return self._value_of(raw, encoding)
        except Exception as error:  # noqa: BLE001 - validators are the user's code
            msg = f"what is stored is not a {self} ({told(error, self._classes)})"
            raise DecodeError(msg) from None

    def __str__(self) -> str:
        return type_text(self._returned)


_NO_CLASSES: Final = _tree.Tree(Classes(None))
UNTYPED: Final[Codec] = _Untyped()
SHOWN: Final[Codec] = _Shown()
"""Reads what was stored of any type, to be looked at: as plain JSON."""


@functools.lru_cache(maxsize=1000)
def untyped_since(annotation: str, why: str) -> Codec:
    """As `UNTYPED`, for a function whose return annotation says nothing; refusals say why."""
    way_out = f"its return annotation {annotation!r} cannot be resolved ({why})"
    return _Untyped(f"{way_out}: have the name there at run time, too")


@functools.cache
def _exact_codec(exact: type) -> Codec:
    return _Exact(exact)


@functools.lru_cache(maxsize=1000)
def _typed_codec(returned: object, _: str) -> Codec:
    # With its text: `A | B` equals `B | A`, but validates in another order.
    return _Typed(returned)


def _dump(value: object) -> bytes:
    return orjson.dumps(value)


def _dump_wide(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _load(raw: bytes, form: str = JSON) -> Any:
    try:
        return json.loads(raw) if form == WIDE else orjson.loads(raw)
    except (ValueError, RecursionError) as error:
        msg = f"the value is not JSON ({told(error)})"
        raise DecodeError(msg) from None


def _read(read: Callable[[Any], Any], node: object) -> Any:
    try:
        return read(node)
    except Exception as error:  # noqa: BLE001 - whatever a node that was never written leads to
        msg = f"the value is damaged ({told(error)})"
        raise DecodeError(msg) from None


def _type_name(value: object) -> str:
    return type(value).__name__
