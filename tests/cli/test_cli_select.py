"""The flags that choose entries mean the same on every command, and what they say."""

import contextlib
import enum
import io
import json
import tempfile
import time
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llm_cache.api.cache import LLMCache
from llm_cache.cli.app import run
from llm_cache.config import load_config
from llm_cache.core.entry import Entry
from llm_cache.core.keys import Identity, canonical_params
from tests.conformance.samples import sized


class Grade(enum.Enum):
    """A param that JSON has no form for."""

    FIVE = "5"


MEANT_BY = [
    (5, {"5"}),
    ("5", {"5", '"5"'}),
    (5.0, {"5.0"}),
    (True, {"true"}),
    ("true", {"true", '"true"'}),
    (None, {"null"}),
    ("null", {"null", '"null"'}),
    ("math", {"math", '"math"'}),
    ('"5"', {r'"\"5\""'}),
    ("a=b", {"a=b"}),
    (date(2026, 11, 22), {"2026-11-22"}),
    (Grade.FIVE, {"Grade.FIVE"}),
    ([1, "2"], {'[1, "2"]', '[1,"2"]'}),
]
"""Values of a param, each with all that one may type for it."""
TYPED = sorted({typed for _, ways in MEANT_BY for typed in ways})
PREFIXES = ["intro", "intro_page", "math/intro", "word"]
HOUR_S = 3600.0
SETTINGS = """
[defaults]
ttl = "1d"
grace = "1d"
stale_if_error = "3d"
"""


@dataclass(frozen=True)
class Made:
    """An entry as a test wants it; its age is in hours and a half, away from every border."""

    prefix: str
    meant: int
    has_param: bool
    hours: int
    used_hours: int | None
    size_bytes: int
    model: str | None
    version: str

    @property
    def state(self) -> str:
        """What the settings above make of its age."""
        borders = {"fresh": 24, "stale": 48, "fallback": 96}
        return next((state for state, end in borders.items() if self.hours < end), "expired")

    @property
    def hours_unused(self) -> int:
        """Since it was made or used."""
        return self.hours if self.used_hours is None else min(self.hours, self.used_hours)

    def entry(self, n: int, now: float) -> Entry:
        """The entry itself; `n` tells it from the others."""
        params = {"n": n, **({"p": MEANT_BY[self.meant][0]} if self.has_param else {})}
        identity = Identity(self.prefix, canonical_params(params), self.version)
        return sized(
            Entry(
                key=identity.key,
                request=identity.request,
                params_json=identity.params_json,
                prefix=self.prefix,
                version=self.version,
                model=self.model,
                encoding="json",
                size_bytes=0,
                value_bytes=0,
                created_at=now - (self.hours + 0.5) * HOUR_S,
                hits=0 if self.used_hours is None else 3,
                used_at=now - (self.hours_unused + 0.5) * HOUR_S,
                body=b'"' + b"x" * (self.size_bytes - 2 - len(identity.params_json)) + b'"',
            )
        )


HOURS = st.sampled_from([0, 1, 2, 23, 24, 47, 48, 95, 96, 167, 168])
MADE = st.builds(
    Made,
    prefix=st.sampled_from(PREFIXES),
    meant=st.integers(0, len(MEANT_BY) - 1),
    has_param=st.booleans(),
    hours=HOURS,
    used_hours=st.none() | HOURS,
    size_bytes=st.sampled_from([200, 1000, 1001, 1024, 1500, 1501]),
    model=st.sampled_from([None, "gpt", "gpt-mini"]),
    version=st.sampled_from(["", "1"]),
)
AGES = {"1h": 1, "60m 1h": 2, "1 day": 24, "2 days ago": 48, "1w": 168}
SIZES = {"0B": 0, "1KB": 1000, "1KiB": 1024, "1.5 kb": 1500}


