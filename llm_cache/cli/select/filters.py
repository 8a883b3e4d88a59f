"""Filters entries by the flags that all commands share."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

from llm_cache.cli import completion
from llm_cache.cli.errors import ExitCode, Failure, did_you_mean
from llm_cache.cli.select import parse

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from llm_cache.api.cache import LLMCache
    from llm_cache.cli.select.order import SortOrder
    from llm_cache.cli.select.parse import TypedParam
    from llm_cache.core.entry import EntryInfo

F = TypeVar("F", bound="Callable[..., Any]")


@dataclass(frozen=True, slots=True, kw_only=True)
class EntryFilter:
    """A filter of entries; every field that is set narrows it.

    `words` is what the flags say, for a reader. Instants are epoch seconds, sizes bytes.
    """

    prefix: str | None = None
    prefix_start: str | None = None
    params: tuple[TypedParam, ...] = ()
    model: str | None = None
    version: str | None = None
    states: frozenset[str] = frozenset()
    made_before: float | None = None
    used_before: float | None = None
    is_unused: bool = False
    larger_than: int | None = None
    words: tuple[str, ...] = ()

    @property
    def is_everything(self) -> bool:
        """Whether nothing was with_prefix down."""
        return self.prefix is None and self.prefix_start is None and not self.is_filtered

    @property
    def is_filtered(self) -> bool:
        """Whether anything but a prefix was given."""
        return replace(self, prefix=None, prefix_start=None) != EntryFilter()

    @property
    def prefix_typed(self) -> str | None:
        """The prefix, or `P*`; None if any will do."""
        return self.prefix if self.prefix_start is None else f"{self.prefix_start}*"

    def __str__(self) -> str:
        """As the end of a sentence: ` of prefix 'intro_page', stale, older than 7d`."""
        words = list(self.words)
        if self.prefix_typed is not None:
            words.insert(0, f"of prefix '{self.prefix_typed}'")
        return " " + ", ".join(words) if words else ""

    def is_of_prefix(self, info: EntryInfo) -> bool:
        """Whether an entry has the prefix, or one of those, that was chosen."""
        if self.prefix_start is not None:
            return info.prefix.startswith(self.prefix_start)
        return self.prefix in (None, info.prefix)

    def matches(self, info: EntryInfo, state_of: Callable[[EntryInfo], str]) -> bool:
        """Whether an entry is one of them; its prefix was looked at before."""
        if self.model is not None and info.model != self.model:
            return False
        if self.version is not None and info.version != self.version:
            return False
        return (
            self._matches_figures(info)
            and (not self.states or state_of(info) in self.states)
            and (not self.params or self._matches_params(info))
        )

    def _matches_figures(self, info: EntryInfo) -> bool:
        return (
            (self.made_before is None or info.created_at < self.made_before)
            and (self.used_before is None or info.used_at < self.used_before)
            and (not self.is_unused or not info.hits)
            and (self.larger_than is None or info.size_bytes > self.larger_than)
        )

    def _matches_params(self, info: EntryInfo) -> bool:
        from llm_cache.cli.output.entries import params_of

        there = params_of(info)
        return all(param.is_in(there) for param in self.params)


def _one(*names: str, **more: Any) -> Callable[[F], F]:
    return click.option(*names, multiple=True, callback=parse.only_one, **more)


_FLAGS: Final = (
    _one("-p", "--prefix", "of_prefix", metavar="PREFIX", shell_complete=completion.prefixes,
         help="Only entries of exactly this prefix, or of all that begin so: 'intro*'."),
    click.option("--param", "params", metavar="NAME=VALUE", multiple=True,
                 help="Only entries with this param; each one given has to be there."),
    _one("--model", metavar="NAME", help="Only entries that this model made.",
         shell_complete=completion.models),
    _one("--version", metavar="V", help="Only entries of this version.",
         shell_complete=completion.versions),
    click.option("--fresh", is_flag=True,
                 help="Only entries within their ttl; of two of these flags either will do."),
    click.option("--stale", is_flag=True,
                 help="Only entries past it that are still given, in grace or as fallbacks."),
    click.option("--expired", is_flag=True, help="Only entries that are given no more."),
    click.option("--older-than", metavar="AGE", multiple=True,
                 help="Only entries made before: 7d, '2 weeks ago', 2026-11-01."),
    click.option("--unused-for", metavar="AGE", multiple=True,
                 help="Only entries neither made nor used since then."),
    click.option("--unused", is_flag=True, help="Only entries that were never used."),
    click.option("--larger-than", metavar="SIZE", multiple=True,
                 help="Only entries that take more: 10KiB, 1.5MB."),
)  # fmt: skip
_NAMES: Final = (
    "of_prefix", "params", "model", "version", "fresh", "stale", "expired", "older_than",
    "unused_for", "unused", "larger_than",
)  # fmt: skip


def selection_flags(command: F) -> F:
    """Adds the flags that filter entries to a command, which gets them as `wanted`."""

    @functools.wraps(command)
    def with_wanted(*args: Any, **kwargs: Any) -> Any:
        given = {name: kwargs.pop(name) for name in _NAMES}
        return command(*args, wanted=_wanted(**given), **kwargs)

    for flag in reversed(_FLAGS):
        with_wanted = flag(with_wanted)
    return with_wanted  # type: ignore[return-value]  # Click keeps what it decorates callable


def with_prefix(wanted: EntryFilter, prefix: str | None) -> EntryFilter:
    """`wanted`, with the prefix that was given as an argument instead of a flag.

    Raises:
        Failure: both were given, and differ.
    """
    if prefix is None:
        return wanted
    exact, start = parse.prefix_of(prefix)
    said = wanted.prefix, wanted.prefix_start
    if said not in {(None, None), (exact, start)}:
        raise Failure(
            message=f"two prefixes are given, '{prefix}' and '{wanted.prefix_typed}'",
            hint="keep one of them",
            code=ExitCode.USAGE,
        )
    return replace(wanted, prefix=exact, prefix_start=start)


def entries(
    cache: LLMCache,
    wanted: EntryFilter,
    *,
    order: SortOrder | None = None,
    limit: int | None = None,
) -> Iterator[EntryInfo]:
    """The chosen entries by prefix, newest first, or in another order; read as they are taken."""
    if order is None and not wanted.is_filtered and wanted.prefix_start is None:
        return cache.entries(wanted.prefix, limit=limit)
    found = matching(cache, wanted, _of_prefixes(cache, wanted))
    return islice(found, limit) if order is None else order.sort(cache, found, limit)


def matching(
    cache: LLMCache, wanted: EntryFilter, infos: Iterable[EntryInfo]
) -> Iterator[EntryInfo]:
    """Those of some entries that are wanted; their prefixes were looked at before."""
    from llm_cache.cli.output.entries import state_of

    for info in infos:
        if wanted.matches(info, lambda info: state_of(cache, info)):
            yield info


def _of_prefixes(cache: LLMCache, wanted: EntryFilter) -> Iterator[EntryInfo]:
    if wanted.prefix_start is None:
        yield from cache.entries(wanted.prefix)
        return
    for prefix in sorted(cache.get_stats()["prefixes"]):
        if prefix.startswith(wanted.prefix_start):
            yield from cache.entries(prefix)


def hint_if_unknown(cache: LLMCache, wanted: EntryFilter) -> str | None:
    """A hint if nothing is stored under the prefix that was chosen."""
    if wanted.prefix_typed is None:
        return None
    counts = cache.get_stats()["prefixes"]
    if wanted.prefix in counts:
        return None  # nothing is kept of it, but it is one
    return did_you_mean_prefix(wanted, [name for name in counts if counts[name]["entries"]])


def did_you_mean_prefix(wanted: EntryFilter, known: Iterable[str]) -> str | None:
    """A hint with the known prefix, or beginning of one, that was probably meant."""
    names, exact, start = set(known), wanted.prefix, wanted.prefix_start
    if exact is not None and exact not in names:
        longer = any(name.startswith(exact) for name in names)
        return did_you_mean(exact, names) or (f"did you mean '{exact}*'?" if longer else None)
    if start and not any(name.startswith(start) for name in names):
        return did_you_mean(f"{start}*", {f"{name[: len(start)]}*" for name in names})
    return None


def _wanted(  # noqa: PLR0913 - one for each flag
    *,
    of_prefix: str | None,
    params: tuple[str, ...],
    model: str | None,
    version: str | None,
    fresh: bool,
    stale: bool,
    expired: bool,
    older_than: tuple[str, ...],
    unused_for: tuple[str, ...],
    unused: bool,
    larger_than: tuple[str, ...],
) -> EntryFilter:
    states = {
        **({"fresh": "fresh"} if fresh else {}),
        **({"stale": "stale", "fallback": "stale"} if stale else {}),
        **({"expired": "expired"} if expired else {}),
    }
    said = (
        *(f"with {param}" for param in params),
        model is not None and f"by {model}",
        version is not None and f"of version '{version}'",
        bool(states) and f"that is {' or '.join(dict.fromkeys(states.values()))}",
        *(f"older than {age}" for age in older_than),
        *(f"not used for {age}" for age in unused_for),
        unused and "never used",
        *(f"larger than {size}" for size in larger_than),
    )
    exact, start = (None, None) if of_prefix is None else parse.prefix_of(of_prefix)
    return EntryFilter(
        prefix=exact,
        prefix_start=start,
        params=parse.params(params),
        model=model,
        version=version,
        states=frozenset(states),
        made_before=parse.instant("--older-than", older_than),
        used_before=parse.instant("--unused-for", unused_for),
        is_unused=unused,
        larger_than=parse.size("--larger-than", larger_than),
        words=tuple(words for words in said if words),
    )
