"""What a hundred times as many entries cost: nothing, where an index answers."""

import time

import pytest

from llm_cache.store.records import EVERYTHING, Counts, Selection, UsageDay
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite._entries import add_to_totals
from llm_cache.store.sqlite._rows import INSERT, to_row
from tests.conformance.samples import T0, an_entry, policies

FEW, MANY = 100, 10_000
PREFIXES = 10
TIMES_SLOWER = 8
"""Far less than the hundred times of a scan, far more than what a busy machine adds."""
TOO_QUICK_TO_COMPARE_S = 0.0015

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    """Two stores with entries of the same ten prefixes, few and many."""
    from llm_cache.store.sqlite.store import SqliteStore

    made = {}
    for count in (FEW, MANY):
        store = SqliteStore(tmp_path_factory.mktemp("scale") / "cache", max_bytes=2**40)
        store.open()
        store._writer.submit(lambda c, count=count: fill(c, count)).result(60)
        store.add_usage([UsageDay("2026-11-22", "", "p0", "", Counts(hits=1))], [])
        made[count] = store
    yield made
    for store in made.values():
        store.close()


def fill(connection, count):
    """Writes entries as `put` does, in one transaction."""
    for n in range(count):
        entry = an_entry(
            n, prefix=f"p{n % PREFIXES}", created_at=T0 + n, call_ttl=1e6 if n % 3 else None
        )
        run(connection, INSERT, to_row(entry))
        add_to_totals(connection, "", entry.prefix, 1, entry.size_bytes, entry.value_bytes)


def best_s(call, times=7):
    """The shortest of several runs: what the call itself takes."""
    call()
    taken = []
    for _ in range(times):
        begun = time.perf_counter()
        call()
        taken.append(time.perf_counter() - begun)
    return min(taken)


FLAT = {
    "get": lambda s: s.get(an_entry(7, prefix="p7").key),
    "a miss": lambda s: s.get(bytes(32)),
    "totals": lambda s: s.totals(),
    "usage": lambda s: s.usage(),
    "the first of a prefix": lambda s: list(s.select(Selection(prefix="p3"), limit=20)),
    "the first of all": lambda s: list(s.select(EVERYTHING, limit=20)),
    "find by digits": lambda s: list(
        s.select(Selection(key_digits=an_entry(7, prefix="p7").key.hex()[:8]))
    ),
    "expired, where nothing is": lambda s: s.expired(policies("forever"), T0),
    "prune, where nothing is expired": lambda s: s.prune(policies("forever"), T0, dry_run=False),
    "make_room, where there is some": lambda s: s.make_room(policies(), T0, dry_run=False),
    "disk_bytes": lambda s: s.disk_bytes(),
}


@pytest.mark.parametrize("name", FLAT)
def test_it_takes_no_longer_with_a_hundred_times_the_entries(stores, name):
    """What answers from an index or a total does not grow with the entries."""
    few, many = (best_s(lambda count=count: FLAT[name](stores[count])) for count in (FEW, MANY))
    assert many < max(TIMES_SLOWER * few, TOO_QUICK_TO_COMPARE_S), (few, many)


@pytest.mark.parametrize(
    "which",
    [Selection(prefix="p3"), EVERYTHING, Selection(tenant="")],
    ids=["a prefix", "all", "a tenant"],
)
def test_listing_takes_time_in_proportion_to_what_is_listed(stores, which):
    """An entry of a long listing costs about what one of a short listing does."""
    counts = {c: sum(1 for _ in stores[c].select(which)) for c in (FEW, MANY)}
    few, many = (
        best_s(lambda c=c: list(stores[c].select(which)), times=3) / counts[c] for c in (FEW, MANY)
    )
    assert many < TIMES_SLOWER * few, (few, many)
