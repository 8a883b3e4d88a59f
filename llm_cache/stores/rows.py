"""An entry as a row of a table, with a checksum over all of it that never changes."""

from __future__ import annotations

import hashlib
import struct
from typing import TYPE_CHECKING, Any, Final

from llm_cache.entry import Entry, EntryInfo
from llm_cache.keys import ID_DIGITS
from llm_cache.params import digest_params

if TYPE_CHECKING:
    from collections.abc import Sequence

CHECKSUM_BYTES: Final = 16

INFO_COLUMNS: Final = (
    "key, request, params, prefix, encoding, size_bytes, value_bytes, created_at, tenant, version, "
    "variant, redacted, call_ttl, decorator_ttl, generation_seconds, model, input_tokens, "
    "output_tokens, cost_usd, hits, used_at"
)
"""In the order of the fields of EntryInfo, so that a row is an entry without any naming."""
ENTRY_COLUMNS: Final = f"{INFO_COLUMNS}, checksum, value"
STORED_COLUMNS: Final = f"{ENTRY_COLUMNS}, param_digests"
INSERT: Final = (
    f"INSERT INTO entries ({STORED_COLUMNS}) VALUES "  # noqa: S608 - our own names
    f"({', '.join('?' * (STORED_COLUMNS.count(',') + 1))})"
)
_INFO_END: Final = INFO_COLUMNS.count(",") + 1
_REAL: Final = (float, type(None))
_WHOLE: Final = (int, type(None))
_TYPES: Final[tuple[Any, ...]] = (
    *(bytes, bytes, bytes, str, str, int, int, float, str, str, int, int, _REAL, _REAL, _REAL),
    *((str, type(None)), _WHOLE, _WHOLE, _REAL, int, float),
)
_REDACTED: Final = 11
_HITS: Final = 19
_NUMBERS: Final = struct.Struct("<qqqdqqdddqqd").pack


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
    )
    return (*info, checksum(info, entry.body), entry.body, digest_params(entry.params_json))


def _real(number: float | None) -> float | None:
    """As the column gives it back: an int would come back as a float, and fail the checksum."""
    return None if number is None else float(number)


def to_entry(row: Sequence[Any]) -> Entry:
    """The entry of a row of `ENTRY_COLUMNS`; DamagedRowError if it is not as it was written."""
    try:
        *info, expected, body = row
        if is_well_typed(info) and checksum(info, body) == expected:
            info[_REDACTED] = bool(info[_REDACTED])
            return Entry(*info, body=body)
    except (TypeError, ValueError, struct.error) as error:
        raise DamagedRowError from error
    raise DamagedRowError


def is_well_typed(row: Sequence[Any]) -> bool:
    """Whether a row of `INFO_COLUMNS` holds what its columns are for; damage may change that."""
    return all(map(isinstance, row[:_INFO_END], _TYPES)) and row[_HITS] >= 0


def to_info(row: Sequence[Any], *, id_digits: int = ID_DIGITS) -> EntryInfo:
    """What a row of `INFO_COLUMNS` tells of an entry."""
    info: list[Any] = [*row[:_INFO_END], id_digits]
    info[_REDACTED] = bool(info[_REDACTED])
    return EntryInfo(*info)


def checksum(info: Sequence[Any], body: bytes) -> bytes:
    """16 bytes over all of an entry but its use, which changes. `info` is as in `INFO_COLUMNS`."""
    key, request, params, prefix, encoding, size, value_size, created_at, tenant, version, *rest = (
        info
    )
    variant, redacted, call_ttl, decorator_ttl, seconds, model, tokens_in, tokens_out, cost = rest[
        :9
    ]
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
    return hashlib.sha256(told).digest()[:CHECKSUM_BYTES]
