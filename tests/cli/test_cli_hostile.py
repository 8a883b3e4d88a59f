"""Cached text cannot take over a terminal, whatever it is in and however it is shown."""

import json
import os
import re
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

import apsw
import pytest
import terminal
from rich.cells import cell_len

from llm_cache.api.cache import LLMCache
from llm_cache.cli.registry import COMMANDS as REGISTERED

MARKUP = "[red]x[/red] :key: :smile: [/x] 分数"
EVIL = f"\x1b[31m\x1b]52;c;aGk=\x07\x1b]8;;http://x\x07\x9b2J\u202e\u2066\r\0{MARKUP}"
OUR_COLOURS = re.compile(r"\x1b\[(?:3[123]|0)m")
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")


@pytest.fixture
def hostile(lessons):
    """An entry where every text is hostile; its prefix is what only a tampered store can hold."""
    with LLMCache(lessons.directory) as cache:
        cache.put("evil", EVIL + "\nsecond\x1b[2J line", params={"a" + EVIL: EVIL, "b": [EVIL]})
        (info,) = cache.entries("evil")
        (entry,) = cache.find(info.id)
        cache.invalidate_prefix("evil")
        tampered = replace(entry, prefix=EVIL, model=EVIL, version=EVIL, tenant=EVIL)
        cache._engine.components.store.put(tampered)
    return info.id


def assert_harmless(shown: str) -> None:
    """Nothing but our own three colours is left to obey."""
    rest = OUR_COLOURS.sub("", shown)
    found = OBEYED.search(rest)
    assert found is None, f"{found[0]!r} in {rest!r}"


