"""Counting how requests were answered: in memory first, told to the store every second."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from llm_cache.core.fork_locks import reset_after_fork
from llm_cache.core.values.refusals import told
from llm_cache.engine.threads import before_worker_ends
from llm_cache.errors import StoreError
from llm_cache.store.records import Counts, EntryUse, Note, Refusals, UsageDay

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.core.entry import EntryInfo
    from llm_cache.core.keys import Identity
    from llm_cache.core.usage import Usage
    from llm_cache.store.protocol import CounterStore

FLUSH_EVERY_S: Final = 1.0
HITS_AT_ONCE: Final = 64
"""Entries whose hits are told in one transaction: others write in between."""
ENDS_WITHIN_S: Final = 1.0
MOST_NOTES: Final = 1000
"""Between two times that the store is told: what is beyond is counted, and not noted."""
REFUSED: Final = "refused"
Group: TypeAlias = tuple[str, str, str]
"""Tenant, prefix and model."""
_log: Final = logging.getLogger("llm_cache")


def saved(usage: Usage, seconds: float | None) -> dict[str, float]:
    """What an answer saves that was not generated, as counts."""
    return {
        "saved_seconds": seconds or 0.0,
        "saved_input_tokens": usage.input_tokens or 0,
        "saved_output_tokens": usage.output_tokens or 0,
        "saved_usd": usage.cost_usd or 0.0,
        "saved_unpriced": usage.cost_usd is None,
    }


class Use:
    """What a hit of one entry counts for; it keeps no value alive."""

    __slots__ = ("cost", "group", "key", "last_used_at")

    def __init__(self, entry: EntryInfo) -> None:
        self.key: bytes = entry.key
        self.group: Group = (entry.tenant, entry.prefix, entry.model or "")
        self.cost: tuple[float | None, int | None, int | None, float | None] = (
            entry.generation_seconds,
            entry.input_tokens,
            entry.output_tokens,
            entry.cost_usd,
        )
        self.last_used_at: float = 0.0

    def counts(self, hits: int) -> Counts:
        """What so many hits count for."""
        seconds, input_tokens, output_tokens, cost_usd = self.cost
        return Counts(
            hits=hits,
            saved_seconds=hits * (seconds or 0.0),
            saved_input_tokens=hits * (input_tokens or 0),
            saved_output_tokens=hits * (output_tokens or 0),
            saved_usd=hits * (cost_usd or 0.0),
            saved_unpriced=hits if cost_usd is None else 0,
        )


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

    def __init__(self, store: CounterStore, clock: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        reset_after_fork(self._make_locks)
        self.hits: Final[deque[Use]] = deque()
        """One `Use` a hit, to be added up later: every hit comes this way, without a lock."""
        self._untold: dict[object, _Hits] = {}
        self._counts: defaultdict[Group, Counts] = defaultdict(Counts)
        self._of_process: defaultdict[str, Counts] = defaultdict(Counts)
        self._refusals: dict[tuple[str, str, str], int] = {}
        self._notes: dict[bytes, Note] = {}
        self.is_asleep: bool = True
        self._thread: threading.Thread | None = None

    def hit(self, use: Use, now: float) -> None:
        """Counts an answer from the cache; without a lock, since every hit comes this way."""
        use.last_used_at = now
        self.hits.append(use)
        if self.is_asleep:
            self.wake()

    def count(self, tenant: str, prefix: str, model: str | None = None, **amounts: float) -> None:
        """Adds amounts to counts of `Counts`, by name: `misses=1, generation_seconds=2.5`."""
        with self._lock:
            counts = self._counts[tenant, prefix, model or ""]
            for usage in (counts, self._of_process[tenant]):
                for name, amount in amounts.items():
                    setattr(usage, name, getattr(usage, name) + amount)
        self.wake()

    def generated(self, identity: Identity, usage: Usage, seconds: float) -> None:
        """Counts a generation, and what it took."""
        self.count(
            identity.tenant,
            identity.prefix,
            usage.model,
            generations=1,
            generation_seconds=seconds,
            input_tokens=usage.input_tokens or 0,
            output_tokens=usage.output_tokens or 0,
            cost_usd=usage.cost_usd or 0.0,
            unpriced=usage.cost_usd is None,
        )

    def not_stored(self, identity: Identity, model: str | None, reason: str) -> None:
        """Counts a value that is not stored, and notes the reason for who asks why it misses."""
        tenant, prefix, key = identity.tenant, identity.prefix, identity.key
        self.count(tenant, prefix, model, not_stored=1)
        with self._lock:
            group = (tenant, prefix, reason)
            self._refusals[group] = self._refusals.get(group, 0) + 1
            if len(self._notes) < MOST_NOTES:
                self._notes[key] = Note(tenant, prefix, key, REFUSED, reason, self._clock())

    def of_process(self, tenant: str | None = None) -> Counts:
        """Everything counted in this process so far, of one tenant or of all."""
        total = Counts()
        with self._lock:
            self._add_up_hits()
            for whose, counts in self._of_process.items():
                if tenant in (None, whose):
                    total.add(counts)
        return total

    def flush(self) -> None:
        """Tells the store now. StoreError if it cannot be told; the counts are then kept."""
        with self._flushing:
            with self._lock:
                # In this order: a hit in between sets what is cleared no more.
                self._something_to_tell.clear()
                self.is_asleep = True
                self._add_up_hits()
                untold = _Untold(self._untold, self._counts, self._refusals, self._notes)
                self._untold, self._counts = {}, defaultdict(Counts)
                self._refusals, self._notes = {}, {}
            parts = untold.in_parts()
            try:
                while parts:
                    self._tell(parts[0])
                    del parts[0]
            finally:
                for part in parts:
                    self._put_back(part)

    def close(self) -> None:
        """Tells the store what is left, and ends the thread."""
        self._closed.set()
        self._something_to_tell.set()
        self.flush_or_log()
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(ENDS_WITHIN_S)

    def _add_up_hits(self) -> None:
        for _ in range(len(self.hits)):
            use = self.hits.popleft()
            self._of_process[use.group[0]].add(use.counts(1))
            self._note(use, 1, use.last_used_at)

    def _note(self, use: Use, hits: int, last_used_at: float) -> None:
        # Not by the key alone: an entry that was regenerated has another cost.
        which = (use.key, use.group, use.cost)
        untold = self._untold.get(which)
        if untold is None:
            untold = self._untold[which] = _Hits(use)
        untold.add(hits, last_used_at)

    def wake(self) -> None:
        """Has the counts told within a second."""
        self.is_asleep = False
        self._something_to_tell.set()
        if self._thread is None and not self._closed.is_set():
            self._start()

    def _make_locks(self) -> None:
        self._lock = threading.Lock()
        self._flushing = threading.Lock()
        self._something_to_tell = threading.Event()
        self._closed = threading.Event()

    def _start(self) -> None:
        with self._lock:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._work, name="llm-cache counters", daemon=True)
            try:
                thread.start()
            except RuntimeError:
                return  # the next one that counts tries again; if none can, `close` tells
            self._thread = thread
        before_worker_ends(_flush_of(weakref.ref(self)))

    def _work(self) -> None:
        while not self._closed.is_set():
            self._something_to_tell.wait()
            if not self._closed.wait(FLUSH_EVERY_S):
                self.flush_or_log()

    def flush_or_log(self) -> None:
        """As `flush`, for where nobody is to hear of trouble but the log."""
        try:
            self.flush()
        except StoreError as error:
            _log.debug("counts are kept for later: %s", error)
        except Exception as error:  # noqa: BLE001 - the thread goes on: more will come
            _log.warning("counts are kept for later (%s)", told(error))

    def _tell(self, untold: _Untold) -> None:
        day = datetime.fromtimestamp(self._clock(), UTC).date().isoformat()
        summed: defaultdict[Group, Counts] = defaultdict(Counts)
        for group, usage in untold.counts.items():
            summed[group].add(usage)
        for hits in untold.hits.values():
            summed[hits.use.group].add(hits.use.counts(hits.count))
        self._store.add_usage(
            [UsageDay(day, *group, usage) for group, usage in summed.items()],
            [EntryUse(h.use.key, h.count, h.last_used_at) for h in untold.hits.values()],
            [Refusals(day, *group, times) for group, times in untold.refusals.items()],
            untold.notes.values(),
        )

    def _put_back(self, untold: _Untold) -> None:
        with self._lock:
            for hits in untold.hits.values():
                self._note(hits.use, hits.count, hits.last_used_at)
            for group, usage in untold.counts.items():
                self._counts[group].add(usage)
            for reason, times in untold.refusals.items():
                self._refusals[reason] = self._refusals.get(reason, 0) + times
            self._notes = {**untold.notes, **self._notes}


@dataclass(frozen=True, slots=True)
class _Untold:
    """What the store has not been told of."""

    hits: dict[object, _Hits]
    counts: dict[Group, Counts]
    refusals: dict[tuple[str, str, str], int]
    notes: dict[bytes, Note]

    def in_parts(self) -> list[_Untold]:
        """The same in parts, each for a transaction of its own; none where there is nothing."""
        hits = list(self.hits.items())
        parts = [
            _Untold(dict(hits[at : at + HITS_AT_ONCE]), {}, {}, {})
            for at in range(0, len(hits), HITS_AT_ONCE)
        ]
        if self.counts or self.refusals or self.notes:
            parts.append(_Untold({}, self.counts, self.refusals, self.notes))
        return parts


def _flush_of(counter: weakref.ref[UsageCounter]) -> Callable[[], None]:
    """Tells the store what is left, if there still is such a counter."""

    def flush() -> None:
        found = counter()
        if found is not None:
            found.flush_or_log()

    return flush
