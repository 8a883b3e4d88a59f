"""`llm-cache config`: the settings in force, where each came from, and a first file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.output.formatting import counted
from llm_cache.cli.output.screen import Style, Styled
from llm_cache.cli.registry import SubGroup, help_if_alone
from llm_cache.cli.session import Session, pass_session

if TYPE_CHECKING:
    from llm_cache.config.show import ShownSetting

FIRST_NAME: Final = "cache.toml"
NO_FILE: Final = "No settings file was found: the built-in values hold."


@click.group(cls=SubGroup, invoke_without_command=True)
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show the settings in force and where each came from; write a first cache.toml.

    \b
    Examples:
      llm-cache config show
      llm-cache config init
    """
    help_if_alone(ctx)


@command.command("show", short_help="every setting in force, with where it came from")
@click.option("--toml", "form", flag_value="toml", help="As TOML, to start a file from.")
@click.option("--json", "form", flag_value="json", help="One JSON document.")
@pass_session
def show(session: Session, *, form: str | None) -> None:
    """Show every setting in force, with its origin: file and line, variable or flag.

    In a pipe every setting is a line: its key, value and origin.

    \b
    Examples:
      llm-cache config show
      llm-cache --config other.toml config show --toml
    """
    from llm_cache.config.show import settings_as_toml, settings_in_force

    config = session.config
    if form == "toml":
        session.out.exact(settings_as_toml(config))
        return
    settings = list(settings_in_force(config))
    if form == "json":
        session.out.json(_as_json(session, settings))
        return
    if session.out.is_terminal:
        _write_table(session, settings)
        session.out.flush()
        if config.source is None:
            session.tell("")
            session.tell(f"{NO_FILE} llm-cache config init writes one.")
        return
    for setting in settings:
        session.out.fields(setting.key, setting.shown, setting.origin)


@command.command("path", short_help="the path of the settings file in force")
@pass_session
def path(session: Session) -> int:
    """Print the path of the settings file in force; exit 1 if there is none.

    \b
    Example:
      $EDITOR "$(llm-cache config path)"
    """
    from llm_cache.config import config_path

    found = config_path(session.config_path)
    if found is None:
        session.tell(NO_FILE)
        return ExitCode.FAILED
    session.out.line(str(found))
    return ExitCode.DONE


@command.command("check", short_help="everything that is wrong with a settings file")
@click.argument("file", required=False, type=click.Path(path_type=Path))
@pass_session
def check(session: Session, *, file: Path | None) -> int:
    """Say everything that is wrong with a settings file; exit 2 if anything is.

    \b
    Examples:
      llm-cache config check
      llm-cache config check deploy/cache.toml
    """
    from llm_cache.config import check_config, load_config

    problems = check_config(file or session.config_path)
    for problem in problems:
        session.err.line(Styled("error:", Style.FAILED), f" {problem}")
    if problems:
        return ExitCode.USAGE
    config = load_config(file or session.config_path)
    if config.source is None:
        session.tell(NO_FILE)
        return ExitCode.DONE
    held = f"{counted(len(config.prefixes), 'prefix', 'prefixes')}, "
    held += counted(len(config.warm), "set to warm", "sets to warm")
    session.tell(f"{config.source} is all right: {held}.")
    return ExitCode.DONE


@command.command("init", short_help="write a first cache.toml")
@click.option("--force", is_flag=True, help="Replace a file that is there.")
@pass_session
def init(session: Session, *, force: bool) -> None:
    """Write a first cache.toml, with every setting explained, here or where --config says.

    \b
    Example:
      llm-cache config init
    """
    from llm_cache.cli.output.atomic_file import atomic_writer
    from llm_cache.config import config_path
    from llm_cache.config.json_schema import first_file

    named = config_path(session.config_path) if session.config_path is not None else None
    target = named or Path(FIRST_NAME)
    if not force and os.path.lexists(target):
        raise Failure(message=f"{target} is there already", hint="--force replaces it")
    # Nobody but its owner may change it, or it is not trusted.
    with atomic_writer(target, mode=0o644) as file:
        file.write(first_file().encode())
    session.tell(f"Wrote {target}. Edit it, then: llm-cache config check")


@command.command("schema", short_help="the JSON Schema of cache.toml, for editors")
@pass_session
def schema(session: Session) -> None:
    """Print the JSON Schema of cache.toml, by which editors complete and check it.

    An editor that knows taplo's directive finds it by a first line `#:schema ./cache.schema.json`;
    config init names the installed file there.

    \b
    Example:
      llm-cache config schema > cache.schema.json
    """
    from llm_cache.config.json_schema import schema_text

    session.out.exact(schema_text())


def _write_table(session: Session, settings: list[ShownSetting]) -> None:
    from llm_cache.cli.output.table import Column, write_table

    columns = (Column("SETTING", least=16), Column("VALUE", least=8), Column("FROM", least=12))
    rows = ((setting.key, setting.shown, str(setting.origin)) for setting in settings)
    write_table(session.out, columns, rows)


def _as_json(session: Session, settings: list[ShownSetting]) -> dict[str, object]:
    source = session.config.source
    return {
        "schema": 1,
        "source": None if source is None else str(source),
        "settings": {
            setting.key: {
                "value": setting.value,
                "origin": str(setting.origin),
                "kind": setting.origin.kind.value,
                "file": None if setting.origin.path is None else str(setting.origin.path),
                "line": setting.origin.line,
            }
            for setting in settings
        },
    }
