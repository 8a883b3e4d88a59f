"""Which entries a command is about: the same flags wherever entries are chosen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from llm_cache.cli.failures import ExitCode, Failure, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llm_cache.cache import LLMCache
    from llm_cache.entry import EntryInfo

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True)
class Wanted:
    """The entries a user chose; every field that is set narrows it."""

    prefix: str | None = None

    @property
    def is_everything(self) -> bool:
        """Whether nothing was narrowed down."""
        return self.prefix is None

    def __str__(self) -> str:
        """As the end of a sentence: ` of prefix 'intro_page'`."""
        return "" if self.prefix is None else f" of prefix '{self.prefix}'"


def selection_flags(command: F) -> F:
    """Gives a command the flags that choose entries; what they say is its `wanted`."""
    return click.option(
        "-p", "--prefix", "wanted", metavar="PREFIX", callback=_to_wanted,
        help="Only entries of exactly this prefix.",
    )(command)  # fmt: skip


def narrowed(wanted: Wanted, prefix: str | None) -> Wanted:
    """`wanted`, with the prefix that was given as an argument instead of a flag.

    Raises:
        Failure: both were given, and differ.
    """
    if prefix is None:
        return wanted
    if wanted.prefix not in {None, prefix}:
        raise Failure(
            message=f"two prefixes are given, '{prefix}' and '{wanted.prefix}'",
            hint="keep one of them",
            code=ExitCode.USAGE,
        )
    return Wanted(prefix=_checked(prefix))


def entries(cache: LLMCache, wanted: Wanted, *, limit: int | None = None) -> Iterator[EntryInfo]:
    """The chosen entries by prefix, newest first, read as they are taken."""
    return cache.entries(wanted.prefix, limit=limit)


def hint_if_unknown(cache: LLMCache, wanted: Wanted) -> str | None:
    """A hint for who chose a prefix that nothing is kept under."""
    if wanted.prefix is None:
        return None
    return did_you_mean(wanted.prefix, set(cache.get_stats()["prefixes"]) - {wanted.prefix})


def _to_wanted(_ctx: click.Context, _param: click.Parameter, prefix: str | None) -> Wanted:
    return Wanted(prefix=None if prefix is None else _checked(prefix))


def _checked(prefix: str) -> str:
    from llm_cache.keys import check_prefix

    return check_prefix(prefix)
