"""`llm-cache invalidate` and `clear`: asked before, exact, and never a hang."""

import json
import os
import subprocess
from pathlib import Path

import apsw
import pytest
import terminal
from terminal import Terminal


def start(lessons, here, *args, **kwargs) -> Terminal:
    """A command on a terminal, still running."""
    return Terminal("--cache-dir", lessons.directory, *args, cwd=here, **kwargs)


def trashed(directory: Path) -> int:
    """How many entries are in the trash."""
    connection = apsw.Connection(str(directory / "cache.db"), flags=apsw.SQLITE_OPEN_READONLY)
    ((count,),) = connection.execute("SELECT count(*) FROM trash")
    connection.close()
    return count


def test_ids_remove_exactly_those(cli, lessons):
    """What was named goes, and nothing else; it can still be found in the trash."""
    shown = cli("invalidate", lessons.page, lessons.sports, "--yes")
    assert (shown.code, shown.out) == (0, "")
    assert shown.err.startswith("Removed 2 entries (")
    assert "in the trash" in shown.err
    assert lessons.ids_there() == lessons.all_ids - {lessons.page, lessons.sports}
    assert trashed(lessons.directory) == 2


def test_purge_goes_past_the_trash(cli, lessons):
    """For good means for good."""
    shown = cli("invalidate", lessons.page, "--yes", "--purge")
    assert "trash" not in shown.err
    assert trashed(lessons.directory) == 0


def test_prefix_removes_all_of_it(cli, lessons):
    """Everything of the prefix, nothing of another."""
    assert cli("invalidate", "-p", "intro_page", "-y").code == 0
    assert lessons.ids_there() == {lessons.sports, lessons.cooking}


def test_dry_run_lists_and_removes_nothing(cli, lessons):
    """The same rows as ls, on stdout; the sum on stderr; no question."""
    shown = cli("rm", "--prefix", "intro_page", "--dry-run")
    assert shown.out == cli("ls", "intro_page").out
    assert shown.err.startswith("Would remove 3 entries (")
    assert shown.err.endswith("Nothing was removed.\n")
    assert lessons.ids_there() == lessons.all_ids


def test_dry_run_in_json_is_marked(cli, lessons):
    """A program can tell what would go from what went."""
    would = json.loads(cli("invalidate", lessons.page, "--dry-run", "--json").out)
    assert (would["dry_run"], [e["id"] for e in would["entries"]]) == (True, [lessons.page])
    did = json.loads(cli("invalidate", lessons.page, "--yes", "--json").out)
    assert (did["dry_run"], did["removed"], did["purged"]) == (False, 1, False)
    assert did["freed_bytes"] > 0


def test_quiet_prints_the_ids_of_what_went(cli, lessons):
    """One a line, on stdout."""
    shown = cli("invalidate", "-p", "word_problem", "-y", "-q")
    assert set(shown.out.splitlines()) == {lessons.sports, lessons.cooking}


def test_unknown_id_removes_nothing_at_all(cli, lessons):
    """All or none: exit 3."""
    shown = cli("invalidate", lessons.page, "ffffffff", "--yes")
    assert shown.code == 3
    assert "'ffffffff'" in shown.err
    assert lessons.ids_there() == lessons.all_ids


def test_nothing_that_matches_is_no_error(cli):
    """It is said, and a mistyped name is guessed."""
    shown = cli("invalidate", "--prefix", "word_problems", "--yes")
    assert shown.code == 0
    assert "nothing was removed" in shown.err
    assert "did you mean 'word_problem'?" in shown.err


@pytest.mark.parametrize("args", [[], ["--yes"], ["abcd1234", "-p", "intro_page", "-y"]])
def test_unclear_choice_is_refused(cli, lessons, args):
    """Nothing named, or two ways at once: exit 2."""
    assert cli("invalidate", *args).code == 2
    assert lessons.ids_there() == lessons.all_ids


@pytest.mark.parametrize("command", [["invalidate", "-p", "intro_page"], ["clear"]])
def test_off_a_terminal_nothing_is_asked(piped, lessons, command):
    """Without --yes: exit 2, and how to go on."""
    shown = piped(*command)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.endswith("hint: add --yes, or --dry-run to see them\n")
    assert lessons.ids_there() == lessons.all_ids


