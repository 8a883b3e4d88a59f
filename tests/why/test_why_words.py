"""What `ls` shows of a param that is no plain JSON stands for it in `llm-cache why`, too."""

import dataclasses
import datetime as dt
import decimal
import enum
import json
import pathlib
import time
import uuid
import zoneinfo
from typing import NamedTuple

import pydantic
import pytest

from llm_cache import CachePolicy
from llm_cache.cli.app import run
from tests.conformance.samples import Clock

DAY_S = 86_400.0
BERLIN = zoneinfo.ZoneInfo("Europe/Berlin")


class Grade(enum.Enum):
    """As a school has them."""

    FIVE = "5"
    SIX = 6


class Level(enum.IntEnum):
    """Numbers with names."""

    LOW = 1


class Name(str):
    """A text of a kind of its own."""

    __slots__ = ()


class Place(pydantic.BaseModel):
    """A model."""

    town: str
    since: dt.date


@dataclasses.dataclass(frozen=True)
class Topic:
    """A dataclass."""

    name: str
    grade: Grade


class Pair(NamedTuple):
    """A tuple with names."""

    a: int
    b: dt.date


KINDS = {
    "enum": Grade.FIVE,
    "enum of numbers": Grade.SIX,
    "int enum": Level.LOW,
    "text of a kind": Name("x"),
    "date": dt.date(2026, 11, 1),
    "datetime": dt.datetime(2026, 11, 1, 10, 30, tzinfo=BERLIN),
    "datetime of UTC": dt.datetime(2026, 11, 1, 10, 30, tzinfo=dt.UTC),
    "naive datetime": dt.datetime(2026, 11, 1, 10, 30),  # noqa: DTZ001 - what code may give
    "time": dt.time(10, 30),
    "timedelta": dt.timedelta(days=1, hours=2),
    "decimal": decimal.Decimal("1.50"),
    "uuid": uuid.UUID(int=7),
    "bytes": b"\x00\xff",
    "path": pathlib.PurePosixPath("/srv/x"),
    "large number": 2**80,
    "named tuple": Pair(1, dt.date(2026, 11, 1)),
    "dataclass": Topic("fractions", Grade.FIVE),
    "model": Place(town="Bonn", since=dt.date(2026, 1, 2)),
    "list of dates": [dt.date(2026, 11, 1), "x"],
    "table of enums": {"a": {"b": Grade.FIVE}, "$c": 0.1},
}


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")


@pytest.fixture
def clock():
    """An hour ago by the clock that the command goes by."""
    return Clock(time.time() - 3600.0)


@pytest.fixture
def cache(make_cache):
    """What a test puts something into."""
    with make_cache() as cache:
        yield cache


@pytest.fixture
def command(cache, directory, capfd):
    """Runs a command in this process; its stdout."""

    def command(*args):
        cache.close()
        assert run(["--cache-dir", str(directory), *args]) == 0
        return capfd.readouterr().out

    return command


def as_shown(command, prefix):
    """What `ls` shows of the params `n` of a prefix, as one types it."""
    lines = [line.split("\t") for line in command("ls", prefix).splitlines()]
    values = [json.loads(line[2])["n"] for line in lines]
    return [value if isinstance(value, str) else json.dumps(value) for value in values]


@pytest.mark.parametrize("value", KINDS.values(), ids=KINDS)
def test_what_ls_shows_is_what_why_takes(cache, command, value):
    """Of every kind that a key takes; `ls --param` finds the same one by the same word."""
    cache.put("page", "text", n=value, subject="math")
    cache.put("page", "text", n="another", subject="math")
    [word] = [word for word in as_shown(command, "page") if word != "another"]
    assert command("why", "page", f"n={word}", "subject=math").startswith("hit: fresh")
    key = command("ls", "page", "--param", f"n={word}", "--json")
    assert json.loads(key)["entries"][0]["key"] in command(
        "why", "page", f"n={word}", "subject=math", "--json"
    )


