"""Refusing a param that has no stable value: where it is, what it is, and the way out."""

from __future__ import annotations

from typing import NoReturn, TypeAlias

from llm_cache.errors import KeyParamError

Where: TypeAlias = tuple[str | int, ...]
"""The way from the param's name to a value inside it."""


def refuse(where: Where, what: str, way_out: str) -> NoReturn:
    """Raises KeyParamError with the way to the value, what it is, and what to do about it."""
    param, *inside = where
    path = repr(param)[1:-1] + "".join(f"[{step!r}]" for step in inside)
    location = f"param {param!r}" + (f" (at {path})" if inside else "")
    msg = (
        f"{location} {what}: {way_out}, or keep it out of the key "
        f"(exclude=({param!r},) on the decorator) if it does not change the answer"
    )
    raise KeyParamError(msg) from None  # what led to it may hold the value


def describe(value: object) -> str:
    """What a value is, without its content."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"a {type(value).__name__}"


def way_out(value: object) -> str:
    """What to pass in place of a value of this kind."""
    if isinstance(value, set | frozenset):
        return "pass sorted(...) of it"
    for base in (dict, list, tuple, bytes):
        if isinstance(value, base):
            return f"pass {base.__name__}(...) of it"
    if callable(value):
        return "pass a name for it"
    return "pass what of it decides the answer (a str, a number, a dict, a dataclass)"