@dataclass(frozen=True)
class Choice:
    """What is typed, and what it means by another way than the command's own."""

    prefix: str | None = None
    params: tuple[str, ...] = ()
    model: str | None = None
    version: str | None = None
    states: frozenset[str] = frozenset()
    older_than: str | None = None
    unused_for: str | None = None
    is_unused: bool = False
    larger_than: str | None = None

    @property
    def flags(self) -> list[str]:
        """As they are typed."""
        valued = {
            "--prefix": self.prefix,
            "--model": self.model,
            "--version": self.version,
            "--older-than": self.older_than,
            "--unused-for": self.unused_for,
            "--larger-than": self.larger_than,
        }
        return [
            *(
                word
                for flag, value in valued.items()
                if value is not None
                for word in (flag, value)
            ),
            *(f"--param=p={typed}" for typed in self.params),
            *(f"--{state}" for state in sorted(self.states)),
            *(["--unused"] if self.is_unused else []),
        ]

    def takes(self, made: Made) -> bool:
        """Whether that entry is chosen."""
        return all(
            (
                self.prefix is None or _is_of(made.prefix, self.prefix),
                all(made.has_param and t in MEANT_BY[made.meant][1] for t in self.params),
                self.model in (None, made.model),
                self.version in (None, made.version),
                not self.states or made.state.replace("fallback", "stale") in self.states,
                self.older_than is None or made.hours + 0.5 > AGES[self.older_than],
                self.unused_for is None or made.hours_unused + 0.5 > AGES[self.unused_for],
                not self.is_unused or made.used_hours is None,
                self.larger_than is None or made.size_bytes > SIZES[self.larger_than],
            )
        )


def _is_of(prefix: str, typed: str) -> bool:
    return prefix[: len(typed) - 1] == typed[:-1] if typed[-1] == "*" else prefix == typed


FIELDS = {
    "prefix": st.sampled_from([*PREFIXES, "intro*", "*", "m*", "intro_page*", "x*"]),
    "params": st.sampled_from(TYPED).map(lambda typed: (typed,)),
    "model": st.sampled_from(["gpt", "gpt-mini", "other"]),
    "version": st.sampled_from(["", "1", "2"]),
    "states": st.frozensets(st.sampled_from(["fresh", "stale", "expired"])),
    "older_than": st.sampled_from(sorted(AGES)),
    "unused_for": st.sampled_from(sorted(AGES)),
    "is_unused": st.just(True),
    "larger_than": st.sampled_from(sorted(SIZES)),
}
CHOICES = (
    st.lists(st.sampled_from(sorted(FIELDS)), unique=True, max_size=3)
    .flatmap(lambda names: st.fixed_dictionaries({name: FIELDS[name] for name in names}))
    .map(lambda fields: Choice(**fields))
)


def run_here(directory: Path, *args: str) -> str:
    """What a command writes to stdout."""
    where = ("--config", str(directory / "cache.toml"), "--cache-dir", str(directory / "cache"))
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        assert run([*where, *args]) == 0, err.getvalue()
    return out.getvalue()


def keys_of(shown: str) -> set[str]:
    """The keys in a JSON document of a command."""
    return {entry["key"] for entry in json.loads(shown)["entries"]}


@pytest.fixture(scope="module")
def place():
    """A directory with settings."""
    with tempfile.TemporaryDirectory() as directory:
        place = Path(directory)
        (place / "cache.toml").write_text(SETTINGS)
        yield place


@pytest.fixture(scope="module")
def cache(place):
    """The cache that is filled anew for each example."""
    with LLMCache(
        config=load_config(place / "cache.toml", cache_dir=place / "cache", environ={})
    ) as cache:
        yield cache