def test_why_and_ls_decide_alike_between_a_number_and_a_text(cache, command):
    """5 may be both, "5" is the text, and an enum of that value is neither."""
    cache.put("page", "text", n=5)
    cache.put("page", "text", n="5")
    cache.put("page", "text", n=Grade.FIVE)
    for word in ("n=5", 'n="5"', "n=Grade.FIVE"):
        listed = json.loads(command("ls", "page", "--param", word, "--json"))["entries"]
        keys = {each["key"] for each in listed}
        assert json.loads(command("why", "page", word, "--json"))["key"] in keys
    assert command("why", "page", "n=6").startswith("miss: the nearest entry")


@pytest.mark.parametrize("word", ["5", "Grade.SEVEN", "FIVE", "grade.five"])
def test_a_word_that_is_not_what_is_shown_is_no_hit(cache, command, word):
    """Nothing is guessed: a value of an enum is not the enum."""
    cache.put("page", "text", n=Grade.FIVE)
    assert command("why", "page", f"n={word}").startswith("miss: ")


def test_an_expired_entry_is_found_and_said_to_be(cache, command, clock):
    """It is the very one."""
    clock.now -= 3 * DAY_S
    cache.put("page", "text", n=dt.date(2026, 11, 1))
    assert command("why", "page", "n=2026-11-01").startswith("miss: expired 2d ago")


def test_a_fresh_typed_entry_goes_before_an_expired_plain_one(cache, command, clock):
    """As a request that code makes would be answered."""
    clock.now -= 3 * DAY_S
    cache.put("page", "text", n="2026-11-01")
    clock.now += 3 * DAY_S
    cache.put("page", "text", n=dt.date(2026, 11, 1))
    assert command("why", "page", "n=2026-11-01").startswith("hit: fresh")


def test_only_what_differs_is_told_to_differ(cache, command):
    """A typed value that the nearest entry has as well is none of it."""
    cache.put("page", "text", grade=Grade.FIVE, day=dt.date(2026, 11, 1))
    out = command("why", "page", "grade=Grade.FIVE", "day=2026-11-02")
    assert out.splitlines()[1:] == ['  day = "2026-11-02" here, "2026-11-01" there']


def test_a_typed_value_of_another_entry_is_of_its_kind(cache, command):
    """Two enums differ by their names, not by what they are."""
    cache.put("page", "text", grade=Grade.FIVE, n=1)
    cache.put("page", "text", grade=Grade.SIX, n=2)
    out = command("why", "page", "grade=Grade.SIX", "n=1")
    assert len(out.splitlines()) == 2
    assert "string" not in out


def test_versions_narrow_it(cache, command):
    """The version that is asked for is the only one, else any that is there."""
    cache.put("page", "text", policy=CachePolicy(version="v2"), n=Grade.FIVE)
    assert command("why", "page", "n=Grade.FIVE").startswith("hit: fresh")
    assert command("why", "page", "n=Grade.FIVE", "--version", "v2").startswith("hit: fresh")
    out = command("why", "page", "n=Grade.FIVE", "--version", "v1")
    assert out.startswith("miss: version differs: v1 here, v2 there")


def test_another_tenants_entry_is_none(cache, command):
    """Not even with the same words."""
    with cache.tenant("acme"):
        cache.put("page", "text", n=Grade.FIVE)
    assert command("why", "page", "n=Grade.FIVE").startswith("miss: nothing is stored")
    assert command("--tenant", "acme", "why", "page", "n=Grade.FIVE").startswith("hit: fresh")


@pytest.mark.parametrize("secret", ["abc", pydantic.SecretStr("abc")], ids=["text", "secret"])
def test_a_secret_beside_a_typed_value_is_told_by_who_knows_it(cache, command, secret):
    """Nothing of it is stored but the key, which has to be the same."""
    cache.put("page", "text", n=Grade.FIVE, api_key=secret)
    assert command("why", "page", "n=Grade.FIVE", "api_key=abc").startswith("hit: fresh")
    assert command("why", "page", "n=Grade.FIVE", "api_key=abd").startswith("miss: ")


def test_a_name_that_begins_with_a_dollar_is_a_name(cache, command):
    """It is written with a second one in the key."""
    cache.put("page", "text", params={"$n": Grade.FIVE, "x": 0.1})
    assert command("why", "page", "$n=Grade.FIVE", "x=0.1").startswith("hit: fresh")
