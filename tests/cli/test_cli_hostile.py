"""Cached text cannot take over a terminal, whatever it is in and however it is shown."""

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import apsw
import pytest

from llm_cache.cache import LLMCache

EVIL = (
    "\x1b[31m\x1b]52;c;aGk=\x07\x1b]8;;http://x\x07\x9b2J\u202e\u2066\r\0"
    "[red]x[/red] :key: [/x] 分数"
)
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
        cache.engine.parts.store.put(tampered)
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
    assert "[red]x[/red] :key: [/x] 分数" in screen("inspect", hostile).out


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
    from rich.cells import cell_len

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
