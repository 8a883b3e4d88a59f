"""docs/cli.md and the help texts know every command and every flag."""

import re
from pathlib import Path

import click
import pytest

from llm_cache.cli.app import commands
from llm_cache.cli.registry import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "cli.md").read_text("utf-8")


def all_commands() -> dict[str, click.Command]:
    """Every command that does something, by what one types; the program itself, too."""
    found: dict[str, click.Command] = {"llm-cache": commands}

    def walk(group: click.Group, typed: str) -> None:
        context = click.Context(group)
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None
            if isinstance(command, click.Group):
                walk(command, f"{typed} {name}")
            else:
                found[f"{typed} {name}"] = command

    walk(commands, "llm-cache")
    return found


def entry_of(typed: str, text: str = TEXT) -> str:
    """What the page says of a command, up to the next heading."""
    found = re.search(rf"^## {re.escape(typed)}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/cli.md has no entry for {typed}"
    return found[1]


def flags_of(command: click.Command) -> list[str]:
    """Every flag of a command that it shows, in all its spellings."""
    options = [p for p in command.params if isinstance(p, click.Option) and not p.hidden]
    return [flag for option in options for flag in (*option.opts, *option.secondary_opts)]


@pytest.mark.parametrize(("typed", "command"), all_commands().items(), ids=all_commands())
def test_docs_have_every_command_and_flag(typed, command):
    """An entry a command; every flag in it; an example with it."""
    entry = entry_of(typed)
    missing = [flag for flag in flags_of(command) if f"`{flag}" not in entry]
    assert missing == []
    assert typed in TEXT


@pytest.mark.parametrize(("typed", "command"), all_commands().items(), ids=all_commands())
def test_docs_name_no_flag_that_is_not_there(typed, command):
    """The table of flags is the flags."""
    rows = re.findall(r"^\| (`-.*?) \|", entry_of(typed), re.MULTILINE)
    named = {flag for row in rows for flag in re.findall(r"`(--?[a-z-]+)", row)}
    assert named - {"-h", "--help"} == set(flags_of(command)) - {"-h", "--help"}


@pytest.mark.parametrize(("typed", "command"), all_commands().items(), ids=all_commands())
def test_help_has_an_example(typed, command, cli):
    """Of the very command."""
    words = typed.split()[1:]
    shown = cli(*words, "--help")
    assert shown.code == 0
    assert re.search(r"Examples?:\n", shown.out)
    assert shown.out.isascii()
    assert all(len(line) <= 80 for line in shown.out.splitlines())


def test_docs_name_every_alias():
    """What can be typed is written."""
    for name, spec in COMMANDS.items():
        for alias in spec.aliases:
            assert f"`{alias}`" in entry_of(f"llm-cache {name}")


def test_short_help_is_listed_for_all(cli):
    """The list of commands is complete, in the order they are wanted."""
    listed = re.findall(
        r"^  (\w+)(?: \(\w+\))?  +\S", cli("--help").out.split("Commands:")[1], re.MULTILINE
    )
    assert listed == list(COMMANDS)


def test_missing_entry_and_flag_are_found():
    """The checks above can fail."""
    with pytest.raises(AssertionError):
        entry_of("llm-cache fly")
    assert "`--limit" not in entry_of("llm-cache ls", TEXT.replace("`--limit N`", ""))
