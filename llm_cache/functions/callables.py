"""What can be called like a function: partials, bound methods, objects, and wrappers of these."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import re
import types
import typing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

INTERACTIVE: Final = "<interactive>"
_LAYERS_AT_MOST: Final = 100
_LOOPS: Final = frozenset({"asyncio", "trio", "anyio", "uvloop"})
_RUNNERS: Final = frozenset({"run_until_complete", "run_coroutine_threadsafe", "async_to_sync"})
_AWAITABLE: Final = re.compile(
    r"['\"]?((\w+\.)*(Awaitable|Coroutine)|asyncio\.(Future|Task))\b", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Callee:
    """Where the arguments of a call go in the end, and what goes there with them."""

    function: Callable[..., Any]
    name: str
    """Its qualified name, with the class of a stateless object it is bound to."""
    before: tuple[Any, ...] = field(default=(), repr=False)
    keywords: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)
    is_bound: bool = False
    """Whether the first of `before` is the object of a method."""


def unpack(function: Callable[..., Any]) -> Callee:
    """The function behind partials, bound methods and objects with `__call__`."""
    before: tuple[Any, ...] = ()
    keywords: dict[str, Any] = {}
    is_bound, owner = False, ""
    target: Any = function
    for _ in range(_LAYERS_AT_MOST):
        method = _method_of(target)
        if method is None and isinstance(target, functools.partial):
            before, keywords = target.args + before, {**target.keywords, **keywords}
            target = target.func
            continue
        if method is None:
            break
        instance, target = method
        if _is_stateless(instance):
            owner = type(instance).__qualname__
        before, is_bound = (instance, *before), True
    name: str = getattr(target, "__qualname__", None) or type(target).__qualname__
    if owner:
        name = f"{owner}.{name.rpartition('.')[2]}"
    return Callee(target, name, before, keywords, is_bound)


def is_stateless(callee: Callee) -> bool:
    """Whether a callee is bound to an object that is no more than its class says."""
    return callee.is_bound and _is_stateless(callee.before[0])


def layers(function: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """A function, what it wraps, what that wraps …, the innermost last."""
    layer: Any = function
    for _ in range(_LAYERS_AT_MOST):
        yield layer
        inner: Any = unpack(layer).function
        if inner is layer:
            inner = getattr(layer, "__wrapped__", None)
        if inner is None:
            return
        layer = inner


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function that somebody wrote, behind all that was put around it."""
    return list(layers(function))[-1]


def code_of(function: Callable[..., Any]) -> types.CodeType | None:
    """The code of a function, or None of what has none."""
    code = getattr(function, "__code__", None)
    return code if isinstance(code, types.CodeType) else None


def file_of(code: types.CodeType | None) -> str:
    """The file a function stands in; `INTERACTIVE` for what was typed into a prompt or a cell."""
    if code is None:
        return ""
    # What is typed into a notebook or a prompt has another "file" each time.
    file = Path(code.co_filename)
    return str(file.resolve()) if file.is_file() else INTERACTIVE


def gives_awaitables(function: Callable[..., Any]) -> bool:
    """Whether what a function returns is to be awaited, as far as can be told without calling it.

    A plain wrapper passes on what it wraps, unless it is seen to run it to its end.
    """
    for layer in layers(function):
        if inspect.iscoroutinefunction(layer):
            return True
        if _runs_to_its_end(layer):
            return False
    annotation = getattr(innermost(function), "__annotations__", {}).get("return")
    if isinstance(annotation, str):
        return _AWAITABLE.match(annotation) is not None
    origin = typing.get_origin(annotation) or annotation
    return isinstance(origin, type) and issubclass(origin, collections.abc.Awaitable)


def _method_of(target: Any) -> tuple[Any, Any] | None:
    """The object and the function of a bound method, or of an object with `__call__`."""
    if inspect.ismethod(target):
        return target.__self__, target.__func__
    if isinstance(target, functools.partial) or hasattr(target, "__wrapped__"):
        return None
    if inspect.isroutine(target) or inspect.isclass(target):
        return None
    kind = cast("type[object]", type(target))
    call = getattr(kind, "__call__", None)  # noqa: B004 - not whether, but which
    return (target, call) if inspect.isfunction(call) else None


class _Plain:
    pass


_HEAP_TYPE: Final = 1 << 9


def _is_stateless(instance: object) -> bool:
    """Whether an object holds nothing: no attributes of its own, nor anything within C."""
    kind: type = type(instance)
    return (
        not isinstance(instance, type)
        and bool(kind.__flags__ & _HEAP_TYPE)
        and kind.__itemsize__ == 0
        and kind.__basicsize__ <= _Plain.__basicsize__
        and not getattr(instance, "__dict__", None)
        and not any(vars(cls).get("__slots__") for cls in kind.__mro__)
    )


def _runs_to_its_end(layer: Callable[..., Any]) -> bool:
    code = code_of(layer)
    if code is None:
        return False
    names = frozenset(code.co_names)
    return bool(names & _RUNNERS) or ("run" in names and bool(names & _LOOPS))
