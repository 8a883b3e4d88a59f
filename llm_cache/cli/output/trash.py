"""Lists the trash: when each entry was removed, and whether it can be restored."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, NamedTuple

from llm_cache.cli.interrupts import batches
from llm_cache.cli.output.entries import View, trash_columns
from llm_cache.cli.output.formatting import UNKNOWN, iso, span
from llm_cache.cli.output.screen import Piece, Style, Styled

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.api.cache import LLMCache
    from llm_cache.core.entry import EntryInfo
    from llm_cache.store.records import Trashed


class _TrashState(NamedTuple):
    removed_at: float
    is_anew: bool


class TrashListing:
    """Entries of the trash, each with when it was removed and whether it was regenerated since."""

    def __init__(self, cache: LLMCache) -> None:
        self._cache = cache
        self._fates: dict[bytes, _TrashState] = {}
        self._now = time.time()
        self.anew: int = 0
        """How many of them were regenerated since, and so cannot come back."""

    def looked_at(self, trashed: Iterable[Trashed]) -> Iterator[EntryInfo]:
        """The entries, each looked up in the cache, too."""
        for some in batches(trashed):
            there = {info.key for info in self._cache.entries(keys=[t.entry.key for t in some])}
            self.anew += len(there)
            for info, removed_at in some:
                self._fates[info.key] = _TrashState(removed_at, info.key in there)
                yield info

    @property
    def view(self) -> View:
        """What a listing tells of them."""
        return View(
            fields=trash_columns(self._removed, self._is_anew, self._since),
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
        return "regenerated" if self._is_anew(info) else "nothing"

    def _since(self, info: EntryInfo) -> Piece:
        return Styled(self._since_text(info), Style.EXPIRING) if self._is_anew(info) else ""
