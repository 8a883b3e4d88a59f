"""Sorts entries by a figure, for `--sort`."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from operator import itemgetter
from typing import TYPE_CHECKING, Final, TypeAlias

import click

from llm_cache.cli.errors import ExitCode, Failure, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from llm_cache.api.cache import LLMCache
    from llm_cache.core.entry import EntryInfo

Place: TypeAlias = tuple[float, ...]
PAGE: Final = 500
_DESCENDING: Final = {"asc": False, "desc": True}


@dataclass(frozen=True, slots=True)
class SortOrder:
    """A sort order by one figure of the entries."""

    by: str
    is_descending: bool

    def sort(
        self, cache: LLMCache, infos: Iterable[EntryInfo], limit: int | None
    ) -> Iterator[EntryInfo]:
        """The entries in this order, `limit` at most.

        Without a limit only their places are kept meanwhile, and the entries read once more.
        """
        place_of, _ = _FIGURES[self.by]
        if limit is not None:
            first = heapq.nlargest if self.is_descending else heapq.nsmallest
            yield from first(limit, infos, key=lambda info: place_of(cache, info))
            return
        places = [(place_of(cache, info), info.key) for info in infos]
        places.sort(key=itemgetter(0), reverse=self.is_descending)
        for at in range(0, len(places), PAGE):
            keys = [key for _, key in places[at : at + PAGE]]
            there = {info.key: info for info in cache.entries(keys=keys)}
            yield from (there[key] for key in keys if key in there)


def _to_order(_ctx: click.Context, _param: click.Parameter, typed: str | None) -> SortOrder | None:
    if typed is None:
        return None
    by, mark, direction = typed.partition(":")
    if by not in _FIGURES or (mark and direction not in _DESCENDING):
        wrong, known = (direction, _DESCENDING) if by in _FIGURES else (by, _FIGURES)
        hint = did_you_mean(wrong, known) or f"sort by {', '.join(_FIGURES)}; then :asc or :desc"
        message = f"--sort {typed}: there is no '{wrong}'"
        raise Failure(message=message, hint=hint, code=ExitCode.USAGE)
    return SortOrder(by, _DESCENDING.get(direction, _FIGURES[by][1]))


def _known_orders(_ctx: click.Context, _param: click.Parameter, typed: str) -> list[str]:
    """For completion: what to sort by, and once that is typed, which way."""
    words = [f"{by}:{way}" for by in _FIGURES for way in _DESCENDING] if ":" in typed else _FIGURES
    return [word for word in words if word.startswith(typed)]


sort_flag: Final = click.option(
    "--sort", "order", metavar="BY", callback=_to_order, shell_complete=_known_orders,
    help="By age, size, hits, expires or saved, what stands out first; or BY:asc, BY:desc.",
)  # fmt: skip


def _saved(_: LLMCache, info: EntryInfo) -> Place:
    return info.hits * (info.cost_usd or 0.0), info.hits * (info.generation_seconds or 0.0)


_FIGURES: Final[dict[str, tuple[Callable[[LLMCache, EntryInfo], Place], bool]]] = {
    "age": (lambda _, info: (-info.created_at,), True),
    "size": (lambda _, info: (info.size_bytes,), True),
    "hits": (lambda _, info: (info.hits,), True),
    "expires": (lambda cache, info: (cache.expires_at(info),), False),
    "saved": (_saved, True),
}
"""By name: the place of an entry, and whether the largest comes first where nobody says."""
