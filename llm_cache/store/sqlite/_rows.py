"""Converts entries to rows and back, with a checksum over all that never changes."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any, Final

from llm_cache.core.entry import Entry, EntryInfo
from llm_cache.core.keys import ID_DIGITS
from llm_cache.core.policy_resolution import NOTHING, Remembered

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKSUM_BYTES: Final = 16

_FIELDS: Final = (
    "key, request, params, prefix, encoding, size_bytes, value_bytes, created_at, tenant, version, "
    "variant, redacted, call_ttl, decorator_ttl, generation_seconds, model, input_tokens, "
    "output_tokens, cost_usd, hits, used_at"
)
INFO_COLUMNS: Final = ", ".join((_FIELDS, *Remembered._fields))
"""In the order of the fields of EntryInfo, so that a row is an entry without any naming; those of
`remembered` follow its other ones."""
ENTRY_COLUMNS: Final = f"{INFO_COLUMNS}, checksum, value"
INSERT: Final = (
    f"INSERT INTO entries ({ENTRY_COLUMNS}) VALUES "
    f"({', '.join('?' * (ENTRY_COLUMNS.count(',') + 1))})"
)
OLDER_COLUMNS: Final = ENTRY_COLUMNS.replace(
    ", ".join(Remembered._fields), ", ".join(["NULL"] * len(Remembered._fields))
)
"""The same of a file that remembers no more than ttls."""
SIZE: Final = "(size_bytes + length(params))"
"""What an entry takes: the column is about the value alone."""
_FIELDS_END: Final = _FIELDS.count(",") + 1
_INFO_END: Final = INFO_COLUMNS.count(",") + 1
_REAL: Final = (float, type(None))
_WHOLE: Final = (int, type(None))
_TYPES: Final[tuple[Any, ...]] = (
    *(bytes, bytes, bytes, str, str, int, int, float, str, str, int, int, _REAL, _REAL, _REAL),
    *((str, type(None)), _WHOLE, _WHOLE, _REAL, int, float),
)
_PARAMS: Final = 2
_SIZE: Final = 5
_REDACTED: Final = 11
_HITS: Final = 19
_NUMBERS: Final = struct.Struct("<qqqdqqdddqqd").pack
_REMEMBERED: Final = struct.Struct(f"<{len(Remembered._fields)}d").pack


class DamagedRowError(Exception):
    """A row does not hold what was once written: its checksum or a type is off."""


def to_row(entry: Entry) -> tuple[Any, ...]:
    """The bindings of `INSERT`."""
    info = (
        entry.key,
        entry.request,
        entry.params_json,
        entry.prefix,
        entry.encoding,
        len(entry.body),
        entry.value_bytes,
        float(entry.created_at),
        entry.tenant,
        entry.version,
        entry.variant,
        int(entry.redacted),
        _real(entry.call_ttl),
        _real(entry.decorator_ttl),
        _real(entry.generation_seconds),
        entry.model,
        entry.input_tokens,
        entry.output_tokens,
        _real(entry.cost_usd),
        entry.hits,
        float(entry.used_at or entry.created_at),
        *map(_real, entry.remembered),
    )
    return (*info, checksum(info, entry.body), entry.body)


def _real(number: float | None) -> float | None:
    """As the column gives it back: an int would come back as a float, and fail the checksum."""
    return None if number is None else float(number)


def to_entry(row: Sequence[Any]) -> Entry:
    """The entry of a row of `ENTRY_COLUMNS`; DamagedRowError if it is not as it was written."""
    try:
        info, (expected, body) = row[:_INFO_END], row[_INFO_END:]
        if is_well_typed(info) and checksum(info, body) == expected:
            return Entry(*_fields(info), body=body)
    except (TypeError, ValueError, struct.error) as error:
        raise DamagedRowError from error
    raise DamagedRowError


def is_well_typed(row: Sequence[Any]) -> bool:
    """Whether a row of `INFO_COLUMNS` holds what its columns are for; damage may change that."""
    remembered = row[_FIELDS_END:_INFO_END]
    return (
        all(map(isinstance, row[:_FIELDS_END], _TYPES))
        and row[_HITS] >= 0
        and (remembered == NOTHING or all(isinstance(value, _REAL) for value in remembered))
    )


def to_info(row: Sequence[Any], *, id_digits: int = ID_DIGITS) -> EntryInfo:
    """What a row of `INFO_COLUMNS` tells of an entry."""
    fields: list[Any] = [*_fields(row[:_INFO_END]), id_digits]
    return EntryInfo(*fields)


def _fields(info: Sequence[Any]) -> list[Any]:
    """The fields of `EntryInfo`, up to `remembered`."""
    fields: list[Any] = [*info[:_FIELDS_END], _remembered(info[_FIELDS_END:])]
    fields[_SIZE] += len(fields[_PARAMS])
    fields[_REDACTED] = bool(fields[_REDACTED])
    return fields


def _remembered(columns: Sequence[Any]) -> Remembered:
    return NOTHING if columns == NOTHING else Remembered(*columns)


def checksum(info: Sequence[Any], body: bytes) -> bytes:
    """16 bytes over all of an entry but its use, which changes. `info` is as in `INFO_COLUMNS`.

    What came with later releases counts where it is set: rows from before keep their checksums.
    """
    key, request, params, prefix, encoding, size, value_size, created_at, tenant, version, *rest = (
        info
    )
    variant, redacted, call_ttl, decorator_ttl, seconds, model, tokens_in, tokens_out, cost = rest[
        :9
    ]
    remembered = info[_FIELDS_END:]
    texts = "\0".join((prefix, encoding, tenant, version, model or "")).encode()
    numbers = _NUMBERS(
        size,
        value_size,
        len(params),
        created_at,
        variant,
        redacted,
        -1.0 if call_ttl is None else call_ttl,
        -1.0 if decorator_ttl is None else decorator_ttl,
        -1.0 if seconds is None else seconds,
        -1 if tokens_in is None else tokens_in,
        -1 if tokens_out is None else tokens_out,
        -1.0 if cost is None else cost,
    )
    told = b"".join((key, request, params, texts, numbers, body))
    if remembered != NOTHING:
        told += _REMEMBERED(*(-1.0 if value is None else value for value in remembered))
    return hashlib.sha256(told).digest()[:CHECKSUM_BYTES]
