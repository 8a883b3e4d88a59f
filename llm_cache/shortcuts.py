"""The quickest way to an answer: from the arguments of a call straight to its slot in memory."""

from __future__ import annotations

import weakref
from marshal import dumps
from typing import TYPE_CHECKING, Any, Final

from llm_cache.engine import NOT_IN_MEMORY
from llm_cache.keys import Identity

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.binding import Binding
    from llm_cache.cache import LLMCache
    from llm_cache.engine import Engine
    from llm_cache.memory_tier import Slot

REMEMBERED_AT_MOST: Final = 4096
LONGEST_CALL_BYTES: Final = 4096
_WITHOUT_REFERENCES: Final = 2
"""The newest format of marshal that writes equal values alike, however they are shared."""


class Shortcuts:
    """What one engine holds in memory of one function, by the arguments as they were written.

    Binding arguments and making a key of them takes longer than all the rest of a hit. Arguments
    are told apart by their marshalled bytes, which keep built-in types apart and refuse all others;
    they are only ever compared, in this process. Slots are remembered weakly: what stays in memory
    is for the memory tier alone to say.
    """

    def __init__(self, binding: Binding, get_cache: Callable[[], LLMCache]) -> None:
        self._binding: Final = binding
        self._get_cache: Final = get_cache
        self._engine: Engine | None = None
        self._slots: dict[bytes, Callable[[], Slot | None]] = {}

    def from_memory(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """The value, if it is fresh in memory; `NOT_IN_MEMORY` if not."""
        engine = self._get_cache().engine
        if engine is not self._engine:
            self._begin_anew(engine)
        try:
            call = dumps((args, kwargs), _WITHOUT_REFERENCES)
        except ValueError:
            call = b""
        slot = self._slots.get(call, _nothing)() or self._found(engine, call, args, kwargs)
        if slot is None:
            return NOT_IN_MEMORY
        return engine.from_slot(slot, self._policy, self._codec)

    def _begin_anew(self, engine: Engine) -> None:
        binding = self._binding
        self._codec = binding.codec
        self._policy = engine.policies.resolve(binding.prefix, decorator=binding.policy)
        self._slots = {}
        self._engine = engine

    def _found(
        self, engine: Engine, call: bytes, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> Slot | None:
        params_json = self._binding.params_json(args, kwargs)
        identity = Identity(self._binding.prefix, params_json, self._policy.version)
        slot = engine.slot(identity.key)
        if slot is not None and 0 < len(call) <= LONGEST_CALL_BYTES:
            if len(self._slots) >= REMEMBERED_AT_MOST:
                self._slots.clear()
            self._slots[call] = weakref.ref(slot)
        return slot


def _nothing() -> None:
    return None
