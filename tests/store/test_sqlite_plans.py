"""Every query looks its rows up in an index: no call reads the whole table to find a few."""

import re

import apsw
import pytest

from llm_cache.core.freshness import share_of
from llm_cache.core.policy_resolution import Policy, Remembered
from llm_cache.store.records import EVERYTHING, Counts, EntryUse, Selection, UsageDay
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._entries import add_to_totals
from llm_cache.store.sqlite._rows import INSERT, to_row
from tests.conformance.samples import T0, an_entry, keep, policies

FULL_SCAN = re.compile(r"SCAN entries(?! USING (COVERING )?INDEX)")
PAGES = 1100
WAIT_S = 30.0


@pytest.fixture
def statements(monkeypatch):
    """What every connection that is opened from now on carries out, with its bindings."""
    carried_out = []

    def trace(connection: apsw.Connection) -> None:
        connection.exec_trace = lambda _, sql, bindings: carried_out.append((sql, bindings)) or True

    monkeypatch.setattr(apsw, "connection_hooks", [*apsw.connection_hooks, trace])
    return carried_out


@pytest.fixture
def filled(statements, make_store):
    """A store with entries of every kind of ttl, trash and counts; no statement seen yet."""
    store = make_store()
    store.open()
    store._writer.submit(fill).result(WAIT_S)
    store.remove(Selection(keys=(an_entry(0, prefix="a", tenant="t").key,)), keep=True)
    store.add_usage([UsageDay("2026-11-22", "", "a", "", Counts(hits=1))], [])
    statements.clear()
    return store


def fill(connection):
    """Writes entries as `put` does, in one transaction."""
    for n in range(PAGES):
        ttls = ({"call_ttl": 60.0}, {"decorator_ttl": 60.0}, {})[n % 3]
        remembered = Remembered(
            decorator_ttl_jitter=0.1 if n % 7 == 0 else None,
            decorator_grace=60.0 if n % 4 == 0 else None,
        )
        entry = an_entry(
            n, prefix="ab"[n % 2], tenant=("", "t")[n % 5 == 0], remembered=remembered, **ttls
        )
        run(connection, INSERT, to_row(entry))
        sizes = (1, entry.size_bytes, entry.value_bytes)
        add_to_totals(connection, entry.tenant, entry.prefix, *sizes)


def plans(raw, statements):
    """The steps of the plan of each different statement."""
    found = {}
    with raw.connection() as connection:
        connection.create_scalar_function("share_of", share_of, deterministic=True)
        for sql, bindings in statements:
            if sql.lstrip().startswith(("SELECT", "INSERT", "DELETE", "UPDATE")):
                rows = connection.execute(f"EXPLAIN QUERY PLAN {sql}", bindings).fetchall()
                found[sql] = [row[3] for row in rows]
    return found


def of_entries(sql: str, condition: str) -> bool:
    """Whether a statement has the condition on entries; of leases there are always few."""
    return condition in sql and "leases" not in sql


BY_FILE = lambda _: Policy(prefix_ttl=3600.0)  # noqa: E731 - a policy, by any prefix
BY_DEFAULT = lambda _: Policy(defaults_ttl=3600.0)  # noqa: E731 - as above
CALLS = {
    "get": lambda s: s.get(bytes(32)),
    "put": lambda s: keep(s, an_entry("new")),
    "prune": lambda s: s.prune(BY_DEFAULT, T0 + 100, dry_run=False),
    "prune by the file": lambda s: s.prune(BY_FILE, T0 + 100, dry_run=False),
    "prune, dry run": lambda s: s.prune(BY_DEFAULT, T0 + 100, dry_run=True),
    "expired": lambda s: s.expired(BY_DEFAULT, T0 + 100),
    "expired by the file": lambda s: s.expired(BY_FILE, T0 + 100),
    "expired, some of it": lambda s: s.expired(BY_DEFAULT, T0 + 100, look_at=5),
    "list all": lambda s: list(s.select(EVERYTHING)),
    "list a prefix": lambda s: list(s.select(Selection(prefix="a"))),
    "list a tenant": lambda s: list(s.select(Selection(tenant="t"))),
    "list a prefix of a tenant": lambda s: list(s.select(Selection(prefix="a", tenant="t"))),
    "find by digits": lambda s: list(s.select(Selection(key_digits="ab"))),
    "find by keys": lambda s: list(s.select(Selection(keys=(bytes(32), an_entry().key)))),
    "remove a prefix": lambda s: s.remove(Selection(prefix="a")),
    "remove a prefix to the trash": lambda s: s.remove(Selection(prefix="a"), keep=True),
    "remove keys": lambda s: s.remove(Selection(keys=(bytes(32),)), keep=True),
    "remove by digits": lambda s: s.remove(Selection(key_digits="ab"), keep=True),
    "totals": lambda s: s.totals(),
    "usage": lambda s: s.usage(),
    "unused": lambda s: s.unused(T0 + 100, 5),
    "add_usage": lambda s: s.add_usage(
        [UsageDay("2026-11-22", "", "a", "", Counts())], [EntryUse(bytes(32), 1, T0)]
    ),
    "disk_bytes": lambda s: s.disk_bytes(),
}


