"""Which decorated functions of this process make what: the prefix is the identity."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llm_cache.callables import code_of, file_of, innermost
from llm_cache.errors import PrefixConflictError
from llm_cache.fork_locks import made_again_in_child

if TYPE_CHECKING:
    from llm_cache.binding import Binding


@dataclass(frozen=True, slots=True)
class _Claim:
    """A function, by where it stands, and whether it shares its prefix."""

    file: str
    name: str
    is_shared: bool
    binding: Binding


_claims: Final[dict[str, tuple[_Claim, ...]]] = {}


class _Claiming:
    """A lock for who changes the claims."""

    def __init__(self) -> None:
        made_again_in_child(self._make_locks)

    def _make_locks(self) -> None:
        self.lock = threading.Lock()


_claiming: Final = _Claiming()


def claim(binding: Binding, *, shared: bool) -> None:
    """Notes whose prefix it is; a reload of the same function takes it over.

    Raises PrefixConflictError if another function has it, and not both are `shared`.
    """
    prefix, place = binding.prefix, file_of(code_of(innermost(binding.function)))
    new = _Claim(place, binding.name, shared, binding)
    with _claiming.lock:
        others = tuple(
            held for held in _claims.get(prefix, ()) if (held.file, held.name) != (place, new.name)
        )
        for held in others:
            if not (shared and held.is_shared):
                msg = (
                    f"prefix {prefix!r} belongs to {held.name} in {held.file}, and {new.name} in "
                    f"{place} claims it too: give each its own, or pass shared=True to both if "
                    "equal arguments mean equal answers"
                )
                raise PrefixConflictError(msg)
        _claims[prefix] = (*others, new)


def bindings_of(prefix: str) -> list[Binding]:
    """The functions that are decorated for a prefix, as far as this process has come."""
    with _claiming.lock:
        return [held.binding for held in _claims.get(prefix, ())]
