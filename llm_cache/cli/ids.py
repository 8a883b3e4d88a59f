"""The ids that a user types: the first hex digits of a key, as many as tell it from the others."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from llm_cache.cli.failures import ExitCode, Failure

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_cache.cache import LLMCache
    from llm_cache.entry import Entry

FEWEST_DIGITS: Final = 4
CANDIDATES_SHOWN: Final = 5
_ID: Final = re.compile(rf"[0-9a-f]{{{FEWEST_DIGITS},64}}")


def find_entry(cache: LLMCache, typed: str) -> Entry | None:
    """The one entry that an id stands for; None if there is none.

    Raises:
        Failure: it is no id, or the beginning of several.
    """
    digits = typed.strip().lower()
    if not _ID.fullmatch(digits):
        raise Failure(
            message=f"'{typed}' is not an id",
            hint=f"an id is {FEWEST_DIGITS} or more hex digits, as llm-cache ls shows them",
            code=ExitCode.USAGE,
        )
    found = cache.find(digits)
    if len(found) > 1:
        raise _ambiguous(typed, found)
    return found[0] if found else None


def find_entries(cache: LLMCache, typed: Iterable[str]) -> tuple[list[Entry], list[str]]:
    """The entries of some ids, each once, and the ids that are not there.

    Raises:
        Failure: one is no id, or the beginning of several.
    """
    found: dict[bytes, Entry] = {}
    missing: list[str] = []
    for one in dict.fromkeys(typed):
        entry = find_entry(cache, one)
        if entry is None:
            missing.append(one)
        else:
            found.setdefault(entry.key, entry)
    return list(found.values()), missing


def not_there(missing: list[str]) -> Failure:
    """What is said of ids that no entry has."""
    ids = ", ".join(f"'{one}'" for one in missing)
    return Failure(
        message=f"no entry has the id {ids}",
        hint="llm-cache ls shows what is there",
        code=ExitCode.NOT_THERE,
    )


def _ambiguous(typed: str, found: list[Entry]) -> Failure:
    digits = _digits_that_differ(found)
    shown = ", ".join(
        f"{entry.key.hex()[:digits]} ({entry.prefix})" for entry in found[:CANDIDATES_SHOWN]
    )
    more = ", …" if len(found) > CANDIDATES_SHOWN else ""
    return Failure(
        message=f"the id '{typed}' is the beginning of several: {shown}{more}",
        hint="type more digits of the one that is meant",
        code=ExitCode.USAGE,
    )


def _digits_that_differ(found: list[Entry]) -> int:
    """How many digits tell all of them apart; 8 at least."""
    keys = [entry.key.hex() for entry in found]
    return next(n for n in range(8, 65) if len({key[:n] for key in keys}) == len(set(keys)))
