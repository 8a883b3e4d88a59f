"""`llm-cache export`: entries as lines of JSON, for another cache or machine."""

from __future__ import annotations

import contextlib
import itertools
import json
from operator import attrgetter
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

import click

from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.output.formatting import counted
from llm_cache.cli.output.formatting import entries as number_of_entries
from llm_cache.cli.output.screen import Style, Styled
from llm_cache.cli.registry import Command
from llm_cache.cli.select.filters import EntryFilter, entries, hint_if_unknown, selection_flags
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from llm_cache.core.entry import Entry, EntryInfo

STDOUT: Final = Path("-")


@click.command(cls=Command)
@click.argument("file", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE",
              help="Where to write; the same as naming it.")  # fmt: skip
@click.option("--zstd", is_flag=True, help="Compress; a FILE that ends in .zst always is.")
@selection_flags
@pass_session
def command(
    session: Session, *, file: Path | None, output: Path | None, zstd: bool, wanted: EntryFilter
) -> int:
    """Write entries to FILE, or to stdout, as JSON, one line an entry. import reads them.

    By prefix, the newest first; the flags of ls choose some of them. FILE is there whole or not
    at all, and only its user may read it: what a model wrote may be private. Params that are
    secrets are not in it, since they are not in the cache.

    \b
    Examples:
      llm-cache export lessons.jsonl
      llm-cache export -p intro_page --fresh pages.jsonl.zst
      llm-cache export | ssh other-host llm-cache import -
    """
    path = _only_one(file, output)
    is_compressed = zstd or (path is not None and path.suffix == ".zst")
    if path is None and is_compressed and session.out.is_terminal:
        raise Failure(
            message="what is compressed would garble the terminal",
            hint="name a FILE, or send it into a pipe",
            code=ExitCode.USAGE,
        )
    writing = _Exporter(session)
    with _lines_go_to(session, path, is_compressed=is_compressed) as write:
        for entry in writing.found(_in_order(entries(session.cache, wanted))):
            writing.write(entry, write)
    writing.tell(wanted, path)
    return ExitCode.FAILED if writing.unreadable else ExitCode.DONE


class _Exporter:
    """Writes entries as lines and counts them."""

    def __init__(self, session: Session) -> None:
        from llm_cache.cli.output.status_line import StatusLine

        self._session = session
        self._status = StatusLine(session.err)
        self._written = 0
        self._redacted = 0
        self._gone = 0
        self.unreadable = 0

    def found(self, infos: Iterable[EntryInfo]) -> Iterator[Entry]:
        """The entries themselves; those that went meanwhile, or are damaged, are counted."""
        for info in infos:
            entry = self._session.cache.get(info.key)
            if entry is None:
                self._gone += 1
            else:
                yield entry

    def write(self, entry: Entry, write: Callable[[str], None]) -> None:
        """Writes one entry; tells of one that cannot be."""
        from llm_cache.cli.output.escape import printable_json
        from llm_cache.transfer.jsonl import LineError, to_line

        try:
            line = to_line(entry)
        except LineError as error:
            self.unreadable += 1
            self._status.clear()
            self._session.err.line(Styled("error:", Style.FAILED), f" {error}")
            return
        write(printable_json(line) + "\n")
        self._written += 1
        self._redacted += entry.redacted
        self._status.show(lambda: f"{number_of_entries(self._written)} written")

    def tell(self, wanted: EntryFilter, path: Path | None) -> None:
        """The sum, on stderr."""
        session = self._session
        session.out.flush()
        self._status.clear()
        what = "" if path is None else f"{path}: "
        if self._written:
            session.tell(f"Wrote {what}{number_of_entries(self._written)}{wanted}.")
        else:
            end = "nothing was written" if path is None else f"{path} is empty"
            session.tell(f"There is no entry{wanted} in {session.cache.cache_dir}: {end}.")
            session.hint(hint_if_unknown(session.cache, wanted))
        if self._gone:
            session.tell(f"{counted(self._gone, 'other')} went meanwhile, or were damaged.")
        if self._redacted:
            is_or_are = "is" if self._redacted == 1 else "are"
            session.tell(
                f"{self._redacted:,} of them {is_or_are} without some params: "
                "to import that takes --trust."
            )


def _only_one(file: Path | None, output: Path | None) -> Path | None:
    """The file that was named, as an argument or by flag; None for stdout."""
    if file is not None and output is not None and file != output:
        raise Failure(
            message=f"two files are named, '{file}' and '{output}'",
            hint="keep one of them",
            code=ExitCode.USAGE,
        )
    named = file if output is None else output
    return None if named == STDOUT else named


def _in_order(infos: Iterable[EntryInfo]) -> Iterator[EntryInfo]:
    """The same, those of one instant by key: two exports differ only where the entries do."""
    for _, together in itertools.groupby(infos, key=attrgetter("prefix", "created_at")):
        yield from sorted(together, key=attrgetter("key"))


@contextlib.contextmanager
def _lines_go_to(
    session: Session, path: Path | None, *, is_compressed: bool
) -> Generator[Callable[[str], None]]:
    """What writes a line, to a file or to stdout."""
    from llm_cache.cli.output.atomic_file import atomic_writer

    if path is not None:
        with atomic_writer(path) as file, _encoded(file, is_compressed=is_compressed) as write:
            yield write
    elif session.out.is_terminal:
        yield lambda line: session.out.json(json.loads(line), indent=None)
    else:
        session.out.flush()
        stdout = session.out.stream.buffer
        with _encoded(stdout, is_compressed=is_compressed) as write:
            yield write


@contextlib.contextmanager
def _encoded(stream: BinaryIO, *, is_compressed: bool) -> Generator[Callable[[str], None]]:
    """What writes a line as UTF-8, compressed if need be."""
    if not is_compressed:
        yield lambda line: _all_of(stream, line.encode())
        return
    from llm_cache.core.values.zstd import Compressor, ZstdMissingError

    try:
        compressor = Compressor()
    except ZstdMissingError as error:
        raise Failure(
            message=f"{error}: nothing was written",
            hint="install it, or: llm-cache export | zstd > FILE.zst",
        ) from None
    yield lambda line: _all_of(stream, compressor.compress(line.encode()))
    _all_of(stream, compressor.end())


def _all_of(stream: BinaryIO, data: bytes) -> None:
    stream.write(data)
