"""Taking an export in: what comes, what stays, and what is never done."""

import json
import random
from collections.abc import Iterable
from dataclasses import asdict, replace
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_cache import CacheConfig, CachePolicy, LLMCache
from llm_cache.api.importer import ENTRIES_AT_ONCE, Importer
from llm_cache.core.entry import Entry
from llm_cache.transfer.jsonl import to_line, without_secrets
from tests.exchange.samples import MEASURES, NOW, PARAMS, VALUES, sample


class Clock:
    """Epoch seconds that stand still."""

    def __init__(self):
        self.now = NOW

    def __call__(self):
        """The instant."""
        return self.now


@pytest.fixture
def cache(tmp_path):
    """An empty cache."""
    with LLMCache(tmp_path / "cache", clock=Clock()) as cache:
        yield cache


def never():
    """A generator that nobody is to ask."""
    raise AssertionError


def lines_of(*entries: Entry) -> bytes:
    """A file with these entries."""
    return "".join(to_line(entry) + "\n" for entry in entries).encode()


def take(
    cache: LLMCache, *chunks: bytes, trust: bool = False, dry_run: bool = False
) -> tuple[Importer, list[tuple[int, str]]]:
    """Imports a file; how that went, and the lines that were refused."""
    importer = Importer(cache, trust=trust, dry_run=dry_run)
    return importer, [(problem.line, problem.reason) for problem in importer.take(chunks)]


def fates(importer: Importer) -> tuple[int, int, int, int]:
    """How many are new, replaced, the same, and newer here."""
    new, replaced, same, newer_here = asdict(importer.sums).values()
    return new, replaced, same, newer_here


def everything(cache: LLMCache) -> dict[bytes, Entry]:
    """Every entry with its value, by key."""
    return {info.key: cache._engine.components.store.get(info.key) for info in cache.entries()}


@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(
    made=st.lists(
        st.tuples(PARAMS, VALUES, MEASURES, st.sampled_from(["", "acme"])), min_size=1, max_size=5
    )
)
def test_export_clear_import_gives_the_same_cache(made):
    """Every entry with all of its fields, whatever it is of."""
    with TemporaryDirectory() as directory, LLMCache(directory, clock=Clock()) as cache:
        entries = [
            sample(params, value, tenant=tenant, **measures)
            for params, value, measures, tenant in made
        ]
        cache._engine.merge(
            without_secrets(entry, cache._engine.policy(entry.prefix)) for entry in entries
        )
        before = everything(cache)
        file = lines_of(*before.values())
        cache.clear_all()
        _, refused = take(cache, file, trust=True)  # a name like "password" may be drawn
        assert refused == []
        assert everything(cache) == before
        for params, _, _, tenant in made:
            with cache.tenant(tenant):
                assert (
                    cache._engine.components.store.get(sample(params, tenant=tenant).key)
                    is not None
                )


def test_lookup_hits_what_was_imported(cache):
    """The generator is not asked."""
    take(cache, lines_of(sample({"topic": "fractions"}, "a page")))
    assert cache.get_or_generate_sync("intro_page", never, topic="fractions") == "a page"


def test_importing_twice_changes_nothing(cache):
    """All the same; not one is written again."""
    file = lines_of(*(sample({"n": n}) for n in range(3)))
    take(cache, file)
    before = everything(cache)
    importer, _ = take(cache, file)
    assert fates(importer) == (0, 0, 3, 0)
    assert everything(cache) == before


