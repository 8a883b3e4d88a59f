"""Checks the content of the file: whether it is sound, and adds up.

It is read over connections of their own that never write; repairs go the way of every write.
"""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Final

import apsw

from llm_cache.core.freshness import CLOCK_SKEW_S
from llm_cache.core.units import format_size, rough_duration
from llm_cache.errors import StoreError
from llm_cache.store.findings import Finding, Level, Repair
from llm_cache.store.records import TRASH_KEPT_S
from llm_cache.store.sqlite import _counters, _leases, _liveness, _schema
from llm_cache.store.sqlite._connection import run, store_errors
from llm_cache.store.sqlite._corruption import is_damage_of_file, is_damage_of_row
from llm_cache.store.sqlite._entries import is_sound
from llm_cache.store.sqlite._queries import used_bytes
from llm_cache.store.sqlite._repair import (
    count_again,
    drop_damaged_rows,
    drop_dead_leases,
    move_damaged_aside,
    open_once,
)
from llm_cache.store.sqlite._rows import SIZE
from llm_cache.store.sqlite.snapshot import opened

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from llm_cache.store.sqlite.check_files import CacheLocation

    _Check = Callable[[CacheLocation, apsw.Connection], Iterator[Finding]]

QUICK_S: Final = 2.0
WHOLE_S: Final = 30.0
_PAGE: Final = 500
_STEPS: Final = 10_000
_MESSAGES_AT_MOST: Final = 5
_TOTALS: Final = f"""
SELECT count(*) FROM (
SELECT * FROM (
    SELECT tenant, prefix, entries, size_bytes, value_bytes FROM totals
    EXCEPT SELECT tenant, prefix, count(*), sum({SIZE}), sum(value_bytes)
    FROM entries GROUP BY 1, 2)
UNION ALL SELECT * FROM (
    SELECT tenant, prefix, count(*), sum({SIZE}), sum(value_bytes) FROM entries GROUP BY 1, 2
    EXCEPT SELECT tenant, prefix, entries, size_bytes, value_bytes FROM totals))
"""
FILE: Final = "file"


def check_sqlite(version: str = apsw.sqlite_lib_version()) -> Iterator[Finding]:
    """Whether the SQLite in use is one that loses nothing."""
    if tuple(map(int, version.split("."))) < (3, 51, 3):
        text = f"{version} may lose what another process has just written (the WAL-reset bug)"
        yield Finding("sqlite", Level.WARN, text, "upgrade apsw: it is fixed since 3.51.3")
    else:
        yield Finding("sqlite", Level.OK, f"{version}, without the WAL-reset bug")


def check_content(place: CacheLocation, *, is_quick: bool) -> Iterator[Finding]:
    """Everything in the file; nothing where there is none."""
    if not place.file.exists():
        yield Finding(FILE, Level.OK, f"{place.file.name} is not there yet: nothing was kept")
        return
    for check in (
        check_schema,
        *(() if is_quick else (check_entries,)),
        partial(check_file, limit_s=QUICK_S if is_quick else WHOLE_S, is_quick=is_quick),
        *(() if is_quick else (check_totals,)),
        check_size,
        check_clock,
        check_trash,
        check_leases,
        check_counts,
    ):
        found = _guarded(place, check)
        yield from found
        if any(map(_is_in_the_way, found)) and not _is_repaired(place):
            return


def _is_in_the_way(found: Finding) -> bool:
    """Whether nothing else in the file can be looked at before this is repaired."""
    return found.about == FILE and (found.level is Level.FAIL or found.repair is not None)


def _is_repaired(place: CacheLocation) -> bool:
    """Whether a repair has just made the file as a whole sound."""
    try:
        with store_errors("read", place.file), opened(place.file) as connection:
            _schema.refuse_foreign(place.file)
            _schema.refuse_other_versions(connection, str(place.file))
            _schema.refuse_other_tables(connection, str(place.file))
            return _messages(connection, "quick_check", QUICK_S) == ["ok"]
    except StoreError:
        return False


