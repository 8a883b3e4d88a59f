"""`llm-cache warm`: what it expects to take, what it cost, and where it stops."""

import json
import os
import time

import pytest
import terminal
from terminal import Terminal

from llm_cache.api.cache import LLMCache

GENERATORS = '''
"""Functions as an application has them."""
import os
from pathlib import Path

from llm_cache import Generated, LLMCache, Usage


def text(n: int) -> str:
    known = n != 7
    usage = Usage(model="gpt-5-mini", cost_usd=0.25 if known else None)
    return Generated(f"{n}", usage)


def hostile(n: int) -> str:
    return Generated(f"{n}", Usage(model="m\\x1b[31m\\u202e", cost_usd=0.25))


def failing(name: str) -> str:
    raise RuntimeError("\\x1b[31mno\\x1b[0m way " * 9)


def found(n: int) -> str:
    with LLMCache(Path(__file__).parent / "cache") as cache:
        cache.put("found", "another's", n=n + 1)
    return f"{n}"


def waiting(n: int) -> str:
    if n:
        Path("fifo").read_text()
    return f"{n}"
'''
SETTINGS = """
[cache]
cache_dir = "cache"

[[warm]]
prefix = "{function}"
generate = "lessons_of_limits:{function}"
retries = 0
{rest}
"""


@pytest.fixture
def project(here):
    """Makes a directory with settings for one of the functions."""

    def make(function, rest="matrix = { n = [1, 2, 3, 4] }"):
        (here / "cache.toml").write_text(SETTINGS.format(function=function, rest=rest))
        (here / "lessons_of_limits.py").write_text(GENERATORS)
        return here

    return make


def warm(project, *args):
    """`llm-cache warm` as a process, with its output in pipes."""
    return terminal.run("warm", *args, cwd=project)


def kept(project) -> int:
    """How many entries there are."""
    with LLMCache(project / "cache") as cache:
        return sum(1 for _ in cache.entries())


def test_calls_are_made_up_to_a_limit(project):
    """Exit 1, how many are left, and the command that goes on."""
    place = project("text")
    shown = warm(place, "--max-calls", "3")
    assert (shown.code, shown.out) == (1, "")
    lines = shown.err.splitlines()
    assert lines[1] == "--max-calls 3 ends it before all is made."
    assert lines[-3].startswith("✓ 3 of 4 entries are warm: 3 made in ")
    assert lines[-3].endswith(" for $0.75")
    assert lines[-2] == "stopped: --max-calls 3 is reached; 1 entry is left"
    assert lines[-1] == "hint: go on with: llm-cache warm --max-calls 3"
    assert kept(place) == 3
    again = warm(place, "--max-calls", "3")
    assert again.code == 0
    assert "stopped" not in again.err


def test_stop_in_json(project):
    """Why, how many are left, and what it cost."""
    shown = warm(project("text"), "--max-calls", "3", "--json")
    document = json.loads(shown.out)
    assert shown.code == 1
    assert (document["stopped"], document["left"], document["made"]) == ("max_calls", 1, 3)
    assert (document["cost_usd"], document["unpriced"]) == (0.75, 0)
    assert document["sets"][0]["cost_usd"] == 0.75


def test_unknown_cost_is_refused_under_a_limit(project):
    """Exit 2 before anything is called, in a dry run too; with the way out."""
    place = project("text")
    for flags in ([], ["--dry-run"]):
        shown = warm(place, "--max-cost", "1", *flags)
        assert (shown.code, shown.out) == (2, "")
        assert "error: --max-cost: nobody knows what a call for 'text' costs\n" in shown.err
        assert "--max-calls 1" in shown.err
    assert kept(place) == 0


def test_cost_stays_within_a_limit(project):
    """Once one call has told what it costs; a dry run says that it will be reached."""
    place = project("text")
    warm(place, "--max-calls", "1")
    dry = warm(place, "-n", "--max-cost", "$0.60")
    assert dry.err.splitlines()[1] == "--max-cost $0.60 ends it before all is made."
    shown = warm(place, "--max-cost", "$0.60")
    assert shown.code == 1
    lines = shown.err.splitlines()
    assert lines[-2] == "stopped: the next call might go over --max-cost $0.60; 1 entry is left"
    assert lines[-1] == "hint: go on with: llm-cache warm --max-cost 0.6"
    assert kept(place) == 3


def test_call_that_tells_no_cost_ends_it(project):
    """Under a limit on the cost; the hint says where costs come from."""
    place = project("text", "concurrency = 1\nmatrix = { n = [1, 7, 2] }")
    warm(place, "--max-calls", "1")
    shown = warm(place, "--max-cost", "9")
    assert shown.code == 1
    lines = shown.err.splitlines()
    assert lines[-2] == "stopped: a call told no cost, and --max-cost needs it; 1 entry is left"
    assert "[prices.MODEL]" in lines[-1]


def test_cost_is_told_as_far_as_it_is_known(project):
    """At least so much, where it is not of all."""
    shown = warm(project("text", "matrix = { n = [1, 7] }"))
    assert shown.err.splitlines()[-1].endswith(" for at least $0.25")


