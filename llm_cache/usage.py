"""Counting how requests were answered: in memory first, told to the store every second."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from llm_cache.errors import StoreError
from llm_cache.stores.base import EntryUse, Usage, UsageDay

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.entry import EntryInfo
    from llm_cache.stores.base import Store

FLUSH_EVERY_S: Final = 1.0
_log: Final = logging.getLogger("llm_cache")


class _Use:
    """Hits of one entry that the store has not been told of."""

    __slots__ = ("entry", "hits", "last_used_at")

    def __init__(self, entry: EntryInfo) -> None:
        self.entry = entry
        self.hits = 0
        self.last_used_at = 0.0


class UsageCounter:
    """Counts of one process, by prefix and model, told to `store` in batches.

    A crash may lose the last second of counts, nothing else.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self.of_process: Final = Usage()
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._uses: dict[bytes, _Use] = {}
        self._counts: defaultdict[tuple[str, str, str], Usage] = defaultdict(Usage)
        self._something_to_tell = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def hit(self, entry: EntryInfo, now: float) -> None:
        """Counts an answer from the cache."""
        key = entry.key
        with self._lock:
            use = self._uses.get(key)
            if use is None:
                use = self._uses[key] = _Use(entry)
            use.hits += 1
            use.last_used_at = now
            self.of_process.hits += 1
        if not self._something_to_tell.is_set():
            self._wake()

    def count(self, tenant: str, prefix: str, model: str | None = None, **amounts: float) -> None:
        """Adds amounts to counts of `Usage`, by name: `misses=1, generation_seconds=2.5`."""
        with self._lock:
            counts = self._counts[tenant, prefix, model or ""]
            for usage in (counts, self.of_process):
                for name, amount in amounts.items():
                    setattr(usage, name, getattr(usage, name) + amount)
        self._wake()

    def flush(self) -> None:
        """Tells the store now. StoreError if it cannot be told; the counts are then kept."""
        with self._flushing:
            with self._lock:
                uses, self._uses = self._uses, {}
                counts, self._counts = self._counts, defaultdict(Usage)
                self._something_to_tell.clear()
            if not uses and not counts:
                return
            try:
                self._store.add_usage(self._by_day(uses, counts), _entry_uses(uses))
            except StoreError:
                self._put_back(uses, counts)
                raise

    def close(self) -> None:
        """Tells the store what is left, and ends the thread."""
        self._closed.set()
        self._something_to_tell.set()
        self._flush_or_log()

    def _wake(self) -> None:
        self._something_to_tell.set()
        if self._thread is None and not self._closed.is_set():
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=self._work, name="llm-cache counters", daemon=True
                    )
                    self._thread.start()

    def _work(self) -> None:
        while not self._closed.is_set():
            self._something_to_tell.wait()
            if not self._closed.wait(FLUSH_EVERY_S):
                self._flush_or_log()

    def _flush_or_log(self) -> None:
        try:
            self.flush()
        except StoreError as error:
            _log.debug("counts are kept for later: %s", error)

    def _by_day(
        self, uses: dict[bytes, _Use], counts: dict[tuple[str, str, str], Usage]
    ) -> list[UsageDay]:
        day = datetime.fromtimestamp(self._clock(), UTC).date().isoformat()
        summed: defaultdict[tuple[str, str, str], Usage] = defaultdict(Usage)
        for group, usage in counts.items():
            summed[group].add(usage)
        for use in uses.values():
            saved = (use.entry.generation_seconds or 0.0) * use.hits
            group = use.entry.tenant, use.entry.prefix, use.entry.model or ""
            summed[group].add(Usage(hits=use.hits, saved_seconds=saved))
        return [UsageDay(day, *group, usage) for group, usage in summed.items()]

    def _put_back(self, uses: dict[bytes, _Use], counts: dict[tuple[str, str, str], Usage]) -> None:
        with self._lock:
            for key, use in uses.items():
                again = self._uses.setdefault(key, _Use(use.entry))
                again.hits += use.hits
                again.last_used_at = max(again.last_used_at, use.last_used_at)
            for group, usage in counts.items():
                self._counts[group].add(usage)


def _entry_uses(uses: dict[bytes, _Use]) -> list[EntryUse]:
    return [EntryUse(key, use.hits, use.last_used_at) for key, use in uses.items()]
