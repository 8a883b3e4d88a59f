"""docs/cli.md has every command and no flag that is not there; help has every flag."""

import re
from pathlib import Path

import click
import pytest

from llm_cache.cli.app import commands
from llm_cache.cli.registry import COMMANDS

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "cli.md").read_text("utf-8")
FLAG = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")


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


def entry_of(typed: str) -> str:
    """What the page says of a command, up to the next heading."""
    found = re.search(rf"^## {re.escape(typed)}\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    assert found is not None, f"docs/cli.md has no entry for {typed}"
    return found[1]


def options_of(command: click.Command) -> list[click.Option]:
    """Every option that a command shows."""
    return [p for p in command.params if isinstance(p, click.Option) and not p.hidden]


def flags_of(command: click.Command) -> set[str]:
    """Every flag that a command shows, in all its spellings."""
    options = options_of(command)
    return {"-h", "--help"}.union(*([*each.opts, *each.secondary_opts] for each in options))


def wrong_flags(text: str) -> list[str]:
    """Flags that no command has, and flags behind a command that has them not."""
    known = all_commands()
    everywhere = {flag for command in known.values() for flag in flags_of(command)}
    wrong = [flag for flag in FLAG.findall(text) if flag[:2] == "--" and flag not in everywhere]
    aliases = {alias: name for name, spec in COMMANDS.items() for alias in spec.aliases}
    for name, rest in re.findall(r"llm-cache ((?:config )?[a-z]+)([^|`\n]*)", text):
        command = known.get(f"llm-cache {aliases.get(name, name)}")
        if command is not None:
            allowed = flags_of(command) | flags_of(commands)
            wrong += [f"{name} {flag}" for flag in FLAG.findall(rest) if flag not in allowed]
    return wrong


@pytest.mark.parametrize("typed", all_commands())
def test_docs_have_every_command(typed):
    """An entry a command, and an example in it."""
    assert any(typed in block for block in re.findall(r"```.*?```", entry_of(typed), re.DOTALL))


def test_docs_name_no_flag_that_is_not_there():
    """Neither in the text nor in an example of a command."""
    assert wrong_flags(TEXT) == []


@pytest.mark.parametrize("command", all_commands().values(), ids=all_commands())
def test_help_says_what_every_flag_is_for(command):
    """The page leaves that to it."""
    assert [option.opts for option in options_of(command) if not option.help] == []


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


def test_missing_entry_and_wrong_flag_are_found():
    """The checks above can fail."""
    with pytest.raises(AssertionError):
        entry_of("llm-cache fly")
    assert wrong_flags("`--fly`") == ["--fly"]
    assert wrong_flags("$ llm-cache ls --limit 2 --purge") == ["ls --purge"]
