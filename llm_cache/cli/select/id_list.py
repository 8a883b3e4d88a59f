"""Ids that come as a list: in a file or on stdin, one a line, as `llm-cache ls -q` prints them."""

from __future__ import annotations

import select
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.select.ids import digits_of

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from llm_cache.cli.session import Session

STDIN: Final = "-"
QUIET_S: Final = 0.5
"""How long nothing may come on stdin before it is said that we wait."""
_LONGEST_LINE: Final = 200
_SHOWN_CHARS: Final = 40
_BOM: Final = b"\xef\xbb\xbf"


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
