"""The quickest way to an answer: from the arguments of a call straight to its slot in memory."""

from __future__ import annotations

import weakref
from contextlib import suppress
from functools import partial
from marshal import dumps
from typing import TYPE_CHECKING, Any, Final

from llm_cache.engine import NOT_IN_MEMORY
from llm_cache.keys import Identity
from llm_cache.steps import Call

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


class _Known:
    """What is known of a call: what identifies it, and its slot while there is one."""

    __slots__ = ("identity", "slot")

    def __init__(self, identity: Identity) -> None:
        self.identity = identity
        self.slot: Callable[[], Slot | None] = _no_slot


class Shortcuts:
    """What is known of one function's calls in the cache in use, by their arguments as written.

    Binding arguments and making a key of them takes longer than all the rest of a hit. Arguments
    are told apart by their marshalled bytes, which keep built-in types apart and refuse all others;
    they are only ever compared, in this process. Slots are remembered weakly: what stays in memory
    is for the memory tier alone to say.
    """

    def __init__(self, binding: Binding, get_cache: Callable[[], LLMCache]) -> None:
        self._binding: Final = binding
        self._get_cache: Final = get_cache
        self._engine: Engine | None = None
        self._known: dict[bytes, _Known] = {}

    def from_memory(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
        """The value, if it is fresh in memory; `NOT_IN_MEMORY` if not.

        Raises TypeError if the function does not take the arguments, KeyParamError if one cannot
        be keyed.
        """
        engine = self._get_cache().engine
        known = self._recall(engine, args, kwargs)
        slot = known.slot()
        if slot is None:
            slot = engine.slot(known.identity.key)
            if slot is None:
                return NOT_IN_MEMORY
            known.slot = weakref.ref(slot)
        return engine.from_slot(slot, self._policy, self._codec)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, refresh: bool = False) -> Call:
        """The request that a call with these arguments is. Raises as `from_memory` does."""
        known = self._recall(self._get_cache().engine, args, kwargs)
        generator = partial(self._binding.function, *args, **kwargs)
        return Call(known.identity, generator, self._policy, self._codec, refresh)

    def _recall(self, engine: Engine, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Known:
        if engine is not self._engine:
            self._begin_anew(engine)
        try:
            return self._known[dumps((args, kwargs), _WITHOUT_REFERENCES)]
        except (KeyError, ValueError):
            return self._learn(args, kwargs)

    def _begin_anew(self, engine: Engine) -> None:
        binding = self._binding
        self._codec = binding.codec
        self._policy = engine.policies.resolve(binding.prefix, decorator=binding.policy)
        self._known = {}
        self._engine = engine

    def _learn(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Known:
        binding = self._binding
        params_json = binding.params_json(args, kwargs)
        known = _Known(Identity(binding.prefix, params_json, self._policy.version))
        with suppress(ValueError):  # arguments that are not of built-in types
            call = dumps((args, kwargs), _WITHOUT_REFERENCES)
            if len(call) <= LONGEST_CALL_BYTES:
                if len(self._known) >= REMEMBERED_AT_MOST:
                    self._known.clear()
                self._known[call] = known
        return known


def _no_slot() -> None:
    return None