def _guarded(place: CacheLocation, check: _Check) -> list[Finding]:
    """What a check finds; an error of SQLite's is a finding, too."""
    try:
        with store_errors("read", place.file), opened(place.file) as connection:
            return list(check(place, connection))
    except StoreError as error:
        return [_unreadable(place, error)]


def _unreadable(place: CacheLocation, error: StoreError) -> Finding:
    cause = error.__cause__
    if is_damage_of_file(cause) or is_damage_of_row(cause):
        return _damaged(place, str(cause))
    text, _, advice = str(error).rpartition(": ")
    return Finding(FILE, Level.FAIL, text, advice)


def _damaged(place: CacheLocation, what: str) -> Finding:
    return Finding(
        FILE,
        Level.FAIL,
        f"{place.file} is damaged: {what}",
        "whoever meets the damage moves the file aside and takes over what is sound",
        Repair("do so now, and wait for it", partial(move_damaged_aside, place)),
    )


def check_schema(place: CacheLocation, connection: apsw.Connection) -> Iterator[Finding]:
    """Whether the file is ours, and of this release."""
    _schema.refuse_foreign(place.file)
    [[version]] = run(connection, "PRAGMA user_version")
    newest = len(_schema.MIGRATIONS)
    if version < newest:
        text = f"{place.file.name} is of an older release (schema {version}, now {newest})"
        repair = Repair("bring it up to date", partial(open_once, place))
        advice = "nothing: the next process that opens it brings it up to date"
        yield Finding(FILE, Level.WARN, text, advice, repair)
        return
    _schema.refuse_other_tables(connection, str(place.file))
    yield Finding(FILE, Level.OK, f"{place.file.name} is of this release (schema {version})")


def check_entries(place: CacheLocation, connection: apsw.Connection) -> Iterator[Finding]:
    """Whether every entry is what was once written, by its checksum; read one by one."""
    for table, about in (("entries", "entries"), ("trash", "trash")):
        checked, damaged = 0, list[int]()
        for number in _numbers(connection, table):
            checked += 1
            if not is_sound(connection, table, number):
                damaged.append(number)
        if damaged:
            text = f"{len(damaged):,} of {checked:,} are damaged: their checksums do not hold"
            repair = Repair("drop them", partial(drop_damaged_rows, place, table, damaged))
            advice = "nothing: they are never given, and dropped when they are asked for"
            yield Finding(about, Level.FAIL, text, advice, repair)
        elif table == "entries":
            yield Finding(about, Level.OK, f"{checked:,} of {checked:,} checksums hold")


def _numbers(connection: apsw.Connection, table: str) -> Iterator[int]:
    """The numbers of all rows, read in pages: nobody's log waits for this to end."""
    last = -1
    while True:
        sql = f"SELECT number FROM {table} NOT INDEXED WHERE number > ? ORDER BY number LIMIT ?"
        rows = run(connection, sql, (last, _PAGE))
        for (last,) in rows:
            yield last
        if len(rows) < _PAGE:
            return


def check_file(
    place: CacheLocation, connection: apsw.Connection, *, limit_s: float, is_quick: bool
) -> Iterator[Finding]:
    """Whether the file is sound as a whole, looked over for so long at most."""
    pragma = "quick_check" if is_quick else "integrity_check"
    try:
        found = _messages(connection, pragma, limit_s)
    except apsw.InterruptError:
        text = f"nothing is wrong with what could be looked over in {limit_s:g} s"
        yield Finding(FILE, Level.WARN, text, "look again when the machine has less to do")
        return
    if found == ["ok"]:
        yield Finding(FILE, Level.OK, f"{place.file.name} is sound, by SQLite's {pragma}")
    else:
        yield _damaged(place, found[0].partition("\n")[2] or found[0])


def _messages(connection: apsw.Connection, pragma: str, limit_s: float) -> list[str]:
    """What SQLite says of the file. Raises InterruptError if that takes longer."""
    gives_up_at = time.monotonic() + limit_s
    connection.set_progress_handler(lambda: time.monotonic() > gives_up_at, _STEPS)
    try:
        return [str(row[0]) for row in run(connection, f"PRAGMA {pragma}({_MESSAGES_AT_MOST})")]
    finally:
        connection.set_progress_handler(None)


