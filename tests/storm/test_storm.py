"""A short storm of each run, and whether its judge sees what it should."""

import orjson
import pytest

from llm_cache import LLMCache
from tests.storm.__main__ import Storm
from tests.storm.judge import Judge
from tests.storm.worker import began_at, make

SECONDS = 30.0


@pytest.mark.stress
@pytest.mark.timeout(180)
def test_a_storm_loses_nothing_and_answers_right(tmp_path):
    """Six processes do everything at once, and are killed and stopped at random."""
    storm = Storm(tmp_path, seed=20261122)
    storm.run(SECONDS)
    report = storm.report()
    assert storm.judge.lost == [], report
    assert storm.judge.wrong == [], report
    assert storm.troubles == [], report
    for what in ("answered", "generated", "kept", "looked for", "invalidated", "killed", "stopped"):
        assert storm.judge.counts[what], report


@pytest.fixture
def hear(tmp_path):
    """A judge that has heard of some records."""

    def hear(*records):
        log = tmp_path / "a.log"
        log.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
        judge = Judge()
        judge.hear([log, tmp_path / "missing.log"])
        return judge

    return hear


@pytest.mark.parametrize(
    ("made", "asked", "is_wrong"),
    [(10, 40, True), (10, 29, False), (21, 40, False), (19, 31, True)],
)
def test_an_answer_made_before_an_invalidation_is_wrong_after_it(hear, made, asked, is_wrong):
    """It began at 20 and had returned at 30: what was made at 10 may not be given at 40."""
    judge = hear(["invalidated", ["a-1", "a-2"], 20, 30], ["answered", "a-1", asked, made])
    assert bool(judge.wrong) == is_wrong


def test_an_earlier_invalidation_that_returns_later_hides_none(hear):
    """The latest beginning counts, of all that have returned."""
    judge = hear(
        ["invalidated", ["a-1"], 20, 30],
        ["invalidated", ["a-1"], 5, 35],
        ["answered", "a-1", 40, 10],
    )
    assert len(judge.wrong) == 1


def test_what_was_put_counts_from_when_it_was_there(hear):
    """Not from when it was made; and of one that was killed, nobody knows when."""
    invalidated = ["invalidated", ["a-1"], 20, 30]
    judge = hear(invalidated, ["putting", "a-1", 10], ["answered", "a-1", 40, 10])
    assert judge.wrong == []
    judge = hear(invalidated, ["put", "a-1", 10, 25], ["answered", "a-1", 40, 10])
    assert judge.wrong == []
    judge = hear(invalidated, ["put", "a-1", 10, 15], ["answered", "a-1", 40, 10])
    assert len(judge.wrong) == 1


def test_what_is_not_there_is_lost_and_what_is_another_is_wrong(tmp_path):
    """Of what was acknowledged."""
    judge = Judge()
    with LLMCache(tmp_path / "cache") as cache:
        cache.put("kept", make("one", 7), key="one")
        cache.put("kept", make("another", 7), key="two")
        judge.look(cache, ["one", "two", "three"])
    assert judge.lost == ["three"]
    assert [words.split(":")[0] for words in judge.wrong] == ["two"]


@pytest.mark.parametrize(
    "value", ["", "k", "k 7", "k 7 ", "other 7 ", make("k", 7) + "0", make("k", 8)[:-1], 7, None]
)
def test_a_value_that_is_not_whole_is_told(value):
    """Or not of its key."""
    assert began_at("k", make("k", 7)) == 7
    assert began_at("k", value) is None
