"""What is in the trash, as it is listed: with when it came there, and whether it can come back."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from llm_cache.cli.interrupts import batches
from llm_cache.cli.output.entries import View, of_trash
from llm_cache.cli.output.formatting import UNKNOWN, iso, span
from llm_cache.cli.output.screen import Marked, Mood, Piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.api.cache import LLMCache
    from llm_cache.core.entry import EntryInfo
    from llm_cache.store.records import Trashed


class _Fate(NamedTuple):
    removed_at: float
    is_anew: bool


class InTrash:
    """Entries of the trash that were looked at, and what is known of each beyond itself."""

    def __init__(self, cache: LLMCache) -> None:
        self._cache = cache
        self._fates: dict[bytes, _Fate] = {}
        self._now = time.time()
        self.anew = 0
        """How many of them were made anew since, and so cannot come back."""

    def looked_at(self, trashed: Iterable[Trashed]) -> Iterator[EntryInfo]:
        """The entries, each looked up in the cache, too."""
        for some in batches(trashed):
            there = {info.key for info in self._cache.entries(keys=[t.entry.key for t in some])}
            self.anew += len(there)
            for info, removed_at in some:
                self._fates[info.key] = _Fate(removed_at, info.key in there)
                yield info

    @property
    def view(self) -> View:
        """What a listing tells of them."""
        return View(
            fields=of_trash(self._removed, self._is_anew, self._since),
            values=lambda info: (self._removed_iso(info), self._since_text(info)),
            json=lambda info: {
                "removed_at": iso(self._fates[info.key].removed_at),
                "made_anew": self._is_anew(info),
            },
        )

    def _removed(self, info: EntryInfo) -> str:
        return f"{span(max(self._now - self._fates[info.key].removed_at, 0.0))} ago"

    def _removed_iso(self, info: EntryInfo) -> str:
        return iso(self._fates[info.key].removed_at) or UNKNOWN

    def _is_anew(self, info: EntryInfo) -> bool:
        return self._fates[info.key].is_anew

    def _since_text(self, info: EntryInfo) -> str:
        return "made anew" if self._is_anew(info) else "nothing"

    def _since(self, info: EntryInfo) -> Piece:
        return Marked(self._since_text(info), Mood.EXPIRING) if self._is_anew(info) else ""
