"""Among 100,000 entries of a prefix the nearest is found by an index that holds all it takes."""

import re
import time
from dataclasses import replace

import apsw
import pytest

from llm_cache.api.cache import LLMCache
from llm_cache.core.keys import Identity, canonical_params
from llm_cache.store.sqlite import _listing
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._removal import add_to_totals
from llm_cache.store.sqlite._rows import INSERT, to_row
from tests.conformance.samples import T0, Clock, an_entry

MANY = 100_000
OTHERS = 1000
HANGS_AFTER_S = 10.0
"""Far more than the half second that benchmarks/why.py holds it to: this machine may be busy."""
WAIT_S = 50.0
PREFIX = "lesson_page"

pytestmark = pytest.mark.slow


def params_of(n):
    """The params of a page; no two pages differ in fewer than two."""
    return {"subject": "math", "topic": f"topic {n}", "page": n, "grade": str(n % 12)}


def entry_of(n, prefix=PREFIX, tenant=""):
    """The entry of a page."""
    identity = Identity(prefix, canonical_params(params_of(n)), f"v{n % 3}", tenant)
    return replace(
        an_entry(n, prefix=prefix, tenant=tenant, version=identity.version),
        key=identity.key,
        request=identity.request,
        params_json=identity.params_json,
        created_at=T0 + n / 1000,
    )


def fill(connection):
    """Writes entries as `put` does, in one transaction: of the prefix, of others, of a tenant."""
    groups = ((PREFIX, "", MANY), ("other", "", OTHERS), (PREFIX, "acme", OTHERS))
    for prefix, tenant, count in groups:
        for n in range(count):
            run(connection, INSERT, to_row(entry_of(n, prefix, tenant)))
        size_bytes = entry_of(0).size_bytes * count
        add_to_totals(connection, tenant, prefix, count, size_bytes, size_bytes)


@pytest.fixture(scope="module")
def statements():
    """What every connection that is opened from now on carries out, with its bindings."""
    carried_out = []

    def trace(connection):
        connection.exec_trace = lambda _, sql, bindings: carried_out.append((sql, bindings)) or True

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(apsw, "connection_hooks", [*apsw.connection_hooks, trace])
        yield carried_out


@pytest.fixture(scope="module")
def full(tmp_path_factory, statements):
    """A cache of that many entries."""
    directory = tmp_path_factory.mktemp("scale") / "cache"
    with LLMCache(directory, clock=Clock(T0 + 1000)) as cache:
        store = cache.engine.parts.store
        store.open()
        store._writer.submit(fill).result(WAIT_S)
        yield cache


def plans(cache, statements):
    """The steps of the plan of each different query of entries."""
    with apsw.Connection(str(cache.engine.parts.store.path)) as connection:
        return {
            sql: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
            for sql, bindings in statements
            if sql.lstrip().startswith("SELECT") and "FROM entries" in sql
        }


def test_it_does_not_take_long(full):
    """And finds the one that shares most, wherever it lies, of its version."""
    begun = time.monotonic()
    why = full.why(PREFIX, params={**params_of(77_777), "grade": 5})
    assert time.monotonic() - begun < HANGS_AFTER_S
    assert why.nearest.params == params_of(77_777)
    assert [each.param for each in why.differences] == ["grade"]


def test_the_nearest_is_found_in_an_index_that_holds_all_it_takes(full, statements):
    """Not one row of the table is read but the nearest: values and params lie elsewhere."""
    statements.clear()
    full.why(PREFIX, n=1)
    found = plans(full, statements)
    [(sql, steps)] = [(s, p) for s, p in found.items() if "param_digests" in s]
    assert len(steps) == 1, (sql, steps)
    assert re.fullmatch(
        r"SEARCH entries USING COVERING INDEX entries_by_params \(tenant=\? AND prefix=\?.*\)",
        steps[0],
    )


def test_no_other_query_reads_more_than_a_row(full, statements):
    """The entry itself is looked up by its key, the nearest by its number."""
    statements.clear()
    full.why(PREFIX, n=1)
    rest = {s: p for s, p in plans(full, statements).items() if "param_digests" not in s}
    assert rest
    for sql, steps in rest.items():
        of_entries = [step for step in steps if "entries" in step or " e " in f"{step} "]
        for step in of_entries:
            assert re.search(r"\((rowid|key)[=<>]+\?\)$", step), (sql, steps)


def test_they_are_read_in_pages(full, statements):
    """Each begins where the one before ended, so that no cursor stays open meanwhile."""
    statements.clear()
    full.why(PREFIX, n=1)
    pages = [bindings for sql, bindings in statements if "SELECT number, version" in sql]
    assert len(pages) == MANY // _listing.LIKENESSES_AT_ONCE + 1
    assert len({page[2:5] for page in pages}) == len(pages)


def test_every_entry_is_compared_once(full):
    """Also at the ends of pages; of this tenant and prefix only."""
    numbers = [like.number for like in full.engine.parts.store.likenesses("", PREFIX)]
    assert len(numbers) == len(set(numbers)) == MANY
