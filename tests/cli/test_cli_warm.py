"""`llm-cache warm`: what it makes, how it shows it, how it ends."""

import json
import re
import subprocess
import sys

import pytest
import terminal
from terminal import Terminal

from llm_cache.api.cache import LLMCache

GENERATORS = '''
"""Functions as an application has them; a file named `wait` holds up `slow`."""
import asyncio
import time
from pathlib import Path

import beside  # a module next to the settings


async def page(topic: str, grade: int) -> str:
    print("printed by a generator")
    return f"{topic} for grade {grade}"


def word(operation: str) -> str:
    if operation == "division":
        raise TypeError("no \\x1b[31msuch\\x1b[0m thing [red]x[/red]\\nand more")
    return operation


async def slow(number: int) -> str:
    (Path(__file__).parent / f"started-{number}").touch()
    if number:
        await asyncio.Event().wait()
    return "quick"
'''
SETTINGS = """
[cache]
cache_dir = "cache"

[[warm]]
prefix = "page"
generate = "made_up_lessons:page"
matrix = { topic = ["fractions", "分数"], grade = [1, 2] }

[[warm]]
prefix = "word_problem"
generate = "made_up_lessons:word"
params = [{ operation = "addition" }, { operation = "division" }]
"""
SLOW_SETTINGS = """
[cache]
cache_dir = "cache"

[[warm]]
prefix = "slow"
generate = "made_up_lessons:slow"
concurrency = 1
params = [{ number = 0 }, { number = 1 }, { number = 2 }]
"""


@pytest.fixture
def project(here):
    """A directory with settings and the functions they name."""
    (here / "cache.toml").write_text(SETTINGS)
    (here / "made_up_lessons.py").write_text(GENERATORS)
    (here / "beside.py").write_text("")
    return here


@pytest.fixture
def good_project(project):
    """The same without the set that fails."""
    good, _, _ = SETTINGS.partition('[[warm]]\nprefix = "word_problem"')
    (project / "cache.toml").write_text(good)
    return project


def warm(project, *args):
    """`llm-cache warm` as a process, with its output in pipes."""
    return terminal.run("warm", *args, cwd=project)


def kept(project) -> int:
    """How many entries there are."""
    with LLMCache(project / "cache") as cache:
        return sum(1 for _ in cache.entries())


def test_makes_what_is_missing_once(good_project):
    """The first time all, the second time nothing; a line an item, the sum at the end."""
    first = warm(good_project)
    assert (first.code, first.out) == (0, "")
    lines = [line for line in first.err.splitlines() if line != "printed by a generator"]
    assert lines[:2] == ["cache.toml: 1 set, 4 entries: 4 missing.", "Making 4 calls, 4 at a time."]
    assert {line.split()[0] for line in lines[2:6]} == {"[1/4]", "[2/4]", "[3/4]", "[4/4]"}
    assert any("made page topic=分数 grade=2 in " in line for line in lines[2:6])
    assert lines[6].startswith("✓ 4 of 4 entries are warm: 4 made in ")
    assert kept(good_project) == 4
    second = warm(good_project)
    assert (second.code, second.out) == (0, "")
    assert second.err == "✓ 4 of 4 entries are warm: 4 were fresh\n"


RAISING = {
    "an exception": (
        'import os\nraise RuntimeError("OPENAI_API_KEY is not set")\n',
        "RuntimeError: OPENAI_API_KEY is not set (made_up_raising.py:2)",
    ),
    "without a message": ("raise ValueError\n", "ValueError (made_up_raising.py:1)"),
    "of several lines": (
        'raise ValueError("a\\nb")\n',
        "ValueError: a (made_up_raising.py:1)",
    ),
    "broken syntax": ("x = 1\ndef f(:\n", "SyntaxError: invalid syntax (made_up_raising.py:2)"),
    "an exit": ("import sys\nsys.exit(3)\n", "SystemExit: 3 (made_up_raising.py:2)"),
    "a module that lacks": (
        "import json\nimport made_up_and_not_there\n",
        "ModuleNotFoundError: No module named 'made_up_and_not_there' (made_up_raising.py:2)",
    ),
    "a module beside": ("import beside\n", "KeyError: 'KEY' (beside.py:2)"),
}


