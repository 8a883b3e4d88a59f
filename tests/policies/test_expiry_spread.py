"""Under ttl_jitter, what was warmed together expires spread, and everybody agrees when."""

import itertools
import json
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cache import CacheConfig, CachePolicy, Freshness, LLMCache, cached_llm_call
from llm_cache.cli.app import run
from tests.conformance.samples import T0, Clock

HOUR_S = 3600.0
KEYS = range(80)
SPREAD = {"ttl": "1h", "ttl_jitter": 0.1}
LAST_TENTH = [T0 + HOUR_S * share for share in (0.9, 0.92, 0.95, 0.98, 1.0)]
INSTANTS = [T0, LAST_TENTH[0] - 0.001, *LAST_TENTH, LAST_TENTH[-1] + 0.001]


@pytest.fixture
def spread(make_cache):
    """A cache whose prefix `p` spreads the expiry of its entries, with eighty of them."""
    cache = make_cache(prefixes={"p": SPREAD})
    for n in KEYS:
        cache.put("p", "old", n=n)
    return cache


def fresh_by_judge(cache):
    """Which of the entries are fresh by the judge."""
    return {e.params["n"] for e in cache.entries("p") if cache.judge(e) is Freshness.FRESH}


async def test_what_is_warmed_together_expires_apart(make_cache, clock):
    """In each quarter of the last tenth of the ttl a fair part, none before and none after."""
    cache = make_cache(prefixes={"p": SPREAD})
    page = cached_llm_call("p", cache=cache)(lambda n: f"page {n}")
    report = await cache.warm({page: [{"n": n} for n in range(400)]})
    assert report.made == 400
    left = []
    for part in (0.9, 0.925, 0.95, 0.975, 1.0):
        clock.now = T0 + HOUR_S * part
        left.append(400 - cache.prune(dry_run=True).entries)
    assert (left[0], left[-1]) == (400, 0)
    went = [before - after for before, after in itertools.pairwise(left)]
    assert min(went) > 60


def test_everybody_agrees_at_every_instant(spread, make_cache, clock):
    """A lookup from memory and from the store, `peek`, `why`, the judge, its window and prune."""
    other = make_cache(prefixes={"p": SPREAD})
    made = []

    def answers(cache, n):
        policy = CachePolicy(cache_if=lambda _: False)
        return cache.get_or_generate_sync("p", lambda: made.append(1) or "new", policy=policy, n=n)

    for clock.now in INSTANTS:
        fresh = fresh_by_judge(spread)
        if clock.now == T0:
            assert fresh == set(KEYS)
        other._engine.components.tier.clear()
        assert {n for n in KEYS if answers(spread, n) == "old"} == fresh
        assert {n for n in KEYS if answers(other, n) == "old"} == fresh
        assert {n for n in KEYS if spread.peek("p", n=n)} == fresh
        assert {n for n in KEYS if spread.why("p", n=n).outcome == "hit"} == fresh
        in_time = {e.params["n"] for e in spread.entries() if clock.now < spread.expires_at(e)}
        assert in_time == fresh
        assert len(KEYS) - spread.prune(dry_run=True).entries == len(fresh)
    assert fresh == set()


def test_pruning_takes_what_has_expired_and_no_more(spread, clock):
    """At every instant, entry by entry."""
    for clock.now in INSTANTS:
        fresh = fresh_by_judge(spread)
        spread.prune()
        assert {e.params["n"] for e in spread.entries()} == fresh


def test_an_entry_in_memory_expires_at_the_instant_of_its_key(spread, clock):
    """It is given a moment before and made a moment after, by a decorated function too."""
    page = cached_llm_call("p", cache=spread)(lambda n: "new")
    for n in range(5):
        ends_at = spread.expires_at(page.peek(n))
        clock.now = ends_at - 0.001
        assert [page(n), page(n)] == ["old", "old"]
        clock.now = ends_at
        assert page(n) == "new"
        clock.now = T0


def test_another_process_agrees(spread, clock, start):
    """The share is decided by the key, not by chance or by a hash of the process."""
    at = T0 + HOUR_S * 0.95
    child = start(f"""
config = CacheConfig(cache_dir=directory, prefixes={{"p": {SPREAD!r}}})
cache = LLMCache(config=config, clock=lambda: {at!r})
fresh = [e.params["n"] for e in cache.entries() if cache.peek("p", n=e.params["n"])]
say(json.dumps(sorted(fresh)))
""")
    clock.now = at
    theirs = json.loads(child.says())
    assert child.ends()[0] == 0
    assert 20 < len(theirs) < 60
    assert set(theirs) == fresh_by_judge(spread)


