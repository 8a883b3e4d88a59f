"""What a function closes over: plain values for its key, all else for telling functions apart."""

from __future__ import annotations

import collections
import dataclasses
import types
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from llm_cache.core.values.canonical import plain
from llm_cache.errors import KeyParamError
from llm_cache.functions._closure_writes import writes_of
from llm_cache.functions.callables import code_of, file_of, layers

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

_SCALARS: Final = frozenset({str, int, float, bool, bytes, type(None)})
_COLLECTIONS: Final = (list, dict, set, bytearray, collections.deque)
_EMPTY: Final = object()
_VARIABLES_AT_MOST: Final = 1000


@dataclass(frozen=True, slots=True)
class _Variable:
    """A variable, and what is in it that has no key: an object, a function, nothing yet."""

    name: str
    cell: types.CellType
    without_key: object


_HAS_KEY: Final = object()


class Closure:
    """What the calls of a function depend on besides their arguments.

    Variables are those of the function, of what it wraps, and of functions they hold. Plain values
    have a key; they are read at every call, since variables change. What the function itself only
    writes to (a counter, a list of calls) is its own affair and left out.
    """

    def __init__(
        self,
        function: Callable[..., Any] | None,
        *,
        exclude: Collection[str] = (),
        taken: Collection[str] = (),
        bound: Mapping[str, object] | None = None,
    ) -> None:
        """`taken` are the names of parameters; `bound` is what a method is bound to, by name."""
        self._function: Final = function
        self._exclude: Final = frozenset(exclude)
        self._taken: Final = frozenset(taken)
        self._bound: Final = {n: v for n, v in (bound or {}).items() if n not in self._exclude}
        self._variables: tuple[_Variable, ...] = ()
        self._names: frozenset[str] = frozenset()
        self.is_empty: Final = not any(_free(layer) for layer in self._layers())
        self._look()

    @property
    def names(self) -> frozenset[str]:
        """The names of all variables, those that are left out, too."""
        return self._names

    @property
    def is_complete(self) -> bool:
        """Whether each variable has something in it by now."""
        self.values()
        return all(variable.without_key is not _EMPTY for variable in self._variables)

    def values(self) -> dict[str, Any]:
        """What is in the variables now and has a key, by name."""
        values: dict[str, Any] = {}
        for variable in self._variables:
            content = _content(variable.cell)
            if content is variable.without_key:
                continue
            if variable.without_key is not _HAS_KEY or (
                type(content) not in _SCALARS and not _has_key(variable.name, content)
            ):
                self._look()  # it holds another kind of thing than before
                return self.values()
            values[variable.name] = content
        return values

    def difference(self, other: Closure) -> str | None:
        """What tells two functions of one name apart that no key shows; None if nothing does.

        It is the name of a variable, or empty where the functions themselves are others.
        """
        if not _same_layers(self._layers(), other._layers(), are_called_directly=True):
            return ""
        mine, theirs = self._without_key(), other._without_key()
        for name in sorted(mine.keys() & theirs.keys()):
            one, another = mine[name], theirs[name]
            if one is not _EMPTY and another is not _EMPTY and not _is_same(one, another):
                return name
        return None

    def _without_key(self) -> dict[str, object]:
        self.values()
        found = {v.name: v.without_key for v in self._variables if v.without_key is not _HAS_KEY}
        return found | {n: v for n, v in self._bound.items() if not _has_key(n, v)}

    def _layers(self) -> list[Callable[..., Any]]:
        return [] if self._function is None else list(layers(self._function))

    def _look(self) -> None:
        """Finds the variables, and which of them hold what has no key."""
        chain = self._layers()
        functions: list[Any] = chain[::-1]  # what somebody wrote comes first, and has its names
        seen: set[int] = set()
        names: set[str] = set()
        variables: list[_Variable] = []
        for function in functions:  # which grows meanwhile
            if id(function) in seen or len(seen) > _VARIABLES_AT_MOST:
                continue
            seen.add(id(function))
            is_own = function is chain[-1]
            for name, cell, is_kept_for_itself in _cells_of(function, is_own=is_own):
                if id(cell) in seen:
                    continue
                seen.add(id(cell))
                taken = names if is_own else names | self._taken
                full = name if name not in taken else f"{_qualname(function)}.{name}"
                while full in names:
                    full += "_"
                names.add(full)
                if full in self._exclude or is_kept_for_itself:
                    continue
                content = _content(cell)
                variables.append(_Variable(full, cell, _without_key(full, content)))
                if isinstance(content, types.FunctionType):
                    functions += reversed(list(layers(content)))
        self._names = frozenset(names)
        self._variables = tuple(variables)


