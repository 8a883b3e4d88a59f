"""What is said about arguments of public calls that are of a wrong type."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NoReturn, cast

from llm_cache.errors import ConfigError

_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")


def refuse_argument(name: str, value: object, instead: str) -> NoReturn:
    """Raises a ConfigError that says what kind of thing was given, and what to write `instead`.

    The value itself is not shown: it may be anything, a user's text included.
    """
    if value is None:
        kind = "None"
    elif isinstance(value, type):
        kind = f"the class {value.__name__}"
    else:
        kind = f"of the type {cast('type', type(value)).__name__}"
    msg = f"{name} is {kind}: write {instead}"
    raise ConfigError(msg)


def check_keys(keys: object) -> tuple[bytes, ...]:
    """Keys of entries, each once; ConfigError if they are none."""
    if isinstance(keys, str | bytes) or not isinstance(keys, Iterable):
        refuse_argument("keys", keys, "a list of keys, as [entry.key]")
    found: list[bytes] = []
    for key in cast("Iterable[object]", keys):
        if not isinstance(key, bytes):
            refuse_argument("a key", key, "bytes, as entry.key has them")
        found.append(key)
    return tuple(dict.fromkeys(found))


def check_amount(name: str, amount: object) -> int | None:
    """A whole number from 0 on, or None; ConfigError if it is neither."""
    if amount is None:
        return None
    if isinstance(amount, bool) or not isinstance(amount, int):
        refuse_argument(name, amount, "a whole number")
    if amount < 0:
        msg = f"{name}={amount} is negative: write 0 or more"
        raise ConfigError(msg)
    return amount


def check_id(id_digits: object) -> str:
    """The beginning of a key in small hex digits; ConfigError if it is none."""
    if not isinstance(id_digits, str):
        refuse_argument("the id", id_digits, "its hex digits as text")
    if set(id_digits) - _HEX_DIGITS:
        msg = "the id has other characters than hex digits: write it as llm-cache ls shows it"
        raise ConfigError(msg)
    return id_digits.lower()
