"""From the arguments of a call straight to its slot in memory."""

from __future__ import annotations

import weakref
from contextlib import suppress
from functools import partial
from marshal import dumps
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from llm_cache.engine.call import Call
from llm_cache.engine.engine import NOT_IN_MEMORY
from llm_cache.functions.registry import claim

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.core.keys import Identity
    from llm_cache.core.policy_resolution import Policy
    from llm_cache.core.values.codec import Codec
    from llm_cache.engine._memory import Slot
    from llm_cache.engine._scope import Scope
    from llm_cache.engine.engine import Engine
    from llm_cache.functions.binding import Binding

REMEMBERED_AT_MOST: Final = 4096
SCOPES_AT_MOST: Final = 256
LONGEST_CALL_BYTES: Final = 4096
_WITHOUT_REFERENCES: Final = 2
"""The newest format of marshal that writes equal values alike, however they are shared."""


ToldBy: TypeAlias = tuple[Any, ...]
"""What tells one call from another: arguments, and what the function closes over."""
_NOTHING: Final[dict[str, Any]] = {}


class _Known:
    """What is known of a call: what identifies it, and its slot while there is one."""

    __slots__ = ("codec", "identity", "slot")

    def __init__(self, identity: Identity, codec: Codec) -> None:
        self.identity = identity
        self.codec = codec
        self.slot: Callable[[], Slot | None] = _no_slot


class FastPath:
    """What is known of one function's calls in the cache in use, by their arguments as written.

    Binding arguments and making a key of them takes longer than all the rest of a hit. Arguments
    are told apart by their marshalled bytes, which keep built-in types apart and refuse all others;
    they are only ever compared, in this process. Slots are remembered weakly: what stays in memory
    is for the memory tier alone to say.
    """

    def __init__(self, binding: Binding, get_engine: Callable[[], Engine]) -> None:
        self.binding: Final = binding
        self._get_engine: Final = get_engine
        self._told_by: Final = self._find_told_by()
        self._views: dict[Scope, _View] = {}
        self._is_shared = False
        self._is_claimed = True

    def claim(self, *, shared: bool) -> None:
        """Claims the prefix for the function. Raises as `registry.claim`."""
        self._is_shared = shared
        claim(self, shared=shared)
        # What is not there yet when a function is decorated is compared when it is first called.
        self._is_claimed = self.binding.closure.is_complete

    def forget(self) -> None:
        """Forgets what is known of calls."""
        self._views = {}

    def _find_told_by(self) -> Callable[[tuple[Any, ...], dict[str, Any]], ToldBy] | None:
        """What tells the calls of this function apart; None if their arguments do, as they are."""
        if self.binding.leading:
            return self._told_by_what_counts
        if self.binding.closure.is_empty and not self.binding.fixed:
            return None
        return self._told_by_all

    def from_memory(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The value, if it is fresh in memory; `NOT_IN_MEMORY` if not.

        Raises TypeError if the function does not take the arguments, KeyParamError if one cannot
        be keyed, TenantRequiredError if there has to be a tenant and there is none,
        PrefixConflictError if another function has the prefix.
        """
        # As `_recall` and `_view`, in place: this is the way of every hit.
        told = (args, kwargs) if self._told_by is None else self._told_by(args, kwargs)
        engine = self._get_engine()
        known: _Known | None
        view: _View | None
        try:
            view = self._views[engine.scope()]
            known = view.known[dumps(told, _WITHOUT_REFERENCES)]
        except (KeyError, ValueError):
            # Nothing is raised from here: with the arguments in it, a traceback would show them.
            view = known = None
        if view is None or known is None or view.engine is not engine:
            view, known = self._recall(engine, told, args, kwargs)
        slot = known.slot()
        if slot is None:
            slot = engine.slot(known.identity.key)
            if slot is None:
                return NOT_IN_MEMORY
            known.slot = weakref.ref(slot)
        return engine.from_slot(slot, view.policy, known.codec)

    def call(self, args: tuple[Any, ...], kwargs: dict[str, Any], *, refresh: bool = False) -> Call:
        """The request that a call with these arguments is. Raises as `from_memory` does."""
        told = (args, kwargs) if self._told_by is None else self._told_by(args, kwargs)
        view, known = self._recall(self._get_engine(), told, args, kwargs)
        generator = partial(self.binding.function, *args, **kwargs)
        return Call.of(known.identity, generator, view.policy, known.codec, refresh=refresh)

    def _told_by_all(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ToldBy:
        return args, kwargs, self.binding.closure.values(), self.binding.fixed

    def _told_by_what_counts(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> ToldBy:
        closure = self.binding.closure
        closed = _NOTHING if closure.is_empty else closure.values()
        # The fourth keeps a call without the leading argument apart.
        return (args[1:], kwargs, closed, None) if args else (args, kwargs, closed)

    def _recall(
        self, engine: Engine, told_by: ToldBy, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> tuple[_View, _Known]:
        view = self._views.get(engine.scope())
        if view is not None and view.engine is not engine:
            self._views, view = {}, None
        if view is None:
            view = self._view(engine)
        known = call = None
        with suppress(ValueError):  # arguments that are not of built-in types
            call = dumps(told_by, _WITHOUT_REFERENCES)
            known = view.known.get(call)
        if known is None:
            known = self._learn(view, told_by, args, kwargs)
            if call is not None and len(call) <= LONGEST_CALL_BYTES and not _has_buffer(told_by):
                if len(view.known) >= REMEMBERED_AT_MOST:
                    view.known.clear()
                view.known[call] = known
        return view, known

    def _learn(
        self, view: _View, told_by: ToldBy, args: tuple[Any, ...], kwargs: dict[str, Any]
    ) -> _Known:
        # They are read once: what is remembered is what the key was made of.
        closed = told_by[2] if len(told_by) > 2 else _NOTHING
        identity = self.binding.identity(args, kwargs, view.policy, view.tenant, closed)
        return _Known(identity, self.binding.codec_of_call(args, kwargs))

    def _view(self, engine: Engine) -> _View:
        if not self._is_claimed:
            self.claim(shared=self._is_shared)
        scope = engine.scopes.identified()
        policy = engine.policies.resolve(
            self.binding.prefix, decorator=self.binding.policy, mode_in_block=scope.mode
        )
        view = _View(engine, scope.tenant, policy)
        if len(self._views) >= SCOPES_AT_MOST:
            self._views = {}
        self._views[scope] = view
        return view


class _View:
    """The calls of a function as one scope sees them: of one tenant, in one mode, in one cache."""

    __slots__ = ("engine", "known", "policy", "tenant")

    def __init__(self, engine: Engine, tenant: str, policy: Policy) -> None:
        self.engine = engine
        self.tenant = tenant
        self.policy = policy
        self.known: dict[bytes, _Known] = {}


def _has_buffer(told_by: object) -> bool:
    """Whether there are bytes in it, or what marshal writes like them (arrays, numpy's scalars).

    What is written without any is only ever written so: no other call is taken for this one.
    """
    left = [told_by]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            left += each.keys()
            left += each.values()
        elif isinstance(each, list | tuple | set | frozenset):
            left += each
        elif type(each) not in _WITHOUT_BUFFER:
            return True
    return False


_WITHOUT_BUFFER: Final = frozenset({str, int, float, complex, bool, type(None), type(...)})


def _no_slot() -> None:
    return None
