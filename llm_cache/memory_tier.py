"""The bounded, coherent copy of hot entries in this process, in front of a store."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

from llm_cache.codec import is_immutable
from llm_cache.entry import freshness_window

if TYPE_CHECKING:
    from llm_cache.codec import Codec
    from llm_cache.entry import Entry
    from llm_cache.policy import Policy
    from llm_cache.stores.base import Store

_OVERHEAD_BYTES: Final = 1200
"""What a slot takes beside its body and params, roughly."""


class Slot:
    """An entry in memory, with what is needed to answer from it at once."""

    __slots__ = (
        "_codec",
        "_policy",
        "_value",
        "entry",
        "fresh_from",
        "fresh_until",
        "hit",
        "stamp",
    )

    def __init__(self, entry: Entry, stamp: bytes) -> None:
        self.entry = entry
        self.stamp = stamp
        self.hit = False
        self._policy: Policy | None = None
        self._codec: Codec | None = None
        self._value: Any = None
        self.fresh_from = self.fresh_until = 0.0

    @property
    def size_bytes(self) -> int:
        """What the slot takes of `max_memory`."""
        return (
            self.entry.size_bytes
            + self.entry.value_bytes
            + len(self.entry.params_json)
            + _OVERHEAD_BYTES
        )

    def is_fresh(self, policy: Policy, now: float) -> bool:
        """Whether the entry is fresh; the window is worked out anew only for another policy."""
        if self._policy is not policy:
            self.fresh_from, self.fresh_until = freshness_window(self.entry, policy)
            self._policy = policy
        return self.fresh_from <= now < self.fresh_until

    def value(self, codec: Codec) -> Any:  # noqa: ANN401 - the caller's own type
        """The value: the very same object where it cannot be changed, else a new copy."""
        if self._codec is codec:
            return self._value
        value = codec.decode(self.entry.body, self.entry.encoding)
        if is_immutable(value):
            self._value, self._codec = value, codec
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
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._slots)

    def fresh(self, key: bytes, policy: Policy, now: float) -> Slot | None:
        """The slot of `key` if it is fresh and nobody has taken its entry away meanwhile."""
        slot = self._slots.get(key)
        if slot is None or not slot.is_fresh(policy, now):
            return None
        if slot.stamp != self._store.stamps.read(key):
            self.drop(key)
            return None
        slot.hit = True
        return slot

    def stamp(self, key: bytes) -> bytes:
        """The stamp of `key` now, to be remembered with what is read or made after this."""
        return self._store.stamps.read(key)

    def put(self, entry: Entry, stamp: bytes) -> None:
        """Keeps `entry`; `stamp` was read before the entry was read or begun to be made."""
        slot = Slot(entry, stamp)
        if slot.size_bytes > self._max_bytes or self._max_entries < 1:
            return
        with self._lock:
            self._take_out(entry.key)
            self._slots[entry.key] = slot
            self._bytes += slot.size_bytes
            while len(self._slots) > self._max_entries or self._bytes > self._max_bytes:
                self._evict_one()

    def drop(self, key: bytes) -> None:
        """Forgets one entry."""
        with self._lock:
            self._take_out(key)

    def clear(self) -> None:
        """Forgets everything."""
        with self._lock:
            self._slots.clear()
            self._bytes = 0

    def _take_out(self, key: bytes) -> None:
        slot = self._slots.pop(key, None)
        if slot is not None:
            self._bytes -= slot.size_bytes

    def _evict_one(self) -> None:
        while True:
            key, slot = next(iter(self._slots.items()))
            if not slot.hit:
                self._take_out(key)
                return
            slot.hit = False
            self._slots.move_to_end(key)
