"""`llm-cache import`: take the entries of an export in."""

from __future__ import annotations

import contextlib
import os
import select
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

import click

from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.output.formatting import counted, entries
from llm_cache.cli.output.screen import Style, Styled
from llm_cache.cli.registry import Command
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from llm_cache.api.importer import Importer, ImportProblem

STDIN: Final = "-"
TOLD_AT_MOST: Final = 100
"""Lines that are refused; the rest is counted. Somebody may have named the wrong file."""
_READ_BYTES: Final = 64 * 1024
_LOOK_EVERY_S: Final = 0.2


@click.command(cls=Command)
@click.argument("file", type=click.Path(allow_dash=True))
@click.option("-n", "--dry-run", is_flag=True, help="Only say what would come; write nothing.")
@click.option("--trust", is_flag=True, help="Also take keys that no full params prove.")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
@pass_session
def command(session: Session, *, file: str, dry_run: bool, trust: bool, as_json: bool) -> int:
    """Take the entries of an export in; FILE is -, for stdin, or a file, compressed or not.

    Of two entries of one key the newer stays. A line that is damaged, or whose key is not that of
    its params, is told and left out, and the rest is taken; exit 1 then. To import once more
    changes nothing. In a pipe every prefix is a line: its name, how many entries are new, came in
    place of older ones, were there already, and are newer there.

    \b
    Examples:
      llm-cache import lessons.jsonl --dry-run
      llm-cache import pages.jsonl.zst
      llm-cache export | llm-cache --cache-dir other import -
    """
    from llm_cache.api.importer import Importer

    importer = Importer(session.cache, trust=trust, dry_run=dry_run)
    reading = _FileImport(session, importer, "stdin" if file == STDIN else file)
    with _opened(file) as descriptor:
        ended_by = reading.read(_chunks(descriptor))
    if as_json:
        session.out.json({"schema": 1, "dry_run": dry_run, **reading.as_json()})
    else:
        _write(session, importer)
    reading.summarise(dry_run=dry_run)
    if ended_by is not None:
        raise ended_by
    reading.raise_if_incomplete()
    return ExitCode.DONE


class _FileImport:
    """The import of one file."""

    def __init__(self, session: Session, importer: Importer, name: str) -> None:
        from llm_cache.cli.output.status_line import StatusLine

        self._session = session
        self._importer = importer
        self._name = name
        self._status = StatusLine(session.err)
        self._problems: list[ImportProblem] = []

    def read(self, chunks: Iterator[bytes]) -> Exception | None:
        """Imports all of it; returns the error that ended that early, if any."""
        from llm_cache.core.values.zstd import ZstdDamagedError, ZstdMissingError
        from llm_cache.errors import StoreError

        try:
            for problem in self._importer.take(self._counted(_unpacked(chunks))):
                self._note(problem)
        except KeyboardInterrupt:
            self._session.err.put("\n" if self._session.err.is_terminal else "")
            return Failure(
                message="interrupted: what was imported stays",
                hint="once more, and it goes on where it was",
                code=ExitCode.INTERRUPTED,
            )
        except ZstdMissingError as error:
            hint = f"install it, or: zstd -dc {self._name} | llm-cache import -"
            return Failure(message=f"{self._name}: {error}", hint=hint)
        except ZstdDamagedError as error:
            message = f"{self._name}: it cannot be decompressed any further: {error}"
            return Failure(message=message, hint="what came before that was imported")
        except (StoreError, OSError) as error:
            return error
        finally:
            self._status.clear()
        return None

    def summarise(self, *, dry_run: bool) -> None:
        """What became of the entries, in words."""
        importer, session = self._importer, self._session
        sums = importer.sums
        did, end = ("Would import", " Nothing was written.") if dry_run else ("Imported", "")
        parts = [
            counted(number, one, many)
            for number, one, many in (
                (sums.replaced, "in place of an older one", "in place of older ones"),
                (sums.same, "was here already", "were here already"),
                (sums.newer_here, "is newer here", "are newer here"),
                (importer.of_others, "is of another tenant", "are of other tenants"),
            )
            if number
        ]
        told = f": {', '.join(parts)}" if parts else ""
        session.out.flush()
        session.tell(f"{did} {entries(sums.taken)}{told}.{end}")
        if importer.evicted:
            session.tell(
                f"max_disk: {entries(importer.evicted)} had to go to make room; a larger max_disk "
                "keeps them."
            )

    def raise_if_incomplete(self) -> None:
        """Raises Failure if lines were left out."""
        importer = self._importer
        parts: list[str] = []
        if importer.refused:
            parts.append(f"{counted(importer.refused, 'line')} of {importer.lines:,} refused")
        if importer.untrusted:
            parts.append(f"{entries(importer.untrusted)} left out for want of full params")
        if parts:
            raise Failure(
                message=f"{self._name}: {', '.join(parts)}",
                hint="--trust takes those whose keys cannot be checked: for files of your own"
                if importer.untrusted
                else None,
            )

    def as_json(self) -> dict[str, object]:
        """What became of the entries, for a program."""
        importer = self._importer
        return {
            "lines": importer.lines,
            **asdict(importer.sums),
            "refused": importer.refused,
            "untrusted": importer.untrusted,
            "of_other_tenants": importer.of_others,
            "evicted": importer.evicted,
            "prefixes": {name: asdict(of) for name, of in sorted(importer.prefixes.items())},
            "problems": [{"line": one.line, "reason": one.reason} for one in self._problems],
        }

    def _note(self, problem: ImportProblem) -> None:
        if len(self._problems) == TOLD_AT_MOST:
            return
        self._problems.append(problem)
        self._status.clear()
        told = f" {self._name}:{problem.line}: {problem.reason}"
        self._session.err.line(Styled("refused:", Style.FAILED), told)
        if len(self._problems) == TOLD_AT_MOST:
            self._session.tell(f"{TOLD_AT_MOST} lines were refused; more are only counted.")
        self._session.err.flush()

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self._status.show(lambda: f"{self._importer.lines:,} lines read")
            yield chunk


