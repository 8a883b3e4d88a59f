"""Writes entries: a table on a terminal, tab-separated in a pipe, JSON on demand."""

from __future__ import annotations

import itertools
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from llm_cache.cli.output.formatting import NEVER, UNKNOWN, duration, iso, money, span
from llm_cache.cli.output.screen import Piece, Style, Styled
from llm_cache.cli.output.table import SAMPLE_ROWS, Column, fit
from llm_cache.cli.output.totals import ListingTotals
from llm_cache.core.freshness import Freshness
from llm_cache.core.units import FOREVER, format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from llm_cache.api.cache import LLMCache
    from llm_cache.cli.output.screen import Piece, Screen
    from llm_cache.core.entry import EntryInfo


SHOWN_VALUE_CHARS: Final = 200
"""As much of one param as a table can need."""


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
            return Styled(self.state, Style.EXPIRING)
        return NEVER if self.expires_at == FOREVER else f"in {span(self.expires_at - self.now)}"

    @property
    def judged(self) -> Piece:
        """`fresh`, `stale`, `fallback` or `expired`."""
        is_fresh = self.state == Freshness.FRESH
        return Styled(self.state, Style.FRESH if is_fresh else Style.EXPIRING)

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
class EntryColumn:
    """A column, what it shows of an entry, and whether it is there only where it says something."""

    column: Column
    cell: Callable[[Row], Piece]
    only_if: Callable[[EntryInfo], object] | None = None


_WHAT: Final = (
    EntryColumn(Column("ID"), lambda row: row.info.id),
    EntryColumn(
        Column("TENANT", least=6, spare=5), lambda row: row.info.tenant, lambda i: i.tenant
    ),
    EntryColumn(Column("PREFIX", least=8), lambda row: row.info.prefix),
    EntryColumn(
        Column("VERSION", least=7, spare=6), lambda row: row.info.version, lambda i: i.version
    ),
    EntryColumn(Column("PARAMS", least=10), lambda row: row.params),
    EntryColumn(Column("SIZE", right=True, spare=3), lambda row: format_size(row.info.size_bytes)),
    EntryColumn(Column("AGE", right=True, spare=2), lambda row: row.age),
)
_EXPIRES: Final = EntryColumn(Column("EXPIRES", spare=1), lambda row: row.expiry)
_HITS: Final = EntryColumn(Column("HITS", right=True, spare=4), lambda row: f"{row.info.hits:,}")
_SAVED: Final = EntryColumn(Column("SAVED", right=True), lambda row: row.saved)
_STATE: Final = EntryColumn(Column("STATE"), lambda row: row.judged)
_COST: Final = EntryColumn(Column("COST", right=True), lambda row: money(row.info.cost_usd))
_TOOK: Final = EntryColumn(
    Column("TOOK", right=True), lambda row: duration(row.info.generation_seconds)
)

ENTRY_COLUMNS: Final = (*_WHAT, _EXPIRES, _HITS)
SAVINGS_COLUMNS: Final = (*ENTRY_COLUMNS, _SAVED)
REMOVAL_COLUMNS: Final = (*_WHAT, _STATE, _HITS, _COST, _TOOK)


def trash_columns(
    removed: Callable[[EntryInfo], Piece],
    is_anew: Callable[[EntryInfo], bool],
    since: Callable[[EntryInfo], Piece],
) -> tuple[EntryColumn, ...]:
    """The columns of what is in the trash: when it came there, and what happened since."""
    return (
        *_WHAT,
        _EXPIRES,
        EntryColumn(Column("REMOVED"), lambda row: removed(row.info)),
        EntryColumn(Column("SINCE"), lambda row: since(row.info), is_anew),
    )


@dataclass(frozen=True, slots=True)
class View:
    """What a listing tells of each entry: the columns, and more values for a program than `ls`."""

    fields: tuple[EntryColumn, ...] = ENTRY_COLUMNS
    values: Callable[[EntryInfo], tuple[object, ...]] = lambda _: ()
    json: Callable[[EntryInfo], dict[str, object]] = lambda _: {}


LS_VIEW: Final = View()


def state_of(cache: LLMCache, info: EntryInfo) -> str:
    """`fresh`, `stale`, `fallback` or `expired`."""
    freshness = cache.judge(info)
    return "expired" if freshness is Freshness.MISSING else freshness.value


def age(info: EntryInfo, now: float) -> str:
    """How old an entry is; 0 where its clock ran ahead of ours."""
    return span(max(now - info.created_at, 0.0))


def write(
    screen: Screen, cache: LLMCache, infos: Iterable[EntryInfo], view: View = LS_VIEW
) -> ListingTotals:
    """Writes entries as a table for a reader, or as values for a program; of none nothing."""
    coming = iter(infos)
    first = next(coming, None)
    if first is None:
        return ListingTotals()
    write_them = write_table if screen.is_terminal else write_fields
    return write_them(screen, cache, itertools.chain([first], coming), view)


