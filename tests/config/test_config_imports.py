"""What is heavy is imported when it is needed."""

import subprocess
import sys

import pytest


def imported(code: str, *modules: str) -> list[str]:
    """Which of these modules a new interpreter has imported after running `code`."""
    code = f"import sys\n{code}\nprint(*(name for name in {modules!r} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_package_does_not_import_pydantic():
    """Importing the library does not yet pay for its configuration."""
    assert imported("import llm_cache", "pydantic", "llm_cache.config") == []


def test_configuration_imports_nothing_heavy():
    """Reading the built-in settings needs neither a terminal, nor an event loop, nor TOML."""
    code = "from llm_cache.config import load_config; load_config(environ={}, cwd='/')"
    heavy = ("pydantic", "click", "rich", "asyncio", "apsw", "tomli_w", "tomllib", "difflib")
    assert imported(code, *heavy) == []


@pytest.mark.parametrize("module", ["tomli_w", "llm_cache.config._toml_lines"])
def test_reading_a_good_file_needs_no_writer_and_no_lines(module: str, tmp_path):
    """Only who writes TOML pays for the writer, only who asks for lines counts them."""
    path = tmp_path / "cache.toml"
    path.write_text("[cache]\nenabled = true\n")
    code = f"from llm_cache.config import load_config; load_config({str(path)!r}, environ={{}})"
    assert imported(code, module) == []
