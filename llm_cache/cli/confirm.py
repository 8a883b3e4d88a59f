"""Asks for confirmation before something is removed; fails where there is no terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llm_cache.cli.errors import ExitCode, Failure

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.cli.session import Session

F = TypeVar("F", bound="Callable[..., Any]")


def removal_flags(command: F) -> F:
    """Gives a command `--dry-run` and `--yes`."""
    for flag in (
        click.option("-y", "--yes", is_flag=True, help="Do not ask."),
        click.option("-n", "--dry-run", is_flag=True, help="Only say what would go."),
    ):
        command = flag(command)
    return command


def can_ask(session: Session) -> bool:
    """Whether somebody sees the question and can answer it."""
    return sys.stdin is not None and sys.stdin.isatty() and session.err.is_terminal


def confirm(session: Session, question: str, *, what: str) -> bool:
    """Whether the user says yes to `question`; `what` is what would be removed.

    Raises:
        Failure: there is nobody to ask.
    """
    if not can_ask(session):
        raise Failure(
            message=f"{what} would be removed, and there is no terminal to ask on",
            hint="add --yes, or --dry-run to see them",
            code=ExitCode.USAGE,
        )
    session.out.flush()
    session.err.put(session.err.printable(f"{question} [y/N] "))
    session.err.flush()
    answer = sys.stdin.readline()
    if not answer:
        session.err.put("\n")
    if answer.strip().lower() in {"y", "yes"}:
        return True
    session.tell("Nothing was removed.")
    return False