def test_another_cache_decides_the_same(spread, tmp_path):
    """What two machines warm at one instant expires at one instant, key by key."""
    config = CacheConfig(cache_dir=tmp_path / "other", prefixes={"p": SPREAD})
    with LLMCache(config=config, clock=Clock()) as other:
        for n in KEYS:
            other.put("p", "text", n=n)
        ends = [{e.key: cache.expires_at(e) for e in cache.entries()} for cache in (spread, other)]
    assert ends[0] == ends[1]
    assert len(set(ends[0].values())) == len(KEYS)


@pytest.mark.parametrize("source", ["call", "decorator", "prefix", "defaults"])
def test_it_shortens_whoever_says_the_ttl(make_cache, clock, source):
    """What prune sweeps is what lookups do not give, wherever the ttl comes from."""
    cache = make_cache(
        defaults={"ttl_jitter": 0.5, **({"ttl": "2h"} if source == "defaults" else {})},
        prefixes={"p": {"ttl": "2h"}} if source == "prefix" else {},
    )
    ttl = "2h" if source == "decorator" else None
    page = cached_llm_call("p", ttl=ttl, cache=cache)(lambda n: "old")
    for n in KEYS:
        if source == "call":
            cache.put("p", "old", ttl="2h", n=n)
        else:
            page(n)
    clock.now += 1.5 * HOUR_S
    fresh = fresh_by_judge(cache)
    assert 20 < len(fresh) < 60
    assert cache.prune(dry_run=True).entries == len(KEYS) - len(fresh)
    cache.prune()
    assert {e.params["n"] for e in cache.entries()} == fresh


def test_grace_begins_when_the_shorter_ttl_ends(make_cache, clock):
    """An entry is kept for its own ttl and its grace, and no longer."""
    cache = make_cache(prefixes={"p": {**SPREAD, "grace": "10m"}})
    cache.put("p", "old", n=1)
    (entry,) = cache.entries()
    ends_at = cache.expires_at(entry)
    assert T0 + 0.9 * HOUR_S < ends_at < T0 + HOUR_S
    for clock.now, state in (
        (ends_at - 0.001, Freshness.FRESH),
        (ends_at, Freshness.STALE),
        (ends_at + 599.999, Freshness.STALE),
        (ends_at + 600, Freshness.MISSING),
    ):
        assert cache.judge(entry) is state
        assert bool(cache.prune(dry_run=True)) is (state is Freshness.MISSING)


@pytest.mark.slow
@given(
    jitter=st.floats(0, 0.9),
    ttl=st.floats(1, 1e6),
    at=st.floats(0, 1.1),
    keys=st.integers(1, 6),
)
def test_prune_and_judge_agree_to_the_last_bit(tmp_path_factory, jitter, ttl, at, keys):
    """Though one reckons in SQL and the other in Python."""
    policy = {"ttl": f"{ttl!r}s", "ttl_jitter": jitter}
    directory = tmp_path_factory.getbasetemp() / "agree"
    clock = Clock()
    config = CacheConfig(cache_dir=directory, prefixes={"p": policy})
    with LLMCache(config=config, clock=clock) as cache:
        cache.clear_all()
        for n in range(keys):
            cache.put("p", "text", n=n)
        for entry in list(cache.entries()):
            for clock.now in (T0 + at * ttl, cache.expires_at(entry)):
                expired = keys - len(fresh_by_judge(cache))
                assert cache.prune(dry_run=True).entries == expired


# The command line, whose clock is that of the machine.


@pytest.fixture
def cli(tmp_path, directory, monkeypatch, capfd):
    """Runs `llm-cache` on entries that are just about to expire, one after the other."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cache.toml").write_text('[prefixes.p]\nttl = "1000h"\nttl_jitter = 0.1\n')
    with LLMCache(directory, clock=Clock(time.time() - 950 * HOUR_S)) as cache:
        for n in KEYS:
            cache.put("p", "text", n=n)

    def cli(*args):
        assert run(["--cache-dir", str(directory), *args]) == 0
        sys.stdout.flush()
        return capfd.readouterr().out

    return cli


def test_the_command_line_agrees(cli, make_cache, clock):
    """`ls` by its states, `prune` and its dry run."""
    clock.now = time.time()
    cache = make_cache(prefixes={"p": {"ttl": "1000h", "ttl_jitter": 0.1}})
    ends = {e.key.hex(): cache.expires_at(e) for e in cache.entries()}
    fresh = {key for key, at in ends.items() if at > clock.now}
    assert 20 < len(fresh) < 60
    # So that all of this happens between two of them.
    assert min(abs(at - clock.now) for at in ends.values()) > 60
    listed = json.loads(cli("ls", "--json"))["entries"]
    states = {e["key"]: e["state"] for e in listed}
    assert states == {key: "fresh" if key in fresh else "expired" for key in ends}
    why, entries, *_ = cli("prune", "--dry-run").split("\t")
    assert (why, int(entries)) == ("expired", len(KEYS) - len(fresh))
    cli("prune")
    assert {e.key.hex() for e in cache.entries()} == fresh
