"""Which decorated functions of this process make what: the prefix is the identity."""

from __future__ import annotations

import inspect
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

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
    function, prefix = binding.function, binding.prefix
    code = getattr(inspect.unwrap(function), "__code__", None)
    file = code.co_filename if code else ""
    # What is typed into a notebook or a prompt has another "file" each time.
    place = str(Path(file).resolve()) if Path(file).is_file() else "<interactive>"
    new = _Claim(place, function.__qualname__, shared, binding)
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
