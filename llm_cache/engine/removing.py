"""Taking entries away: from the store, from flights under way, and from every memory tier."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from llm_cache.errors import StoreError

if TYPE_CHECKING:
    from llm_cache.engine.steps import Parts
    from llm_cache.store.records import Removed, Selection


def remove(parts: Parts, which: Selection, *, keep: bool = False) -> Removed:
    """Drops entries, or moves them to the trash to `keep` them; nobody serves them any more.

    What is being generated for them is not kept. Raises StoreError if that cannot be done.
    """
    parts.flights.void(which.covers)
    try:
        removed = parts.store.remove(which, keep=keep)
    except BaseException:  # some of it may be gone all the same
        with suppress(StoreError):
            _renew_stamps(parts, which)
        raise
    _renew_stamps(parts, which)
    return removed


def _renew_stamps(parts: Parts, which: Selection) -> None:
    stamps = parts.store.stamps  # others once the store is open
    if which.keys is None:
        stamps.renew_all()
    else:
        stamps.renew(which.keys)
