"""`llm-cache stats` tells what was saved and what was spent, apart; a crash loses little of it."""

import json
import signal
from dataclasses import replace

import pytest

from llm_cache import CacheConfig, Generated, LLMCache, Usage
from llm_cache.cli.commands.stats import FIELDS
from tests.cli import terminal


def page(number, cost):
    """A page with what it cost."""
    usage = Usage(input_tokens=100 * number, output_tokens=1000 * number, cost_usd=cost, model="m")
    return lambda: Generated(f"page {number}", usage)


def ask(cache, prefix, number, cost, times):
    """Buys a page once, and asks for it so many times in all."""
    for _ in range(times):
        cache.get_or_generate_sync(prefix, page(number, cost), n=number)


@pytest.fixture
def told(directory, tmp_path):
    """Runs `llm-cache` on the directory, in pipes or on a terminal."""

    def told(*args, columns=None):
        given = ("--cache-dir", directory, *args)
        if columns is None:
            done = terminal.run(*given, cwd=tmp_path)
        else:
            done = terminal.on_terminal(*given, cwd=tmp_path, columns=columns)
        assert (done.code, done.err) == (0, "")
        return done.out

    return told


@pytest.fixture
def bought(cache):
    """Two prefixes whose costs are known, and one of unknown cost."""
    ask(cache, "lesson", 1, 0.25, 5)  # saved 4: 400 in, 4000 out, $1.00
    ask(cache, "lesson", 2, 0.50, 1)
    ask(cache, "quiz", 3, 2.00, 2)  # saved 1: 300 in, 3000 out, $2.00
    ask(cache, "draft", 4, None, 4)  # saved 3: 1200 in, 12000 out
    cache.close()


def rows_of(text):
    """The fields of a pipe by prefix and name."""
    (_, *names), *rows = [line.split("\t") for line in text.splitlines()]
    return {prefix: dict(zip(names, fields, strict=True)) for prefix, *fields in rows}


# What a file may hold.


def test_counting_goes_on_with_an_entry_that_took_more_than_can_be(cache):
    """An earlier release took such entries in: hits of it and of others are counted on."""
    for number in (1, 2):
        cache.put("lesson", "page", n=number)
    odd = replace(
        cache.peek("lesson", n=1),
        hits=2**63 - 1, input_tokens=2**63 - 1, cost_usd=1e308, generation_seconds=1e308,
    )  # fmt: skip
    assert cache._engine.merge([replace(odd, created_at=odd.created_at + 1)])
    for _ in range(3):
        for number in (1, 2):
            assert cache.get_or_generate_sync("lesson", never, n=number) == "page"
        counted = cache.get_stats()["total"]
    assert counted["hits"] == 6
    assert counted["saved_input_tokens"] == counted["saved_usd"] == 2**53 - 1
    assert cache.peek("lesson", n=2).hits == 3


def never():
    """A generator that nobody is to ask."""
    raise AssertionError


# The three forms.


@pytest.mark.parametrize("form", ["pipe", "json"])
def test_saved_and_spent_are_told_apart_by_prefix(bought, told, form):
    """What was generated, and what was replayed: tokens, dollars, and how many have no price."""
    if form == "json":
        document = json.loads(told("stats", "--json"))
        rows = {"*": document["total"], **document["prefixes"]}
    else:
        total = dict(line.split("\t") for line in told("stats").splitlines())
        texts = {"*": total, **rows_of(told("stats", "--by", "prefix"))}
        rows = {
            prefix: {name: json.loads(fields[name]) for name in FIELDS}
            for prefix, fields in texts.items()
        }
    expected = {
        "*": ((1000, 10_000, 2.75, 1), (1900, 19_000, 3.0, 3)),
        "draft": ((400, 4000, 0, 1), (1200, 12_000, 0, 3)),
        "lesson": ((300, 3000, 0.75, 0), (400, 4000, 1.0, 0)),
        "quiz": ((300, 3000, 2.0, 0), (300, 3000, 2.0, 0)),
    }
    names = ("input_tokens", "output_tokens", "cost_usd", "unpriced")
    saved = ("saved_input_tokens", "saved_output_tokens", "saved_usd", "saved_unpriced")
    assert {
        prefix: (tuple(row[n] for n in names), tuple(row[n] for n in saved))
        for prefix, row in rows.items()
    } == expected


def test_json_tells_since_when(bought, told):
    """The first day of the counts, in UTC."""
    assert json.loads(told("stats", "--json"))["since"] == "2027-01-15"


