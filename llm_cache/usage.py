"""Counting how requests were answered: in memory first, told to the store every second."""

from __future__ import annotations

import logging
import threading
from collections import defaultdict, deque
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from llm_cache.errors import StoreError
from llm_cache.stores.base import EntryUse, Usage, UsageDay

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.entry import EntryInfo
    from llm_cache.stores.base import Store

FLUSH_EVERY_S: Final = 1.0
Group: TypeAlias = tuple[str, str, str]
"""Tenant, prefix and model."""
_log: Final = logging.getLogger("llm_cache")


class Use:
    """What a hit of one entry counts for; it keeps no value alive."""

    __slots__ = ("group", "key", "last_used_at", "saves_seconds")

    def __init__(self, entry: EntryInfo) -> None:
        self.key = entry.key
        self.group: Group = (entry.tenant, entry.prefix, entry.model or "")
        self.saves_seconds = entry.generation_seconds or 0.0
        self.last_used_at = 0.0


class _Hits:
    """Hits of one entry that the store has not been told of."""

    __slots__ = ("count", "last_used_at", "use")

    def __init__(self, use: Use) -> None:
        self.use = use
        self.count = 0
        self.last_used_at = 0.0

    def add(self, count: int, last_used_at: float) -> None:
        self.count += count
        self.last_used_at = max(self.last_used_at, last_used_at)


class UsageCounter:
    """Counts of one process, by prefix and model, told to `store` in batches.

    A crash may lose the last second of counts, nothing else.
    """

    def __init__(self, store: Store, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self.hits: Final[deque[Use]] = deque()
        """One `Use` a hit, to be added up later: every hit comes this way, without a lock."""
        self._untold: dict[bytes, _Hits] = {}
        self._counts: defaultdict[Group, Usage] = defaultdict(Usage)
        self._of_process = Usage()
        self.is_asleep = True
        self._something_to_tell = threading.Event()
        self._closed = threading.Event()
        self._thread: threading.Thread | None = None

    def hit(self, use: Use, now: float) -> None:
        """Counts an answer from the cache; without a lock, since every hit comes this way."""
        use.last_used_at = now
        self.hits.append(use)
        if self.is_asleep:
            self.wake()

    def count(self, tenant: str, prefix: str, model: str | None = None, **amounts: float) -> None:
        """Adds amounts to counts of `Usage`, by name: `misses=1, generation_seconds=2.5`."""
        with self._lock:
            counts = self._counts[tenant, prefix, model or ""]
            for usage in (counts, self._of_process):
                for name, amount in amounts.items():
                    setattr(usage, name, getattr(usage, name) + amount)
        self.wake()

    def of_process(self) -> Usage:
        """Everything counted in this process so far."""
        with self._lock:
            self._add_up_hits()
            return replace(self._of_process)

    def flush(self) -> None:
        """Tells the store now. StoreError if it cannot be told; the counts are then kept."""
        with self._flushing:
            with self._lock:
                # In this order: a hit in between sets what is cleared no more.
                self._something_to_tell.clear()
                self.is_asleep = True
                self._add_up_hits()
                counts, self._counts = self._counts, defaultdict(Usage)
                told, self._untold = self._untold, {}
            if not told and not counts:
                return
            try:
                self._store.add_usage(self._by_day(told, counts), _entry_uses(told))
            except StoreError:
                self._put_back(told, counts)
                raise

    def close(self) -> None:
        """Tells the store what is left, and ends the thread."""
        self._closed.set()
        self._something_to_tell.set()
        self._flush_or_log()

    def _add_up_hits(self) -> None:
        for _ in range(len(self.hits)):
            use = self.hits.popleft()
            self._of_process.hits += 1
            self._note(use, 1, use.last_used_at)

    def _note(self, use: Use, hits: int, last_used_at: float) -> None:
        untold = self._untold.get(use.key)
        if untold is None:
            untold = self._untold[use.key] = _Hits(use)
        untold.add(hits, last_used_at)

    def wake(self) -> None:
        """Has the counts told within a second."""
        self.is_asleep = False
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

    def _by_day(self, told: dict[bytes, _Hits], counts: dict[Group, Usage]) -> list[UsageDay]:
        day = datetime.fromtimestamp(self._clock(), UTC).date().isoformat()
        summed: defaultdict[Group, Usage] = defaultdict(Usage)
        for group, usage in counts.items():
            summed[group].add(usage)
        for hits in told.values():
            saved_seconds = hits.use.saves_seconds * hits.count
            summed[hits.use.group].add(Usage(hits=hits.count, saved_seconds=saved_seconds))
        return [UsageDay(day, *group, usage) for group, usage in summed.items()]

    def _put_back(self, told: dict[bytes, _Hits], counts: dict[Group, Usage]) -> None:
        with self._lock:
            for hits in told.values():
                self._note(hits.use, hits.count, hits.last_used_at)
            for group, usage in counts.items():
                self._counts[group].add(usage)


def _entry_uses(told: dict[bytes, _Hits]) -> list[EntryUse]:
    return [EntryUse(key, hits.count, hits.last_used_at) for key, hits in told.items()]
