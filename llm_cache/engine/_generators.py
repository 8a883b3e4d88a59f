"""How the generators of each prefix fare, so that one that fails is not tried for every request."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from llm_cache.core.fork_locks import made_again_in_child
from llm_cache.engine._circuit import Circuit

if TYPE_CHECKING:
    from collections.abc import Callable


class Generators:
    """A circuit for each prefix. It only keeps back what an older entry can answer meanwhile."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        made_again_in_child(self._make_locks)
        self._of: dict[str, Circuit] = {}

    def _make_locks(self) -> None:
        self._lock = threading.Lock()

    def of(self, prefix: str) -> Circuit:
        """The circuit of a prefix."""
        with self._lock:
            circuit = self._of.get(prefix)
            if circuit is None:
                good_news = f"{prefix}: the generator works again"
                circuit = self._of[prefix] = Circuit(good_news, self._monotonic)
            return circuit