@pytest.mark.parametrize("dry_run", [False, True])
def test_newer_stays(cache, dry_run):
    """Of each: there is none, an older, the same, a newer one."""
    cache._engine.merge(sample({"n": n}, "here", created_at=NOW - 60) for n in (1, 2, 3))
    ages = {0: 60, 1: 50, 2: 60, 3: 70}
    file = lines_of(*(sample({"n": n}, "came", created_at=NOW - age) for n, age in ages.items()))
    importer, refused = take(cache, file, dry_run=dry_run)
    assert (fates(importer), refused) == ((1, 1, 1, 1), [])
    values = {entry.params["n"]: entry.value for entry in everything(cache).values()}
    came = {} if dry_run else {0: "came", 1: "came"}
    assert values == {1: "here", 2: "here", 3: "here", **came}


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("between", [0, ENTRIES_AT_ONCE])
def test_entry_may_be_in_a_file_twice(cache, dry_run, between):
    """The newer wins, near or far in the file; a dry run counts the same."""
    one, newer = sample({"n": -1}, "old", created_at=NOW - 60), sample({"n": -1}, "new")
    newer = replace(newer, created_at=NOW - 50)
    others = (sample({"n": n}) for n in range(between))
    importer, _ = take(cache, lines_of(one, *others, newer, one), dry_run=dry_run)
    assert fates(importer) == (1 + between, 1, 0, 1)


def test_dry_run_writes_nothing(tmp_path):
    """Not even a file for the cache."""
    with LLMCache(tmp_path / "cache", clock=Clock()) as cache:
        importer, _ = take(cache, lines_of(sample()), dry_run=True)
    assert fates(importer) == (1, 0, 0, 0)
    assert not (tmp_path / "cache" / "cache.db").exists()


def test_damaged_lines_are_told_and_the_rest_goes_on(cache):
    """By their numbers, empty lines counted in; the last one may lack its end."""
    good = [to_line(sample({"n": n})).encode() for n in range(3)]
    cut = good[1][:-10]
    file = b"\n".join([good[0], b"", b"\x1b[31mnonsense", cut, b"  \r", good[1], good[2]])
    importer, refused = take(cache, file)
    no_json = "it is no JSON, or cut off"
    assert refused == [(3, no_json), (4, no_json)]
    assert (importer.lines, importer.refused, fates(importer)) == (7, 2, (3, 0, 0, 0))
    assert len(everything(cache)) == 3


def test_line_that_no_entry_can_have_is_told(tmp_path):
    """It is passed over, whatever its length."""
    config = CacheConfig(cache_dir=tmp_path / "cache", max_value=1000)
    with LLMCache(config=config, clock=Clock()) as cache:
        long = b"x" * (1024**2 + 3001) + b"\n"
        importer, refused = take(cache, long, lines_of(sample()))
    assert refused == [(1, "it has over 1,051,576 bytes: too many for any value")]
    assert fates(importer) == (1, 0, 0, 0)


def test_longest_value_fits_a_line(tmp_path):
    """Also one that is all quotes, each of which is escaped twice."""
    config = CacheConfig(cache_dir=tmp_path / "cache", max_value="2MiB")
    with LLMCache(config=config, clock=Clock()) as cache:
        importer, refused = take(cache, lines_of(sample(value='"' * (1024**2 - 1))))
    assert (refused, fates(importer)) == ([], (1, 0, 0, 0))


def test_values_over_max_value_stay_out(tmp_path):
    """As a generator's would."""
    config = CacheConfig(cache_dir=tmp_path / "cache", max_value=10)
    with LLMCache(config=config, clock=Clock()) as cache:
        importer, refused = take(cache, lines_of(sample(value="x" * 20), sample(value="x")))
    assert refused == [(1, "its value has 22 bytes, over the max_value of 10")]
    assert fates(importer) == (1, 0, 0, 0)


def test_entries_without_full_params_take_trust(cache):
    """They are counted, not taken; with trust they come as they are."""
    cache.put("x", "value", api_key="sk-1", n=1)
    (entry,) = everything(cache).values()
    cache.clear_all()
    importer, refused = take(cache, lines_of(entry))
    assert (importer.untrusted, refused, everything(cache)) == (1, [], {})
    take(cache, lines_of(entry), trust=True)
    assert everything(cache) == {entry.key: entry}
    assert cache.get_or_generate_sync("x", never, api_key="sk-1", n=1) == "value"


def test_secrets_in_a_file_are_not_stored(cache, tmp_path):
    """What another cache took for public, or a hand has written."""
    entry = sample({"api_key": "sk-1", "n": 1}, "value")
    assert b"sk-1" in lines_of(entry)
    take(cache, lines_of(entry))
    (there,) = everything(cache).values()
    assert (there.key, there.redacted) == (entry.key, True)
    assert there.params == {"api_key": "<redacted>", "n": 1}


