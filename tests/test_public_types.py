"""Whatever public methods take and return, and public classes hold, has a public name."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import llm_cache
from llm_cache import LLMCache

INTERNAL = {"Call", "Codec", "PolicyField", "PolicyTable", "Said", "Setting", "SourceFile"}
"""Types of fields by which the library reads what users give and get."""


@cache
def names_in(module: str) -> dict[str, str]:
    """Our own classes and aliases that a module imports or defines, each with its module."""
    if not module.startswith("llm_cache"):
        return {}
    tree = ast.parse(Path(importlib.import_module(module).__file__ or "").read_text())
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llm_cache"):
            found |= {alias.asname or alias.name: node.module for alias in node.names}
        elif isinstance(node, ast.ClassDef):
            found[node.name] = module
        elif isinstance(node, ast.AnnAssign) and "TypeAlias" in ast.unparse(node.annotation):
            found[ast.unparse(node.target)] = module
    return found


def annotations_of(name: str) -> Iterator[tuple[str, str, str]]:
    """Of a public name: where each annotation stands, in which module, and the annotation."""
    thing = getattr(llm_cache, name)
    if inspect.isfunction(thing):
        yield from ((name, *each) for each in hints_of(thing))
    for base in thing.__mro__ if inspect.isclass(thing) else ():
        if not base.__module__.startswith("llm_cache"):
            continue
        for field, hint in vars(base).get("__annotations__", {}).items():
            if not field.startswith("_"):
                yield f"{name}.{field}", base.__module__, str(hint)
        for method, member in vars(base).items():
            if not method.startswith("_") or (base is LLMCache and method == "__init__"):
                yield from ((f"{name}.{method}", *each) for each in hints_of(member))


def hints_of(member: object) -> Iterator[tuple[str, str]]:
    """The annotations of a function, method or property, each with its module."""
    function = getattr(member, "fget", None) or getattr(member, "__func__", member)
    function = inspect.unwrap(function)
    for hint in getattr(function, "__annotations__", {}).values():
        yield function.__module__, str(hint)


def unnamed(public: set[str]) -> set[tuple[str, str]]:
    """Where a type of ours stands that has no public name, and what it is called."""
    values = [getattr(llm_cache, name) for name in public]
    found = set()
    for name in public:
        for where, module, annotation in annotations_of(name):
            ours = names_in(module)
            for word in names_of(annotation) & ours.keys() - INTERNAL:
                held = getattr(importlib.import_module(ours[word]), word)
                if not any(held is value for value in values):
                    found.add((where, word))
    return found


def names_of(annotation: str) -> set[str]:
    """The names in an annotation; none in one that is no code."""
    try:
        tree = ast.parse(annotation)
    except SyntaxError:  # of a class made with evaluated annotations, <class 'str'>
        return set()
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def test_each_type_of_the_public_surface_can_be_imported_from_the_package():
    """So that a user can annotate what they pass on, and narrow what they get."""
    assert unnamed(set(llm_cache.__all__)) == set()


def test_a_type_without_a_public_name_is_found():
    """In methods, in those of a base class, in properties, in fields, in functions."""
    unexported = {"Removed", "Trash", "Event", "WarmItem", "Duration"}
    found = unnamed(set(llm_cache.__all__) - unexported)
    assert found >= {
        ("LLMCache.prune", "Removed"),
        ("AsyncManagement.prune", "Removed"),
        ("LLMCache.trash", "Trash"),
        ("LLMCache.__init__", "Event"),
        ("WarmPlan.items", "WarmItem"),
        ("WarmEvent.item", "WarmItem"),
        ("cached_llm_call", "Duration"),
    }