@pytest.mark.parametrize("case", RAISING.values(), ids=RAISING)
@pytest.mark.parametrize("command", ["warm", "warm -n", "prune --orphaned -n"])
def test_module_that_raises_is_told_by_its_own_error(here, case, command):
    """With the file and line of the settings, and where in the module it was raised; exit 2."""
    source, said = case
    (here / "beside.py").write_text('import os\nos.environ["KEY"]\n')
    (here / "made_up_raising.py").write_text(source)
    generate = 'generate = "made_up_raising:f"'
    (here / "cache.toml").write_text(
        f'[[warm]]\nprefix = "p"\n{generate}\nparams = [{{ q = 1 }}]\n'
    )
    (here / ".cache" / "llm").mkdir(mode=0o700, parents=True)
    with LLMCache(here / ".cache" / "llm") as cache:
        cache.put("p", "v")
    shown = terminal.run(*command.split(), cwd=here)
    where = "cache.toml:3: [[warm]] p: cannot import made_up_raising:f: "
    assert (shown.code, shown.out, shown.err) == (2, "", f"error: {where}{said}\n")


def test_error_of_a_library_is_told_with_the_line_that_called_it(here):
    """And with its own."""
    (here / "made_up_raising.py").write_text('import json\n\njson.loads("{")\n')
    generate = 'generate = "made_up_raising:f"'
    (here / "cache.toml").write_text(
        f'[[warm]]\nprefix = "p"\n{generate}\nparams = [{{ q = 1 }}]\n'
    )
    shown = terminal.run("warm", cwd=here)
    assert re.search(r"\(made_up_raising\.py:3, raised at /.*/json/decoder\.py:\d+\)$", shown.err)


def test_annotation_that_says_nothing_to_pydantic_takes_what_is_written(here):
    """A class of one's own: the function gets the text."""
    (here / "made_up_client.py").write_text(
        "class Client:\n    pass\n\n\ndef f(q: Client) -> str:\n    return str(q)\n"
    )
    generate = 'generate = "made_up_client:f"'
    (here / "cache.toml").write_text(
        f'[[warm]]\nprefix = "p"\n{generate}\nparams = [{{ q = "x" }}]\n'
    )
    assert terminal.run("warm", cwd=here).code == 0


def test_failure_stops_nothing_else(project):
    """Exit 1, the failure on one harmless line, and how to try again."""
    shown = warm(project)
    assert (shown.code, shown.out) == (1, "")
    lines = shown.err.splitlines()
    assert lines[-3].startswith("✓ 5 of 6 entries are warm: 5 made in ")
    assert lines[-2] == (
        "✗ failed word_problem operation=division: "
        "TypeError: no \\x1b[31msuch\\x1b[0m thing [red]x[/red]"
    )
    assert lines[-1] == "  again with: llm-cache warm --prefix word_problem"
    assert kept(project) == 5


def test_again_has_the_flags_that_were_given(project, tmp_path):
    """What is printed can be pasted."""
    settings = project / "cache.toml"
    shown = terminal.run("--config", settings, "warm", cwd=tmp_path)
    assert shown.err.splitlines()[-1] == (
        f"  again with: llm-cache --config {settings} warm --prefix word_problem"
    )


def test_dry_run_calls_nothing(project):
    """What is there and what would be made; nothing is."""
    warm(project, "--prefix", "page")
    shown = warm(project, "--dry-run")
    assert shown.code == 0
    page, word = (line.split("\t") for line in shown.out.splitlines())
    assert page[:7] == ["page", "4", "0", "0", "0", "0", "–"]
    assert float(page[7]) == 0.0
    assert page[8:] == ["–"]
    assert word == ["word_problem", "0", "0", "0", "2", "2", "–", "–", "–"]
    assert shown.err == (
        "cache.toml: 2 sets, 6 entries: 4 fresh, 2 missing.\n"
        "Would make 2 calls, 2 at a time. Nothing was called.\n"
    )
    assert kept(project) == 4


def test_dry_run_on_a_terminal_is_a_table(project):
    """Only the columns that say something."""
    lines = terminal.on_terminal("warm", "-n", cwd=project).out.splitlines()
    titles = ["SET", "FRESH", "MISSING", "TO", "MAKE", "MODEL", "TIME", "COST"]
    assert lines[1].split() == titles
    assert lines[2].split() == ["page", "0", "4", "4", "–", "–", "–"]


def test_dry_run_in_json(project):
    """Numbers for a program."""
    document = json.loads(warm(project, "-n", "--json").out)
    assert (document["dry_run"], document["to_make"]) == (True, 6)
    assert document["sets"][0] == {
        "prefix": "page", "fresh": 0, "stale": 0, "expired": 0, "missing": 4, "to_make": 4,
        "model": None, "seconds": None, "cost_usd": None,
    }  # fmt: skip