def _free(function: Any) -> tuple[str, ...]:
    code = code_of(function)
    return () if code is None else code.co_freevars


def _qualname(function: Any) -> str:
    code = code_of(function)
    return "" if code is None else code.co_qualname


def _cells_of(
    function: Any,
    *,
    is_own: bool,
) -> Iterator[tuple[str, types.CellType, bool]]:
    """The variables of a function, and whether it only keeps something in them for itself."""
    code = code_of(function)
    cells: tuple[types.CellType, ...] = getattr(function, "__closure__", None) or ()
    if code is None or not cells or _is_ours(function):
        return
    writes = writes_of(code)
    # What a decorator both writes and reads is bookkeeping; with a function of the user's it may
    # be a conversation.
    kept = writes.unread if is_own else writes.changed
    for name, cell in zip(code.co_freevars, cells, strict=True):
        is_kept = name in writes.rebound or (name in kept and _can_be_written_to(_content(cell)))
        yield name, cell, is_kept


def _is_ours(function: Any) -> bool:
    """Whether it is what `cached_llm_call` made; what that decorated is the layer below."""
    return getattr(function, "__globals__", {}).get("__name__") == "llm_cache.api._cached"


def _can_be_written_to(content: object) -> bool:
    return isinstance(content, _COLLECTIONS) or dataclasses.is_dataclass(content)


def _content(cell: types.CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:
        return _EMPTY


def _without_key(name: str, content: object) -> object:
    return _HAS_KEY if content is not _EMPTY and _has_key(name, content) else content


def _has_key(name: str, content: object) -> bool:
    if type(content) in _SCALARS:
        return content == content  # noqa: PLR0124 - NaN is not
    if isinstance(content, type):
        return False  # what tells two classes of one name apart is not in their names
    try:
        plain(content, (name,))
    except KeyParamError:
        return False
    return True


def _is_same(one: object, another: object) -> bool:
    if one is another:
        return True
    if isinstance(one, types.FunctionType) and isinstance(another, types.FunctionType):
        return _same_layers(list(layers(one)), list(layers(another)), are_called_directly=False)
    # Two of the same method of the same object are the same.
    return type(one) is type(another) is types.MethodType and one == another


def _same_layers(
    ours: list[Callable[..., Any]],
    theirs: list[Callable[..., Any]],
    *,
    are_called_directly: bool,
) -> bool:
    if len(ours) != len(theirs):
        return False
    # The defaults of what is called directly, and of what it wraps in the end, are params.
    ends = (0, len(ours) - 1) if are_called_directly else ()
    return all(
        _same_function(one, another, defaults=index not in ends)
        for index, (one, another) in enumerate(zip(ours, theirs, strict=True))
    )


def _same_function(one: Any, another: Any, *, defaults: bool) -> bool:
    """Whether two are one function, defined once or again; variables are not looked at."""
    if one is another:
        return True
    ours, theirs = code_of(one), code_of(another)
    if ours is None or theirs is None:
        return False
    if ours.co_qualname != theirs.co_qualname or file_of(ours) != file_of(theirs):
        return False
    if "<" not in ours.co_qualname:
        return True  # of a module or a class: what comes later takes the place of what was before
    if _text_only(ours) != _text_only(theirs):
        return False
    return not defaults or _same_values(_defaults_of(one), _defaults_of(another))


def _defaults_of(function: Any) -> list[object]:
    named: dict[str, object] = getattr(function, "__kwdefaults__", None) or {}
    return [*(getattr(function, "__defaults__", None) or ()), *sorted(named), *named.values()]


def _same_values(ours: list[object], theirs: list[object]) -> bool:
    return len(ours) == len(theirs) and all(
        one is another
        or (type(one) is type(another) and type(one) in _SCALARS and repr(one) == repr(another))
        for one, another in zip(ours, theirs, strict=True)
    )


def _text_only(code: types.CodeType) -> types.CodeType:
    """A code object without where it stands: one that moved down in its file is the same."""
    return code.replace(
        co_firstlineno=1,
        co_linetable=b"",
        co_filename="",
        co_consts=tuple(
            _text_only(each) if isinstance(each, types.CodeType) else each
            for each in code.co_consts
        ),
    )