def check_totals(place: CacheLocation, connection: apsw.Connection) -> Iterator[Finding]:
    """Whether the totals per prefix are those of the entries; in one statement, so at one time."""
    [[wrong]] = run(connection, _TOTALS)
    if wrong:
        repair = Repair("count them again", partial(count_again, place))
        text = "the totals by prefix are not those of the entries"
        advice = "stats and footers are off until they are counted again"
        yield Finding("totals", Level.WARN, text, advice, repair)
    else:
        yield Finding("totals", Level.OK, "they agree with the entries")


def check_size(place: CacheLocation, connection: apsw.Connection) -> Iterator[Finding]:
    """How much of `max_disk` is used."""
    used = used_bytes(partial(run, connection))
    text = f"{format_size(used)} of {format_size(place.max_bytes)} are used (max_disk)"
    if used > place.max_bytes:
        yield Finding("size", Level.WARN, text, "llm-cache prune, or raise max_disk")
    else:
        yield Finding("size", Level.OK, text)


def check_clock(place: CacheLocation, connection: apsw.Connection) -> Iterator[Finding]:
    """Whether entries are from the future, as far as that counts."""
    sql = "SELECT count(*), max(created_at) FROM entries WHERE created_at > ?"
    [[ahead, latest]] = run(connection, sql, (place.now + CLOCK_SKEW_S,))
    if ahead:
        by = rough_duration(latest - place.now)
        text = f"{ahead:,} from the future, by up to {by}: not served yet"
        advice = "set the clock of this machine, or drop them: llm-cache ls --sort age:asc"
        yield Finding("clock", Level.WARN, text, advice)
    else:
        yield Finding("clock", Level.OK, "no entry is from the future")


def check_trash(place: CacheLocation, connection: apsw.Connection) -> Iterator[Finding]:
    """What is in the trash, and whether it is emptied in time."""
    sql = f"SELECT count(*), coalesce(sum({SIZE}), 0), min(removed_at) FROM trash"
    [[number, size_bytes, oldest]] = run(connection, sql)
    if not number:
        yield Finding("trash", Level.OK, "it is empty")
        return
    age = rough_duration(place.now - oldest)
    held = "1 entry" if number == 1 else f"{number:,} entries"
    text = f"{held}, {format_size(size_bytes)}, the first came {age} ago"
    if place.now - oldest > TRASH_KEPT_S:
        yield Finding("trash", Level.WARN, text, "llm-cache prune removes what is over 7 days old")
    else:
        yield Finding("trash", Level.OK, text)


def check_leases(place: CacheLocation, connection: apsw.Connection) -> Iterator[Finding]:
    """Who is generating, and who is noted to be, but is not."""
    live = set(_liveness.look(place.directory)[0]) if _has_owners(place) else set[str]()
    rows = run(connection, "SELECT owner, token, boot, deadline FROM leases")
    held = sum(_leases.is_live((o, t, b, d), live.__contains__) for o, t, b, d in rows)
    text = f"{held or 'none'} held by processes that live"
    if held == len(rows):
        yield Finding("leases", Level.OK, text)
        return
    text += f", {len(rows) - held} by dead ones, or run out"
    repair = Repair("remove the dead ones", partial(drop_dead_leases, place))
    yield Finding("leases", Level.WARN, text, "nothing: who needs one takes it over", repair)


def _has_owners(place: CacheLocation) -> bool:
    return (place.directory / _liveness.DIRECTORY_NAME).is_dir()


def check_counts(place: CacheLocation, connection: apsw.Connection) -> Iterator[Finding]:
    """Whether the counts of use can be read."""
    del place
    days = _counters.read(partial(run, connection))
    _counters.read_refusals(partial(run, connection))
    since = f", since {days[0].day}" if days else ""
    yield Finding("counts", Level.OK, f"those of use can be read{since}")
