"""Entries as lines of JSON, to be carried to another cache. docs/exchange.md has every field.

A line stands for itself: files of lines can be joined, split, sorted and compared. What is read is
material of others until every check has passed, and nothing in it is ever executed.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from llm_cache.core.entry import Entry, taken_bytes
from llm_cache.core.freshness import CLOCK_SKEW_S
from llm_cache.core.keys import Identity
from llm_cache.core.policy_resolution import NOTHING, Remembered
from llm_cache.core.redaction import comparable_params, show_params, stored_params
from llm_cache.core.values.codec import COMPRESSED, LARGEST_VALUE_BYTES, DecodeError, pack, unpack
from llm_cache.transfer._fields import (
    CHECKS,
    FOREVER_TEXT,
    REMEMBERED_CHECKS,
    FieldError,
    checked,
    quoted,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.core.policy_resolution import Policy

FORMATS: Final = (1, 2)
"""A line is of the first unless its entry remembers more of its retention than ttls, so that it is
read by as many releases as can be."""
_BESIDE_THE_VALUE_BYTES: Final = 1024**2


class LineError(Exception):
    """A line that is not taken, or an entry that cannot be written as one: why."""


class UntrustedError(LineError):
    """A line without full params: nobody can tell whether its key is right."""


def to_document(entry: Entry) -> dict[str, object]:
    """An entry as one JSON object, in the order it is written in. LineError if there is none."""
    try:
        value_json = unpack(entry.body, entry.encoding).decode()
        params_json = entry.params_json.decode()
    except (DecodeError, UnicodeDecodeError) as error:
        msg = f"{entry.prefix}: entry {entry.id} cannot be read: {error}"
        raise LineError(msg) from None
    remembers_more = entry.remembered != NOTHING
    document: dict[str, object] = {
        "llm_cache": FORMATS[remembers_more],
        "key": entry.key.hex(),
        "request": entry.request.hex(),
        "tenant": entry.tenant,
        "prefix": entry.prefix,
        "version": entry.version,
        "variant": entry.variant,
        "params_json": params_json,
        "redacted": entry.redacted,
        "encoding": entry.encoding.removesuffix(COMPRESSED),
        "value_json": value_json,
        "created_at": float(entry.created_at),
        "call_ttl": _duration(entry.call_ttl),
        "decorator_ttl": _duration(entry.decorator_ttl),
        "generation_seconds": entry.generation_seconds,
        "model": entry.model,
        "input_tokens": entry.input_tokens,
        "output_tokens": entry.output_tokens,
        "cost_usd": entry.cost_usd,
        "hits": entry.hits,
        "used_at": float(entry.used_at or entry.created_at),
    }
    if remembers_more:
        remembered = entry.remembered._asdict()
        document |= {name: _duration(value) for name, value in remembered.items()}
    return {**document, "checksum": _checksum(document)}


def _duration(seconds: float | None) -> float | str | None:
    return FOREVER_TEXT if seconds == math.inf else seconds


def to_line(entry: Entry) -> str:
    """An entry as one line, without its end. LineError if it cannot be written as one."""
    return json.dumps(to_document(entry), ensure_ascii=False, separators=(",", ":"))


def from_line(line: bytes, *, trust: bool, max_value_bytes: int, now: float) -> Entry:
    """The entry of one line.

    Args:
        line: what `to_line` wrote, with or without its end.
        trust: take the keys of entries without full params as they stand.
        max_value_bytes: larger values are not taken, measured as JSON.
        now: epoch seconds; what claims to be from after that is not taken.

    Raises:
        UntrustedError: its key cannot be checked, and `trust` is not given.
        LineError: it is damaged, of a newer release, or says what cannot be.
    """
    document = _parsed(line)
    try:
        fields = {name: checked(name, document[name]) for name in _names_of(document)}
    except FieldError as error:
        raise LineError(str(error)) from None
    _check_instants(fields, now)
    _check_params(fields["params_json"])
    _check_key(fields, trust=trust)
    return _entry(fields, max_value_bytes)


def without_secrets(entry: Entry, policy: Policy) -> Entry:
    """The same entry, with as much of its params as is kept under `policy`."""
    params_json, redacted = stored_params(
        entry.params_json,
        policy.store_params,
        secret=policy.secret_params,
        public=policy.public_params,
    )
    if not redacted:
        return entry
    size_bytes = taken_bytes(entry.body, params_json)
    return replace(entry, params_json=params_json, size_bytes=size_bytes, redacted=True)


def longest_line_bytes(max_value_bytes: int) -> int:
    """No line of an entry is longer, as long as its value is not."""
    return 3 * max_value_bytes + _BESIDE_THE_VALUE_BYTES  # quotes and escapes are escaped again


def split_lines(chunks: Iterable[bytes], longest_bytes: int) -> Iterator[bytes | None]:
    """Lines without their ends; None in place of one that is longer, which is never held whole."""
    held = bytearray()
    is_too_long = False
    for chunk in chunks:
        *ended, begun = chunk.split(b"\n")
        for piece in ended:
            is_too_long |= len(held) + len(piece) > longest_bytes
            yield None if is_too_long else bytes(held) + piece
            held.clear()
            is_too_long = False
        is_too_long |= len(held) + len(begun) > longest_bytes
        if is_too_long:
            held.clear()
        else:
            held += begun
    if held or is_too_long:
        yield None if is_too_long else bytes(held)


def _checksum(document: dict[str, object]) -> str:
    """SHA-256 over the other fields as compact JSON of ASCII, sorted by name."""
    canonical = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _parsed(line: bytes) -> dict[str, Any]:
    """The fields of a line: all of them, none besides, and as they were written."""
    try:
        parsed = orjson.loads(line)
    except ValueError:
        msg = "it is no JSON, or cut off"
        raise LineError(msg) from None
    if not isinstance(parsed, dict) or "llm_cache" not in parsed:
        msg = "it is no entry of an export: it has no field 'llm_cache'"
        raise LineError(msg)
    document = cast("dict[str, Any]", parsed)
    number = document["llm_cache"]
    if type(number) is not int or number not in FORMATS:
        is_newer = type(number) is int and number > max(FORMATS)
        kind = "of a newer release" if is_newer else "unknown"
        known = " and ".join(map(str, FORMATS))
        msg = f"its format {quoted(number)} is {kind}: this release reads {known}"
        raise LineError(msg)
    _check_names(document)
    checksum = document.pop("checksum")
    if any(isinstance(value, dict | list) for value in document.values()):
        msg = "a field holds a list or an object"
        raise LineError(msg)
    if _checksum(document) != checksum:
        msg = "its checksum is wrong: it was damaged or changed"
        raise LineError(msg)
    return document


def _names_of(document: dict[str, Any]) -> tuple[str, ...]:
    """The fields of a line, by its format."""
    return (*CHECKS, *REMEMBERED_CHECKS) if document["llm_cache"] > FORMATS[0] else tuple(CHECKS)


def _check_names(document: dict[str, Any]) -> None:
    expected = {"llm_cache", *_names_of(document), "checksum"}
    for name in sorted(expected - document.keys()):
        msg = f"it has no field '{name}'"
        raise LineError(msg)
    for name in sorted(document.keys() - expected):
        msg = f"its field {quoted(name)} is unknown"
        raise LineError(msg)


def _check_instants(fields: dict[str, Any], now: float) -> None:
    ahead_s = fields["created_at"] - now
    if ahead_s > CLOCK_SKEW_S:
        msg = f"it was made {ahead_s:,.0f} s after now: the clock here or there is wrong"
        raise LineError(msg)
    fields["used_at"] = min(fields["used_at"], max(now, fields["created_at"]))


def _check_params(params_json: str) -> None:
    """What lists params later has to be able to read them: objects, tags, and not too deep."""
    try:
        show_params(params_json.encode())
        comparable_params(params_json.encode())
    except (ValueError, TypeError, AttributeError, LookupError, ArithmeticError, RecursionError):
        msg = "its params_json holds no params"
        raise LineError(msg) from None


def _check_key(fields: dict[str, Any], *, trust: bool) -> None:
    if fields["redacted"]:
        if trust:
            return
        msg = "its params were redacted, so that its key cannot be checked"
        raise UntrustedError(msg)
    identity = Identity(
        fields["prefix"],
        fields["params_json"].encode(),
        version=fields["version"],
        tenant=fields["tenant"],
        variant=fields["variant"],
    )
    if (identity.key, identity.request) != (fields["key"], fields["request"]):
        msg = "its key is not that of its params: it was tampered with"
        raise LineError(msg)


def _entry(fields: dict[str, Any], max_value_bytes: int) -> Entry:
    """The entry, its value packed as here is usual."""
    value_json = fields.pop("value_json")
    raw = value_json.encode()
    most_bytes = min(max_value_bytes, LARGEST_VALUE_BYTES)
    if len(raw) > most_bytes:
        msg = f"its value has {len(raw):,} bytes, over the max_value of {most_bytes:,}"
        raise LineError(msg)
    try:
        json.loads(value_json)
    except (ValueError, RecursionError):
        msg = "its value_json is no JSON, or too deep"
        raise LineError(msg) from None
    packed = pack(raw, fields.pop("encoding"))
    fields["params_json"] = fields["params_json"].encode()
    remembered = {name: fields.pop(name) for name in REMEMBERED_CHECKS if name in fields}
    return Entry(
        **fields,
        remembered=Remembered(**remembered),
        encoding=packed.encoding,
        size_bytes=taken_bytes(packed.body, fields["params_json"]),
        value_bytes=packed.value_bytes,
        body=packed.body,
    )
