"""`ls --sort`: by one figure, what stands out first, and the rest of it in the usual order."""

import math
import re
from dataclasses import replace
from operator import attrgetter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cache.api.cache import LLMCache
from llm_cache.cli.select.order import PAGE, SortOrder
from tests.conformance.samples import T0, an_entry

FIGURES = ["age", "size", "hits", "expires", "saved"]
ENTRIES = {
    "young": an_entry("young", created_at=T0 - 10, body=b'"1"', call_ttl=math.inf),
    "old": an_entry(
        "old", created_at=T0 - 90, hits=2, cost_usd=0.5, body=b'"12345"', call_ttl=500.0
    ),
    "used": an_entry(
        "used",
        body=b'"the largest of all"',
        created_at=T0 - 50,
        hits=9,
        generation_seconds=3.0,
        call_ttl=100.0,
    ),
    "slow": an_entry("slow", created_at=T0 - 20, hits=1, generation_seconds=99.0, call_ttl=200.0),
}
FIRST = {
    "age": ["old", "used", "slow", "young"],
    "size": ["used", "slow", "old", "young"],
    "hits": ["used", "old", "slow", "young"],
    "expires": ["used", "slow", "old", "young"],
    "saved": ["old", "slow", "used", "young"],
}
"""What stands out first: the oldest, the largest, the most used, what is soon over, what paid."""


@pytest.fixture
def cache(tmp_path):
    """A cache at T0 with the entries above."""
    with LLMCache(tmp_path / "cache", clock=lambda: T0) as cache:
        cache._engine.merge(ENTRIES.values())
        yield cache


@pytest.fixture(scope="module")
def emptied(tmp_path_factory):
    """A cache that every example fills anew."""
    with LLMCache(tmp_path_factory.mktemp("sorted") / "cache", clock=lambda: T0) as cache:
        yield cache


def names(infos) -> list[str]:
    """Which of the entries above these are."""
    return [info.params["n"] for info in infos]


@pytest.mark.parametrize("limit", [None, 4, 2])
@pytest.mark.parametrize("by", FIGURES)
def test_what_stands_out_comes_first(cache, by, limit):
    """Each figure in the direction that one is likely to want, also with a limit."""
    order = SortOrder(by, is_descending=by != "expires")
    assert names(order.sort(cache, cache.entries(), limit)) == FIRST[by][:limit]


@pytest.mark.parametrize("by", FIGURES)
def test_direction_can_be_said(cli, lessons, by):
    """`:asc` and `:desc` are each other's reverse where no two are the same."""
    with LLMCache(lessons.directory) as cache:
        cache.clear_all()
        now = cache._engine.components.clock()
        aged = (replace(e, created_at=e.created_at - T0 + now - 5) for e in ENTRIES.values())
        cache._engine.merge(aged)
    up, down, plain = (cli("ls", "-q", "--sort", f"{by}{way}").out for way in (":asc", ":desc", ""))
    assert len(up.split()) == 4
    assert up.split() == down.split()[::-1]
    assert plain == (up if by == "expires" else down)


@given(
    hits=st.lists(st.integers(0, 3), min_size=1, max_size=12),
    limit=st.none() | st.integers(1, 12),
    is_descending=st.booleans(),
)
def test_what_is_the_same_stays_in_the_usual_order(emptied, hits, limit, is_descending):
    """Sorting is stable, with a limit and without one."""
    emptied.clear_all()
    emptied._engine.merge(an_entry(n, hits=many) for n, many in enumerate(hits))
    usual = list(emptied.entries())
    found = SortOrder("hits", is_descending=is_descending).sort(emptied, iter(usual), limit)
    assert list(found) == sorted(usual, key=attrgetter("hits"), reverse=is_descending)[:limit]


def test_long_list_is_sorted_over_all_its_pages(cache):
    """Entries are read once more in pages, and none is lost or twice there."""
    many = [an_entry(n, hits=n * 7919 % 2003) for n in range(2 * PAGE + 3)]
    cache._engine.merge(many)
    by_hits = SortOrder("hits", is_descending=True)
    found = [info.hits for info in by_hits.sort(cache, cache.entries(), None)]
    assert found == sorted([e.hits for e in many] + [0, 2, 9, 1], reverse=True)


def test_entry_that_goes_meanwhile_is_left_out(cache):
    """What was removed between the looks is not made up."""
    infos = list(cache.entries())

    def removing():
        yield from infos
        cache.invalidate_entries([ENTRIES["used"].key])

    found = SortOrder("age", is_descending=True).sort(cache, removing(), None)
    assert names(found) == ["old", "slow", "young"]


def test_limit_takes_the_first_of_what_is_chosen(cli, lessons):
    """First the flags, then the order, then the limit."""
    shown = cli("ls", "-q", "--param", "grade=5", "--sort", "hits", "--limit", "1")
    assert shown.out.split() == [lessons.page]


def test_table_shows_what_it_is_sorted_by(screen):
    """Savings have no column elsewhere."""
    lines = screen("ls", "--sort", "saved").out.splitlines()
    assert lines[0].split()[-1] == "SAVED"
    assert re.search(r" 11 +\S+( m)?s$", lines[1])
    assert [line.split()[-1] for line in lines[2:6]] == ["–"] * 4
    assert "SAVED" not in screen("ls").out


@pytest.mark.parametrize(
    ("typed", "hint"),
    [
        ("sizes", "did you mean 'size'?"),
        ("Hits", "did you mean 'hits'?"),
        ("size:dsc", "did you mean 'desc'?"),
        ("colour", "sort by age, size, hits, expires, saved; then :asc or :desc"),
        ("size:", "sort by age, size, hits, expires, saved; then :asc or :desc"),
    ],
)
def test_unknown_order_is_guessed_at(cli, typed, hint):
    """Exit 2, with what may have been meant."""
    shown = cli("ls", "--sort", typed)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith(f"error: --sort {typed}: there is no '")
    assert shown.err.endswith(f"hint: {hint}\n")
