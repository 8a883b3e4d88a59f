"""After a class is defined anew, values are of the class as it is now: hits, and what is stored."""

import functools
import importlib
import sys
import types

import pytest

from llm_cache import set_cache

LESSONS = """{future}
from dataclasses import dataclass
from pydantic import BaseModel
from llm_cache import cached_llm_call

class Out(BaseModel):
    a: int = 1
    {more}

@cached_llm_call("lessons")
def make(question) -> {annotation}:
    return {value}
"""
FORMS = {
    "text": ("from __future__ import annotations", "Out", "Out()"),
    "class": ("", "Out", "Out()"),
    "text with more": ("from __future__ import annotations", "list[Out | None]", "[Out()]"),
    "class with more": ("", "list[Out] | None", "[Out()]"),
    "quotes": ("", "dict[str, 'Out']", "{'out': Out()}"),
}
NEW_FIELD = "tone: str = 'new'"


def source(form, more=""):
    """The text of the module in one form."""
    future, annotation, value = FORMS[form]
    return LESSONS.format(future=future, annotation=annotation, value=value, more=more)


def outs(value):
    """The models in a value of any form."""
    match value:
        case list():
            return value
        case dict():
            return list(value.values())
        case _:
            return [value]


def asked(module, question):
    """What the module's function makes or gets, all of it of the class as it is now."""
    found = outs(module.make(question))
    assert found
    assert all(type(out) is module.Out for out in found)
    return found


@pytest.fixture
def cache(make_cache):
    """The process-wide cache."""
    cache = make_cache()
    set_cache(cache)
    yield cache
    set_cache(None)


@pytest.fixture
def reloaded(tmp_path, monkeypatch):
    """Writes, and imports or reloads, a module `reloaded_lessons`."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def reloaded(text):
        (tmp_path / "reloaded_lessons.py").write_text(text)
        importlib.invalidate_caches()
        module = sys.modules.get("reloaded_lessons")
        return importlib.reload(module) if module else importlib.import_module("reloaded_lessons")

    yield reloaded
    sys.modules.pop("reloaded_lessons", None)


@pytest.fixture
def notebook(monkeypatch):
    """A module whose cells are run one after the other."""
    module = types.ModuleType("notebook_of_lessons")
    monkeypatch.setitem(sys.modules, module.__name__, module)

    def run(cell):
        exec(cell, vars(module))  # noqa: S102 - as a notebook does
        return module

    return run


@pytest.mark.parametrize("form", FORMS)
def test_a_reload_means_the_new_class(cache, reloaded, form):
    """What was stored before is read as the new class, and what is made now is stored."""
    module = reloaded(source(form))
    asked(module, "x")
    module = reloaded(source(form, NEW_FIELD))
    assert [out.tone for out in asked(module, "x")] == ["new"]
    asked(module, "y")
    assert len(list(cache.entries("lessons"))) == 2
    assert cache.get_stats()["hits"] == 1


@pytest.mark.parametrize("form", FORMS)
def test_a_cell_that_defines_the_class_anew_is_enough(cache, notebook, form):
    """The function's annotation means the new class then, as its body does."""
    text = source(form)
    module = notebook(text)
    asked(module, "x")
    cell = "class Out(BaseModel):\n    a: int = 1\n    " + NEW_FIELD
    module = notebook(cell)
    for _ in range(2):
        assert [out.tone for out in asked(module, "x")] == ["new"]
        asked(module, "y")
    assert len(list(cache.entries("lessons"))) == 2
    assert cache.get_stats()["misses"] == 2


def test_a_generator_means_the_new_class(cache, notebook):
    """So it is without a decorator."""
    module = notebook(source("class").replace("@cached", "# @cached"))
    for cell in ("", "class Out(BaseModel):\n    a: int = 1"):
        module = notebook(cell)
        for question in ("x", f"y {cell}"):
            ask = functools.partial(module.make, "q")
            result = cache.lookup_sync("bare", ask, question=question)
            assert result.not_stored is None
            assert type(result.value) is module.Out
    assert cache.get_stats()["misses"] == 3


def test_a_subclass_that_is_defined_anew_comes_back_as_the_new_one(cache, notebook):
    """Though the old one is still there."""
    future, *_ = FORMS["text"]
    text = LESSONS.format(future=future, annotation="Out", value="Sub()", more="")
    cell = "class Sub(Out):\n    b: int = 2"
    module = notebook(text)
    old = notebook(cell).Sub
    assert type(module.make("x")) is old
    new = notebook(cell).Sub
    assert new is not old
    assert type(module.make("x")) is new
    assert type(module.make("y")) is new
    assert cache.get_stats()["misses"] == 2


def test_a_name_that_is_defined_later_is_found_then(cache, notebook):
    """A class may stand below the function that returns it."""
    module = notebook(
        "from llm_cache import cached_llm_call\nfrom pydantic import BaseModel\n"
        "@cached_llm_call('later')\ndef make(question) -> 'Out':\n    return Out()\n"
        "make.key('x')\n"
    )
    notebook("class Out(BaseModel):\n    a: int = 1")
    asked(module, "x")
    assert len(list(cache.entries("later"))) == 1


def test_a_class_of_another_module_is_meant_as_long_as_the_function_has_it(cache, notebook):
    """Where another module is reloaded, `from it import Out` still means the old class."""
    other = types.ModuleType("notebook_of_others")
    sys.modules[other.__name__] = other
    try:
        exec("from pydantic import BaseModel\nclass Out(BaseModel):\n    a: int = 1", vars(other))  # noqa: S102
        module = notebook(
            "from notebook_of_others import Out as Old\nimport notebook_of_others\n"
            "from llm_cache import cached_llm_call\n"
            "@cached_llm_call('old')\ndef old(q) -> Old:\n    return Old()\n"
            "@cached_llm_call('now')\ndef now(q) -> notebook_of_others.Out:\n"
            "    return notebook_of_others.Out()\n"
        )
        for _ in range(2):
            assert type(module.old("x")) is module.Old
        exec("class Out(BaseModel):\n    a: int = 1", vars(other))  # noqa: S102
        assert other.Out is not module.Old
        for _ in range(2):
            assert type(module.old("y")) is module.Old
    finally:
        del sys.modules[other.__name__]
    assert len(list(cache.entries("old"))) == 2
