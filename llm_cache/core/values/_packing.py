"""The JSON text of a value as bytes in a store: by which name, how large, and compressed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

COMPRESS_FROM_BYTES: Final = 2048
LARGEST_VALUE_BYTES: Final = 64 * 1024 * 1024
"""No value is written or unpacked beyond this: a small bomb must not fill the memory."""
JSON: Final = "json"
WIDE: Final = "json-wide"
BESIDE: Final = "json-beside"
TREE: Final = "json-tree"
FORMATS: Final = (JSON, WIDE, BESIDE, TREE)
COMPRESSED: Final = "+zlib"
_LENGTH_DIGITS: Final = 10


@dataclass(frozen=True, slots=True)
class Encoded:
    """A value ready for a store; `value_bytes` is its size before compression."""

    body: bytes
    encoding: str
    value_bytes: int


class DecodeError(Exception):
    """A body does not hold a value of the type that was asked for."""


class TooLargeError(ValueError):
    """A value is larger than any that is kept."""


def pack(raw: bytes, encoding: str) -> Encoded:
    """A JSON text as it is stored, compressed where that is worth it.

    Raises:
        TooLargeError: it is larger than any value that is kept.
    """
    if len(raw) > LARGEST_VALUE_BYTES:
        msg = f"it has {len(raw)} bytes, more than the {LARGEST_VALUE_BYTES} that are kept"
        raise TooLargeError(msg)
    if len(raw) >= COMPRESS_FROM_BYTES:
        squeezed = zlib.compress(raw)
        if len(squeezed) < 0.9 * len(raw):
            return Encoded(squeezed, encoding + COMPRESSED, len(raw))
    return Encoded(raw, encoding, len(raw))


def pack_beside(beside: bytes, plain: bytes) -> Encoded:
    """The JSON of a value, with the JSON of what that loses beside it, as one JSON text."""
    return pack(b"[%d,%b,%b]" % (len(beside), beside, plain), BESIDE)


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
    except zlib.error:
        msg = "the compressed value is damaged"
        raise DecodeError(msg) from None
    if not stream.eof or stream.unused_data:
        msg = f"the value is cut off, followed by more, or over {LARGEST_VALUE_BYTES} bytes"
        raise DecodeError(msg)
    return raw


def split_beside(raw: bytes) -> tuple[bytes, bytes]:
    """The two parts of a body in the form `json-beside`; DecodeError if there are none."""
    head, _, rest = raw.partition(b",")
    digits = head[1:]
    length = int(digits) if digits.isdigit() and len(digits) < _LENGTH_DIGITS else 0
    if not 0 < length < len(rest) or rest[length : length + 1] != b",":
        msg = "the value is damaged: it has not the parts that it should have"
        raise DecodeError(msg)
    return rest[:length], rest[length + 1 : -1]