def write_table(
    screen: Screen, cache: LLMCache, infos: Iterable[EntryInfo], view: View = LS_VIEW
) -> ListingTotals:
    """Writes a table of entries, fitted to the screen by the first of them and streamed."""
    totals, now = ListingTotals(), time.time()
    coming = iter(infos)
    sample = list(itertools.islice(coming, SAMPLE_ROWS))
    fields = [f for f in view.fields if f.only_if is None or any(map(f.only_if, sample))]
    order = _most_varied_first(sample)

    def row(info: EntryInfo, *, named: bool) -> list[Piece]:
        params = params_text(info, order.get(info.prefix, []), named=named)
        state, expires_at = state_of(cache, info), cache.expires_at(info)
        shown = Row(info, state, expires_at, now, age(info, now), params)
        return [field.cell(shown) for field in fields]

    titles = [field.column for field in fields]
    named = True
    layout = fit(screen, titles, (row(info, named=True) for info in sample))
    if layout.is_cut("PARAMS"):
        named = False
        layout = fit(screen, titles, (row(info, named=False) for info in sample))
    infos = totals.counting(cache, itertools.chain(sample, coming))
    layout.write(screen, (row(info, named=named) for info in infos))
    return totals


def write_fields(
    screen: Screen, cache: LLMCache, infos: Iterable[EntryInfo], view: View = LS_VIEW
) -> ListingTotals:
    """Writes entries for a program, one a line: the table's columns in full, then the state."""
    totals = ListingTotals()
    for info in totals.counting(cache, infos):
        expires_at = cache.expires_at(info)
        screen.fields(
            info.id,
            info.prefix,
            screen.json_text(params_of(info)),
            info.size_bytes,
            iso(info.created_at) or UNKNOWN,
            NEVER if expires_at == FOREVER else iso(expires_at) or UNKNOWN,
            info.hits,
            state_of(cache, info),
            *(UNKNOWN if value is None else value for value in view.values(info)),
        )
    return totals


def write_preview(
    screen: Screen, cache: LLMCache, infos: Iterable[EntryInfo], view: View, form: str | None
) -> ListingTotals | None:
    """Lists the entries of a dry run; returns their sums, None where the form has none."""
    match form:
        case "json":
            write_json(screen, cache, infos, view, dry_run=True)
        case "ids":
            write_ids(screen, infos)
        case _:
            return write(screen, cache, infos, view)
    return None


def write_json_lines(screen: Screen, cache: LLMCache, infos: Iterable[EntryInfo]) -> None:
    """Writes entries as JSON, one a line."""
    for info in infos:
        screen.json(as_json(cache, info), indent=None)


def write_json(
    screen: Screen,
    cache: LLMCache,
    infos: Iterable[EntryInfo],
    view: View = LS_VIEW,
    **more: object,
) -> None:
    """Writes one JSON document with the entries, as they come; `more` goes before them."""
    head = screen.json_text({"schema": 1, **more}).removesuffix("}")
    screen.put(f'{head}, "entries": [')
    between = "\n "
    for info in infos:
        screen.put(between + screen.json_text({**as_json(cache, info), **view.json(info)}))
        between = ",\n "
    screen.put("]}\n" if between == "\n " else "\n]}\n")


def write_ids(screen: Screen, infos: Iterable[EntryInfo]) -> None:
    """Writes ids, one a line."""
    for info in infos:
        screen.line(info.id)


def as_json(cache: LLMCache, info: EntryInfo) -> dict[str, object]:
    """An entry for a program: instants in ISO 8601, sizes in bytes, null for what is not known."""
    return {
        "id": info.id,
        "key": info.key.hex(),
        "prefix": info.prefix,
        "params": params_of(info),
        "variant": info.variant,
        "version": info.version,
        "tenant": info.tenant,
        "state": state_of(cache, info),
        "created_at": iso(info.created_at),
        "expires_at": iso(cache.expires_at(info)),
        "size_bytes": info.size_bytes,
        "value_bytes": info.value_bytes,
        "hits": info.hits,
        "last_used_at": iso(info.last_used_at),
        "generation_seconds": info.generation_seconds,
        "model": info.model,
        "input_tokens": info.input_tokens,
        "output_tokens": info.output_tokens,
        "cost_usd": info.cost_usd,
    }


def params_of(info: EntryInfo) -> dict[str, object]:
    """The params of an entry; those of one that was tampered with, as the text that is there."""
    try:
        return dict(info.params)
    except (ValueError, TypeError, AttributeError):
        return {"(not params)": info.params_json.decode("utf-8", "backslashreplace")}


def params_text(info: EntryInfo, order: Iterable[str] = (), *, named: bool) -> str:
    """Params on one line, those of `order` first: `grade=5 topic=fractions`, or `5 fractions`."""
    params = params_of(info)
    names = [name for name in order if name in params]
    names += [name for name in params if name not in names]
    texts = ((name, value_text(params[name])) for name in names)
    return " ".join(f"{name}={text}" if named else text for name, text in texts)


def value_text(value: object) -> str:
    """A param's value on one line; a text as it is, anything else as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return text[:SHOWN_VALUE_CHARS]


def _most_varied_first(sample: Iterable[EntryInfo]) -> dict[str, list[str]]:
    """By prefix, the names of its params, those with the most different values first."""
    seen: dict[str, dict[str, set[str]]] = {}
    for info in sample:
        values = seen.setdefault(info.prefix, {})
        for name, value in params_of(info).items():
            values.setdefault(name, set()).add(value_text(value))
    return {
        prefix: sorted(values, key=lambda name: (-len(values[name]), name))
        for prefix, values in seen.items()
    }
