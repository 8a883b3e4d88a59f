"""The bounded, coherent copy of hot entries in this process, in front of a store."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from llm_cache.core.fork_locks import reset_after_fork
from llm_cache.core.freshness import freshness_window
from llm_cache.core.policy import Mode
from llm_cache.core.values.codec import is_immutable
from llm_cache.engine._counters import Use
from llm_cache.store.stamps import STAMP_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.core.entry import Entry
    from llm_cache.core.policy_resolution import Policy
    from llm_cache.core.values.codec import Codec
    from llm_cache.store.protocol import Store

_OVERHEAD_BYTES: Final = 1200
"""What a slot takes beside its body and params, roughly."""


class Slot:
    """An entry in memory, with what is needed to answer from it at once."""

    __slots__ = (
        "__weakref__",
        "codec",
        "entry",
        "judged",
        "known_value",
        "read_stamp",
        "stamp",
        "use",
        "was_hit",
    )

    def __init__(self, entry: Entry, stamp: bytes, read_stamp: Callable[[], bytes]) -> None:
        self.entry: Entry = entry
        self.stamp: bytes = stamp
        self.read_stamp: Callable[[], bytes] = read_stamp
        self.use: Use = Use(entry)
        self.was_hit: bool = False
        self.judged: tuple[Policy | None, float, float] = (None, 0.0, 0.0)
        """A policy, and from when until when it was found that the entry may answer under it."""
        self.codec: Codec | None = None
        self.known_value: Any = None

    @property
    def size_bytes(self) -> int:
        """What the slot takes of `max_memory`."""
        return self.entry.size_bytes + self.entry.value_bytes + _OVERHEAD_BYTES

    def window(self, policy: Policy) -> tuple[float, float]:
        """From when (inclusive) until when (exclusive) the entry may answer under `policy`."""
        if policy.mode is Mode.LIVE:
            return freshness_window(self.entry, policy)
        if policy.mode is Mode.REPLAY:
            return -math.inf, math.inf
        return math.inf, -math.inf  # generated each time

    def value(self, codec: Codec) -> Any:
        """The value in a new copy; one that cannot be changed is known from then on."""
        value = codec.decode(self.entry.body, self.entry.encoding)
        if is_immutable(value):
            self.known_value, self.codec = value, codec
        return value


class MemoryTier:
    """At most `max_entries` entries and `max_bytes` bytes; the ones not hit lately go first.

    Which one goes is decided by second chance (the CLOCK algorithm, F. J. Corbató, 1968): a hit
    only sets a mark, so that reading needs no lock and moves nothing.
    """

    def __init__(self, store: Store, *, max_entries: int, max_bytes: int) -> None:
        self._store = store
        self._max_entries = max_entries
        self._max_bytes = max_bytes
        self._slots: OrderedDict[bytes, Slot] = OrderedDict()
        self._bytes = 0
        reset_after_fork(self._make_locks)

    def __len__(self) -> int:
        return len(self._slots)

    def entries_of(self, tenant: str | None) -> int:
        """How many entries it has of one tenant, or of all."""
        if tenant is None:
            return len(self)
        with self._lock:
            return sum(slot.entry.tenant == tenant for slot in self._slots.values())

    def slot(self, key: bytes) -> Slot | None:
        """The slot of `key`, good or not."""
        return self._slots.get(key)

    def stamp(self, key: bytes) -> bytes:
        """The stamp of `key` now, to be remembered with what is read or made after this.

        It is empty if there is none.
        """
        if self._max_entries < 1:
            return b""
        try:
            return self._store.stamps.reader(key)()
        except OSError:
            return b""

    def put(self, entry: Entry, stamp: bytes) -> None:
        """Keeps `entry`; `stamp` was read before the entry was read or begun to be made.

        Without a stamp nothing is kept: nobody could tell that the entry was taken away.
        """
        if self._max_entries < 1 or len(stamp) != STAMP_BYTES:
            return
        slot = Slot(entry, stamp, self._store.stamps.reader(entry.key))
        if slot.size_bytes > self._max_bytes:
            return
        with self._lock:
            self._take_out(entry.key)
            # Before it comes in: where all others were hit, the new one would be the first to go.
            while (
                len(self._slots) >= self._max_entries
                or self._bytes + slot.size_bytes > self._max_bytes
            ):
                self._evict_one()
            self._slots[entry.key] = slot
            self._bytes += slot.size_bytes

    def drop(self, key: bytes, *, only: Entry | None = None) -> None:
        """Forgets the entry of `key`, or `only` that very one if it is still there."""
        with self._lock:
            slot = self._slots.get(key)
            if only is None or (slot is not None and slot.entry is only):
                self._take_out(key)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._slots.clear()
            self._bytes = 0

    def _make_locks(self) -> None:
        self._lock = threading.Lock()

    def _take_out(self, key: bytes) -> None:
        slot = self._slots.pop(key, None)
        if slot is not None:
            self._bytes -= slot.size_bytes

    def _evict_one(self) -> None:
        while True:
            key, slot = next(iter(self._slots.items()))
            if not slot.was_hit:
                self._take_out(key)
                return
            slot.was_hit = False
            self._slots.move_to_end(key)
