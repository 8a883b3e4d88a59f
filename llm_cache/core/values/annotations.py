"""What an annotation means, for the function it stands at and the call it is asked for."""

from __future__ import annotations

import functools
import inspect
import operator
import sys
import types
import typing
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

from llm_cache.core.values.classes import defined_now, is_current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_CLASSES: Final = (type, typing.Type)  # noqa: UP006 - what older code is annotated with
_SELF_TYPES: Final = ("typing.Self", "typing_extensions.Self")


class UnresolvableError(Exception):
    """An annotation means nothing at run time; the message says what is missing."""


class Namespace:
    """Where the names in a function's annotations are looked up."""

    __slots__ = ("_args", "_called", "_kwargs", "function", "owner")

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> None:
        """Of a function that is called with (some of) these arguments."""
        self._called = function
        self._args = args
        self._kwargs = kwargs
        inner = cast("types.FunctionType", getattr(function, "__func__", function))
        self.function: types.FunctionType = inner
        bound_to: object = getattr(function, "__self__", None)
        owner = bound_to if isinstance(bound_to, type) else type(bound_to)
        self.owner: type | None = None if bound_to is None else owner
        """The class that `Self` is: of the object that a method is bound to."""

    @property
    def globals(self) -> dict[str, Any]:
        """The global names of the function that was annotated, under all its wrappers."""
        annotations = getattr(self.function, "__annotations__", {})
        inner: Any = self.function
        while getattr(getattr(inner, "__wrapped__", None), "__annotations__", None) == annotations:
            inner = inner.__wrapped__
        return getattr(inner, "__globals__", {})

    def evaluated(self, text: str) -> Any:
        """What the text of an annotation means now. UnresolvableError if it means nothing."""
        try:
            return eval(compiled(text), self.globals, self._closed_over())  # noqa: S307 - the program's own text
        except NameError as error:
            missing = f"{error.name!r} is not there at run time"
        except Exception as error:  # noqa: BLE001 - an annotation may be any expression at all
            missing = type(error).__name__
        raise UnresolvableError(missing)

    def _closed_over(self) -> dict[str, object]:
        closed_over: dict[str, object] = {}
        code: types.CodeType | None = getattr(self.function, "__code__", None)
        for name, cell in zip(
            code.co_freevars if code else (), self.function.__closure__ or (), strict=False
        ):
            with suppress(ValueError):  # it has no value yet
                closed_over[name] = cell.cell_contents
        return closed_over

    def meaning(self, annotation: Any) -> Any:
        """What an annotation means: names, `Self` and type variables looked up.

        UnresolvableError if a name in it means nothing.
        """
        return rewritten(annotation, self._of_leaf)

    def _of_leaf(self, leaf: Any) -> Any:
        if isinstance(leaf, typing.ForwardRef):
            leaf = leaf.__forward_arg__
        if isinstance(leaf, str):
            return self.meaning(self.evaluated(leaf))
        if isinstance(leaf, typing.TypeVar):
            return self._of_variable(leaf)
        if isinstance(leaf, type):
            return self._of_class(leaf)
        if str(leaf) in _SELF_TYPES:
            return self._of_self()
        return leaf

    def _of_variable(self, variable: typing.TypeVar) -> Any:
        """The class that was passed for `type[T]`, or is its default."""
        annotations: dict[str, Any] = getattr(self.function, "__annotations__", {})
        for name, argument in self._arguments().items():
            annotation = annotations.get(name)
            if isinstance(annotation, str):
                with suppress(UnresolvableError):
                    annotation = self.evaluated(annotation)
            is_class = typing.get_origin(annotation) in _CLASSES
            if is_class and typing.get_args(annotation) == (variable,):
                return argument
        return variable

    def takes_class(self) -> bool:
        """Whether a parameter may be a `type[T]`, by how it is written."""
        annotations: dict[str, Any] = getattr(self.function, "__annotations__", {})
        return any("type[" in str(annotation).lower() for annotation in annotations.values())

    def _arguments(self) -> dict[str, Any]:
        try:
            bound = inspect.signature(self._called).bind_partial(*self._args, **self._kwargs)
        except (TypeError, ValueError):  # the call itself will say so
            return {}
        bound.apply_defaults()
        return bound.arguments

    def _of_class(self, cls: type) -> Any:
        """A class as it is now: where it was defined anew, who says its name means the new one."""
        if is_current(cls):
            variables = getattr(cls, "__pydantic_generic_metadata__", {}).get("parameters", ())
            meant = tuple(map(self._of_variable, variables))
            return cast("Any", cls)[meant] if meant != tuple(variables) else cls
        now = defined_now(cls)
        is_anew = isinstance(now, type) and now.__qualname__ == cls.__qualname__
        is_still_meant = any(value is cls for value in self.globals.values())
        return now if is_anew and not is_still_meant else cls

    def _of_self(self) -> Any:
        if self.owner is not None:
            return self.owner
        found: Any = sys.modules.get(self.function.__module__)
        for name in self.function.__qualname__.split(".")[:-1]:
            found = getattr(found, name, None)
        if not isinstance(found, type):
            msg = "Self is of a class that its module does not know"
            raise UnresolvableError(msg)
        return found


def rewritten(annotation: Any, of_leaf: Callable[[Any], Any]) -> Any:
    """An annotation with each of its names replaced by what `of_leaf` makes of it."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if not args or origin is typing.Literal or any(isinstance(arg, list) for arg in args):
        return of_leaf(annotation)
    if origin is typing.Annotated:
        inner = rewritten(args[0], of_leaf)
        return annotation if inner is args[0] else typing.Annotated[inner, *args[1:]]
    new = tuple(rewritten(arg, of_leaf) for arg in args)
    if all(one is other for one, other in zip(new, args, strict=True)):
        return annotation
    if origin is types.UnionType or origin is typing.Union:
        return functools.reduce(cast("Any", operator).or_, new)
    if isinstance(annotation, types.GenericAlias):
        return types.GenericAlias(cast("type", origin), new)
    return annotation.copy_with(new)


def leaves_of(annotation: Any) -> list[Any]:
    """The names in an annotation: classes, type variables, texts."""
    leaves: list[Any] = []

    def note(leaf: Any) -> Any:
        leaves.append(leaf)
        return leaf

    rewritten(annotation, note)
    return leaves


def portable(annotation: Any) -> Any:
    """An annotation that pydantic reads: before Python 3.12 it refuses `typing.TypedDict`."""
    return annotation if sys.version_info >= (3, 12) else rewritten(annotation, _portable_leaf)


def _portable_leaf(leaf: Any) -> Any:
    if not typing.is_typeddict(leaf):
        return leaf
    return _twin_of(leaf)


@functools.lru_cache(maxsize=1000)
def _twin_of(typed_dict: Any) -> Any:
    """A TypedDict of typing_extensions with the same names."""
    import typing_extensions

    hints = typing.get_type_hints(typed_dict, include_extras=True)
    names: dict[str, Any] = {}
    for name, hint in hints.items():
        is_required = name in typed_dict.__required_keys__
        is_marked = typing.get_origin(hint) in (typing.Required, typing.NotRequired)
        bare = portable(typing.get_args(hint)[0] if is_marked else hint)
        required = typing_extensions.Required if is_required else typing_extensions.NotRequired
        names[name] = required[bare]
    return typing_extensions.TypedDict(typed_dict.__name__, names)  # type: ignore[operator]


@functools.lru_cache(maxsize=1000)
def compiled(text: str) -> types.CodeType:
    """The text of an annotation as code."""
    return compile(text.strip(), "<annotation>", "eval")
