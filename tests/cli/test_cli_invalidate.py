"""`llm-cache invalidate` and `clear`: asked before, exact, and never a hang."""

import json
import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
import terminal
from terminal import Terminal

from llm_cache.api.cache import LLMCache
from llm_cache.cli.errors import Failure
from llm_cache.cli.select.ids import ROWS_FOR_ONE_SEARCH, find_infos
from tests.conformance.samples import an_entry


def start(lessons, here, *args, **kwargs) -> Terminal:
    """A command on a terminal, still running."""
    return Terminal("--cache-dir", lessons.directory, *args, cwd=here, **kwargs)


def trashed(directory: Path) -> int:
    """How many entries are in the trash."""
    connection = apsw.Connection(str(directory / "cache.db"), flags=apsw.SQLITE_OPEN_READONLY)
    ((count,),) = connection.execute("SELECT count(*) FROM trash")
    connection.close()
    return count


@pytest.fixture
def paid(lessons) -> str:
    """An entry of which it is known what it cost."""
    with LLMCache(lessons.directory) as cache:
        now = cache._engine.components.clock()
        entry = an_entry("paid", created_at=now - 5, generation_seconds=12.0, cost_usd=0.5)
        cache._engine.merge([entry])
    return entry.id


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
    """The rows of ls and two fields more on stdout; the sum on stderr; no question."""
    shown = cli("rm", "--prefix", "intro_page", "--dry-run")
    rows = [line.rsplit("\t", 2) for line in shown.out.splitlines()]
    assert [row[0] for row in rows] == cli("ls", "intro_page").out.splitlines()
    assert [row[2] for row in rows] == ["–", "–", "–"]
    assert [row[1] == "–" for row in rows] == [True, False, True]
    assert "Would remove 3 entries (" in shown.err
    assert shown.err.endswith("): 2 fresh, 1 expired. Nothing was removed.\n")
    assert lessons.ids_there() == lessons.all_ids


def test_dry_run_says_what_it_would_cost_to_make_again(cli, lessons, paid):
    """In seconds and money; at least so much where not all of it is known, – where nothing is."""
    assert "To make them again: $0.50 and 12.0 s.\n" in cli("invalidate", paid, "-n").err
    both = cli("invalidate", paid, lessons.cooking, "-n").err
    assert "To make them again: at least $0.50 and at least 12.0 s.\n" in both
    assert "To make them again: –.\n" in cli("invalidate", lessons.cooking, "-n").err
    rows = [line.split("\t")[8:] for line in cli("invalidate", paid, "-n").out.splitlines()]
    assert rows == [["12.0", "0.5"]]


def test_dry_run_on_a_terminal_tells_state_and_cost(screen, paid):
    """By entry; and it never asks, though somebody could answer."""
    shown = screen("invalidate", paid, "--dry-run", env={"NO_COLOR": "1"})
    lines = shown.out.splitlines()
    assert shown.code == 0
    assert lines[0].split()[-4:] == ["STATE", "HITS", "COST", "TOOK"]
    assert re.search(r" fresh +0 +\$0\.50  12\.0 s$", lines[1])
    assert "[y/N]" not in shown.out


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


@pytest.mark.parametrize(
    "args",
    [
        [],
        ["--yes"],
        ["abcd1234", "-p", "intro_page", "-y"],
        ["abcd1234", "--expired", "-y"],
        ["--from", "list", "--expired", "-y"],
    ],
    ids=" ".join,
)
def test_unclear_choice_is_refused(cli, lessons, args):
    """Nothing named, or two ways at once: exit 2."""
    assert cli("invalidate", *args).code == 2
    assert lessons.ids_there() == lessons.all_ids


@pytest.mark.parametrize(
    "command",
    [
        ["invalidate", "-p", "intro_page"],
        ["invalidate", "--param", "grade=5"],
        ["invalidate", "--from", "-"],
        ["clear"],
    ],
    ids=" ".join,
)
def test_off_a_terminal_nothing_is_asked(piped, lessons, command):
    """Without --yes: exit 2, and how to go on."""
    shown = piped(*command)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.endswith("hint: add --yes, or --dry-run to see them\n")
    assert lessons.ids_there() == lessons.all_ids


