"""What a function does to the variables it closes over, read from its bytecode."""

from __future__ import annotations

import dis
from functools import lru_cache
from types import CodeType
from typing import Final, NamedTuple

_READERS: Final = frozenset({"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"})
_ATTRIBUTES: Final = frozenset({"LOAD_ATTR", "LOAD_METHOD"})
_ITEM_WRITERS: Final = frozenset({"STORE_SUBSCR", "DELETE_SUBSCR", "STORE_ATTR", "DELETE_ATTR"})
_CELL_WRITERS: Final = frozenset({"STORE_DEREF", "DELETE_DEREF"})
_CHANGING: Final = frozenset(
    {"add", "append", "appendleft", "clear", "discard", "extend", "insert", "remove", "update"}
)


class Writes(NamedTuple):
    """Names of closed-over variables."""

    rebound: frozenset[str]
    """What the function assigns (`nonlocal`)."""
    changed: frozenset[str]
    """What it appends to, or sets items or attributes of."""
    unread: frozenset[str]
    """Those of `changed` that it does nothing else with, but for `len`."""


@lru_cache(maxsize=1024)
def writes_of(code: CodeType) -> Writes:
    """What a function and the functions in it do to what they close over."""
    found = _Found(set(), set(), set())
    _look_over(code, frozenset(code.co_freevars), found)
    changed = frozenset(found.changed)
    return Writes(frozenset(found.rebound), changed, changed - found.read)


class _Found(NamedTuple):
    rebound: set[str]
    changed: set[str]
    read: set[str]


def _look_over(code: CodeType, names: frozenset[str], found: _Found) -> None:
    steps = list(dis.get_instructions(code))
    # Where `x[i] = …` is written, `x` is loaded: both begin at the same place in the text.
    targets = {_start(step) for step in steps if step.opname in _ITEM_WRITERS} - {None}
    for number, step in enumerate(steps):
        if step.argval not in names:
            continue
        if step.opname in _CELL_WRITERS:
            found.rebound.add(step.argval)
        elif step.opname in _READERS:
            is_written = _start(step) in targets or _changes(steps[number + 1 : number + 2])
            where = found.changed if is_written else found.read
            if is_written or not _is_measured(steps[:number]):
                where.add(step.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType):  # a name that is not free in it is another variable
            _look_over(inner, names.intersection(inner.co_freevars), found)


def _changes(after: list[dis.Instruction]) -> bool:
    return any(step.opname in _ATTRIBUTES and step.argval in _CHANGING for step in after)


def _is_measured(before: list[dis.Instruction]) -> bool:
    loads = [step for step in before[-2:] if step.opname not in ("PUSH_NULL", "CACHE")]
    return bool(loads) and loads[-1].opname == "LOAD_GLOBAL" and loads[-1].argval == "len"


def _start(step: dis.Instruction) -> tuple[int, int] | None:
    where = step.positions
    if where is None or where.lineno is None or where.col_offset is None:
        return None
    return where.lineno, where.col_offset
