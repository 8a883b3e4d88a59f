"""Removes entries: exactly those listed, or a whole prefix at once."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from llm_cache.cli.interrupts import batches, defer_interrupts
from llm_cache.cli.output.status_line import StatusLine
from llm_cache.store.records import Removed

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_cache.cli.session import Session
    from llm_cache.core.entry import EntryInfo
    from llm_cache.store.records import Group

SHOWN_BEFORE_ASKING: Final = 20


class RemovalResult(NamedTuple):
    """What was removed, its ids, and how many entries stayed since they were regenerated."""

    removed: Removed
    ids: list[str]
    stayed: int = 0


class RemovalTarget(Protocol):
    """Entries that are going to be removed."""

    @property
    def entries(self) -> int:
        """How many there are now."""
        ...

    @property
    def size_bytes(self) -> int:
        """What they hold now."""
        ...

    @property
    def first(self) -> list[EntryInfo]:
        """The first of them, to be shown."""
        ...

    def remove(self, *, keep: bool, with_ids: bool) -> RemovalResult:
        """Removes them; `keep` moves them to the trash."""
        ...


class ListedEntries:
    """Exactly these entries, as they are now: one that is regenerated meanwhile stays."""

    def __init__(self, session: Session, infos: Iterable[EntryInfo]) -> None:
        self._session = session
        self._made_at: dict[bytes, float] = {}
        self.first: list[EntryInfo] = []
        self.size_bytes: int = 0
        for info in infos:
            if len(self.first) < SHOWN_BEFORE_ASKING:
                self.first.append(info)
            self._made_at[info.key] = info.created_at
            self.size_bytes += info.size_bytes

    @property
    def entries(self) -> int:
        """How many they are."""
        return len(self._made_at)

    def remove(self, *, keep: bool, with_ids: bool) -> RemovalResult:
        """Removes those that are still as they were; `keep` moves them to the trash."""
        cache, status = self._session.cache, StatusLine(self._session.err)
        freed: list[Group] = []
        ids: list[str] = []
        done = stayed = 0
        try:
            for keys in batches(self._made_at):
                with defer_interrupts():
                    there = list(cache.entries(keys=keys))
                    same = [info for info in there if info.created_at == self._made_at[info.key]]
                    freed += cache.invalidate_entries([i.key for i in same], keep=keep).groups
                    done += len(same)
                stayed += len(there) - len(same)
                ids += [info.id for info in same] if with_ids else []
                status.show(partial(self._so_far, done))
        except KeyboardInterrupt:
            status.clear()
            self._session.tell(self._so_far(done))
            raise
        status.clear()
        return RemovalResult(Removed(tuple(freed)), ids, stayed)

    def _so_far(self, done: int) -> str:
        return f"{done:,} of {self.entries:,} removed"


class WholePrefix:
    """All entries of a prefix, and of the session's tenant, at the time of the removal."""

    def __init__(self, session: Session, prefix: str) -> None:
        self._cache = session.cache
        self._prefix = prefix
        held = self._cache.totals().get(prefix)
        self.entries: int = 0 if held is None else held.entries
        self.size_bytes: int = 0 if held is None else held.size_bytes

    @property
    def first(self) -> list[EntryInfo]:
        """The newest of them."""
        return list(self._cache.entries(self._prefix, limit=SHOWN_BEFORE_ASKING))

    def remove(self, *, keep: bool, with_ids: bool) -> RemovalResult:
        """Removes them; `keep` moves them to the trash. The ids are those of just before."""
        ids = [info.id for info in self._cache.entries(self._prefix)] if with_ids else []
        # Also where nothing is listed: an answer that is being made now must not be kept either.
        return RemovalResult(self._cache.invalidate_prefix(self._prefix, keep=keep), ids)
