"""The columns that tables of entries are made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llm_cache.cli.output.formatting import NEVER, UNKNOWN, duration, money, span
from llm_cache.cli.output.screen import Marked, Mood, Piece
from llm_cache.cli.output.table import Column
from llm_cache.core.entry import Freshness
from llm_cache.core.units import FOREVER, format_size

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.core.entry import EntryInfo


@dataclass(frozen=True, slots=True)
class Row:
    """An entry, judged, with what its cells are made of."""

    info: EntryInfo
    state: str
    expires_at: float
    now: float
    age: str
    params: str

    @property
    def expiry(self) -> Piece:
        """`in 6d`, `never`, or what it is now if it is not fresh any more."""
        if self.state != Freshness.FRESH:
            return Marked(self.state, Mood.EXPIRING)
        return NEVER if self.expires_at == FOREVER else f"in {span(self.expires_at - self.now)}"

    @property
    def judged(self) -> Piece:
        """`fresh`, `stale`, `fallback` or `expired`."""
        is_fresh = self.state == Freshness.FRESH
        return Marked(self.state, Mood.FRESH if is_fresh else Mood.EXPIRING)

    @property
    def saved(self) -> str:
        """What its hits would have cost, or how long they would have taken; money goes first."""
        hits, usd, seconds = self.info.hits, self.info.cost_usd, self.info.generation_seconds
        if not hits:
            return UNKNOWN
        if usd is not None:
            return money(usd * hits)
        return duration(None if seconds is None else seconds * hits)


@dataclass(frozen=True, slots=True)
class Field:
    """A column, what it shows of an entry, and whether it is there only where it says something."""

    column: Column
    cell: Callable[[Row], Piece]
    only_if: Callable[[EntryInfo], object] | None = None


_WHAT: Final = (
    Field(Column("ID"), lambda row: row.info.id),
    Field(Column("TENANT", least=6, spare=5), lambda row: row.info.tenant, lambda i: i.tenant),
    Field(Column("PREFIX", least=8), lambda row: row.info.prefix),
    Field(Column("VERSION", least=7, spare=6), lambda row: row.info.version, lambda i: i.version),
    Field(Column("PARAMS", least=10), lambda row: row.params),
    Field(Column("SIZE", right=True, spare=3), lambda row: format_size(row.info.size_bytes)),
    Field(Column("AGE", right=True, spare=2), lambda row: row.age),
)
_EXPIRES: Final = Field(Column("EXPIRES", spare=1), lambda row: row.expiry)
_HITS: Final = Field(Column("HITS", right=True, spare=4), lambda row: f"{row.info.hits:,}")
_SAVED: Final = Field(Column("SAVED", right=True), lambda row: row.saved)
_STATE: Final = Field(Column("STATE"), lambda row: row.judged)
_COST: Final = Field(Column("COST", right=True), lambda row: money(row.info.cost_usd))
_TOOK: Final = Field(Column("TOOK", right=True), lambda row: duration(row.info.generation_seconds))

OF_ENTRIES: Final = (*_WHAT, _EXPIRES, _HITS)
WITH_SAVINGS: Final = (*OF_ENTRIES, _SAVED)
OF_WHAT_GOES: Final = (*_WHAT, _STATE, _HITS, _COST, _TOOK)


def of_trash(
    removed: Callable[[EntryInfo], Piece],
    is_anew: Callable[[EntryInfo], bool],
    since: Callable[[EntryInfo], Piece],
) -> tuple[Field, ...]:
    """The columns of what is in the trash: when it came there, and what happened since."""
    return (
        *_WHAT,
        _EXPIRES,
        Field(Column("REMOVED"), lambda row: removed(row.info)),
        Field(Column("SINCE"), lambda row: since(row.info), is_anew),
    )
