"""The `llm-cache` command: entry point, global flags, and error reporting."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import TYPE_CHECKING, Final, NoReturn

import click

from llm_cache.cli.errors import ExitCode, Failure, explain
from llm_cache.cli.output.screen import ReaderGoneError, Style, Styled
from llm_cache.cli.registry import Commands, help_if_alone
from llm_cache.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Sequence

PROGRAM: Final = "llm-cache"
COMPLETE_VARIABLE: Final = "_LLM_CACHE_COMPLETE"
"""Set by the scripts that Click makes, to `bash_complete` and the like."""


def _show_version(ctx: click.Context, _param: click.Parameter, wanted: bool) -> None:  # noqa: FBT001 - Click calls it
    if wanted and not ctx.resilient_parsing:
        from llm_cache import __version__

        ctx.ensure_object(Session).out.line(f"{PROGRAM} {__version__}")
        ctx.exit()


@click.group(
    cls=Commands,
    invoke_without_command=True,
    options_metavar="[--config PATH] [--cache-dir DIR] [--tenant NAME]",
    subcommand_metavar="COMMAND ...",
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=_show_version,
    help="Show the version and exit.",
)  # fmt: skip
@click.pass_context
def commands(ctx: click.Context) -> None:
    """Look into the cache of what language models generated, and keep it in order.

    \b
    Examples:
      llm-cache ls intro_page              what is kept under a prefix
      llm-cache inspect 9f2c               one entry, with its text
      llm-cache invalidate -p intro_page   have it regenerated from now on
      llm-cache warm                       generate what cache.toml lists
    """  # noqa: D301 - \b is a mark of Click's
    help_if_alone(ctx)


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Runs `llm-cache` and exits with its code."""
    sys.exit(run(sys.argv[1:] if args is None else args))


def run(args: Sequence[str]) -> int:
    """Runs `llm-cache` with these arguments; returns its exit code."""
    session = Session(debug="--debug" in args)
    try:
        code = _run(session, args)
        session.out.flush()
    except ReaderGoneError:
        _discard_stdout()
        return ExitCode.DONE
    except KeyboardInterrupt:
        code = _tell(session, Failure(message="interrupted", code=ExitCode.INTERRUPTED), after="\n")
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets one line
        code = _tell(session, error)
    return code


def _run(session: Session, args: Sequence[str]) -> int:
    instruction = os.environ.get(COMPLETE_VARIABLE)
    try:
        if instruction:
            return _complete(session, instruction)
        with commands.make_context(PROGRAM, list(args), obj=session) as ctx:
            return commands.invoke(ctx) or ExitCode.DONE
    except click.exceptions.Exit as end:
        return end.exit_code
    except BrokenPipeError:  # of Click's own writing, of a help text
        raise ReaderGoneError from None
    finally:
        session.close()


def _complete(session: Session, instruction: str) -> int:
    """Has Click carry out what a script of its own asks: `bash_complete`, `zsh_source`, ...

    Where it cannot, nothing is completed: nobody wants an error within a half-typed line.
    """
    from click.shell_completion import shell_complete

    is_unknown = False
    with contextlib.suppress(Exception, KeyboardInterrupt):
        is_unknown = bool(
            shell_complete(commands, {"obj": session}, PROGRAM, COMPLETE_VARIABLE, instruction)
        )
    if is_unknown:
        raise Failure(
            message=f"{COMPLETE_VARIABLE}={instruction} names no shell or instruction of Click's",
            hint=f"{PROGRAM} completion --help says how to have a shell complete",
            code=ExitCode.USAGE,
        )
    return ExitCode.DONE


def _tell(session: Session, error: Exception, *, after: str = "") -> int:
    """Reports an error on stderr and returns its exit code; `after` ends the line before."""
    failure = explain(error)
    try:
        session.out.flush()
    except (OSError, ReaderGoneError):
        _discard_stdout()
    try:
        if session.debug and not isinstance(error, Failure):
            import traceback

            session.err.put(session.err.multiline("".join(traceback.format_exception(error))))
        session.err.put(after if session.err.is_terminal else "")
        session.err.line(Styled("error:", Style.FAILED), f" {failure.message}")
        if failure.hint is not None:
            session.err.line(f"hint: {failure.hint}")
        session.err.flush()
    except (OSError, ReaderGoneError):
        pass  # nobody listens: the exit code has to do
    return failure.code


def _discard_stdout() -> None:
    """Discards buffered output, so that Python does not try to write it again at exit."""
    with contextlib.suppress(OSError, ValueError), open(os.devnull, "w") as nowhere:  # noqa: PTH123
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
