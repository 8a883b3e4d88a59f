"""Which decorated functions of this process make what: the prefix is the identity."""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from llm_cache.core.fork_locks import reset_after_fork
from llm_cache.errors import PrefixConflictError
from llm_cache.functions.callables import INTERACTIVE, code_of, file_of, innermost

if TYPE_CHECKING:
    from importlib.machinery import ModuleSpec

    from llm_cache.functions.binding import Binding


class Claimant(Protocol):
    """What answers the calls of a decorated function; it lives as long as that can be called."""

    @property
    def binding(self) -> Binding:
        """How its calls are keyed."""
        ...

    def forget(self) -> None:
        """Forgets what it knows of calls, so that the next one is bound anew."""


@dataclass(frozen=True, slots=True, eq=False)
class _Claim:
    """A function, by where it stands, and whether it shares its prefix."""

    claimant: weakref.ref[Claimant]
    file: str
    name: str
    spec: ModuleSpec | None
    """That of its module when it was decorated; a reload gives the module another one."""
    is_shared: bool


_claims: Final[dict[str, tuple[_Claim, ...]]] = {}


class _Claiming:
    """A lock for who changes the claims."""

    def __init__(self) -> None:
        reset_after_fork(self._make_locks)

    def _make_locks(self) -> None:
        self.lock = threading.Lock()


_claiming: Final = _Claiming()


def claim(claimant: Claimant, *, shared: bool) -> None:
    """Notes whose prefix it is. A function that is gone claims nothing.

    What was defined when a module or a notebook's cell ran before gives way to what is defined now;
    where it is not the same function, it raises PrefixConflictError from its next call on.

    Raises PrefixConflictError if another function has it, and not both are `shared`.
    """
    binding = claimant.binding
    file = file_of(code_of(innermost(binding.function)))
    spec = _namespace(claimant).get("__spec__")
    new = _Claim(weakref.ref(claimant), file, binding.name, spec, shared)
    conflict = _enter(new, claimant)
    if conflict is not None:
        gc.collect()  # what holds itself, like a factory's functions, may only look alive
        conflict = _enter(new, claimant)
    if conflict is not None:
        raise PrefixConflictError(conflict)


def bindings_of(prefix: str) -> list[Binding]:
    """The functions that are decorated for a prefix, as far as this process has come.

    Of those that were defined again since, only the newest.
    """
    with _claiming.lock:
        claims = [(held, held.claimant()) for held in _claims.get(prefix, ())]
    there = [(held, claimant) for held, claimant in claims if claimant is not None]
    return [
        claimant.binding
        for index, (held, claimant) in enumerate(there)
        if not any(_is_defined_again(held, claimant, *newer) for newer in there[index + 1 :])
    ]


def _enter(new: _Claim, claimant: Claimant) -> str | None:
    """Notes a claim, or says with which other it conflicts."""
    prefix = claimant.binding.prefix
    kept: list[_Claim] = []
    superseded: list[tuple[Claimant, str]] = []
    with _claiming.lock:
        for held in _claims.get(prefix, ()):
            other = held.claimant()
            if other is None or other is claimant:
                continue
            conflict = _conflict(prefix, held, other, new, claimant)
            if conflict is None:
                kept.append(held)
            elif _is_of_an_earlier_run(held, other, new, _namespace(claimant)):
                superseded.append((other, _superseded(prefix, held, new)))
            else:
                return conflict
        _claims[prefix] = (*kept, new)
    for other, message in superseded:
        other.binding.superseded_by = message
        other.forget()
    return None


def _conflict(
    prefix: str, held: _Claim, other: Claimant, new: _Claim, claimant: Claimant
) -> str | None:
    """Why two functions must not have one prefix; None if they may."""
    if held.is_shared and new.is_shared:
        return None
    if (held.file, held.name) != (new.file, new.name):
        return (
            f"prefix {prefix!r} belongs to {held.name} in {held.file}, and {new.name} in "
            f"{new.file} claims it too: give each its own, or pass shared=True to both if "
            "equal arguments mean equal answers"
        )
    difference = claimant.binding.closure.difference(other.binding.closure)
    if difference is None:
        return None
    if not difference:
        return (
            f"prefix {prefix!r} belongs to another function that is called {new.name} in "
            f"{new.file} and does something else: give each its own, or pass shared=True to both "
            "if equal arguments mean equal answers"
        )
    return (
        f"prefix {prefix!r} belongs to another {new.name} of {new.file}, with another "
        f"{difference!r}, which has no key: give each its own prefix, pass what tells them apart "
        f"as an argument, or leave it out with exclude=({difference!r},) if it does not change "
        "the answer"
    )


def _is_defined_again(
    held: _Claim, claimant: Claimant, newer: _Claim, newer_claimant: Claimant
) -> bool:
    """Whether a newer function is the same; of a factory's there may be many at once."""
    if (held.file, held.name) != (newer.file, newer.name):
        return False
    is_alone = "<" not in held.name and claimant.binding.closure.is_empty
    namespace = _namespace(newer_claimant)
    return is_alone or _is_of_an_earlier_run(held, claimant, newer, namespace)


def _superseded(prefix: str, held: _Claim, new: _Claim) -> str:
    return (
        f"prefix {prefix!r} belonged to {held.name} of {held.file} until that was run again, and "
        f"belongs to {new.name} of {new.file} now: call that one, or give each its own prefix"
    )


def _is_of_an_earlier_run(
    held: _Claim, other: Claimant, new: _Claim, namespace: dict[str, Any]
) -> bool:
    """Whether what defined a function has been run again since, and so replaced it.

    `namespace` is that of the new one.
    """
    old_namespace = _namespace(other)
    spec = old_namespace.get("__spec__")
    if held.file == INTERACTIVE and spec is None:
        return True
    if old_namespace is namespace:
        return spec is not held.spec
    module = sys.modules.get(old_namespace.get("__name__", ""))
    return held.file == new.file and module is not None and vars(module) is not old_namespace


def _namespace(claimant: Claimant) -> dict[str, Any]:
    """What is global to a function."""
    namespace: dict[str, Any] = getattr(innermost(claimant.binding.function), "__globals__", {})
    return namespace
