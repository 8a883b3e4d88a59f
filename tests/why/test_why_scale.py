"""However many entries a prefix has, a request is compared with the newest 1,000 of them."""

import time
from dataclasses import replace

import apsw
import pytest

from llm_cache.api.cache import LLMCache
from llm_cache.core.keys import Identity, canonical_params
from llm_cache.engine import explain
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._entries import add_to_totals
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
        store = cache._engine.components.store
        store.open()
        store._writer.submit(fill).result(WAIT_S)
        yield cache


def plans(cache, statements):
    """The steps of the plan of each different query of entries."""
    with apsw.Connection(str(cache._engine.components.store.path)) as connection:
        return {
            sql: [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings)]
            for sql, bindings in statements
            if sql.lstrip().startswith("SELECT") and "FROM entries" in sql
        }


@pytest.mark.parametrize("n", [MANY - 1, MANY - explain.NEWEST_COMPARED])
def test_it_does_not_take_long(full, n):
    """And finds the one that shares most among the newest, of its version."""
    begun = time.monotonic()
    why = full.why(PREFIX, params={**params_of(n), "grade": -1})
    assert time.monotonic() - begun < HANGS_AFTER_S
    assert why.nearest.params == params_of(n)
    assert [each.param for each in why.differences] == ["grade"]


def test_older_entries_are_not_compared(full):
    """The nearest of the newest is told in their place."""
    params = params_of(MANY - explain.NEWEST_COMPARED - 1)
    nearest = full.why(PREFIX, params={**params, "grade": -1}).nearest
    assert nearest.params["page"] >= MANY - explain.NEWEST_COMPARED


def test_no_query_reads_more_than_the_newest(full, statements):
    """They are read in pages from an index by age, all else by a key."""
    statements.clear()
    full.why(PREFIX, n=1)
    found = plans(full, statements)
    assert found
    for sql, steps in found.items():
        assert not [step for step in steps if "SCAN" in step or "TEMP B-TREE" in step], (sql, steps)
        if "LIMIT" in sql:
            assert "SEARCH entries USING INDEX entries_by_prefix (prefix=?" in "".join(steps)
    of_why = [(sql, of) for sql, of in statements if sql.startswith("SELECT")]
    limits = [bindings[-1] for sql, bindings in of_why if "LIMIT" in sql]
    assert sum(limits) == explain.NEWEST_COMPARED