@pytest.mark.parametrize(
    "command",
    [["invalidate", "-p", "intro_page"], ["invalidate", "--from", "-"], ["clear"]],
    ids=" ".join,
)
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


@pytest.mark.parametrize(
    "command", [["clear"], ["invalidate", "-p", "intro_page"], ["invalidate", "--param", "grade=5"]]
)
def test_interrupted_question_removes_nothing(lessons, here, command):
    """Ctrl-C at the question: 130, no traceback."""
    session = start(lessons, here, *command)
    session.wait_for("[y/N]")
    session.interrupt()
    shown = session.end()
    assert shown.code == 130
    assert "Traceback" not in shown.out
    assert lessons.ids_there() == lessons.all_ids


def test_long_list_is_shown_in_part_before_the_question(lessons, here):
    """Twenty rows, and how many more."""
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


def test_flags_remove_exactly_what_they_choose(cli, lessons):
    """All that ls would list with them; nothing else."""
    flags = ["--param", "grade=5", "--unused"]
    listed = set(cli("ls", "-q", *flags).out.split())
    assert listed == {lessons.other_page}
    shown = cli("invalidate", *flags, "--yes", "-q")
    assert (shown.code, set(shown.out.split())) == (0, listed)
    assert lessons.ids_there() == lessons.all_ids - listed
    assert trashed(lessons.directory) == 1


def test_more_than_are_removed_at_once_are_all_removed(cli, lessons):
    """In batches, each whole; the sum is of all of them."""
    with LLMCache(lessons.directory) as cache:
        cache._engine.merge([an_entry(n, prefix="many") for n in range(1100)])
    shown = cli("invalidate", "-p", "man*", "--yes", "-q")
    assert len(set(shown.out.split())) == 1100
    assert shown.err.startswith("Removed 1,100 entries (")
    assert lessons.ids_there() == lessons.all_ids


def put_again(lessons, entry_id: str) -> None:
    """Makes an entry anew, as the application would."""
    with LLMCache(lessons.directory) as cache:
        (entry,) = cache.find(entry_id)
        cache.put(entry.prefix, "regenerated", params=dict(entry.params))


@pytest.mark.parametrize("by", ["flags", "ids", "star"])
def test_what_is_made_meanwhile_stays(lessons, here, by):
    """Only the rows that were shown go: neither a new entry nor one that was regenerated."""
    ways = {
        "flags": ["--param", "operation=addition"],
        "ids": [lessons.sports, lessons.cooking],
        "star": ["-p", "word*"],
    }
    session = start(lessons, here, "invalidate", *ways[by])
    session.wait_for("[y/N]")
    put_again(lessons, lessons.sports)
    with LLMCache(lessons.directory) as cache:
        cache.put("word_problem", "new", operation="addition", context_type="travel")
        new = next(cache.entries("word_problem")).id
    session.type("y\n")
    shown = session.end()
    assert shown.code == 0
    assert "Removed 1 entry (" in shown.out
    assert "1 entry was regenerated meanwhile and stayed." in shown.out
    assert lessons.ids_there() == lessons.all_ids - {lessons.cooking} | {new}


def test_bare_prefix_removes_what_matches_at_that_moment(lessons, here):
    """Also what came while the question stood, and it is said."""
    session = start(lessons, here, "invalidate", "-p", "word_problem")
    session.wait_for("[y/N]")
    with LLMCache(lessons.directory) as cache:
        cache.put("word_problem", "new", operation="division")
    session.type("y\n")
    shown = session.end()
    assert re.search(r"Removed 3 entries \(\d+ B; 2 shown, 1 came since\)\.", shown.out)
    assert lessons.ids_there() == {lessons.page, lessons.other_page, lessons.old_page}


def test_what_stayed_is_told_to_programs(cli, lessons):
    """A count of its own in JSON."""
    shown = cli("invalidate", "--expired", "--yes", "--json")
    document = json.loads(shown.out)
    assert (document["removed"], document["stayed"]) == (1, 0)
    assert lessons.ids_there() == lessons.all_ids - {lessons.old_page}