def test_plan_tells_what_it_took_before(project):
    """Model, time and cost: a table, fields, a document."""
    place = project("text")
    warm(place, "--max-calls", "1")
    lines = terminal.on_terminal("warm", "-n", cwd=place).out.splitlines()
    cells = lines[2].split()
    assert (cells[:5], cells[-1]) == (["text", "1", "3", "3", "gpt-5-mini"], "≈$0.75")
    assert lines[3].startswith("Would make 3 calls, 3 at a time: ")
    assert lines[3].endswith(", ≈$0.75. Nothing was called.")
    fields = warm(place, "-n").out.rstrip("\n").split("\t")
    assert (fields[:7], fields[8]) == (["text", "1", "0", "0", "3", "3", "gpt-5-mini"], "0.75")
    assert 0 <= float(fields[7]) < 10
    document = json.loads(warm(place, "-n", "--json").out)
    assert (document["cost_usd"], document["sets"][0]["model"]) == (0.75, "gpt-5-mini")
    assert document["seconds"] == document["sets"][0]["seconds"]
    assert kept(place) == 1


def test_plan_comes_before_the_bars(project):
    """On a terminal as the table of the dry run."""
    shown = terminal.on_terminal("warm", cwd=project("text")).out
    assert shown.index("SET ") < shown.index("Making 4 calls") < shown.index("4 of 4")


def test_concurrency_of_the_flag_goes_before_the_sets(project):
    """For this run."""
    place = project("text")
    assert "Would make 4 calls, 2 at a time." in warm(place, "-n", "--concurrency", "2").err
    shown = warm(place, "--concurrency", "1", "--max-calls", "1")
    assert shown.err.endswith("warm --concurrency 1 --max-calls 1\n")


BAD = {
    "no amount": (["--max-cost", "much"], "'much' is no amount of dollars"),
    "a negative amount": (["--max-cost", "-1"], "is no amount of dollars"),
    "not finite": (["--max-cost", "nan"], "is no amount of dollars"),
    "no calls": (["--max-calls", "0"], "--max-calls"),
    "nothing at a time": (["--concurrency", "0"], "--concurrency"),
}


@pytest.mark.parametrize(("flags", "told"), BAD.values(), ids=BAD)
def test_limit_that_is_none(cli, flags, told):
    """Exit 2, and what was wrong."""
    shown = cli("warm", *flags)
    assert (shown.code, shown.out) == (2, "")
    assert told in shown.err


def test_hostile_model_is_shown_as_it_is(project):
    """Escaped, on a terminal; nothing of it is obeyed."""
    place = project("hostile")
    warm(place, "--max-calls", "1")
    shown = terminal.on_terminal("warm", "-n", cwd=place, columns=200).out
    assert "m\\x1b[31m\\u202e" in shown
    assert "\x1b[31m" not in shown


def test_long_failure_is_folded_on_a_terminal(project):
    """The error below the item, within the width; off a terminal all on one line."""
    place = project("failing", 'params = [{ name = "division" }]')
    shown = terminal.on_terminal("warm", cwd=place, columns=60).out
    begin = "\x1b[31m✗ failed\x1b[0m failing name=division\n    RuntimeError: \\x1b[31mno"
    assert begin in shown
    folded = shown[shown.index("✗ failed") :].splitlines()
    assert all(len(line) <= 60 for line in folded[1:-1])
    (line,) = [each for each in warm(place).err.splitlines() if each.startswith("✗ failed")]
    assert line.startswith("✗ failed failing name=division: RuntimeError: \\x1b[31mno")


def test_what_another_made_is_found(project):
    """It is told as that, and counts as fresh."""
    place = project("found", "concurrency = 1\nmatrix = { n = [1, 2] }")
    shown = warm(place)
    assert shown.code == 0
    assert "[2/2] found found n=2: another made it\n" in shown.err
    assert "✓ 2 of 2 entries are warm: 1 was fresh, 1 made in " in shown.err


@pytest.mark.slow
def test_interrupt_ends_what_cannot_be_stopped(project):
    """A plain function that goes on and on is left alone within a moment."""
    place = project("waiting", "concurrency = 2\nmatrix = { n = [0, 1] }")
    os.mkfifo(place / "fifo")
    session = Terminal("warm", cwd=place)
    session.wait_for("1 of 2")
    begun = time.monotonic()
    session.interrupt()
    shown = session.end()
    assert shown.code == 130
    assert time.monotonic() - begun < 4.0
    assert "1 of 2 entries are warm" in shown.out
    assert kept(place) == 1


def test_interrupt_counts_what_lands_after_it(project):
    """What was paid for is kept, if it comes within that moment."""
    place = project("waiting", "concurrency = 2\nmatrix = { n = [0, 1] }")
    os.mkfifo(place / "fifo")
    session = Terminal("warm", cwd=place)
    session.wait_for("1 of 2")
    with (place / "fifo").open("w"):  # opens once the function reads
        session.interrupt()
    shown = session.end()
    assert "2 of 2 entries are warm: 2 made in " in shown.out
    assert kept(place) == 2
