"""The codec for what a function returns, from its annotations."""

from __future__ import annotations

import functools
import inspect
import sys
import types
import typing
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, cast

from llm_cache.codec import UNTYPED, Codec, codec_for
from llm_cache.savings import Generated

_AWAITABLES: Final = (Awaitable, Coroutine)


def codec_of(function: Callable[..., object]) -> Codec:
    """The codec for the values of `function`, awaited where it is async; `UNTYPED` if it says none.

    An annotation that cannot be resolved (its name exists for type checkers only) counts as none.
    """
    bare = _bare(function)
    annotations: dict[str, Any] = getattr(bare, "__annotations__", {})
    if "return" not in annotations:
        return UNTYPED
    annotation = annotations["return"]
    if isinstance(annotation, str):
        return _codec_of_text(annotation, bare.__module__, _local_types(bare))
    return _codec_of_annotation(annotation)


def _bare(function: Callable[..., object]) -> types.FunctionType:
    while isinstance(function, functools.partial):
        function = cast("functools.partial[object]", function).func
    if not inspect.isroutine(function) and not inspect.isclass(function):
        function = getattr(type(function), "__call__")  # noqa: B004, B009 - its annotations are wanted
    return cast("types.FunctionType", getattr(function, "__func__", function))


def _local_types(function: types.FunctionType) -> tuple[tuple[str, object], ...]:
    """What an annotation may name that is no global: the names the function closes over."""
    if getattr(function, "__closure__", None) is None:
        return ()
    variables = inspect.getclosurevars(function).nonlocals
    return tuple((name, v) for name, v in variables.items() if isinstance(v, type))


@functools.lru_cache(maxsize=1000)
def _codec_of_text(
    annotation: str, module_name: str, local_types: tuple[tuple[str, object], ...]
) -> Codec:
    module = sys.modules.get(module_name)
    probe = types.SimpleNamespace(__annotations__={"return": annotation})
    try:
        hints = typing.get_type_hints(
            probe, vars(module) if module else {}, dict(local_types), include_extras=True
        )
    except Exception:  # noqa: BLE001 - an annotation may be any expression at all
        return UNTYPED
    return _codec_of_annotation(hints["return"])


def _codec_of_annotation(annotation: Any) -> Codec:  # noqa: ANN401 - annotations may be anything
    if typing.get_origin(annotation) in _AWAITABLES:
        annotation = typing.get_args(annotation)[-1]
    if typing.get_origin(annotation) is Generated:
        annotation = typing.get_args(annotation)[0]
    if annotation is Generated or isinstance(annotation, typing.TypeVar):
        return UNTYPED
    return codec_for(type(None) if annotation is None else annotation)