def test_terminal_is_told_how_to_take_it_back(screen, lessons):
    """Unless it is gone for good."""
    assert "hint: llm-cache restore" in screen("invalidate", lessons.page, "-y").out
    assert "restore" not in screen("invalidate", lessons.sports, "-y", "--purge").out


def test_ids_are_read_from_a_file(cli, lessons, here):
    """One a line, as ls prints them; blank lines, other line ends and a BOM are no trouble."""
    lines = f"\ufeff{lessons.page}\r\n\r\n  {lessons.sports.upper()}  \n\n{lessons.page}"
    (here / "ids").write_bytes(lines.encode())
    shown = cli("invalidate", lessons.cooking, "--from", here / "ids", "--yes")
    assert shown.code == 0
    gone = {lessons.page, lessons.sports, lessons.cooking}
    assert lessons.ids_there() == lessons.all_ids - gone


def test_what_ls_prints_is_read_from_stdin(piped, lessons, here):
    """`ls --expired -q | invalidate --from - --yes`."""
    listed = piped("ls", "-p", "intro_page", "-q").out
    reading, writing = os.pipe()
    os.write(writing, listed.encode())
    os.close(writing)
    args = ("invalidate", "--from", "-", "--yes")
    shown = terminal.run("--cache-dir", lessons.directory, *args, cwd=here, stdin=reading)
    os.close(reading)
    assert (shown.code, shown.out) == (0, "")
    assert shown.err.startswith("Removed 3 entries (")
    assert lessons.ids_there() == {lessons.sports, lessons.cooking}


@pytest.mark.parametrize(
    ("line", "quoted"),
    [
        ("nonsense", "'nonsense'"),
        ("abc", "'abc'"),
        ("x" * 500, f"'{'x' * 40}…'"),
        ("\x1b[31m", r"'\x1b[31m'"),
        ("intro_page\t{}", r"'intro_page\t{}'"),
    ],
)
def test_line_that_is_no_id_removes_nothing(cli, lessons, here, line, quoted):
    """One error, with the file and the line, before anything is removed."""
    (here / "ids").write_text(f"{lessons.page}\n\n{line}\n{lessons.sports}\n")
    shown = cli("invalidate", "--from", "ids", "--yes")
    assert (shown.code, shown.out) == (2, "")
    assert shown.err == (
        f"error: ids:3: {quoted} is not an id\n"
        "hint: write one id a line, as llm-cache ls -q prints them\n"
    )
    assert lessons.ids_there() == lessons.all_ids


def test_bytes_that_are_no_text_are_no_ids(cli, lessons, here):
    """Somebody named the wrong file."""
    (here / "ids").write_bytes(b"\xff\xfe\0\x9b")
    assert cli("invalidate", "--from", "ids", "--yes").code == 2
    assert lessons.ids_there() == lessons.all_ids


@pytest.mark.parametrize("dry_run", ["--dry-run", "--yes"])
def test_listed_id_that_is_not_there_removes_nothing(cli, lessons, here, dry_run):
    """All or none: exit 3, with the first of them."""
    missing = [f"ffff{n:04x}" for n in range(8)]
    (here / "ids").write_text("\n".join([lessons.page, *missing]))
    shown = cli("invalidate", "--from", "ids", dry_run)
    assert (shown.code, shown.out) == (3, "")
    assert "'ffff0000', " in shown.err
    assert shown.err.splitlines()[0].endswith("'ffff0004' and 3 more")
    assert lessons.ids_there() == lessons.all_ids


@pytest.mark.parametrize("name", ["missing", "."])
def test_file_that_cannot_be_read_is_one_error(cli, lessons, name):
    """Not there, or a directory."""
    shown = cli("invalidate", "--from", name, "--yes")
    assert shown.code == 1
    assert shown.err.count("\n") == 1
    assert lessons.ids_there() == lessons.all_ids