def _write(session: Session, importer: Importer) -> None:
    """What became of the entries by prefix: a table on a terminal, fields in a pipe."""
    from llm_cache.cli.output.table import Column, write_table

    figures = [
        (prefix, of.new, of.replaced, of.same, of.newer_here)
        for prefix, of in sorted(importer.prefixes.items())
    ]
    if not session.out.is_terminal:
        for row in figures:
            session.out.fields(*row)
    elif figures:
        titles = ("NEW", "REPLACED", "SAME", "NEWER HERE")
        columns = (Column("PREFIX", least=8), *(Column(title, right=True) for title in titles))
        rows = [(prefix, *(f"{number:,}" for number in numbers)) for prefix, *numbers in figures]
        write_table(session.out, columns, rows)
        session.out.put("\n")


@contextlib.contextmanager
def _opened(file: str) -> Generator[int]:
    """The descriptor of what is to be read."""
    if file != STDIN:
        with open(file, "rb") as stream:  # noqa: PTH123 - a name, as it was typed
            yield stream.fileno()
        return
    if sys.stdin is None or sys.stdin.isatty():
        raise Failure(
            message="there is nothing on stdin",
            hint="llm-cache export | llm-cache --cache-dir DIR import -",
            code=ExitCode.USAGE,
        )
    yield sys.stdin.fileno()


def _chunks(descriptor: int) -> Iterator[bytes]:
    """What is there to be read, as it comes."""
    while True:
        # Ctrl-C right before a read would be noticed after it, and that may take for ever.
        while not select.select([descriptor], [], [], _LOOK_EVERY_S)[0]:
            pass
        chunk = os.read(descriptor, _READ_BYTES)
        if not chunk:
            return
        yield chunk


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same, decompressed if it is compressed."""
    from llm_cache.core.values.zstd import MAGIC, decompressed

    begun = b""
    for chunk in chunks:
        begun += chunk
        if len(begun) >= len(MAGIC):
            break
    rest = _joined(begun, chunks)
    return decompressed(rest) if begun.startswith(MAGIC) else rest


def _joined(begun: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if begun:
        yield begun
    yield from chunks