def test_json_is_alone_on_stdout(project):
    """What the generators print does not end up in the document."""
    shown = warm(project, "--json")
    document = json.loads(shown.out)
    assert "printed by a generator" in shown.err
    assert shown.code == 1
    assert (document["total"], document["made"], document["fresh"]) == (6, 5, 0)
    assert document["failed"][0]["params"] == {"operation": "division"}
    assert document["failed"][0]["error"].startswith("TypeError: no ")


def test_refresh_makes_everything_anew(good_project):
    """Also what is fresh."""
    warm(good_project)
    assert "4 made" in warm(good_project, "--refresh").err


def test_terminal_gets_a_bar_a_set(project):
    """Live bars that end full, then the sum; nothing hostile in between."""
    shown = terminal.on_terminal("warm", cwd=project)
    assert shown.code == 1
    last = shown.out.rsplit("\x1b[2K", 1)[-1]
    assert "page          ████████████████████  4 of 4" in last
    assert "word_problem  ████████████████████  2 of 2  1 \x1b[31mfailed\x1b[0m" in last
    assert "\x1b[32m✓\x1b[0m 5 of 6 entries are warm" in last
    assert "\x1b[?25h" in shown.out, "the cursor is back"
    assert "no \\x1b[31msuch\\x1b[0m thing [red]x[/red]" in shown.out


def test_dumb_terminal_gets_lines(good_project):
    """Where the cursor cannot go back, each item is a line."""
    shown = terminal.on_terminal("warm", cwd=good_project, env={"TERM": "dumb"})
    assert "[4/4] made page" in shown.out
    assert "\x1b" not in shown.out


def test_ascii_terminal_gets_ascii_bars(good_project):
    """No block characters under LC_ALL=C, in motion neither."""
    shown = terminal.on_terminal("warm", cwd=good_project, env={"LC_ALL": "C"})
    assert shown.code == 0
    assert shown.out.isascii()
    assert "####" in shown.out


def test_interrupt_keeps_what_was_made(project):
    """Ctrl-C: 130, the first entry is there, and how to go on is said."""
    (project / "cache.toml").write_text(SLOW_SETTINGS)
    session = Terminal("warm", cwd=project)
    session.wait_for("number=1")
    session.interrupt()
    shown = session.end()
    assert shown.code == 130
    assert "1 of 3 entries are warm: 1 made in " in shown.out
    assert shown.out.endswith("hint: go on with: llm-cache warm\n")
    assert "Traceback" not in shown.out
    assert "\x1b[?25h" in shown.out, "the cursor is back"
    assert kept(project) == 1


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_interrupt_off_a_terminal_ends_the_same(project):
    """A signal is as good as a key; what was asked for in JSON is still a document."""
    import signal

    (project / "cache.toml").write_text(SLOW_SETTINGS)
    process = subprocess.Popen(
        [*terminal.COMMAND, "warm", "--json"], cwd=project, stdout=subprocess.PIPE,
        stderr=subprocess.PIPE, env=terminal.clean_environment(),
    )  # fmt: skip
    assert process.stderr is not None
    while not process.stderr.readline().startswith(b"[1/3] made slow number=0"):
        pass
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=terminal.HANGS_AFTER_S)
    assert process.returncode == 130
    document = json.loads(out)
    assert (document["made"], document["left"], document["stopped"]) == (1, 2, "interrupted")
    assert b"Traceback" not in err


def test_no_sets_is_no_error(lessons, cli):
    """There is nothing to do, and it says why."""
    shown = cli("warm")
    assert (shown.code, shown.out) == (0, "")
    assert shown.err == "There is nothing to warm: no settings file was found.\n"


def test_prefix_that_no_set_has(project):
    """Exit 2, with a guess."""
    shown = warm(project, "--prefix", "pge")
    assert shown.code == 2
    assert "'pge'" in shown.err
    assert "did you mean 'page'?" in shown.err


def test_function_that_cannot_be_imported(project):
    """Exit 2, with the line of the settings."""
    (project / "cache.toml").write_text(SETTINGS.replace("made_up_lessons:page", "nowhere:page"))
    shown = warm(project)
    assert (shown.code, shown.out) == (2, "")
    assert "cache.toml:7" in shown.err
    assert "nowhere" in shown.err
