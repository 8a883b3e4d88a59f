"""Finds commands by a table of names, so that help and completion import none of them."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final

import click

from llm_cache.cli.errors import ExitCode, Failure, did_you_mean
from llm_cache.cli.output.screen import ColourChoice
from llm_cache.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    from click.shell_completion import CompletionItem


@dataclass(frozen=True, slots=True)
class Spec:
    """A command: its module, its line of help, and its aliases."""

    module: str
    short_help: str
    aliases: tuple[str, ...] = ()


COMMANDS: Final = {
    "ls": Spec("ls", "what is in the cache", ("list",)),
    "inspect": Spec("inspect", "one entry: where it came from, what it saved, its text", ("show",)),
    "invalidate": Spec("invalidate", "drop entries: by id, or by the flags of ls", ("rm",)),
    "restore": Spec("restore", "take an invalidation back, within 7 days"),
    "prune": Spec("prune", "sweep expired entries, and enforce max_disk"),
    "warm": Spec("warm", "generate what cache.toml lists and is not there yet"),
    "stats": Spec("stats", "what it holds, its hit rate, what it saved"),
    "why": Spec("why", "would this request hit? if not: what differs from the nearest entry"),
    "clear": Spec("clear", "drop everything; says how much first"),
    "export": Spec("export", "write entries to a file, for another cache or machine"),
    "import": Spec("import_", "take entries of an export in"),
    "doctor": Spec("doctor", "is everything all right? --repair what can be"),
    "config": Spec("config", "the settings in force and where each came from"),
    "completion": Spec("completion", "the completion of bash, zsh or fish"),
}
"""In the order they are wanted."""


class Command(click.Command):
    """A command that takes the global flags too, wherever on the line they stand."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault(
            "epilog", "The flags of llm-cache itself (llm-cache --help) may stand here too."
        )
        super().__init__(*args, **kwargs)
        self.params.extend(global_flags(hidden=True))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The flags that begin so; those of `llm-cache` itself where the command has none."""
        found = super().shell_complete(ctx, incomplete)
        if found or not incomplete.startswith("--"):
            return found
        from click.shell_completion import CompletionItem

        return [
            CompletionItem(name, help=flag.help)
            for flag in global_flags(hidden=False)
            for name in flag.opts
            if name.startswith(incomplete)
        ]


class SubGroup(click.Group):
    """A command that has commands of its own."""

    command_class: type[click.Command] | None = Command
    hides_global_flags = True

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(global_flags(hidden=self.hides_global_flags))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Finds the command that the first argument names.

        Raises:
            Failure: there is none; it says what might have been meant.
        """
        name = args[0]
        if ctx.resilient_parsing or self.get_command(ctx, name) is not None:
            return super().resolve_command(ctx, args)
        raise Failure(
            message=f"there is no command '{name}'",
            hint=did_you_mean(name, self.known_names()) or f"{ctx.command_path} --help lists them",
            code=ExitCode.USAGE,
        )

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order they were declared."""
        del ctx
        return list(self.commands)

    def known_names(self) -> list[str]:
        """Every name a user may have meant."""
        return list(self.commands)


class Commands(SubGroup):
    """The group of all commands; a command's module is imported when it is used."""

    hides_global_flags = False
    aliases: ClassVar[dict[str, str]] = {
        alias: name for name, spec in COMMANDS.items() for alias in spec.aliases
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The commands in the order they are wanted."""
        del ctx
        return list(COMMANDS)

    def known_names(self) -> list[str]:
        """Every name a user may have meant."""
        return [*COMMANDS, *self.aliases]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name or alias."""
        del ctx
        spec = COMMANDS.get(self.aliases.get(cmd_name, cmd_name))
        if spec is None:
            return None
        command: click.Command = importlib.import_module(
            f"llm_cache.cli.commands.{spec.module}"
        ).command
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem[str]]:
        """The commands that begin so; other names of them where nothing else does."""
        from click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            return click.Command.shell_complete(self, ctx, incomplete)
        names = [name for name in COMMANDS if name.startswith(incomplete)]
        names = names or [alias for alias in self.aliases if alias.startswith(incomplete)]
        return [
            CompletionItem(name, help=COMMANDS[self.aliases.get(name, name)].short_help)
            for name in names
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Lists the commands without importing them."""
        del ctx
        with formatter.section("Commands"):
            rows = [
                (" ".join([name, *(f"({alias})" for alias in spec.aliases)]), spec.short_help)
                for name, spec in COMMANDS.items()
            ]
            formatter.write_dl(rows)


def help_if_alone(ctx: click.Context) -> None:
    """Shows the help of a group that was called without a command, and exits with 2."""
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help(), err=True)
        ctx.exit(ExitCode.USAGE)


def global_flags(*, hidden: bool) -> list[click.Option]:
    """The flags that every command takes."""
    from llm_cache.cli import completion

    path = click.Path()  # as text: a Path of code's is taken as it is, dollars and all
    choices = [choice.value for choice in ColourChoice]
    return [
        _global("--config", "config_path", type=path, metavar="PATH", hidden=hidden,
                help="The settings file; else LLM_CACHE_CONFIG, else the nearest cache.toml."),
        _global("--cache-dir", "cache_dir", type=path, metavar="DIR", hidden=hidden,
                shell_complete=completion.directories,
                help="The cache's directory; else LLM_CACHE_DIR, else what the settings say."),
        _global("--tenant", "tenant", metavar="NAME", hidden=hidden,
                shell_complete=completion.tenants,
                help="Only what is that tenant's; else LLM_CACHE_TENANT, else all."),
        _global("--color", "colour", type=click.Choice(choices), hidden=hidden,
                help="When to use colour; auto: on a terminal, unless NO_COLOR is set."),
        _global("--debug", "debug", is_flag=True, default=None, hidden=hidden,
                help="Show the traceback of an error."),
    ]  # fmt: skip


def _global(flag: str, name: str, **kwargs: Any) -> click.Option:
    return click.Option([flag, name], expose_value=False, callback=_remember(name), **kwargs)


def _remember(name: str) -> Callable[[click.Context, click.Parameter, Any], None]:
    """Keeps a global flag in the session, where it may have been set already."""

    def remember(ctx: click.Context, _param: click.Parameter, value: Any) -> None:
        if value is not None:
            if name == "colour":
                value = ColourChoice(value)
            setattr(ctx.ensure_object(Session), name, value)

    return remember
