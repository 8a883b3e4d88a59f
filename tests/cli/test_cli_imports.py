"""Quick start: what a command does not need, it does not import."""

import subprocess
import sys

import pytest
import terminal

HEAVY = ("asyncio", "pydantic", "rich", "apsw", "orjson", "logging", "importlib.metadata")
DRAWING = ("rich.console", "rich.table", "rich.progress", "rich.live", "rich.markdown")
REPORT = """
import sys
from llm_cache.cli.app import run
code = run(sys.argv[1:])
sys.stderr.write("\\n" + "\\n".join(sys.modules))
sys.exit(code)
"""


def imported_by(*args, cwd) -> set[str]:
    """The modules in the process when a command has ended."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT, *map(str, args)],
        cwd=cwd, env=terminal.clean_environment(), capture_output=True, text=True,
        timeout=terminal.HANGS_AFTER_S, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stderr.split("\n"))


@pytest.mark.parametrize(
    "args",
    [
        ["--help"],
        ["ls", "--help"],
        ["warm", "--help"],
        ["config", "--help"],
        ["config", "show", "-h"],
    ],
    ids=" ".join,
)
def test_help_is_light(here, args):
    """Help knows the commands by a table, and their flags without what they use."""
    assert imported_by(*args, cwd=here).isdisjoint(HEAVY)


def test_help_of_all_imports_no_command(here):
    """Not one of them."""
    from llm_cache.cli.registry import COMMANDS

    modules = {f"llm_cache.cli.commands.{spec.module}" for spec in COMMANDS.values()}
    assert imported_by("--help", cwd=here).isdisjoint(modules)


def test_version_is_light(here):
    """Neither pydantic nor rich nor asyncio."""
    assert imported_by("--version", cwd=here).isdisjoint({"asyncio", "pydantic", "rich", "apsw"})


def test_completion_is_light(here):
    """Completing a command and a flag imports none of it."""
    for words, count in (("llm-cache l", "1"), ("llm-cache ls --j", "2")):
        script = (
            "import sys, atexit\n"
            "atexit.register(lambda: sys.stderr.write('\\n' + '\\n'.join(sys.modules)))\n"
            "from llm_cache.cli import main\nmain([])"
        )
        env = {"_LLM_CACHE_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": count}
        done = subprocess.run(
            [sys.executable, "-c", script], cwd=here, env=terminal.clean_environment(**env),
            capture_output=True, text=True, timeout=terminal.HANGS_AFTER_S, check=False,
        )  # fmt: skip
        assert done.stdout.split()[0] in {"plain,ls", "plain,--json"}
        assert set(done.stderr.split("\n")).isdisjoint({"asyncio", "pydantic", "rich", "apsw"})


@pytest.mark.parametrize(
    "args",
    [["ls"], ["ls", "--json"], ["inspect", "ID"], ["stats"], ["prune", "-n"],
     ["invalidate", "-p", "x", "-y"], ["clear", "-n"]],
    ids=" ".join,
)  # fmt: skip
def test_daily_commands_draw_by_hand(lessons, here, args):
    """Neither Rich's tables nor an event loop for a listing."""
    args = [lessons.page if word == "ID" else word for word in args]
    modules = imported_by("--cache-dir", lessons.directory, *args, cwd=here)
    assert modules.isdisjoint(DRAWING)
    assert "asyncio" not in modules
