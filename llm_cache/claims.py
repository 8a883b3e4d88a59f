"""Which decorated functions of this process make what: the prefix is the identity."""

from __future__ import annotations

import gc
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from llm_cache.callables import code_of, file_of, innermost
from llm_cache.errors import PrefixConflictError
from llm_cache.fork_locks import made_again_in_child

if TYPE_CHECKING:
    from llm_cache.binding import Binding


class Claimant(Protocol):
    """What answers the calls of a decorated function; it lives as long as that can be called."""

    @property
    def binding(self) -> Binding:
        """How its calls are keyed."""
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Claim:
    """A function, by where it stands, and whether it shares its prefix."""

    claimant: weakref.ref[Claimant]
    file: str
    name: str
    is_shared: bool


_claims: Final[dict[str, tuple[_Claim, ...]]] = {}


class _Claiming:
    """A lock for who changes the claims."""

    def __init__(self) -> None:
        made_again_in_child(self._make_locks)

    def _make_locks(self) -> None:
        self.lock = threading.Lock()


_claiming: Final = _Claiming()


def claim(claimant: Claimant, *, shared: bool) -> None:
    """Notes whose prefix it is. A function that is gone claims nothing.

    Raises PrefixConflictError if another function has it, and not both are `shared`.
    """
    binding = claimant.binding
    file = file_of(code_of(innermost(binding.function)))
    new = _Claim(weakref.ref(claimant), file, binding.name, shared)
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
        if not any(_is_defined_again(held, claimant, newer) for newer, _ in there[index + 1 :])
    ]


def _enter(new: _Claim, claimant: Claimant) -> str | None:
    """Notes a claim, or says with which other it conflicts."""
    prefix = claimant.binding.prefix
    kept: list[_Claim] = []
    with _claiming.lock:
        for held in _claims.get(prefix, ()):
            other = held.claimant()
            if other is None or other is claimant:
                continue
            conflict = _conflict(prefix, held, other, new, claimant)
            if conflict is not None:
                return conflict
            kept.append(held)
        _claims[prefix] = (*kept, new)
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


def _is_defined_again(held: _Claim, claimant: Claimant, newer: _Claim) -> bool:
    """Whether a newer function is the same; of a factory's there may be many at once."""
    is_same = (held.file, held.name) == (newer.file, newer.name)
    return is_same and "<" not in held.name and claimant.binding.closure.is_empty
