"""From what was asked to the key it is stored under: exact, and the same in every process.

    key     = SHA-256 over the frames  llm-cache-key-1, tenant, prefix, version, params, variant
    request = the same without the variant

A frame is the length of the field in 8 bytes, big-endian, then the field in UTF-8: joining fields
with a separator would let two requests share a key. Params go in as canonical JSON (below);
variant 0 and an unset tenant or version are empty.

Canonical JSON is compact, sorted by name, and keeps types apart: `1`, `1.0` and `"1"` differ.
What JSON has no form for is an object with one tag, `{"$date": "2026-11-22"}`; a name of the
user's that begins with `$` is written with a second one, so that no plain value equals a tagged.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from llm_cache.core.values.canonical import INT64, plain_dict
from llm_cache.errors import ConfigError, KeyParamError, PrefixError

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_FORMAT: Final = b"llm-cache-key-1"
ID_DIGITS: Final = 8
LONGEST_TENANT: Final = 200
_PREFIX: Final = re.compile(r"[\w\-./:]{1,128}")
_SCALARS: Final = frozenset({str, int, bool, type(None)})
_checked_prefixes: Final[set[str]] = set()
_CHECKED_AT_MOST: Final = 10_000


def check_prefix(prefix: str) -> str:
    """`prefix` itself; PrefixError if it is not 1 to 128 letters, digits or `_ - . / :`."""
    if type(prefix) is not str:
        kind = cast("type", type(prefix)).__name__
        msg = f"the prefix is a {kind}: write it as a str, like 'intro_page'"
        raise PrefixError(msg)
    if prefix in _checked_prefixes:
        return prefix
    if not _PREFIX.fullmatch(prefix):
        msg = (
            f"prefix {prefix[:140]!r} is not allowed: "
            "write 1 to 128 letters, digits or _ - . / :, like 'intro_page'"
        )
        raise PrefixError(msg)
    if len(_checked_prefixes) < _CHECKED_AT_MOST:
        _checked_prefixes.add(prefix)
    return prefix


def check_tenant(tenant: str) -> str:
    """`tenant` itself, any text of up to 200 characters; ConfigError if it is not."""
    if type(tenant) is not str or len(tenant) > LONGEST_TENANT or not _is_text(tenant):
        msg = (
            f"the tenant {str(tenant)[:40]!r} is not a text of at most {LONGEST_TENANT} characters"
        )
        raise ConfigError(msg)
    return tenant


def _is_text(candidate: str) -> bool:
    try:
        candidate.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in candidate


def canonical_params(params: Mapping[str, Any]) -> bytes:
    """The one JSON text of `params`, in UTF-8: equal exactly where the params are the same.

    Raises:
        KeyParamError: a param has no stable value (a set, NaN, a plain object …); it is named.
    """
    if _all_scalars(params):
        try:
            return orjson.dumps(params, option=orjson.OPT_SORT_KEYS)
        except orjson.JSONEncodeError:
            pass  # no dict, an int over 64 bits, a lone surrogate: the slow way sorts it out
    return orjson.dumps(plain_dict(params.items(), (), 1), option=orjson.OPT_SORT_KEYS)


@dataclass(frozen=True, slots=True)
class Identity:
    """What identifies a value: tenant, prefix, version, canonical params and variant.

    `key` is the digest of all of them (32 bytes), `request` of all but the variant.
    """

    prefix: str
    params_json: bytes = field(repr=False)  # secrets and all
    version: str = ""
    tenant: str = ""
    variant: int = 0
    key: bytes = field(init=False)

    def __post_init__(self) -> None:
        variant = str(self.variant).encode() if self.variant else b""
        digest = hashlib.sha256(self._request_frames() + _frame(variant)).digest()
        object.__setattr__(self, "key", digest)

    @property
    def request(self) -> bytes:
        """The digest of what was asked, whatever the variant."""
        return hashlib.sha256(self._request_frames()).digest()

    def _request_frames(self) -> bytes:
        fields = (
            KEY_FORMAT,
            _text(self.tenant, "tenant"),
            self.prefix.encode(),
            _text(self.version, "version"),
            self.params_json,
        )
        return b"".join(map(_frame, fields))


def _frame(content: bytes) -> bytes:
    return len(content).to_bytes(8, "big") + content


def _text(content: str, what: str) -> bytes:
    try:
        return content.encode()
    except UnicodeEncodeError:
        msg = f"{what} {content!r} has a lone surrogate, which no text can hold: remove it"
        raise KeyParamError(msg) from None


def _all_scalars(params: Mapping[str, Any]) -> bool:
    for name, value in params.items():
        if type(value) not in _SCALARS or type(name) is not str or name[:1] == "$":
            return False
        if type(value) is int and value not in INT64:
            return False
    return True