@pytest.mark.parametrize("name", CALLS)
def test_no_call_scans_a_whole_table(filled, raw, statements, name):
    """SQLite's own plan of each statement goes by an index."""
    CALLS[name](filled)
    found = plans(raw, statements)
    assert found
    scans = {sql: plan for sql, plan in found.items() if any(map(FULL_SCAN.match, plan))}
    assert scans == {}


def test_making_room_scans_no_whole_table(filled, make_store, raw, statements):
    """What was used least is found by an index, in a dry run and for real."""
    filled.close()
    small = make_store(max_bytes=1)
    small.make_room(policies("forever"), T0, dry_run=True)
    small.make_room(policies("forever"), T0, dry_run=False)
    found = plans(raw, statements)
    assert any("used_at" in sql for sql in found)
    assert {sql: p for sql, p in found.items() if any(map(FULL_SCAN.match, p))} == {}


@pytest.mark.parametrize("name", ["prune", "prune by the file", "expired", "expired by the file"])
def test_a_sweep_reads_only_what_is_expired(filled, raw, statements, name):
    """Where prefixes have many fresh entries, the index leads past them: both bounds are used."""
    CALLS[name](filled)
    swept = {
        sql: [step for step in plan if "entries" in step and "PRIMARY KEY" not in step]
        for sql, plan in plans(raw, statements).items()
        if "prefix = ?" in sql and "created_at" in sql
    }
    assert swept
    for sql, steps in swept.items():
        assert steps, sql
        assert all(re.search(r"\(prefix=\? AND (<expr>|created_at)<\?\)", s) for s in steps), (
            sql,
            steps,
        )


@pytest.mark.parametrize("name", ["list a prefix", "list a prefix of a tenant", "remove a prefix"])
def test_what_is_asked_of_a_prefix_reads_that_prefix_only(filled, raw, statements, name):
    """A search for the prefix, not a walk over all of them."""
    CALLS[name](filled)
    of_prefix = {s: p for s, p in plans(raw, statements).items() if of_entries(s, "prefix = ")}
    assert of_prefix
    for sql, plan in of_prefix.items():
        assert any(re.search(r"SEARCH \w+ USING .*prefix=\?", step) for step in plan), (sql, plan)
        assert not any(step.startswith("SCAN entries") for step in plan), (sql, plan)


@pytest.mark.parametrize(
    "name", ["find by digits", "find by keys", "remove keys", "remove by digits"]
)
def test_what_is_asked_by_key_reads_those_keys_only(filled, raw, statements, name):
    """A search in the index of keys, not a walk over all entries in another order."""
    CALLS[name](filled)
    by_key = {
        s: p
        for s, p in plans(raw, statements).items()
        if of_entries(s, "WHERE key IN") or of_entries(s, "WHERE key BETWEEN")
    }
    assert by_key
    for sql, plan in by_key.items():
        assert any(re.search(r"SEARCH entries USING .*\(key", step) for step in plan), (sql, plan)


def test_a_prefix_is_listed_without_sorting(filled, raw, statements):
    """The index has the order of the listing: the first page costs one page."""
    CALLS["list a prefix"](filled)
    sorting = {
        s: p for s, p in plans(raw, statements).items() if any("TEMP B-TREE" in i for i in p)
    }
    assert sorting == {}


def test_a_listing_of_all_does_not_sort_everything_for_each_page(filled, raw, statements):
    """The index has the order of the listing, whatever is listed."""
    CALLS["list all"](filled)
    sorting = {
        s: p for s, p in plans(raw, statements).items() if any("TEMP B-TREE" in i for i in p)
    }
    assert sorting == {}
