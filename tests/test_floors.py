"""The floors of docs/design.md, section 3: imports point down only, and modules stay short."""

import ast
import dataclasses
import graphlib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

ROOT = "llm_cache"
DIRECTORY = Path(__file__).parents[1] / ROOT

# Each module (without `llm_cache.`, `*` for any) and its floor. A module may import from its own
# floor and from those below. A new module gets its line here.
FLOORS = {
    # pure
    "annotations": 0,
    "answers": 0,
    "arguments": 0,
    "callables": 0,
    "canonical": 0,
    "clocks": 0,
    "classes": 0,
    "codec": 0,
    "entry": 0,
    "errors": 0,
    "findings": 0,
    "exchange": 0,
    "exchange_fields": 0,
    "gates": 0,
    "keys": 0,
    "lambdas": 0,
    "lazy": 0,
    "fork_locks": 0,
    "notices": 0,
    "objects": 0,
    "packing": 0,
    "params": 0,
    "policy": 0,
    "policy_table": 0,
    "refusals": 0,
    "returns": 0,
    "sameness": 0,
    "savings": 0,
    "schemas": 0,
    "tree": 0,
    "units": 0,
    "writes": 0,
    "unkeyable": 0,
    "zstd": 0,
    # what the settings, the stores and calls are made of
    "binding": 1,
    "claims": 1,
    "closures": 1,
    "config": 1,
    "config.*": 1,
    "events": 1,
    "prices": 1,
    "scope": 1,
    "stamps": 1,
    "result": 1,
    "stores": 1,
    "stores.base": 1,
    "stores.boot": 1,
    "stores.checkup": 1,
    "stores.connection": 1,
    "stores.content_checkup": 1,
    "stores.content_repair": 1,
    "stores.damage": 1,
    "stores.database": 1,
    "stores.directory": 1,
    "stores.eviction": 1,
    "stores.forking": 1,
    "stores.heartbeat": 1,
    "stores.keeping": 1,
    "stores.leases": 1,
    "stores.lessor": 1,
    "stores.listing": 1,
    "stores.live": 1,
    "stores.looking": 1,
    "stores.notes": 1,
    "stores.owners": 1,
    "stores.protocol": 1,
    "stores.pruning": 1,
    "stores.removal": 1,
    "stores.rescue": 1,
    "stores.room": 1,
    "stores.rows": 1,
    "stores.schema": 1,
    "stores.sweeping": 1,
    "stores.trash": 1,
    "stores.usage": 1,
    "stores.writer": 1,
    # what holds state
    "checkup": 2,
    "circuit": 2,
    "flights": 2,
    "generators": 2,
    "memory_tier": 2,
    "stores.sqlite": 2,
    "threads": 2,
    "usage": 2,
    # what one request does
    "async_driver": 3,
    "generation": 3,
    "leasing": 3,
    "removing": 3,
    "lookup": 3,
    "statistics": 3,
    "steps": 3,
    "store_calls": 3,
    "trash": 3,
    "upkeep": 3,
    "sync_driver": 3,
    "versions": 3,
    "why": 3,
    # what a user calls
    "aio": 4,
    "answering": 4,
    "asking": 4,
    "calls": 4,
    "cache": 4,
    "engine": 4,
    "importing": 4,
    "management": 4,
    "process": 4,
    "shortcuts": 4,
    "warm": 4,
    "warm_limits": 4,
    "warm_outlook": 4,
    "warm_plan": 4,
    "cached": 5,
    "decorator": 5,
    "methods": 5,
    "__main__": 6,
    "cli": 6,
    "cli.*": 6,
}

# Packages that not everybody installs, and the one module that may import each (None: none yet).
OPTIONAL = {
    "genai_prices": "prices",
    "httpx": None,
    "langchain_core": None,
    "openai": None,
    "opentelemetry": None,
    "redis": None,
    "zstandard": "zstd",
}

FORBIDDEN = {
    "pickle": "what is stored is never executed",
    "sqlite3": "a second SQLite in the process cancels the locks of apsw's",
}

MAX_MODULE_LINES = 450  # about 300 is the aim
MAX_FUNCTION_LINES = 45  # about 40 is the aim; the docstring does not count


@dataclasses.dataclass(frozen=True, slots=True)
class Import:
    """One imported module, absolute and dotted; not eager if a function runs it."""

    target: str
    line: int
    eager: bool
    typing_only: bool


