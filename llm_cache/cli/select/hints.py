"""Suggests what may have been meant where a filter matches nothing."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from llm_cache.cli.errors import did_you_mean
from llm_cache.cli.output.entries import params_of
from llm_cache.cli.select.filters import EntryFilter, did_you_mean_prefix, entries, hint_if_unknown

if TYPE_CHECKING:
    from collections.abc import Iterable

    from llm_cache.api.cache import LLMCache
    from llm_cache.core.entry import EntryInfo

SAMPLE_ENTRIES: Final = 1000


def hint_in_cache(cache: LLMCache, wanted: EntryFilter) -> str | None:
    """A hint where no entry of the cache matches."""
    of_prefix = EntryFilter(prefix=wanted.prefix, prefix_start=wanted.prefix_start)
    return hint_if_unknown(cache, wanted) or _hint(wanted, entries(cache, of_prefix))


def hint_among(infos: Iterable[EntryInfo], wanted: EntryFilter) -> str | None:
    """A hint where none of these entries, of any prefix, matches."""
    there = list(islice(infos, SAMPLE_ENTRIES))
    known = {info.prefix for info in there}
    return did_you_mean_prefix(wanted, known) or _hint(wanted, filter(wanted.is_of_prefix, there))


def _hint(wanted: EntryFilter, infos: Iterable[EntryInfo]) -> str | None:
    sample = list(islice(infos, SAMPLE_ENTRIES))
    return (
        _of_params(wanted, sample)
        or _of_text("model", wanted.model, (info.model for info in sample))
        or _of_text("version", wanted.version, (info.version for info in sample))
    )


def _of_params(wanted: EntryFilter, sample: list[EntryInfo]) -> str | None:
    names = {name for info in sample for name in params_of(info)}
    for param in wanted.params:
        if names and param.name not in names:
            guess = did_you_mean(param.name, names)
            return guess or f"none of them has a param '{param.name}'"
    return None


def _of_text(what: str, typed: str | None, there: Iterable[str | None]) -> str | None:
    known = {text for text in there if text}
    if not typed or typed in known:
        return None
    guess = did_you_mean(typed, known)
    return guess and f"{guess.removesuffix('?')} as the {what}?"