@pytest.mark.parametrize("command", [["invalidate", "-p", "intro_page"], ["clear"]])
def test_open_stdin_that_is_no_terminal_never_hangs(lessons, here, command):
    """A pipe that nobody writes to: a question would wait for ever."""
    reading, writing = os.pipe()
    try:
        shown = terminal.run("--cache-dir", lessons.directory, *command, cwd=here, stdin=reading)
    finally:
        os.close(reading)
        os.close(writing)
    assert shown.code == 2


def test_question_nobody_would_see_is_not_asked(lessons, here):
    """Stdin is a terminal, stderr is not."""
    session = start(lessons, here, "invalidate", "-p", "intro_page")
    session.wait_for("[y/N]")
    session.type("n\n")
    assert session.end().code == 1
    ours, theirs = os.openpty()
    try:
        shown = terminal.run("--cache-dir", lessons.directory, "clear", cwd=here, stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert shown.code == 2


def test_terminal_shows_what_would_go_and_asks(lessons, here):
    """The table first, then the question; yes removes."""
    session = start(lessons, here, "invalidate", "--prefix", "word_problem")
    session.wait_for("[y/N]")
    assert lessons.sports.encode() in session.shown
    assert b"Remove 2 entries of prefix 'word_problem' (" in session.shown
    session.type("y\n")
    shown = session.end()
    assert shown.code == 0
    assert "Removed 2 entries" in shown.out
    assert lessons.ids_there() == {lessons.page, lessons.other_page, lessons.old_page}


@pytest.mark.parametrize("answer", ["n\n", "\n", "what\n", "\x04"])
def test_anything_but_yes_removes_nothing(lessons, here, answer):
    """No, nothing, anything else, the end of input."""
    session = start(lessons, here, "clear")
    session.wait_for("[y/N]")
    session.type(answer)
    shown = session.end()
    assert shown.code == 1
    assert "Nothing was removed." in shown.out
    assert lessons.ids_there() == lessons.all_ids


def test_interrupted_question_removes_nothing(lessons, here):
    """Ctrl-C at the question: 130, no traceback."""
    session = start(lessons, here, "clear")
    session.wait_for("[y/N]")
    session.interrupt()
    shown = session.end()
    assert shown.code == 130
    assert "Traceback" not in shown.out
    assert lessons.ids_there() == lessons.all_ids


def test_long_list_is_shown_in_part_before_the_question(lessons, here):
    """Twenty rows, and how many more."""
    from llm_cache.cache import LLMCache

    with LLMCache(lessons.directory) as cache:
        for number in range(25):
            cache.put("many", "x", number=number)
    session = start(lessons, here, "invalidate", "-p", "many")
    session.wait_for("[y/N]")
    session.type("n\n")
    shown = session.end().out
    assert "… and 5 more" in shown
    assert shown.count(" many ") == 20


def test_clear_says_how_much_first(lessons, here):
    """By prefix, then in all."""
    session = start(lessons, here, "clear")
    session.wait_for("[y/N]")
    assert b"word_problem" in session.shown
    assert b"Remove all 5 entries (" in session.shown
    session.type("yes\n")
    assert session.end().code == 0
    assert lessons.ids_there() == set()


def test_clear_drops_everything(cli, lessons):
    """With --yes and no question; the second time there is nothing."""
    shown = cli("clear", "--yes")
    assert (shown.code, shown.out) == (0, "")
    assert shown.err.startswith("Removed 5 entries (")
    assert lessons.ids_there() == set()
    assert "nothing was removed" in cli("clear").err


def test_clear_dry_run_in_its_forms(cli, lessons):
    """Fields for a pipe, a document for a program; nothing goes."""
    rows = [line.split("\t")[:2] for line in cli("clear", "-n").out.splitlines()]
    assert rows == [["intro_page", "3"], ["word_problem", "2"]]
    document = json.loads(cli("clear", "-n", "--json").out)
    assert document["prefixes"]["intro_page"]["entries"] == 3
    assert json.loads(cli("clear", "-y", "--json").out)["removed"] == 5


def test_reader_that_leaves_does_not_stop_the_removal(lessons, here):
    """`invalidate -q | true` removes all the same."""
    process = subprocess.Popen(
        [*terminal.COMMAND, "--cache-dir", lessons.directory, "invalidate", "-p", "intro_page",
         "-y", "-q"],
        cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=terminal.clean_environment(),
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.close()
    assert process.wait(terminal.HANGS_AFTER_S) == 0
    assert process.stderr is not None
    assert b"Traceback" not in process.stderr.read()
    process.stderr.close()
    assert lessons.ids_there() == {lessons.sports, lessons.cooking}