@pytest.mark.slow
@settings(max_examples=150)
@given(made=st.lists(MADE, max_size=12), choice=CHOICES)
def test_every_command_chooses_what_the_flags_say(cache, place, made, choice):
    """ls, a removal's dry run, an export and the trash agree with what is counted by hand."""
    now = time.time()
    entries = {each.entry(n, now): each for n, each in enumerate(made)}
    cache.clear_all()
    cache._engine.merge(entries)
    expected = {entry.key.hex() for entry, each in entries.items() if choice.takes(each)}
    flags = choice.flags
    assert keys_of(run_here(place, "ls", "--json", *flags)) == expected
    run_here(place, "export", str(place / "all.jsonl"), *flags)
    exported = (place / "all.jsonl").read_text("utf-8").splitlines()
    assert {json.loads(line)["key"] for line in exported} == expected
    if not flags:
        return
    assert keys_of(run_here(place, "invalidate", "--dry-run", "--json", *flags)) == expected
    cache.invalidate_entries([entry.key for entry in entries], keep=True)
    assert keys_of(run_here(place, "restore", "--dry-run", "--json", *flags)) == expected


@pytest.mark.parametrize("typed", TYPED)
def test_param_is_matched_by_value_and_type(cache, place, typed):
    """What reads as JSON is that or the text; in quotes of JSON only the text."""
    cache.clear_all()
    made = [Made("intro", at, True, 1, None, 10, None, "") for at in range(len(MEANT_BY))]
    entries = [each.entry(n, time.time()) for n, each in enumerate(made)]
    cache._engine.merge(entries)
    expected = {
        entry.key.hex() for entry, (_, ways) in zip(entries, MEANT_BY, strict=True) if typed in ways
    }
    assert expected
    assert keys_of(run_here(place, "ls", "--json", f"--param=p={typed}")) == expected


def test_flags_that_repeat_narrow_further(cli, lessons):
    """Each param has to be there; of two ages the older counts, of two sizes the larger."""
    both = cli("ls", "-q", "--param", "grade=5", "--param", "subtopic=adding-fractions")
    assert both.out.split() == [lessons.page]
    assert cli("ls", "-q", "--older-than", "1h", "--older-than", "3d").out.split() == [
        lessons.old_page
    ]
    assert cli("ls", "-q", "--larger-than", "1B", "--larger-than", "100B").out.split() == [
        lessons.page
    ]
    assert cli("ls", "-q", "-p", "word_problem", "-p", "word_problem").out.count("\n") == 2


