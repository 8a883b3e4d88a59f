"""The codec for what a function returns, from its annotations."""

from __future__ import annotations

import builtins
import functools
import inspect
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from typing import TYPE_CHECKING, Any, Final, cast

from llm_cache.core.usage import Generated
from llm_cache.core.values.annotations import Namespace, UnresolvableError, compiled, leaves_of
from llm_cache.core.values.codec import UNTYPED, Codec, codec_for, untyped_since
from llm_cache.functions._lambdas import called_by

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_cache.core.values.codec import Encoded
    from llm_cache.core.values.refusals import NotStorable

_AWAITABLES: Final = (Awaitable, Coroutine)
_MISSING: Final = object()
_SIMPLE: Final[dict[object, type]] = {
    written: cls for cls in (str, int, float, bool) for written in (cls, cls.__name__)
}
_REMEMBERED_AT_MOST: Final = 1000
_known: Final[dict[int, _Lasting]] = {}
"""By the id of a function, which is kept; not of those that are regenerated for each call."""


def codec_of(function: Callable[..., object]) -> Codec:
    """The codec for the values of `function`, awaited where it is async; `UNTYPED` if it says none.

    A lambda that does nothing but call a function returns what that says. The arguments of a
    `partial` tell what a type variable is. An annotation that cannot be resolved (its name exists
    for type checkers only) counts as none.
    """
    called = called_by(function) or function
    if type(called) is not types.FunctionType:
        return _codec_now(called)
    annotation = _annotation_of(called)
    if annotation is _MISSING:
        return UNTYPED
    simple = _SIMPLE.get(annotation) if isinstance(annotation, str | type) else None
    if simple is not None and annotation not in called.__globals__:
        return codec_for(simple)
    if called.__closure__ is not None:
        return _codec_now(called)
    known = _known.get(id(called))
    if known is None or known.function is not called:
        if "<locals>" in called.__qualname__:  # made for this call, perhaps
            return _codec_now(called)
        if len(_known) >= _REMEMBERED_AT_MOST:
            _known.clear()
        known = _known[id(called)] = _Lasting(called)
    return known.now()


def _codec_now(function: Callable[..., object]) -> Codec:
    function, args, kwargs = _opened(function)
    if isinstance(function, type):
        return UNTYPED if function.__module__ == "builtins" else _codec_of_annotation(function)
    annotation = _annotation_of(function)
    if annotation is _MISSING:
        return UNTYPED
    try:
        meant = Namespace(function, args, kwargs).meaning(annotation)
    except UnresolvableError as error:
        return untyped_since(str(annotation), str(error))
    return _codec_of_annotation(meant)


def lasting_codec_of(function: Callable[..., object]) -> Codec:
    """The codec of a function that is kept for as long as the function is.

    It notices when a class that the annotation names is defined anew, in a notebook or by a reload.
    """
    lasting = _Lasting(function)
    return lasting if lasting.depends else lasting.current


def codec_of_call(
    codec: Codec, function: Callable[..., object], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Codec:
    """The codec of one call: the function's own, or what an argument says (`type[T]`, `-> T`)."""
    if isinstance(codec, _Lasting) and codec.asks_arguments:
        return codec_of(functools.partial(function, *args, **kwargs))
    return codec


class _Lasting:
    """The codec of a function, as its annotation is to be understood when it is used."""

    def __init__(self, function: Callable[..., object]) -> None:
        self.function = function
        opened, args, kwargs = _opened(function)
        self._annotation = _annotation_of(opened)
        self._namespace = Namespace(opened, args, kwargs)
        self._look()

    @property
    def depends(self) -> bool:
        """Whether it may come to be another."""
        return bool(self._watched)

    def encode(self, value: object) -> Encoded | NotStorable:
        return self.now().encode(value)

    def decode(self, body: bytes, encoding: str) -> Any:
        return self.now().decode(body, encoding)

    def now(self) -> Codec:
        """The codec of what the annotation means now."""
        if any(where.get(name, _MISSING) is not there for where, name, there in self._watched):
            self._look()
        return self.current

    def _look(self) -> None:
        watched = list(self._names_in(self._annotation))
        has_variable = any(isinstance(there, typing.TypeVar) for _, _, there in watched)
        self.asks_arguments = has_variable and self._namespace.takes_class()
        self.current = _codec_now(self.function)
        self._watched = watched

    def _names_in(self, annotation: Any) -> Iterator[tuple[dict[str, Any], str, object]]:
        """The names that decide what an annotation means, with what they stand for now."""
        for leaf in leaves_of(annotation):
            text = leaf.__forward_arg__ if isinstance(leaf, typing.ForwardRef) else leaf
            if isinstance(text, str):
                yield from self._names_in_text(text)
            elif isinstance(leaf, typing.TypeVar):
                yield {leaf.__name__: leaf}, leaf.__name__, leaf
            elif isinstance(leaf, type) and leaf.__module__ != "builtins":
                home = sys.modules.get(leaf.__module__)
                name = leaf.__qualname__.partition(".")[0]
                if home is not None and name in vars(home):
                    yield vars(home), name, vars(home)[name]

    def _names_in_text(self, text: str) -> Iterator[tuple[dict[str, Any], str, object]]:
        known = self._namespace.globals
        try:
            for name in compiled(text).co_names:
                if name in known or not hasattr(builtins, name):
                    yield known, name, known.get(name, _MISSING)
            yield from self._names_in(self._namespace.evaluated(text))
        except (SyntaxError, UnresolvableError):
            return


def _opened(
    function: Callable[..., Any],
) -> tuple[Callable[..., Any], tuple[Any, ...], dict[str, Any]]:
    """A function out of its partials, with their arguments; of an object, its `__call__`."""
    args: tuple[Any, ...] = ()
    kwargs: dict[str, Any] = {}
    while isinstance(function, functools.partial):
        partial = cast("functools.partial[object]", function)
        args, kwargs = (*partial.args, *args), {**partial.keywords, **kwargs}
        function = partial.func
    if not inspect.isroutine(function) and not isinstance(function, type):
        call = getattr(type(function), "__call__")  # noqa: B004, B009 - its annotations are wanted
        function = types.MethodType(call, function)
    return function, args, kwargs


def _annotation_of(function: Callable[..., Any]) -> Any:
    try:
        annotations: dict[str, Any] = getattr(function, "__annotations__", {})
    except Exception as error:  # noqa: BLE001 - from Python 3.14 on they are evaluated only now
        return f"of {getattr(function, '__qualname__', function)} ({type(error).__name__})"
    return annotations.get("return", _MISSING)


def _codec_of_annotation(annotation: Any) -> Codec:
    if typing.get_origin(annotation) in _AWAITABLES:
        annotation = typing.get_args(annotation)[-1]
    if typing.get_origin(annotation) is Generated:
        annotation = typing.get_args(annotation)[0]
    if isinstance(annotation, typing.TypeVar):
        annotation = annotation.__bound__ or Any
    if annotation is Generated:
        return UNTYPED
    return codec_for(type(None) if annotation is None else annotation)
