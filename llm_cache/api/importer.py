"""Taking entries of an export into a cache: the newer stays, and what is damaged is told."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from llm_cache.api._management import engine_of
from llm_cache.transfer.jsonl import (
    LineError,
    UntrustedError,
    from_line,
    longest_line_bytes,
    split_lines,
    without_secrets,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from llm_cache.api._management import Management
    from llm_cache.core.entry import Entry

ENTRIES_AT_ONCE: Final = 500
BYTES_AT_ONCE: Final = 16 * 1024**2
"""Entries are written when they are so many, or their values so large together."""


class Fate(StrEnum):
    """What becomes of an entry of the file; the value is the name of its count."""

    NEW = "new"
    REPLACED = "replaced"
    SAME = "same"
    NEWER_HERE = "newer_here"


_TAKEN: Final = frozenset({Fate.NEW, Fate.REPLACED})


@dataclass(slots=True)
class Fates:
    """How many entries had which fate.

    Not there before; in place of an older one; there already, just as new; there already, newer.
    """

    new: int = 0
    replaced: int = 0
    same: int = 0
    newer_here: int = 0

    @property
    def taken(self) -> int:
        """How many came into the cache."""
        return self.new + self.replaced

    def add(self, fate: Fate) -> None:
        """Counts one more."""
        setattr(self, fate.value, getattr(self, fate.value) + 1)

    def add_all(self, other: Fates) -> None:
        """Adds the counts of others."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


@dataclass(frozen=True, slots=True)
class ImportProblem:
    """A line that was not taken: its number, counted from 1, and why."""

    line: int
    reason: str


class Importer:
    """Takes the lines of an export into `cache`.

    Within a tenant's block only entries of that tenant are taken, and the others counted. What was
    written stays, also where reading or writing fails later: to import once more changes nothing.
    """

    def __init__(self, cache: Management, *, trust: bool, dry_run: bool) -> None:
        self._cache: Final = cache
        self._engine: Final = engine_of(cache)
        self._trust: Final = trust
        self._dry_run: Final = dry_run
        self._components: Final = self._engine.components
        scope = self._engine.scopes.current()
        self._tenant: Final = scope.tenant if scope.names_tenant else None
        self._evicted_before: Final = self._components.usage.of_process().evictions
        self._would_be_there: Final[dict[bytes, float]] = {}
        self.prefixes: Final[defaultdict[str, Fates]] = defaultdict(Fates)
        self.lines: int = 0
        self.refused: int = 0
        self.untrusted: int = 0
        self.of_others: int = 0

    @property
    def sums(self) -> Fates:
        """The entries of all prefixes together, as far as they were written."""
        sums = Fates()
        for of_prefix in self.prefixes.values():
            sums.add_all(of_prefix)
        return sums

    @property
    def evicted(self) -> int:
        """How many entries, of the file or others, had to go for `max_disk`."""
        return self._components.usage.of_process().evictions - self._evicted_before

    def take(self, chunks: Iterable[bytes]) -> Iterator[ImportProblem]:
        """Reads a file to its end; tells of the lines that are not taken as they come.

        Raises:
            StoreError: the store cannot do it.
        """
        batch: list[Entry] = []
        size_bytes = 0
        for line in split_lines(chunks, longest_line_bytes(self._components.max_value_bytes)):
            self.lines += 1
            if line is not None and not line.strip():
                continue
            try:
                entry = self._entry(line)
            except UntrustedError:
                self.untrusted += 1
                continue
            except LineError as error:
                self.refused += 1
                yield ImportProblem(self.lines, str(error))
                continue
            if self._tenant not in (None, entry.tenant):
                self.of_others += 1
                continue
            batch.append(entry)
            size_bytes += entry.size_bytes
            if len(batch) >= ENTRIES_AT_ONCE or size_bytes >= BYTES_AT_ONCE:
                self._write(batch)
                batch, size_bytes = [], 0
        self._write(batch)

    def _entry(self, line: bytes | None) -> Entry:
        most = self._components.max_value_bytes
        if line is None:
            msg = f"it has over {longest_line_bytes(most):,} bytes: too many for any value"
            raise LineError(msg)
        now = self._components.clock()
        entry = from_line(line, trust=self._trust, max_value_bytes=most, now=now)
        return without_secrets(entry, self._engine.policy(entry.prefix))

    def _write(self, batch: list[Entry]) -> None:
        if not batch:
            return
        fates = list(self._fates(batch))
        if not self._dry_run:
            kept = set(map(id, self._engine.merge(batch)))
            fates = [
                _as_it_was(fate, was_kept=id(entry) in kept)
                for entry, fate in zip(batch, fates, strict=True)
            ]
        for entry, fate in zip(batch, fates, strict=True):
            self.prefixes[entry.prefix].add(fate)

    def _fates(self, batch: list[Entry]) -> Iterator[Fate]:
        """What is to become of each, going by what is there now and comes before it."""
        keys = [entry.key for entry in batch]
        there = {info.key: info.created_at for info in self._cache.entries(keys=keys)}
        if self._dry_run:
            there |= {key: self._would_be_there[key] for key in keys if key in self._would_be_there}
        for entry in batch:
            fate = _fate(entry, there)
            if fate in _TAKEN:
                there[entry.key] = entry.created_at
                if self._dry_run:
                    self._would_be_there[entry.key] = entry.created_at
            yield fate


def _fate(entry: Entry, there: Mapping[bytes, float]) -> Fate:
    created_at = there.get(entry.key)
    if created_at is None:
        return Fate.NEW
    if created_at == entry.created_at:
        return Fate.SAME
    return Fate.REPLACED if created_at < entry.created_at else Fate.NEWER_HERE


def _as_it_was(fate: Fate, *, was_kept: bool) -> Fate:
    """The fate as it turned out: others may have written in between."""
    if was_kept:
        return fate if fate in _TAKEN else Fate.NEW
    return Fate.NEWER_HERE if fate in _TAKEN else fate
