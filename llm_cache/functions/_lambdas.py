"""Which function a lambda calls, where calling it is all that it does.

`generator=lambda: make(topic)` has no annotation, and its value the type that `make` says. What a
lambda calls is looked for in its bytecode, and in nothing that has to be run: where that is more
than one call (`make().text`, `a() or b()`), or is not found, nobody knows its type.
"""

from __future__ import annotations

import builtins
import dis
import inspect
import types
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Callable

_NOTHING: Final = frozenset({"RESUME", "COPY_FREE_VARS", "PUSH_NULL", "PRECALL", "KW_NAMES", "NOP"})
_NAMES: Final = ("LOAD_GLOBAL", "LOAD_DEREF", "LOAD_FAST")
_ATTRIBUTES: Final = ("LOAD_ATTR", "LOAD_METHOD")
_CALLABLE_AND_SELF: Final = 2
"""What lies on the stack for a call, below its arguments."""
_REMEMBERED_AT_MOST: Final = 1000
_known: Final[dict[int, tuple[types.CodeType, tuple[str, ...] | None]]] = {}
"""By the id of a code object, which is kept: to hash one takes longer than all the rest."""


def called_by(function: Callable[..., Any]) -> Callable[..., Any] | None:
    """The function whose call is all that a lambda does; None if there is none, or nobody knows."""
    if type(function) is not types.FunctionType or function.__name__ != "<lambda>":
        return None
    code = function.__code__
    known = _known.get(id(code))
    if known is None or known[0] is not code:
        if len(_known) >= _REMEMBERED_AT_MOST:
            _known.clear()
        known = _known[id(code)] = (code, _path_of(code))
    path = known[1]
    found = None if path is None else _found(function, path)
    return found if callable(found) else None


def _path_of(code: types.CodeType) -> tuple[str, ...] | None:
    """The name and attributes of what is called; None if the code does anything else."""
    if code.co_flags & (inspect.CO_GENERATOR | inspect.CO_COROUTINE | inspect.CO_ASYNC_GENERATOR):
        return None
    steps = list(dis.get_instructions(code))
    if any(step.opcode in dis.hasjrel or step.opcode in dis.hasjabs for step in steps):
        return None
    *before, call, last = steps
    if last.opname != "RETURN_VALUE" or not call.opname.startswith("CALL"):
        return None
    return _path_to_call(before, call)


def _path_to_call(before: list[dis.Instruction], call: dis.Instruction) -> tuple[str, ...] | None:
    """The callable that a last call finds at the bottom of the stack, with its arguments above."""
    path: list[str] = []
    depth = 0
    is_below = True  # still at the callable, no argument is there
    for step in before:
        depth += dis.stack_effect(step.opcode, step.arg, jump=False)
        if is_below and (step.opname in _NOTHING or _adds_to(path, step)):
            continue
        if step.opname not in _NOTHING and depth <= _CALLABLE_AND_SELF:
            return None  # what was taken for the callable is a part of something else
        is_below = False
    left = depth + dis.stack_effect(call.opcode, call.arg, jump=False)
    return tuple(path) if path and left == 1 else None


def _adds_to(path: list[str], step: dis.Instruction) -> bool:
    is_next = step.opname in _ATTRIBUTES if path else step.opname.startswith(_NAMES)
    if is_next and isinstance(step.argval, str):
        path.append(step.argval)
        return True
    return False


def _found(function: types.FunctionType, path: tuple[str, ...]) -> Any:
    """What a lambda finds under a name and attributes; no code of a property is run for it."""
    found = _variable(function, path[0])
    for attribute in path[1:]:
        found = _attribute(found, attribute)
    return found


def _attribute(of: Any, name: str) -> Any:
    if isinstance(of, types.ModuleType):
        return vars(of).get(name)
    cls: type = of if isinstance(of, type) else type(of)
    held: Any = inspect.getattr_static(of, name, None)
    match held:
        case classmethod():
            return types.MethodType(cast("Any", held).__func__, cls)
        case staticmethod():
            return cast("Any", held).__func__
        case types.FunctionType():
            return held if of is cls else types.MethodType(held, of)
        case types.MethodType() | type():
            return cast("Any", held)
        case _:
            kind: Any = type(cast("object", held))
            return None if hasattr(kind, "__get__") else held


def _variable(function: types.FunctionType, name: str) -> Any:
    code = function.__code__
    if name in code.co_freevars:
        try:
            return (function.__closure__ or ())[code.co_freevars.index(name)].cell_contents
        except ValueError:  # it has no value yet
            return None
    if name in code.co_varnames:
        return _defaults_of(function).get(name)
    known = function.__globals__
    return known[name] if name in known else getattr(builtins, name, None)


def _defaults_of(function: types.FunctionType) -> dict[str, object]:
    code = function.__code__
    names = reversed(code.co_varnames[: code.co_argcount])
    defaults = dict(zip(names, reversed(function.__defaults__ or ()), strict=False))
    return {**defaults, **(function.__kwdefaults__ or {})}
