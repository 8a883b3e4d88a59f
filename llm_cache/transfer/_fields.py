"""The fields of an exported line, each with the check that it has to pass."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final, cast

from llm_cache.core.keys import check_prefix, check_tenant
from llm_cache.core.policy import MOST_JITTER
from llm_cache.core.units import LONGEST_S
from llm_cache.core.usage import LONGEST_MODEL, MOST_COUNT, MOST_TOKENS, MOST_USD
from llm_cache.core.values.codec import FORMATS

if TYPE_CHECKING:
    from collections.abc import Callable

FOREVER_TEXT: Final = "forever"
"""How a ttl without an end is written: JSON has no infinity."""
_INT64: Final = 2**63
_DIGEST: Final = re.compile("[0-9a-f]{64}")
_LONGEST_QUOTE: Final = 40
_OF_THE_USER: Final = frozenset({"params_json", "value_json"})
"""What is never quoted in a message."""


class FieldError(Exception):
    """A field does not hold what it is for; the message names it."""


def checked(name: str, value: object) -> Any:
    """What an entry gets for the value of a field. FieldError if it is none."""
    try:
        return (CHECKS.get(name) or REMEMBERED_CHECKS[name])(value)
    except ValueError as error:  # PrefixError and ConfigError among them, which quote it already
        shown = "" if name in _OF_THE_USER else f", {quoted(value)},"
        told = f"its {name}{shown} {error}" if type(error) is ValueError else str(error)
        raise FieldError(told) from None


def quoted(value: object) -> str:
    """A value of others within a message: not all of it, where it is long."""
    text = repr(value[:_LONGEST_QUOTE] if isinstance(value, str) else value)
    return text if len(text) <= 2 * _LONGEST_QUOTE else f"{text[: 2 * _LONGEST_QUOTE]}…"


# Each check returns what the entry gets, or raises ValueError with the end of a sentence.


def _digest(value: object) -> bytes:
    if not isinstance(value, str) or _DIGEST.fullmatch(value) is None:
        msg = "is not 64 hex digits"
        raise ValueError(msg)
    return bytes.fromhex(value)


def _text(value: object) -> str:
    if not isinstance(value, str):
        msg = "is no text"
        raise ValueError(msg)  # noqa: TRY004 - one kind of error for every wrong field
    return value


def _encoding(value: object) -> str:
    if value not in FORMATS:
        msg = "is unknown; a newer release may know it"
        raise ValueError(msg)
    return _text(value)


def _model(value: object) -> str | None:
    is_name = isinstance(value, str) and 0 < len(value) <= LONGEST_MODEL and "\0" not in value
    if value is not None and not is_name:
        msg = f"is no text of 1 to {LONGEST_MODEL} characters"
        raise ValueError(msg)
    return None if value is None else _text(value)


def _bool(value: object) -> bool:
    if not isinstance(value, bool):
        msg = "is neither true nor false"
        raise ValueError(msg)  # noqa: TRY004 - as above
    return value


def _count(value: object) -> int:
    if type(value) is not int or not 0 <= value < _INT64:
        msg = "is no whole number of 64 bits from 0 on"
        raise ValueError(msg)
    return value


def _number(value: object) -> float:
    if type(value) not in (int, float) or not 0 <= cast("float", value) < math.inf:
        msg = "is no number from 0 on"
        raise ValueError(msg)
    return float(cast("float", value))


def _count_up_to(most: int) -> Callable[[object], int]:
    def check(value: object) -> int:
        if type(value) is not int or not 0 <= value <= most:
            msg = f"is no whole number from 0 to {most:,}"
            raise ValueError(msg)
        return value

    return check


def _number_up_to(most: float) -> Callable[[object], float]:
    def check(value: object) -> float:
        if type(value) not in (int, float) or not 0 <= cast("float", value) <= most:
            msg = f"is no number from 0 to {most:,.0f}"
            raise ValueError(msg)
        return float(cast("float", value))

    return check


def _ttl(value: object) -> float:
    if value == FOREVER_TEXT:
        return math.inf
    seconds = _number(value)
    if seconds > LONGEST_S:
        msg = "is over 100 years: for ever is 'forever'"
        raise ValueError(msg)
    return seconds


def _jitter(value: object) -> float:
    share = _number(value)
    if share > MOST_JITTER:
        msg = f"is no part of a ttl, from 0 to {MOST_JITTER}"
        raise ValueError(msg)
    return share


def _or_null(check: Callable[[object], Any]) -> Callable[[object], Any]:
    return lambda value: None if value is None else check(value)


# Within what a generation here may take: what is larger makes sums overflow once it is hit.
_seconds: Final = _number_up_to(LONGEST_S)
_tokens: Final = _count_up_to(MOST_TOKENS)

CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "key": _digest,
    "request": _digest,
    "tenant": check_tenant,
    "prefix": check_prefix,
    "version": _text,
    "variant": _count,
    "params_json": _text,
    "redacted": _bool,
    "encoding": _encoding,
    "value_json": _text,
    "created_at": _number,
    "call_ttl": _or_null(_ttl),
    "decorator_ttl": _or_null(_ttl),
    "generation_seconds": _or_null(_seconds),
    "model": _model,
    "input_tokens": _or_null(_tokens),
    "output_tokens": _or_null(_tokens),
    "cost_usd": _or_null(_number_up_to(MOST_USD)),
    "hits": _count_up_to(MOST_COUNT),
    "used_at": _number,
}
REMEMBERED_CHECKS: Final[dict[str, Callable[[Any], Any]]] = {
    "call_ttl_jitter": _or_null(_jitter),
    "decorator_ttl_jitter": _or_null(_jitter),
    "call_grace": _or_null(_ttl),
    "decorator_grace": _or_null(_ttl),
    "call_stale_if_error": _or_null(_ttl),
    "decorator_stale_if_error": _or_null(_ttl),
}
"""Of the fields that lines of format 2 have beside those."""
