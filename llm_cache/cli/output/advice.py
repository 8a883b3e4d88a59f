"""Suggests maintenance of a cache, each with the command that does it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from rich.cells import cell_len

from llm_cache.cli.output.formatting import counted, percent
from llm_cache.core.units import format_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from llm_cache.api.upkeep import Measured, Upkeep
    from llm_cache.cli.output.screen import Screen

FULL_FROM: Final = 0.95
"""From this part of `max_disk` on it is told: making room stops at 90%."""
UNUSED_FROM: Final = 0.1
UNUSED_PREFIXES: Final = 3
_GAP: Final = "   "
_TROUBLE: Final = ("errors", "not_stored")


class Advice(NamedTuple):
    """A finding, and the command that acts on it."""

    text: str
    command: str


def advice(
    stats: Mapping[str, Any], upkeep: Upkeep, *, by: str, since: str | None, has_sets: bool
) -> list[Advice]:
    """Suggests maintenance by the figures of a cache, the most useful first.

    `by` and `since` are the flags they were asked for with; `has_sets` says whether there is
    something to warm.
    """
    found: list[Advice] = []
    if not stats["total"]["entries"]:
        was_used = stats["since"] is not None or since is not None
        found += _advice_if_empty(was_used=was_used, has_sets=has_sets)
    found += _advice_on_size(stats, upkeep)
    found += _advice_on_unused(stats["prefixes"], upkeep)
    if by != "day" and any(stats["total"][name] for name in _TROUBLE):
        within = f" --since {shlex.quote(since)}" if since else ""
        found.append(Advice("the trouble, day by day", f"llm-cache stats --by day{within}"))
    if upkeep.trash.entries:
        found.append(Advice(_holding(upkeep.trash, "{} in the trash"), "llm-cache restore"))
    return found


def write_advice(screen: Screen, found: Sequence[Advice]) -> None:
    """Writes advice, the commands below each other; on lines of their own where it is narrow."""
    shown = [Advice(screen.printable(each.text), screen.printable(each.command)) for each in found]
    widest = max((cell_len(each.text) for each in shown), default=0)
    room = screen.columns - len("! ") - widest - len(_GAP)
    is_wide = all(cell_len(each.command) <= room for each in shown)
    for text, command in shown:
        if is_wide:
            screen.line("! ", text, " " * (widest - cell_len(text)), _GAP, command)
        else:
            screen.line("! ", text)
            screen.line("  ", command)


def _advice_if_empty(*, was_used: bool, has_sets: bool) -> Iterator[Advice]:
    if not was_used:
        yield Advice("nothing is kept here; is it the right place?", "llm-cache config show")
    if has_sets:
        yield Advice("the sets of the settings are not warm", "llm-cache warm --dry-run")


def _advice_on_size(stats: Mapping[str, Any], upkeep: Upkeep) -> Iterator[Advice]:
    if upkeep.expired is None:
        return  # one tenant's: what there is room for is an affair of all
    if upkeep.expired.entries:
        yield Advice(_holding(upkeep.expired, "expired {}"), "llm-cache prune")
    share = stats["disk_bytes"] / stats["max_disk"]
    if share >= FULL_FROM:
        yield Advice(f"{percent(share)} of max_disk is taken", "llm-cache prune --dry-run")


def _advice_on_unused(prefixes: Mapping[str, Mapping[str, Any]], upkeep: Upkeep) -> list[Advice]:
    """The prefixes that are asked for, and have many entries that nobody asked for."""
    told = {
        prefix: number
        for prefix, number in upkeep.unused.items()
        if prefix in prefixes
        and prefixes[prefix]["hit_rate"] is not None
        and number >= UNUSED_FROM * prefixes[prefix]["entries"]
    }
    most = sorted(told, key=lambda prefix: (-told[prefix], prefix))[:UNUSED_PREFIXES]
    more = "" if upkeep.unused_is_all else " or more"
    return [
        Advice(f"{prefix}: {told[prefix]:,}{more} {noun} never hit", _list_unused(prefix))
        for prefix in most
        for noun in ["entry" if told[prefix] == 1 and not more else "entries"]
    ]


def _list_unused(prefix: str) -> str:
    which = f"--prefix={prefix}" if prefix.startswith("-") else prefix
    return f"llm-cache ls {shlex.quote(which)} --unused"


def _holding(measured: Measured, which: str) -> str:
    """`19 expired entries hold 88 KiB`; where there may be more, without their size."""
    one, many = which.format("entry"), which.format("entries")
    if not measured.is_all:
        return f"{measured.entries:,} or more {many}"
    verb = "holds" if measured.entries == 1 else "hold"
    return f"{counted(measured.entries, one, many)} {verb} {format_size(measured.size_bytes)}"
