"""Caches of very many entries, made as quickly as SQLite takes them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import apsw

from llm_cache import LLMCache
from llm_cache.core.entry import Entry, taken_bytes
from llm_cache.core.keys import Identity, canonical_params
from llm_cache.core.values.codec import UNTYPED, NotStorable
from llm_cache.store.sqlite._rows import INSERT, to_row

SUM_UP = (
    "INSERT INTO totals SELECT tenant, prefix, count(*), sum(size_bytes + length(params)), "
    "sum(value_bytes) FROM entries GROUP BY 1, 2"
)


def fill(directory: Path, number: int, *, expired: int = 0) -> None:
    """Makes a cache of so many texts of 0.5 KB under two prefixes; some are past a ttl of 7 d."""
    with LLMCache(directory) as cache:
        cache._engine.components.store.open()
    connection = apsw.Connection(str(directory / "cache.db"))
    connection.execute("PRAGMA synchronous = OFF")
    with connection:
        connection.executemany(INSERT, map(to_row, _entries(number, expired)))
        connection.execute(SUM_UP)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()


def _entries(number: int, expired: int) -> Iterator[Entry]:
    now = time.time()
    body = UNTYPED.encode("Adding fractions means finding one name for two parts. " * 9)
    assert not isinstance(body, NotStorable)
    for n in range(number):
        prefix = "intro_page" if n % 3 else "word_problem"
        identity = Identity(prefix, canonical_params({"subject": "math", "n": n}))
        age_s = 30 * 86_400.0 if n < expired else 3600.0
        made_at = now - age_s - n / 1000
        yield Entry(
            key=identity.key,
            request=identity.request,
            params_json=identity.params_json,
            prefix=prefix,
            encoding=body.encoding,
            size_bytes=taken_bytes(body.body, identity.params_json),
            value_bytes=body.value_bytes,
            created_at=made_at,
            generation_seconds=2.0,
            used_at=made_at,
            body=body.body,
        )
