"""Modules and cells that run again: their functions take the place of those of before."""

import importlib
import sys
import types

import pytest

from llm_cache import PrefixConflictError, cached_llm_call
from llm_cache.functions.registry import bindings_of

pytestmark = pytest.mark.usefixtures("cache")

SOURCE = """
import functools
from llm_cache import cached_llm_call

def logged(function):
    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)
    return inner

@cached_llm_call("{prefix}")
{decorators}def {name}(q: str) -> str:
    return "{name} " + q
"""


@pytest.fixture
def write(tmp_path, monkeypatch):
    """Writes a module, and imports or reloads it."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def write(name, prefix="intro", decorators="", module="rerun_module"):
        text = SOURCE.format(name=name, prefix=prefix, decorators=decorators)
        (tmp_path / f"{module}.py").write_text(text)
        importlib.invalidate_caches()
        if module in sys.modules:
            return importlib.reload(sys.modules[module])
        return importlib.import_module(module)

    yield write
    for name in ("rerun_module", "other_module"):
        sys.modules.pop(name, None)


def run_cell(name, number, namespace):
    """Runs what is typed into a notebook."""
    text = SOURCE.format(name=name, prefix="cell", decorators="")
    exec(compile(text, f"<ipython-input-{number}>", "exec"), namespace)  # noqa: S102
    return namespace[name]


def test_a_function_that_is_renamed_and_reloaded(write):
    """The module keeps the old one; the prefix is the new one's."""
    module = write("intro")
    old = module.intro
    assert old("x") == "intro x"
    assert write("intro_page").intro_page("y") == "intro_page y"
    assert [binding.name for binding in bindings_of("intro")] == ["intro_page"]


def test_the_old_one_of_a_reload_answers_no_more(write):
    """Two that go on being called never answer for each other."""
    old = write("intro").intro
    assert [old("x"), old("x")] == ["intro x"] * 2
    new = write("intro_page").intro_page
    match = r"'intro'.*intro_page.*call that one, or give each its own prefix"
    for ask in (old, old.key, old.peek, old.refresh):
        with pytest.raises(PrefixConflictError, match=match):
            ask("x")
    assert new("z") == "intro_page z"


@pytest.mark.parametrize("decorators", ["", "@logged\n"])
def test_a_reloaded_function_of_one_name_is_the_same(write, decorators):
    """Whoever imported it before goes on calling it."""
    old = write("intro", decorators=decorators).intro
    assert old("x") == "intro x"
    new = write("intro", decorators=decorators).intro
    assert new("x") == "intro x"
    assert old("x") == "intro x"


def test_a_module_that_is_imported_anew(write):
    """As when it is deleted from `sys.modules`, or a script is run again from its top."""
    old = write("intro")
    del sys.modules["rerun_module"]
    assert write("intro_page").intro_page("y") == "intro_page y"
    with pytest.raises(PrefixConflictError):
        old.intro("x")


def test_two_modules_that_claim_one_prefix(write):
    """That is a mistake, also when one of them was reloaded."""
    kept = [write("intro"), write("intro")]
    with pytest.raises(PrefixConflictError, match="shared=True to both"):
        write("other", module="other_module")
    assert kept[1].intro("x") == "intro x"


def test_two_functions_of_one_module(write, tmp_path):
    """That is a mistake when it is first imported, and when it is reloaded."""
    text = SOURCE.format(name="one", prefix="intro", decorators="")
    text += '@cached_llm_call("intro")\ndef two(q):\n    return q\n'
    (tmp_path / "other_module.py").write_text(text)
    for _ in range(2):
        with pytest.raises(PrefixConflictError, match="shared=True to both"):
            importlib.import_module("other_module")


def test_a_function_that_is_renamed_in_a_cell():
    """What is typed later takes the prefix over."""
    namespace = {"__name__": "__main__"}
    old = run_cell("intro", 1, namespace)
    assert [old("x"), old("x")] == ["intro x"] * 2
    new = run_cell("intro_page", 2, namespace)
    assert new("y") == "intro_page y"
    with pytest.raises(PrefixConflictError, match="intro_page"):
        old("x")


def test_a_cell_that_runs_again():
    """Its function stays the same for who holds the old one."""
    namespace = {"__name__": "__main__"}
    old, new = run_cell("intro", 1, namespace), run_cell("intro", 2, namespace)
    assert old("x") == new("x") == "intro x"


def test_a_cell_that_runs_again_and_is_renamed_then():
    """Every function that was there before gives way."""
    namespace = {"__name__": "__main__"}
    before = [run_cell("intro", 1, namespace), run_cell("intro", 2, namespace)]
    assert [binding.function for binding in bindings_of("cell")] == [before[1].__wrapped__]
    new = run_cell("intro_page", 3, namespace)
    for old in before:
        with pytest.raises(PrefixConflictError):
            old("x")
    assert new("x") == "intro_page x"


def test_a_cell_that_goes_back():
    """What is run last has the prefix, whatever was there in between."""
    namespace = {"__name__": "__main__"}
    first = run_cell("intro", 1, namespace)
    second = run_cell("intro_page", 2, namespace)
    third = run_cell("intro", 3, namespace)
    assert third("x") == "intro x"
    for old in (first, second):
        with pytest.raises(PrefixConflictError):
            old("y")


def test_a_script_that_runs_again_in_a_module_of_its_own(tmp_path, monkeypatch):
    """As some frameworks do with `__main__` at each request."""
    file = tmp_path / "app.py"
    made = []
    for name in ("intro", "intro_page"):
        file.write_text(SOURCE.format(name=name, prefix="p", decorators=""))
        module = types.ModuleType("__main__")
        monkeypatch.setitem(sys.modules, "__main__", module)
        exec(compile(file.read_text(), str(file), "exec"), vars(module))  # noqa: S102
        made.append(getattr(module, name))
    assert made[1]("x") == "intro_page x"
    with pytest.raises(PrefixConflictError):
        made[0]("x")


def test_a_file_does_not_give_way_to_a_cell():
    """What an application imports goes on working."""

    @cached_llm_call("cell")
    def ask(q: str) -> str:
        return q

    with pytest.raises(PrefixConflictError):
        run_cell("intro", 1, {"__name__": "__main__"})
    assert ask("x") == "x"
