"""Finds entries by ids: the first hex digits of a key, typed in or read from a list."""

from __future__ import annotations

import re
import select
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final, TypeVar

from llm_cache.cli.errors import ExitCode, Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator, Sequence

    from llm_cache.api.cache import LLMCache
    from llm_cache.cli.session import Session
    from llm_cache.core.entry import Entry, EntryInfo
    from llm_cache.store.records import Trashed

Info = TypeVar("Info", bound="EntryInfo")

FEWEST_DIGITS: Final = 4
CANDIDATES_SHOWN: Final = 5
ROWS_FOR_ONE_SEARCH: Final = 15
"""While one entry is searched by its id, so many are listed."""
STDIN: Final = "-"
QUIET_S: Final = 0.5
"""How long nothing may come on stdin before it is said that we wait."""
_LONGEST_LINE: Final = 200
_SHOWN_CHARS: Final = 40
_BOM: Final = b"\xef\xbb\xbf"
_ID: Final = re.compile(rf"[0-9a-f]{{{FEWEST_DIGITS},64}}")


def digits_of(typed: str) -> str | None:
    """The hex digits of an id that was typed; None if it is none."""
    digits = typed.strip().lower()
    return digits if _ID.fullmatch(digits) else None


def find_entries(cache: LLMCache, typed: Iterable[str]) -> tuple[list[Entry], list[str]]:
    """The entries of some ids, each once, and the ids that are not there.

    Raises:
        Failure: one is no id, or the beginning of several.
    """
    return _find(typed, cache.find)


def find_infos(cache: LLMCache, typed: Iterable[str]) -> tuple[list[EntryInfo], list[str]]:
    """The same without their values, also for very many."""
    wanted = dict.fromkeys(typed)
    held = cache.get_stats()["total"]["entries"]
    if len(wanted) * ROWS_FOR_ONE_SEARCH <= held:
        return _find(wanted, cache.find)
    digits = {digits for digits in map(digits_of, wanted) if digits is not None}
    found = _by_digits(cache.entries(), digits)
    return _find(wanted, lambda digits: found.get(digits, []))


def find_trashed(cache: LLMCache, typed: Iterable[str]) -> tuple[list[Trashed], list[str]]:
    """What is in the trash under some ids, each once, and the ids that are not there.

    Raises:
        Failure: one is no id, or the beginning of several.
    """
    removed: dict[bytes, Trashed] = {}

    def find(digits: str) -> list[EntryInfo]:
        found = cache.trash.find(digits)
        removed.update((trashed.entry.key, trashed) for trashed in found)
        return [trashed.entry for trashed in found]

    infos, missing = _find(typed, find)
    return [removed[info.key] for info in infos], missing


def no_such_entry(missing: list[str], *, where: str = "", hint: str | None = None) -> Failure:
    """What is said of ids that no entry has."""
    ids = ", ".join(f"'{one}'" for one in missing[:CANDIDATES_SHOWN])
    more = len(missing) - CANDIDATES_SHOWN
    return Failure(
        message=f"no entry{where} has the id {ids}" + (f" and {more:,} more" if more > 0 else ""),
        hint=hint or f"llm-cache {'restore' if where else 'ls'} shows what is there",
        code=ExitCode.NOT_FOUND,
    )


def _find(
    typed: Iterable[str], find: Callable[[str], Sequence[Info]]
) -> tuple[list[Info], list[str]]:
    found: dict[bytes, Info] = {}
    missing: list[str] = []
    for one in dict.fromkeys(typed):
        infos = find(_digits(one))
        if len(infos) > 1:
            raise _ambiguous(one, infos)
        if infos:
            found.setdefault(infos[0].key, infos[0])
        else:
            missing.append(one)
    return list(found.values()), missing


def _digits(typed: str) -> str:
    digits = digits_of(typed)
    if digits is None:
        raise Failure(
            message=f"'{typed}' is not an id",
            hint=f"an id is {FEWEST_DIGITS} or more hex digits, as llm-cache ls shows them",
            code=ExitCode.USAGE,
        )
    return digits


def _by_digits(infos: Iterable[EntryInfo], digits: set[str]) -> dict[str, list[EntryInfo]]:
    """The entries whose keys begin with some digits, by those, in one pass over all."""
    lengths = sorted(set(map(len, digits)))
    found: dict[str, list[EntryInfo]] = {}
    for info in infos:
        key = info.key.hex()
        for length in lengths:
            if key[:length] in digits:
                found.setdefault(key[:length], []).append(info)
    return found


def _ambiguous(typed: str, found: Sequence[EntryInfo]) -> Failure:
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


def _digits_that_differ(found: Sequence[EntryInfo]) -> int:
    """How many digits tell all of them apart; 8 at least."""
    keys = [entry.key.hex() for entry in found]
    return next(n for n in range(8, 65) if len({key[:n] for key in keys}) == len(set(keys)))


def read_ids(session: Session, path: str) -> list[str]:
    """The ids in a file, `-` for stdin; blank lines are passed over.

    Raises:
        Failure: a line is no id.
    """
    with _opened(session, path) as lines:
        return list(_ids(lines, "stdin" if path == STDIN else path))


def _ids(lines: BinaryIO, name: str) -> Iterator[str]:
    number = 0
    while line := lines.readline(_LONGEST_LINE):
        number += 1
        typed = line.removeprefix(_BOM if number == 1 else b"").decode("utf-8", "replace").strip()
        if not typed:
            continue
        if digits_of(typed) is None:
            shown = typed if len(typed) <= _SHOWN_CHARS else f"{typed[:_SHOWN_CHARS]}…"
            raise Failure(
                message=f"{name}:{number}: '{shown}' is not an id",
                hint="write one id a line, as llm-cache ls -q prints them",
                code=ExitCode.USAGE,
            )
        yield typed


@contextmanager
def _opened(session: Session, path: str) -> Generator[BinaryIO]:
    if path != STDIN:
        with Path(path).open("rb") as lines:
            yield lines
    elif sys.stdin is None:
        raise Failure(message="stdin is closed: there are no ids to read", code=ExitCode.USAGE)
    else:
        _say_that_we_wait(session)
        yield sys.stdin.buffer


def _say_that_we_wait(session: Session) -> None:
    is_terminal = sys.stdin.isatty()
    wait_s = 0.0 if is_terminal else QUIET_S
    if select.select([sys.stdin], [], [], wait_s)[0]:
        return
    session.out.flush()
    end = ", then Ctrl-D" if is_terminal else ""
    session.tell(f"Waiting for ids on stdin, one a line{end}.")
    session.err.flush()
