"""What the import linter (pyproject.toml) cannot say of the house in docs/architecture.md."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import llm_cache

DIRECTORY = Path(llm_cache.__file__).parent
MODULES = {
    ".".join(path.relative_to(DIRECTORY.parent).with_suffix("").parts): path
    for path in sorted(DIRECTORY.rglob("*.py"))
}
MAX_MODULE_LINES = 450
MAX_FUNCTION_LINES = 45  # the docstring does not count


def imported(tree: ast.AST) -> Iterator[str]:
    """The modules of ours that a module imports, and the names it takes from them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("llm_cache"):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.startswith("llm_cache."))


def trespasses(module: str, tree: ast.AST) -> list[str]:
    """The private modules and names of other rooms that a module imports."""
    found = []
    for name in imported(tree):
        parts = name.split(".")
        private = next((n for n, part in enumerate(parts) if part.startswith("_")), None)
        if private is None or parts[private].startswith("__"):
            continue
        room = ".".join(parts[:private])
        if not module.startswith(f"{room}.") or room in MODULES:
            found.append(name)
    return found


def test_no_room_reaches_into_another():
    """What begins with an underscore is imported within its package only."""
    found = {
        module: names
        for module, path in MODULES.items()
        if (names := trespasses(module, ast.parse(path.read_text())))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "from llm_cache.engine._lookup import look",
        "from llm_cache.engine import _lookup",
        "import llm_cache.engine._lookup",
        "def later():\n    from llm_cache.store.sqlite._rows import row_of",
        "from llm_cache.core.keys import _digest",
    ],
)
def test_trespass_is_found(source: str):
    """Every way to write one is seen."""
    assert trespasses("llm_cache.api.cache", ast.parse(source))


def test_package_root_imports_nothing_at_once():
    """Importing the package loads none of its modules."""
    tree = ast.parse(MODULES["llm_cache.__init__"].read_text())
    at_once = [
        node.lineno
        for node in tree.body
        if isinstance(node, (ast.Import, ast.ImportFrom)) and "__future__" not in ast.unparse(node)
    ]
    assert at_once == []


def test_modules_are_short():
    """A module that wants more lines has two jobs."""
    lengths = {module: len(path.read_text().splitlines()) for module, path in MODULES.items()}
    assert {module: n for module, n in lengths.items() if n > MAX_MODULE_LINES} == {}


def test_functions_are_short():
    """A function that wants more lines has two jobs."""
    found = {}
    for module, path in MODULES.items():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                body = node.body[1 if ast.get_docstring(node) else 0 :]
                lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                if lines > MAX_FUNCTION_LINES:
                    found[f"{module}:{node.name}"] = lines
    assert found == {}
