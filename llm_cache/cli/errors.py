"""Maps exceptions to what the command line reports: an error line, a hint, an exit code."""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, Final

import click

from llm_cache.errors import CacheError, ConfigError, PrefixError

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitCode(IntEnum):
    """The exit codes of every command."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    NOT_FOUND = 3
    INTERRUPTED = 130


class Failure(Exception):  # noqa: N818 - it need not be an error: "needs --yes" is none
    """A command cannot go on: why, what to do about it, and the exit code."""

    def __init__(
        self, *, message: str, hint: str | None = None, code: ExitCode = ExitCode.FAILED
    ) -> None:
        super().__init__(message)
        self.message: Final = message
        self.hint: Final = hint
        self.code: Final = code


def did_you_mean(name: str, known: Iterable[str]) -> str | None:
    """A hint with what `name` is likely to stand for; None if nothing known resembles it."""
    from difflib import get_close_matches

    close = get_close_matches(name, sorted(known), n=1, cutoff=0.6)
    return f"did you mean '{close[0]}'?" if close else None


def explain(error: Exception) -> Failure:  # noqa: PLR0911 - one for each kind of error
    """Maps any exception to the failure that the user sees."""
    match error:
        case Failure():
            return error
        case click.UsageError():
            return _usage(error)
        case click.ClickException():
            return Failure(message=error.format_message())
        case CacheError():
            return _cache_error(error)
        case OSError():
            return Failure(message=_os_error(error))
        case RecursionError() | MemoryError():
            return Failure(
                message=f"{type(error).__name__}: something here is larger than the machine takes"
            )
        case _:
            return Failure(
                message=f"{type(error).__name__}: {error}".removesuffix(": "),
                hint="this should not happen: --debug shows where it did",
            )


def _usage(error: click.UsageError) -> Failure:
    possibilities: list[str] | None = getattr(error, "possibilities", None)
    if possibilities:
        hint = f"did you mean {possibilities[0]}?"
        return Failure(message=_normalized(error.message), hint=hint, code=ExitCode.USAGE)
    path = error.ctx.command_path if error.ctx is not None else "llm-cache"
    hint = f"{path} --help shows what it takes"
    return Failure(message=_normalized(error.format_message()), hint=hint, code=ExitCode.USAGE)


def _cache_error(error: CacheError) -> Failure:
    code = ExitCode.USAGE if isinstance(error, ConfigError | PrefixError) else ExitCode.FAILED
    message, mark, guess = str(error).partition("; did you mean ")
    if mark:
        guess, _, more = guess.partition("? ")
        return Failure(
            message=f"{message} {more}".rstrip(),
            hint=f"did you mean {guess.rstrip('?')}?",
            code=code,
        )
    return Failure(message=message, code=code)


def _os_error(error: OSError) -> str:
    reason = error.strerror or str(error) or type(error).__name__
    reason = reason[:1].lower() + reason[1:]
    return f"{error.filename}: {reason}" if error.filename is not None else reason


def _normalized(message: str) -> str:
    """Rewrites a message of Click's in our form: lower case, no full stop."""
    message = " ".join(message.split())
    return message[:1].lower() + message[1:].removesuffix(".")
