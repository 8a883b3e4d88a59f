"""How long `cache.why` takes to find the nearest entry where a prefix has 100,000.

Measured on a miss, where the newest 1,000 are compared, for requests of few and of many params.
Exits 1 if the limit is missed.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import apsw

from llm_cache import LLMCache
from llm_cache.core.entry import Entry, taken_bytes
from llm_cache.core.keys import Identity, canonical_params
from llm_cache.store.sqlite._rows import INSERT, to_row

ENTRIES = 100_000
ROUNDS = 9
LIMIT_S = 0.5
PREFIX = "lesson_page"
PARAMS = (2, 6, 12)
BODY = b'"' + b"Adding fractions means finding one name for two parts. " * 9 + b'"'
SUM_UP = (
    "INSERT INTO totals SELECT tenant, prefix, count(*), sum(size_bytes + length(params)), "
    "sum(value_bytes) FROM entries GROUP BY 1, 2"
)


def params_of(number: int, params: int) -> dict[str, object]:
    """So many params, half of them alike in many entries."""
    return {f"p{i}": number if i % 2 else number % (7 + i) for i in range(params)}


def entries(params: int) -> Iterator[Entry]:
    """As `put` keeps them."""
    now = time.time()
    for number in range(ENTRIES):
        identity = Identity(PREFIX, canonical_params(params_of(number, params)))
        yield Entry(
            key=identity.key,
            request=identity.request,
            params_json=identity.params_json,
            prefix=PREFIX,
            encoding="json",
            size_bytes=taken_bytes(BODY, identity.params_json),
            value_bytes=len(BODY),
            created_at=now,
            used_at=now,
            body=BODY,
        )


def fill(directory: Path, params: int) -> None:
    """Makes the cache, as quickly as SQLite takes it."""
    with LLMCache(directory) as cache:
        cache._engine.components.store.open()
    connection = apsw.Connection(str(directory / "cache.db"))
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.executemany(INSERT, map(to_row, entries(params)))
        connection.execute(SUM_UP)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def seconds(directory: Path, params: int) -> list[float]:
    """What each of some requests that miss takes; the first opens the file."""
    taken: list[float] = []
    with LLMCache(directory) as cache:
        for number in range(ROUNDS):
            wanted = {**params_of(ENTRIES - 1 - number * 97, params), "p0": "another"}
            begun = time.perf_counter()
            why = cache.why(PREFIX, params=wanted)
            taken.append(time.perf_counter() - begun)
            assert [each.param for each in why.differences] == ["p0"]
    return taken


def main() -> int:
    """Prints the figures; 1 if a typical answer takes longer than the limit."""
    is_missed = False
    for params in PARAMS:
        with tempfile.TemporaryDirectory() as name:
            directory = Path(name) / "cache"
            fill(directory, params)
            taken = seconds(directory, params)
        typical = median(taken)
        is_missed |= typical > LIMIT_S
        print(
            f"why, {ENTRIES:,} entries of {params:>2} params: median {typical * 1000:4.0f} ms   "
            f"longest {max(taken) * 1000:4.0f} ms   limit {LIMIT_S * 1000:g} ms for the median   "
            f"{'MISSED' if typical > LIMIT_S else 'ok'}",
            flush=True,
        )
    return int(is_missed)


if __name__ == "__main__":
    sys.exit(main())