COMMANDS = [
    ["ls"],
    ["ls", "--json"],
    ["ls", "--jsonl"],
    ["inspect", "ID"],
    ["inspect", "ID", "--json"],
    ["inspect", "ID", "--raw"],
    ["stats"],
    ["stats", "--json"],
    ["clear", "--dry-run"],
    ["clear", "--dry-run", "--json"],
    ["invalidate", "ID", "--dry-run"],
    ["prune", "--dry-run"],
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_terminal_is_left_alone(screen, hostile, command):
    """On a real terminal, in every command and form."""
    shown = screen(*(hostile if word == "ID" else word for word in command))
    assert shown.code == 0
    assert_harmless(shown.out.replace("\t", ""))


@pytest.mark.parametrize("command", [c for c in COMMANDS if "--raw" not in c], ids=" ".join)
def test_pipe_gets_no_control_characters_either(cli, hostile, command):
    """Values in a pipe often end on a terminal."""
    shown = cli(*(hostile if word == "ID" else word for word in command))
    assert shown.code == 0
    assert_harmless(shown.out.replace("\t", ""))
    assert_harmless(shown.err)


def test_markup_and_emoji_codes_are_shown_as_themselves(screen, hostile):
    """Text that means something to Rich means nothing here."""
    assert MARKUP in screen("inspect", hostile).out


def test_json_gives_hostile_text_back_exactly(cli, hostile):
    """Escaped on the way, the same when read."""
    (entry,) = json.loads(cli("inspect", hostile, "--json").out)["entries"]
    assert entry["value"] == EVIL + "\nsecond\x1b[2J line"
    assert entry["params"] == {"a" + EVIL: EVIL, "b": [EVIL]}
    assert entry["prefix"] == EVIL


def test_tabs_in_a_param_do_not_make_fields(cli, lessons):
    """A line has as many fields as there are."""
    with LLMCache(lessons.directory) as cache:
        cache.put("odd", "x", params={"a\tb": "c\td\ne"})
    assert len(cli("ls", "odd").out.split("\t")) == 8
    assert cli("ls", "odd").out.count("\n") == 1


def test_wide_text_lines_up(screen, lessons):
    """A CJK character takes two cells, a combining accent none."""
    with LLMCache(lessons.directory) as cache:
        for topic in ("分数の足し算", "e\u0301te\u0301", "plain", "👨\u200d👩\u200d👧"):
            cache.put("wide", "x", topic=topic)
    rows = screen("ls", "wide").out.splitlines()[1:5]
    assert len({cell_len(row) for row in rows}) == 1


@pytest.mark.parametrize(
    "args",
    [
        ["ls", EVIL.replace("\0", "")],
        ["inspect", EVIL.replace("\0", "")],
        [EVIL.replace("\0", "")],
        ["ls", "--" + EVIL.replace("\0", "")],
        ["ls", "--limit", EVIL.replace("\0", "")],
        ["--config", EVIL.replace("\0", ""), "ls"],
        ["--color", EVIL.replace("\0", ""), "ls"],
        ["ls", os.fsdecode(b"\xff\xfe")],
    ],
    ids=["prefix", "id", "command", "flag", "number", "path", "choice", "bytes"],
)
def test_errors_quote_arguments_harmlessly(screen, args):
    """What was typed may have been pasted."""
    shown = screen(*args)
    assert shown.code == 2
    assert "error:" in shown.out
    assert_harmless(shown.out)


def test_settings_are_quoted_harmlessly(screen, here: Path):
    """Keys, values and file names."""
    text = json.dumps(EVIL.replace("\0", ""))  # its escapes are TOML's
    (here / "cache.toml").write_text(f"[cache]\n{text} = {text}\n")
    for command in (["ls"], ["config", "check"]):
        shown = screen(*command)
        assert shown.code == 2
        assert_harmless(shown.out)
    (here / "cache.toml").write_text(f"[defaults]\nversion = {text}\n")
    for form in ([], ["--toml"], ["--json"]):
        shown = screen("config", "show", *form)
        assert shown.code == 0
        assert_harmless(shown.out)


def test_tampered_params_and_instants_are_shown_all_the_same(screen, cli, lessons):
    """A row that no honest process wrote is listed, not a crash."""
    connection = apsw.Connection(str(lessons.directory / "cache.db"))
    connection.execute("UPDATE entries SET params = x'ff1b5b33316d', created_at = 1e300")
    connection.close()
    for command in (["ls"], ["ls", "--json"], ["stats"], ["prune", "-n"]):
        shown = screen(*command)
        assert shown.code == 0, shown
        assert_harmless(shown.out)
    assert json.loads(cli("ls", "--json").out)["entries"][0]["created_at"] is None


# Every command, over a place where everything that can be hostile is.

NO_NUL = EVIL.replace("\0", "")
HOSTILE_FILE = f"{NO_NUL.replace('/', '')}.jsonl"
GENERATORS = f"""
def fails(**given):
    raise TypeError({EVIL!r} * 3)


def makes(**given):
    return {EVIL!r}
"""
SETTINGS = f"""
[prefixes.intro_page]
version = {json.dumps(NO_NUL)}

[[warm]]
prefix = "fails"
generate = "hostile_lessons:fails"
params = [{{ {json.dumps("a" + NO_NUL)} = {json.dumps(NO_NUL)} }}]
retries = 0

[[warm]]
prefix = "makes"
generate = "hostile_lessons:makes"
params = [{{ {json.dumps("a" + NO_NUL)} = {json.dumps(NO_NUL)} }}]
"""


@dataclass(frozen=True)
class Ids:
    """Of the hostile entries: one in the cache, one in the trash."""

    kept: str
    removed: str

    def in_place(self, command: str) -> list[str]:
        """The words of a command, with what stands for an id, a text or a file replaced."""
        given = {
            "ID": self.kept,
            "REMOVED": self.removed,
            "FILE": HOSTILE_FILE,
            "EVIL=": f"a{NO_NUL}=x",
        }
        return [given.get(word, word) for word in command.split()]


@pytest.fixture
def hostile_place(lessons, here: Path, hostile) -> Ids:
    """Hostile entries, also in the trash and among the counts, settings, generators and a file."""
    (here / "cache.toml").write_text(SETTINGS)
    (here / "hostile_lessons.py").write_text(GENERATORS)
    with LLMCache(lessons.directory) as cache:
        cache.put("gone", EVIL, params={"a" + EVIL: EVIL})
        (removed,) = cache.entries("gone")
        (entry,) = cache.find(removed.id)
        tampered = replace(entry, prefix=EVIL, model=EVIL, version=EVIL, tenant=EVIL)
        cache.invalidate_prefix("gone")
        cache._engine.components.store.put(tampered)
        cache.invalidate_entries([entry.key], keep=True)
        cache.put("honest", EVIL, params={"a" + NO_NUL: EVIL, "b": [EVIL]})
    connection = apsw.Connection(str(lessons.directory / "cache.db"))
    connection.execute(
        "INSERT INTO usage (day, tenant, prefix, model, hits, misses, cost_usd)"
        " VALUES ('2026-11-01', '', ?, ?, 9, 9, 1.5), (?, '', 'odd_day', '', 1, 1, 0)",
        [EVIL, EVIL, EVIL],
    )
    connection.execute("INSERT INTO refusals VALUES ('2026-11-01', '', ?, ?, 7)", [EVIL, EVIL])
    connection.close()
    line = json.dumps({"llm_cache": 1, "key": EVIL, EVIL: EVIL})
    (here / HOSTILE_FILE).write_text(f"{line}\n[{NO_NUL}\n".replace("\r", " "))
    return Ids(hostile, removed.id)


PICTURES = {
    "ls": 0,
    "ls --sort saved": 0,
    "inspect ID": 0,
    "invalidate ID -n": 0,
    "invalidate ID --yes": 0,
    "restore": 0,
    "restore REMOVED": 0,
    "prune -n --orphaned": 0,
    "warm -n": 0,
    "warm": 1,
    "stats": 0,
    "stats --by model": 0,
    "stats --by day": 0,
    "why honest EVIL= b=1": 0,
    "clear -n": 0,
    "clear --yes": 0,
    "export FILE": 0,
    "import FILE": 1,
    "doctor": 0,
    "config show": 0,
    "config check": 0,
}
DATA = {
    "restore --json": 0,
    "warm --json": 1,
    "warm -n --json": 0,
    "stats --by day --json": 0,
    "why honest EVIL= --json": 0,
    "clear -n --json": 0,
    "export": 0,
    "export -p *": 0,
    "import FILE --json": 1,
    "doctor --json": 0,
    "config show --json": 0,
    "config show --toml": 0,
}
CURSOR_OF_RICH = re.compile(r"\x1b\[\?25[lh]|\x1b\[2K|\x1b\[1A|\r")


def shown_lines(shown: str) -> list[str]:
    """Every state of every line that was shown, without what paints and moves."""
    assert "Traceback" not in shown
    without_moves = CURSOR_OF_RICH.sub("\n", shown)
    return OUR_COLOURS.sub("", without_moves).split("\n")


def test_every_command_is_among_these():
    """A new command is tried on hostile text, too; `completion` shows none of it."""
    assert {command.split()[0] for command in PICTURES} == set(REGISTERED) - {"completion"}


@pytest.mark.parametrize("command", [*PICTURES, *DATA])
def test_every_command_leaves_the_terminal_alone(screen, hostile_place, command):
    """Three colours, and for live progress five moves of the cursor: nothing else is obeyed."""
    shown = screen(*hostile_place.in_place(command))
    assert shown.code == {**PICTURES, **DATA}[command], shown.out
    moves = CURSOR_OF_RICH.findall(shown.out)
    assert not moves or command.startswith("warm"), moves
    for line in shown_lines(shown.out):
        assert_harmless(line)


@pytest.mark.parametrize("command", [c for c in (*PICTURES, *DATA) if "--toml" not in c])
def test_every_command_pipes_harmless_text(cli, hostile_place, command):
    """The fields of a pipe are separated by tabs, and nothing else in them is a control."""
    shown = cli(*hostile_place.in_place(command))
    assert shown.code == {**PICTURES, **DATA}[command], shown.err
    assert "Traceback" not in shown.err
    assert_harmless(shown.out.replace("\t", ""))
    assert_harmless(shown.err)


WITHOUT_WORDS = ("/bin/sh", "-c", 'exec "$@" 2>/dev/null', "sh", *terminal.COMMAND)


@pytest.mark.parametrize("columns", [60, 80, 200])
@pytest.mark.parametrize("command", PICTURES)
def test_no_picture_is_wider_than_the_terminal(lessons, here, hostile_place, command, columns):
    """However long and wide the texts are; sentences on stderr go on to a second line."""
    given = ("--cache-dir", lessons.directory, *hostile_place.in_place(command))
    shown = terminal.Terminal(*given, cwd=here, columns=columns, command=WITHOUT_WORDS).end()
    assert shown.code == PICTURES[command], shown.out
    assert [line for line in shown_lines(shown.out) if cell_len(line) > columns] == []


@pytest.mark.parametrize("columns", [60, 80, 200])
def test_progress_of_warm_is_no_wider_than_the_terminal(screen, hostile_place, columns):
    """The bars and the failures; only the command to copy stays on one line."""
    shown = screen("warm", columns=columns)
    assert (shown.code, "1 of 1" in shown.out) == (1, True), shown.out
    wide = [line for line in shown_lines(shown.out) if cell_len(line) > columns]
    assert all(line.startswith("  again with: ") for line in wide), wide


@pytest.mark.parametrize(
    "command", ["inspect ID", "restore", "why honest EVIL= b=1", "warm", "config show", "ls"]
)
def test_markup_and_emoji_codes_are_literal_in_every_picture(screen, hostile_place, command):
    """Where there is room for all of a text, its brackets and colons are there."""
    shown = screen(*hostile_place.in_place(command), columns=1000).out
    assert MARKUP in shown


@pytest.mark.parametrize(
    "command",
    ["ls", "restore", "stats", "warm", "why p a=1", "clear -n", "export", "import x", "doctor",
     "prune", "invalidate -p p -n", "inspect abcd", "config show"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["table", "key", "value", "warm"])
def test_hostile_settings_are_one_harmless_error(screen, here, command, place):
    """A table, a key, a value and a generator that cannot be: exit 2, or a finding of doctor's."""
    text = json.dumps(NO_NUL)
    settings = {
        "table": f"[{text}]\n",
        "key": f"[prefixes.p]\n{text} = 1\n",
        "value": f"[prefixes.p]\nttl = {text}\n",
        "warm": f'[[warm]]\nprefix = "p"\ngenerate = {text}\nparams = [{{}}]\n',
    }
    (here / "cache.toml").write_text(settings[place])
    shown = screen(*command.split())
    told, code = ("fail", 1) if command == "doctor" else ("error:", 2)
    assert shown.code == code, shown.out
    assert told in shown.out
    for line in shown_lines(shown.out):
        assert_harmless(line)


@pytest.mark.parametrize("command", ["ls", "stats", "doctor", "config show", "clear -n", "restore"])
def test_hostile_name_of_the_directory_is_shown_harmlessly(here, command):
    """The place itself may be called anything."""
    place = here / NO_NUL.replace("/", "")
    with LLMCache(place) as cache:
        cache.put("p", "x", n=1)
    shown = terminal.on_terminal("--cache-dir", place, *command.split(), cwd=here)
    assert shown.code == 0, shown.out
    for line in shown_lines(shown.out):
        assert_harmless(line)


@pytest.mark.parametrize(
    "command", ["doctor", "doctor --repair", "ls", "inspect ID", "export", "stats"]
)
def test_damaged_hostile_entry_is_told_harmlessly(lessons, screen, hostile_place, command):
    """What is said of an entry that cannot be read has its names in it, too."""
    connection = apsw.Connection(str(lessons.directory / "cache.db"))
    connection.execute("UPDATE entries SET value = x'1b5b33316d', encoding = ?", [EVIL])
    connection.close()
    shown = screen(*hostile_place.in_place(command))
    assert shown.code in {0, 1, 3}, shown.out
    for line in shown_lines(shown.out):
        assert_harmless(line)


@pytest.mark.parametrize(
    "env",
    [{"LC_ALL": "C"}, {"TERM": "dumb"}, {"NO_COLOR": "1"}],
    ids=["C", "dumb", "NO_COLOR"],
)
@pytest.mark.parametrize(
    "command",
    ["restore", "why honest EVIL= b=1", "export FILE", "import FILE -n", "doctor", "warm"],
)
def test_poor_terminals_get_all_the_same_words(screen, hostile_place, command, env):
    """ASCII where it is not UTF-8, no escapes where there is no colour, and the same exit code."""
    shown = screen(*hostile_place.in_place(command), env=env)
    assert shown.code == (1 if command.startswith(("import", "warm")) else 0), shown.out
    for line in shown_lines(shown.out):
        assert_harmless(line)
    if "LC_ALL" in env:
        assert shown.out.isascii()
    elif command != "warm" or "TERM" in env:
        assert "\x1b" not in shown.out


@pytest.mark.parametrize("command", ["export", "stats --json", "stats"])
def test_reader_that_takes_one_line_is_no_error(lessons, here, command):
    """`| head -1`, where there is more than a pipe holds: silent, exit 0."""
    with LLMCache(lessons.directory) as cache:
        for number in range(1500):
            cache.put(f"p{number}", "x" * 40, number=number)
    process = subprocess.Popen(
        [*terminal.COMMAND, "--cache-dir", lessons.directory, *command.split()],
        cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=terminal.clean_environment(),
    )  # fmt: skip
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    _, err = process.communicate(timeout=terminal.HANGS_AFTER_S)
    assert (process.returncode, err) == (0, b"")