def test_empty_list_removes_nothing(cli, lessons, here):
    """No ids are no error, as when ls found nothing."""
    (here / "ids").write_text("\n")
    for how in ("--yes", "--dry-run"):
        shown = cli("invalidate", "--from", "ids", how)
        assert (shown.code, shown.out) == (0, "")
        assert shown.err.startswith("There are no ids: nothing ")
    assert lessons.ids_there() == lessons.all_ids


def test_many_ids_are_found_in_one_pass_as_one_by_one(lessons):
    """The same entries, missing ids and refusals, whichever way is the quicker."""
    with LLMCache(lessons.directory) as cache:
        alike = [
            replace(an_entry(n), key=bytes.fromhex("abcd1234") + bytes([n] * 28)) for n in (1, 2)
        ]
        cache._engine.merge([*alike, *(an_entry(n, prefix="many") for n in range(400))])
        few = [*sorted(lessons.all_ids), "ffffffff", "abcd123401", lessons.page[:6]]
        many = [info.id for info in cache.entries("many")]
        found, missing = find_infos(cache, few)
        assert len(few) * ROWS_FOR_ONE_SEARCH < 400 < len(many) * ROWS_FOR_ONE_SEARCH
        more, still_missing = find_infos(cache, [*few, *many])
        assert missing == still_missing == ["ffffffff"]
        assert {info.key for info in more} == {info.key for info in found} | {
            info.key for info in cache.entries("many")
        }
        for ids in (["abcd1234"], ["abcd1234", *many]):
            with pytest.raises(Failure, match="the beginning of several"):
                find_infos(cache, ids)


def test_idle_stdin_is_not_waited_for_in_silence(lessons, here):
    """Whoever forgot the pipe sees what is waited for; ids that come then are taken."""
    process = subprocess.Popen(
        [*terminal.COMMAND, "--cache-dir", lessons.directory, "invalidate", "--from", "-", "-y"],
        cwd=here, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=terminal.clean_environment(), text=True,
    )  # fmt: skip
    assert process.stderr is not None
    assert process.stderr.readline() == "Waiting for ids on stdin, one a line.\n"
    _, err = process.communicate(f"{lessons.page}\n", timeout=terminal.HANGS_AFTER_S)
    assert process.returncode == 0
    assert err.startswith("Removed 1 entry (")


def test_ids_can_be_typed(lessons, here):
    """On a terminal it is said how they end; then it asks as ever."""
    session = start(lessons, here, "invalidate", "--from", "-")
    session.wait_for("Waiting for ids on stdin, one a line, then Ctrl-D.")
    session.type(f"{lessons.sports}\n\x04")
    session.wait_for("Remove 1 entry (")
    session.type("y\n")
    assert session.end().code == 0
    assert lessons.ids_there() == lessons.all_ids - {lessons.sports}


def test_interrupted_typing_removes_nothing(lessons, here):
    """Ctrl-C while ids are typed: 130."""
    session = start(lessons, here, "invalidate", "--from", "-", "--yes")
    session.wait_for("Ctrl-D")
    session.type(f"{lessons.sports}\n")
    session.interrupt()
    assert session.end().code == 130
    assert lessons.ids_there() == lessons.all_ids


@pytest.mark.slow
def test_interrupted_removal_says_how_much_went(lessons, here):
    """Ctrl-C after the question: what it says has gone, and no more."""
    entries = [an_entry(n, prefix="many") for n in range(20_000)]
    with LLMCache(lessons.directory) as cache:
        cache._engine.merge(entries)
        process = subprocess.Popen(
            [*terminal.COMMAND, "--cache-dir", lessons.directory, "invalidate", "-p", "man*", "-y"],
            cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=terminal.clean_environment(), text=True,
        )  # fmt: skip
        while not trashed(lessons.directory):
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=terminal.HANGS_AFTER_S)
        gone = trashed(lessons.directory)
        assert (process.returncode, "Traceback" in err) == (130, False), err
        assert f"{gone:,} of 20,000 removed\n" in err
        assert sum(1 for _ in cache.entries("many")) == 20_000 - gone