@pytest.mark.parametrize(
    "flags",
    [
        ["-p", "intro_page", "-p", "word_problem"],
        ["-p", "intro*", "--prefix", "intro_page"],
        ["--model", "a", "--model", "b"],
        ["--version", "1", "--version", "2"],
        ["--param", "grade=5", "--param", "grade=6"],
        ["--param", 'grade="5"', "--param", "grade=5.0"],
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("command", ["ls", "invalidate", "restore", "export"])
def test_flags_that_contradict_each_other_are_refused(cli, lessons, command, flags):
    """Exit 2, with what cannot both be; nothing is done."""
    shown = cli(command, *flags)
    assert (shown.code, shown.out) == (2, "")
    assert flags[1].partition("=")[2] in shown.err
    assert flags[3] in shown.err
    assert shown.err.endswith("hint: keep one of them\n")
    assert lessons.ids_there() == lessons.all_ids


def test_param_said_twice_in_two_ways_is_one_request(cli, lessons):
    """5 may be the text, so both can be true."""
    flags = ["--param", "grade=5", "--param", 'grade="5"']
    assert set(cli("ls", "-q", *flags).out.split()) == {lessons.page, lessons.other_page}


@pytest.mark.parametrize(
    ("flag", "typed", "message", "hint"),
    [
        ("--older-than", "7", "'7' has no unit", "write '7d'"),
        ("--older-than", "20261101", "'20261101' has no unit", "'2026-11-01'"),
        ("--older-than", "-7d", "'-7d' is negative", "write '7d'"),
        ("--older-than", "6M", "'6M' may be of minutes or of months", "write '6m' for minutes"),
        ("--older-than", "soon", "'soon' is neither a time ago nor a date", "write '7d'"),
        ("--unused-for", "2999-01-01", "'2999-01-01' is in the future", "write a date before now"),
        ("--unused-for", "forever", "'forever' is over 100 years ago", "like '7d'"),
        ("--larger-than", "64", "'64' is not a size", "like '64MiB' or '10KB'"),
        ("--larger-than", "-1KB", "'-1KB' is not a size", "like '64MiB' or '10KB'"),
    ],
)
def test_age_and_size_need_a_unit_and_a_sense(cli, flag, typed, message, hint):
    """One error line that quotes it, one hint line that shows how to write it."""
    shown = cli("ls", flag, typed)
    assert (shown.code, shown.out) == (2, "")
    error, said = shown.err.splitlines()
    assert error == f"error: {flag}: {message}"
    assert said.startswith("hint: write ")
    assert hint in said


@pytest.mark.parametrize("typed", ["grade", "=5", ""])
def test_param_is_a_name_and_a_value(cli, typed):
    """What is neither is refused."""
    shown = cli("ls", "--param", typed)
    assert shown.code == 2
    assert "hint: write NAME=VALUE, like subject=math" in shown.err


@pytest.mark.parametrize("typed", ["in*ro", "*page", "**"])
def test_star_stands_at_the_end_only(cli, typed):
    """Half a pattern language would be guessed at."""
    shown = cli("ls", typed)
    assert shown.code == 2
    assert "a * can only stand at the end" in shown.err


@pytest.mark.parametrize(
    ("args", "guess"),
    [
        (["intro_pag"], "did you mean 'intro_page'?"),
        (["wort_*"], "did you mean 'word_*'?"),
        (["w"], "did you mean 'w*'?"),
        (["--param", "gade=5"], "did you mean 'grade'?"),
        (["--param", "zzz=5"], "none of them has a param 'zzz'"),
        (["--model", "gpt-5-min"], "did you mean 'gpt-5-mini' as the model?"),
        (["--version", "v22"], "did you mean 'v2' as the version?"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
@pytest.mark.parametrize("command", [["ls"], ["invalidate", "--dry-run"], ["restore", "--dry-run"]])
def test_what_chooses_nothing_is_guessed_at(cli, lessons, command, args, guess):
    """No error, since nothing may be there; a hint at what is near."""
    with LLMCache(lessons.directory) as cache:
        entry = Made("word_problem", 0, True, 1, None, 10, "gpt-5-mini", "v2").entry(1, time.time())
        cache._engine.merge([entry])
        if command[0] == "restore":
            cache.invalidate_entries([info.key for info in cache.entries()], keep=True)
    if command != ["ls"] and not args[0].startswith("-"):
        args = ["-p", *args]
    shown = cli(*command, *args)
    assert (shown.code, shown.out) == (0, "")
    assert shown.err.splitlines()[-1] == f"hint: {guess}"


def test_known_prefix_without_entries_is_not_guessed_at(cli, lessons):
    """What was asked for under that name is no typing mistake, though another be near."""
    with LLMCache(lessons.directory) as cache:
        cache.put("intro_pages", "x")
    assert "did you mean 'intro_pages'?" in cli("ls", "intro_pagess").err
    cli("invalidate", "-p", "intro_page", "--yes")
    shown = cli("ls", "intro_page")
    assert (shown.code, "hint" in shown.err) == (0, False)


def test_tenant_narrows_every_choice(cli, lessons):
    """Flags choose among that tenant's entries only."""
    with LLMCache(lessons.directory) as cache, cache.tenant("acme"):
        cache.put("word_problem", "theirs", operation="addition")
    shown = cli("--tenant", "acme", "ls", "--param", "operation=addition", "--json")
    assert [entry["tenant"] for entry in json.loads(shown.out)["entries"]] == ["acme"]
    assert cli("--tenant", "acme", "invalidate", "-p", "word*", "--yes").code == 0
    assert lessons.ids_there() == lessons.all_ids