@pytest.mark.parametrize("columns", [80, 200, 40])
def test_a_terminal_tells_both_and_since_when(bought, told, columns):
    """A line, or some, for each; all of it is there however narrow it is."""
    out = told("stats", columns=columns)
    _, _, rest = out.partition("\nsaved ")
    saved, _, rest = rest.partition("\nspent ")
    spent, _, _ = rest.partition("\n\n")
    assert saved.split()[0] == "$3.00"
    assert "1,900 tokens in, 19,000 out" in " ".join(saved.split())
    assert "of waiting" in saved
    assert "3 of unknown cost" in " ".join(saved.split())
    assert spent.split()[0] == "$2.75"
    assert "1,000 tokens in, 10,000 out" in " ".join(spent.split())
    assert "1 of unknown cost" in " ".join(spent.split())
    assert " ".join(spent.split()).endswith("since 2027-01-15")
    assert all(len(line) <= columns for line in f"{saved}\n{spent}".splitlines())


def test_a_terminal_tells_what_each_prefix_saved(bought, told):
    """In dollars where any are known; a prefix of unknown cost has `–`, never $0."""
    table = told("stats", columns=120).partition("PREFIX")[2].splitlines()[1:]
    saved = {line.split()[0]: line.split()[-1] for line in table}
    assert saved == {"draft": "–", "lesson": "$1.00", "quiz": "$2.00"}


def test_what_is_free_is_known_to_be(make_cache, told):
    """A model that costs nothing saved $0, and that is no unknown."""
    with make_cache() as cache:
        ask(cache, "lesson", 1, 0.25, 2)
        ask(cache, "quiz", 2, 0.0, 2)
    lines = told("stats", columns=120).splitlines()
    assert [line.split()[-1] for line in lines if line.startswith("quiz ")] == ["$0"]


def test_unknown_prices_are_never_dollars(make_cache, told):
    """Where no price is known there is no sum of money at all: time is what is saved."""
    with make_cache() as cache:
        ask(cache, "draft", 1, None, 3)
        entry_id = cache.peek("draft", n=1).id
    assert "$" not in told("stats", columns=80)
    shown = told("inspect", entry_id, columns=80)
    assert "$" not in shown
    assert "cost –" in shown
    [row] = [
        fields
        for prefix, fields in rows_of(told("stats", "--by", "prefix")).items()
        if prefix == "draft"
    ]
    assert (row["saved_usd"], row["saved_unpriced"]) == ("0.0", "2")
    assert json.loads(told("inspect", entry_id, "--json"))["entries"][0]["cost_usd"] is None


def test_the_figures_of_a_tenant_are_its_own(make_cache, told):
    """What others saved and spent is not among them."""
    with make_cache() as cache:
        ask(cache, "lesson", 1, 0.25, 5)
        with cache.tenant("acme"):
            ask(cache, "lesson", 2, 0.50, 3)
    total = json.loads(told("--tenant", "acme", "stats", "--json"))["total"]
    assert [total[n] for n in ("input_tokens", "cost_usd")] == [200, 0.5]
    assert [total[n] for n in ("saved_input_tokens", "saved_usd")] == [400, 1.0]


# A crash.

BEGINS = """
from llm_cache import Generated, Usage
from tests.savings.test_stats_savings import ask
cache = LLMCache(directory)
ask(cache, "lesson", 1, 0.25, 6)
ask(cache, "quiz", 2, None, 2)
cache.get_stats()  # tells the counts
ask(cache, "lesson", 1, 0.25, 3)
ask(cache, "lesson", 3, 0.25, 2)
"""
DIES = {"os._exit": BEGINS + "os._exit(9)", "kill -9": BEGINS + "say('counted'); hear()"}


@pytest.mark.slow
@pytest.mark.parametrize("script", DIES.values(), ids=DIES)
def test_a_crash_loses_the_counts_since_the_last_telling_at_most(start, directory, script):
    """Those told before are all there, those after at most once, and no entry is lost."""
    child = start(script)
    if child.says() == "counted":
        child.signal(signal.SIGKILL)
    assert child.ends()[0] in (9, -signal.SIGKILL)
    with LLMCache(config=CacheConfig(cache_dir=directory)) as cache:
        stats = cache.get_stats()
        values = sorted(cache.peek(e.prefix, params=e.params).value for e in cache.entries())
    lesson, quiz = stats["prefixes"]["lesson"], stats["prefixes"]["quiz"]
    assert values == ["page 1", "page 2", "page 3"]
    assert 5 <= lesson["hits"] <= 9
    assert 1 <= lesson["misses"] <= 2
    assert lesson["misses"] == lesson["generations"]
    assert (quiz["hits"], quiz["misses"], quiz["saved_input_tokens"]) == (1, 1, 200)
    if lesson["misses"] == 1:
        assert lesson["saved_input_tokens"] == 100 * lesson["hits"]
        assert lesson["saved_usd"] == 0.25 * lesson["hits"]
        assert lesson["input_tokens"] == 100
