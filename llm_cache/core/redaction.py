"""Canonical params as they are stored and shown: secrets taken out, tagged values readable."""

from __future__ import annotations

import itertools
import re
from datetime import timedelta
from typing import TYPE_CHECKING, Final, cast

import orjson

from llm_cache.core.policy import StoreParams

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

REDACTED: Final = "<redacted>"
_REDACTED_TAG: Final = {"$redacted": True}
_WORDS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SECRET_WORDS: Final = frozenset(
    {"apikey", "authorization", "bearer", "credential", "credentials", "passphrase", "passwd",
     "password", "passwords", "pwd", "secret", "secrets", "token"}
)  # fmt: skip
_SECRET_PAIRS: Final = frozenset(
    (kind, thing)
    for kind in ("access", "api", "auth", "private")
    for thing in ("key", "keys", "tokens")
)


def looks_secret(name: str) -> bool:
    """Whether a param of this name is taken for a credential, like `api_key`.

    Whole words count, so `max_tokens` and `tokenizer` are no secrets.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    return not _SECRET_WORDS.isdisjoint(words) or any(
        pair in _SECRET_PAIRS for pair in itertools.pairwise(words)
    )


def stored_params(
    params_json: bytes,
    how: StoreParams,
    *,
    secret: Collection[str] = (),
    public: Collection[str] = (),
) -> tuple[bytes, bool]:
    """Canonical params as an entry keeps them, and whether anything was taken out.

    Secrets go in any case: `SecretStr`s, what is named like one, and what `secret` names; not what
    `public` names. Nor is a digest of one left: who can guess a secret can check a digest.
    """
    params = cast("dict[str, object]", orjson.loads(params_json))
    cleaned: dict[str, object]
    match how:
        case StoreParams.FULL:
            cleaned = _Redaction(secret, public).named(params)
        case StoreParams.REDACTED:
            cleaned = dict.fromkeys(params, _REDACTED_TAG)
        case StoreParams.NONE:
            cleaned = {}
    if cleaned == params:
        return params_json, False
    return orjson.dumps(cleaned, option=orjson.OPT_SORT_KEYS), True


def comparable_params(stored_json: bytes) -> frozenset[tuple[str, bytes]]:
    """Name and value, as JSON, of each stored param that is not redacted."""
    return frozenset(
        (name, orjson.dumps(value, option=orjson.OPT_SORT_KEYS))
        for name, value in orjson.loads(stored_json).items()
        if value != _REDACTED_TAG
    )


def show_params(params_json: bytes) -> dict[str, object]:
    """Stored params for a reader: plain JSON values, tagged ones as the text they stand for."""
    return _shown_dict(orjson.loads(params_json))


def typed_params(
    params: Mapping[str, object], *, secret: Collection[str] = (), public: Collection[str] = ()
) -> dict[str, object]:
    """Params as a user wrote them in a file, for a reader: without secrets."""
    return _Redaction(secret, public, REDACTED).named(dict(params))


class _Redaction:
    """Takes secrets out of params, at any depth; `mark` is what stands in their place."""

    def __init__(
        self, secret: Collection[str], public: Collection[str], mark: object = _REDACTED_TAG
    ) -> None:
        self._secret = frozenset(secret)
        self._public = frozenset(public)
        self._mark = mark

    def named(self, named: dict[str, object]) -> dict[str, object]:
        """Named values without those that are secret."""
        return {
            name: self._mark if self._is_secret(name) else self._value(item)
            for name, item in named.items()
        }

    def _value(self, value: object) -> object:
        if isinstance(value, list):
            return [self._item(item) for item in cast("list[object]", value)]
        if not isinstance(value, dict):
            return value
        named = cast("dict[str, object]", value)
        if any(name.startswith("$secret:") for name in named):
            return self._mark
        return self.named(named)

    def _item(self, item: object) -> object:
        """An item of a list; headers and such come as pairs of name and value."""
        if not isinstance(item, list):
            return self._value(item)
        items = cast("list[object]", item)
        name, *more = items or [None]
        if isinstance(name, str) and len(more) == 1 and self._is_secret(name):
            return [name, self._mark]
        return self._value(items)

    def _is_secret(self, name: str) -> bool:
        if name in self._secret:
            return True
        return name not in self._public and looks_secret(name)


def _shown_dict(named: dict[str, object]) -> dict[str, object]:
    return {
        name[1:] if name.startswith("$$") else name: _shown(item) for name, item in named.items()
    }


def _shown(value: object) -> object:
    if isinstance(value, list):
        return [_shown(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    named = cast("dict[str, object]", value)
    tag = next(iter(named), "")
    if len(named) != 1 or not tag.startswith("$") or tag.startswith("$$"):
        return _shown_dict(named)
    kind, _, class_name = tag[1:].partition(":")
    return _shown_tagged(kind, class_name, named[tag])


def _shown_tagged(kind: str, class_name: str, content: object) -> object:
    match kind, content:
        case (("redacted" | "secret"), _):
            return REDACTED
        case (("class" | "enum"), str() | list()):
            member = f".{cast('list[object]', content)[0]}" if kind == "enum" else ""
            return class_name + member
        case "int", str(digits):
            return f"-0x{digits[1:]}" if digits.startswith("-") else f"0x{digits}"
        case "timedelta", list():
            return str(timedelta(*cast("list[int]", content)))
        case (("dataclass" | "model" | "tuple"), dict()) if content != _REDACTED_TAG:
            return _shown_dict(cast("dict[str, object]", content))
        case _:
            return _shown(content)