def test_params_are_kept_as_the_policy_here_says(tmp_path):
    """No more than of what is generated here."""
    config = CacheConfig(
        cache_dir=tmp_path / "cache", prefixes={"intro_page": CachePolicy(store_params="none")}
    )
    with LLMCache(config=config, clock=Clock()) as cache:
        take(cache, lines_of(sample()))
        (there,) = everything(cache).values()
    assert (there.key, there.redacted, there.params) == (sample().key, True, {})


def test_tenant_takes_only_its_own(cache):
    """The others are counted."""
    file = lines_of(sample(tenant="acme"), sample(tenant="other"), sample())
    with cache.tenant("acme"):
        importer, refused = take(cache, file)
    assert (fates(importer), importer.of_others, refused) == ((1, 0, 0, 0), 2, [])
    assert [entry.tenant for entry in everything(cache).values()] == ["acme"]


def test_max_disk_is_kept(tmp_path):
    """What has to go for it is counted."""
    config = CacheConfig(cache_dir=tmp_path / "cache", max_disk="1MiB")
    noise = [random.Random(n).randbytes(4000).hex() for n in range(300)]
    with LLMCache(config=config, clock=Clock()) as cache:
        importer, refused = take(
            cache, lines_of(*(sample({"n": n}, value) for n, value in enumerate(noise)))
        )
        left = len(everything(cache))
    assert (fates(importer), refused) == ((300, 0, 0, 0), [])
    assert importer.evicted == 300 - left > 0


def test_memory_serves_the_newer(cache):
    """A hit from memory before, the imported one after."""
    cache._engine.merge([sample(value="old")])

    def asked() -> str:
        return cache.get_or_generate_sync("intro_page", never, topic="fractions")

    assert asked() == "old"
    take(cache, lines_of(sample(value="new", created_at=NOW - 1)))
    assert asked() == "new"


def test_what_was_written_stays_when_reading_fails(cache):
    """Up to the last whole batch; once more takes the rest."""
    entries = [sample({"n": n}) for n in range(ENTRIES_AT_ONCE + 1)]

    def breaks() -> Iterable[bytes]:
        yield lines_of(*entries)
        raise KeyboardInterrupt

    importer = Importer(cache, trust=False, dry_run=False)
    with pytest.raises(KeyboardInterrupt):
        list(importer.take(breaks()))
    assert fates(importer) == (ENTRIES_AT_ONCE, 0, 0, 0)
    again, _ = take(cache, lines_of(*entries))
    assert fates(again) == (1, 0, ENTRIES_AT_ONCE, 0)


@pytest.mark.slow
def test_large_values_are_written_sooner(cache):
    """A batch is bounded by its bytes, too: no hundred large values are held at once."""
    letters = [chr(code) for code in range(35, 127) if chr(code) != "\\"]
    values = ["".join(random.Random(n).choices(letters, k=4 * 1024**2)) for n in range(6)]

    def breaks() -> Iterable[bytes]:
        yield from (lines_of(sample({"n": n}, value)) for n, value in enumerate(values))
        raise KeyboardInterrupt

    importer = Importer(cache, trust=False, dry_run=False)
    with pytest.raises(KeyboardInterrupt):
        list(importer.take(breaks()))
    assert fates(importer) == (5, 0, 0, 0)


def test_nothing_of_a_line_is_executed(cache, tmp_path):
    """Names of classes and functions in params and values are texts."""
    bait = f"__import__('pathlib').Path({str(tmp_path / 'made')!r}).touch()"
    value = {"py/object": "os.system", "py/reduce": [bait], "__reduce__": bait, "!!python": bait}
    entry = sample({"a": {"$model:os.system": bait}, "b": bait}, value)
    take(cache, lines_of(entry))
    (there,) = everything(cache).values()
    assert there.value == value
    assert json.dumps(dict(there.params))
    assert not (tmp_path / "made").exists()