@dataclasses.dataclass(frozen=True, slots=True)
class Library:
    """The text of every module by its full dotted name; a package's is that of its `__init__`."""

    sources: Mapping[str, str]
    packages: frozenset[str]

    @classmethod
    def read(cls, directory: Path) -> "Library":
        """The library as it lies in `directory`."""
        sources: dict[str, str] = {}
        packages: set[str] = set()
        for path in sorted(directory.rglob("*.py")):
            parts = path.relative_to(directory.parent).with_suffix("").parts
            if parts[-1] == "__init__":
                parts = parts[:-1]
                packages.add(".".join(parts))
            sources[".".join(parts)] = path.read_text("utf-8")
        return cls(sources, frozenset(packages))

    def imports(self, module: str) -> Iterator[Import]:
        """Every import in `module`, wherever it stands."""
        yield from self._imports_below(
            ast.parse(self.sources[module]), module, eager=True, typing_only=False
        )

    def own_imports(self, module: str) -> Iterator[Import]:
        """The imports in `module` of this library's modules."""
        return (found for found in self.imports(module) if _is_within(found.target, ROOT))

    def _imports_below(
        self, node: ast.AST, module: str, *, eager: bool, typing_only: bool
    ) -> Iterator[Import]:
        match node:
            case ast.Import() | ast.ImportFrom():
                for target in self._targets(node, module):
                    yield Import(target, node.lineno, eager=eager, typing_only=typing_only)
            case ast.If(test=ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING")):
                for child in node.body:
                    yield from self._imports_below(child, module, eager=eager, typing_only=True)
                for child in node.orelse:
                    yield from self._imports_below(
                        child, module, eager=eager, typing_only=typing_only
                    )
            case _:
                eager = eager and not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
                for child in ast.iter_child_nodes(node):
                    yield from self._imports_below(
                        child, module, eager=eager, typing_only=typing_only
                    )

    def _targets(self, node: ast.Import | ast.ImportFrom, module: str) -> Iterator[str]:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            return
        base = node.module or ""
        if node.level:
            package = module.split(".")
            package = package[: len(package) - node.level + (module in self.packages)]
            base = ".".join([*package, base] if base else package)
        for alias in node.names:
            whole = f"{base}.{alias.name}"
            yield whole if whole in self.sources or base == ROOT else base


def floor_of(module: str) -> int | None:
    """The floor of a module by its full name, None if it has none."""
    name = module.removeprefix(f"{ROOT}.")
    found = [floor for pattern, floor in FLOORS.items() if fnmatchcase(name, pattern)]
    return FLOORS.get(name, found[0] if found else None)


def without_floor(library: Library) -> list[str]:
    """The modules that have no floor."""
    return [name for name in library.sources if name != ROOT and floor_of(name) is None]


def unused_lines(library: Library) -> list[str]:
    """The lines of the table that no module needs."""
    names = [name.removeprefix(f"{ROOT}.") for name in library.sources]
    return [line for line in FLOORS if not any(fnmatchcase(name, line) for name in names)]


def pointing_up(library: Library) -> list[str]:
    """The imports that lead to a higher floor, or to the package's own public names."""
    return [
        f"{module}:{found.line} (floor {floor}) imports {found.target} (floor {above})"
        for module in library.sources
        if (floor := floor_of(module)) is not None
        for found in library.own_imports(module)
        if found.target != f"{ROOT}.__version__"
        if (above := floor_of(found.target)) is None or above > floor
    ]


def cycle(library: Library) -> list[str]:
    """Modules that import each other in a circle while they load; empty if none do."""
    graph = {
        module: {
            found.target
            for found in library.own_imports(module)
            if found.eager and not found.typing_only and found.target in library.sources
        }
        for module in library.sources
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return list(error.args[1])
    return []


def misplaced(library: Library, package: str, owner: str | None) -> list[str]:
    """The imports of `package` by any module but its owner's."""
    return [
        f"{module}:{found.line} imports {found.target}"
        for module in library.sources
        if owner is None or module != f"{ROOT}.{owner}"
        for found in library.imports(module)
        if _is_within(found.target, package)
    ]


def long_modules(library: Library) -> list[str]:
    """The modules with more than the lines a reader has patience for."""
    return [
        f"{module}: {lines} lines"
        for module, source in library.sources.items()
        if (lines := len(source.splitlines())) > MAX_MODULE_LINES
    ]


def long_functions(library: Library) -> list[str]:
    """The functions with more lines than fit a screen, docstrings not counted."""
    return [
        f"{module}:{node.lineno} {node.name}: {lines} lines"
        for module, source in library.sources.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := _length(node)) > MAX_FUNCTION_LINES
    ]


def _length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        docstring = function.body[0]
        lines -= (docstring.end_lineno or docstring.lineno) - docstring.lineno + 1
    return lines


def _is_within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def made_up(**sources: str) -> Library:
    """A library of these modules, `__` in a name for the dot; `stores` is a package."""
    named = {f"{ROOT}.{name.replace('__', '.')}": text for name, text in sources.items()}
    return Library({ROOT: "", f"{ROOT}.stores": "", **named}, frozenset({ROOT, f"{ROOT}.stores"}))


@pytest.fixture(scope="module")
def library() -> Library:
    """The library in this checkout."""
    return Library.read(DIRECTORY)


def test_every_line_of_the_table_is_used(library: Library):
    """No floor is kept for a module that is gone, or was never found to be looked at."""
    assert not (found := unused_lines(library)), f"remove from FLOORS: {found}"


def test_every_module_has_a_floor(library: Library):
    """A module without a floor cannot be held to one."""
    assert not (found := without_floor(library)), f"add to FLOORS: {found}"


def test_imports_point_down(library: Library):
    """No module imports from a floor above its own, not in a function and not for typing either."""
    assert not (found := pointing_up(library)), "\n".join(found)


def test_no_modules_import_each_other_in_a_circle(library: Library):
    """What loads with a module never needs that module to be loaded."""
    assert not (found := cycle(library)), " imports ".join(reversed(found))


def test_package_root_imports_its_modules_lazily(library: Library):
    """Importing the package loads none of its modules."""
    eager = [found for found in library.own_imports(ROOT) if found.eager and not found.typing_only]
    assert eager == []


@pytest.mark.parametrize(("package", "owner"), OPTIONAL.items(), ids=OPTIONAL)
def test_optional_package_is_imported_by_its_own_module_only(
    library: Library, package: str, owner: str | None
):
    """Who has not installed an optional package misses one module, and no more."""
    assert not (found := misplaced(library, package, owner)), "\n".join(found)


@pytest.mark.parametrize("package", FORBIDDEN)
def test_forbidden_module_is_imported_nowhere(library: Library, package: str):
    """Some of the standard library breaks a promise of this cache just by being used."""
    assert not (found := misplaced(library, package, None)), [FORBIDDEN[package], *found]


def test_modules_are_short(library: Library):
    """A module that wants more lines has two jobs."""
    assert not (found := long_modules(library)), "\n".join(found)


def test_functions_are_short(library: Library):
    """A function that wants more lines has two jobs."""
    assert not (found := long_functions(library)), "\n".join(found)


@pytest.mark.parametrize(
    "source",
    [
        "from llm_cache.api.cache import LLMCache",
        "from llm_cache import cache",
        "from . import cache",
        "from .cache import LLMCache",
        "import llm_cache.api.cache as above",
        "def later():\n    from llm_cache.api.cache import LLMCache",
        "if TYPE_CHECKING:\n    from llm_cache.api.cache import LLMCache",
        "from llm_cache import LLMCache",
        "import llm_cache",
    ],
)
def test_import_that_points_up_is_found(source: str):
    """Every way to write an import of a higher floor is seen."""
    assert len(pointing_up(made_up(keys=source, cache=""))) == 1


@pytest.mark.parametrize(
    "source",
    [
        "from llm_cache.errors import CacheError",
        "from ..errors import CacheError",
        "from .base import Store",
        "from llm_cache import __version__, errors",
        "import orjson",
    ],
)
def test_import_that_points_down_is_allowed(source: str):
    """Lower floors, the same floor, the version and other people's packages are free to use."""
    assert pointing_up(made_up(stores__sqlite=source, stores__base="", errors="")) == []


def test_module_without_a_floor_is_found():
    """A module that nobody put on a floor is named."""
    assert without_floor(made_up(attic="")) == [f"{ROOT}.attic"]


def test_unused_line_is_found():
    """A line of the table without its module is named."""
    assert "keys" in unused_lines(made_up(errors=""))
    assert "keys" not in unused_lines(made_up(keys=""))


def test_circle_is_found():
    """Two modules of one floor that load each other are named."""
    found = cycle(made_up(keys="from llm_cache import codec", codec="import llm_cache.core.keys"))
    assert set(found) == {f"{ROOT}.keys", f"{ROOT}.codec"}


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    import llm_cache.core.keys",
        "if TYPE_CHECKING:\n    import llm_cache.core.keys",
    ],
)
def test_import_that_does_not_load_makes_no_circle(source: str):
    """An import for typing, or one that waits for a call, closes no circle."""
    assert cycle(made_up(keys="import llm_cache.core.values.codec", codec=source)) == []


def test_misplaced_package_is_found():
    """An optional package is seen wherever it is imported, but not at its owner's."""
    library = made_up(keys="from redis import asyncio", stores__sqlite="import redis.client")
    assert misplaced(library, "redis", "stores.sqlite") == [f"{ROOT}.keys:1 imports redis"]


def test_docstring_does_not_make_a_function_long():
    """Only the lines of code count."""
    body = "    pass\n" * (MAX_FUNCTION_LINES - 1)
    docstring = '    """One.\n\n    Two.\n    """\n'
    assert long_functions(made_up(keys=f"def f():\n{docstring}{body}")) == []
    assert len(long_functions(made_up(keys=f"def f():\n{docstring}{body}    pass\n"))) == 1


def test_long_module_is_found():
    """A module over the limit is named with its lines."""
    assert long_modules(made_up(keys="pass\n" * MAX_MODULE_LINES)) == []
    assert len(long_modules(made_up(keys="pass\n" * (MAX_MODULE_LINES + 1)))) == 1
