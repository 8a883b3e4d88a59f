"""`llm-cache why` prints what `cache.why` answers, of the reading of its params that is nearest."""

import json
import re
import time

import apsw
import pytest

from llm_cache import CachePolicy, LLMCache
from llm_cache.cli.app import run
from llm_cache.cli.errors import ExitCode
from tests.cli import terminal
from tests.conformance.samples import Clock

HALF_AN_HOUR_S, HOUR_S, DAY_S = 1800.0, 3600.0, 86_400.0
LESSON = {"subject": "math", "grade": 5}
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
EVIL = "\x1b[31m\x1b]52;c;aGk=\x07\x9b2J\u202e\r[red]x[/red] :key:\nnext"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """A working directory without settings."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def clock():
    """Two hours and a half ago by the clock that the command goes by."""
    return Clock(time.time() - 2 * HOUR_S - HALF_AN_HOUR_S)


@pytest.fixture
def filled(make_cache, clock):
    """A cache with a lesson of today, and what else a test puts into it."""
    with make_cache() as cache:
        cache.put("lesson_page", "text", params=LESSON)
        yield cache


@pytest.fixture
def why(filled, directory, capfd):
    """Runs the command in this process; its exit code, stdout and stderr."""

    def why(*args):
        filled.close()
        code = run(["--cache-dir", str(directory), "why", *map(str, args)])
        out, err = capfd.readouterr()
        return int(code), out, err

    return why


@pytest.fixture
def told(directory):
    """What `cache.why` answers, as it is printed."""

    def told(prefix, policy=None, **params):
        with LLMCache(directory) as cache:
            return f"{cache.why(prefix, policy=policy, params=params)}\n"

    return told


# What it prints, where.

REQUESTS = {
    "hit": (["subject=math", "grade=5"], LESSON),
    "another value": (["subject=math", "grade=6"], {**LESSON, "grade": 6}),
    "a string for a number": (["subject=math", 'grade="5"'], {**LESSON, "grade": "5"}),
    "less": (["subject=math"], {"subject": "math"}),
    "more": (["subject=math", "grade=5", "tags=[1, 2]"], {**LESSON, "tags": [1, 2]}),
    "nothing": ([], {}),
}


@pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS)
def test_stdout_is_the_answer_of_the_library(why, told, case):
    """To the letter, and it is no failure that it would miss."""
    typed, params = case
    code, out, _ = why("lesson_page", *typed)
    assert (code, out) == (ExitCode.DONE, told("lesson_page", **params))


def test_a_terminal_gets_the_same(filled, directory, here, told):
    """The answer, and a hint at what to look at."""
    filled.close()
    args = ("--cache-dir", directory, "why", "lesson_page", "subject=math", 'grade="5"')
    shown = terminal.on_terminal(*args, cwd=here)
    answer = told("lesson_page", subject="math", grade="5")
    assert 'grade = "5" here, 5 there: string and number' in answer
    assert shown.code == 0
    assert shown.out.startswith(answer)
    assert re.fullmatch(
        r"hint: llm-cache inspect [0-9a-f]{8} shows the nearest entry\n",
        shown.out.removeprefix(answer),
    )


def test_a_pipe_gets_the_same_with_the_hint_on_stderr(filled, directory, here, told):
    """Data is data."""
    filled.close()
    args = ("--cache-dir", directory, "why", "lesson_page", "subject=math", "grade=6")
    shown = terminal.run(*args, cwd=here)
    assert (shown.code, shown.out) == (0, told("lesson_page", subject="math", grade=6))
    assert shown.err.startswith("hint: llm-cache inspect ")


def test_a_hit_has_no_hint(why):
    """There is nothing to look into."""
    code, out, err = why("lesson_page", "subject=math", "grade=5")
    assert out.startswith("hit: fresh; expires in 21h; made 2h ago")
    assert (code, err) == (ExitCode.DONE, "")


def test_json_has_every_fact(why, filled):
    """One document; what is not there is null."""
    entry = filled.peek("lesson_page", params=LESSON)
    document = json.loads(why("lesson_page", "subject=math", 'grade="5"', "--json")[1])
    key = document.pop("key")
    assert re.fullmatch("[0-9a-f]{64}", key)
    assert key != entry.key.hex()
    assert document == {
        "schema": 1,
        "prefix": "lesson_page",
        "tenant": "",
        "outcome": "miss",
        "reasons": [f"the nearest entry, {entry.id}, differs in grade"],
        "entry": None,
        "nearest": entry.id,
        "differences": [
            {"param": "grade", "here": '"5"', "there": "5", "hint": "string and number"}
        ],
    }


def test_json_of_a_hit_names_the_entry(why, filled):
    """By its id and key."""
    entry = filled.peek("lesson_page", params=LESSON)
    document = json.loads(why("lesson_page", "grade=5", "subject=math", "--json")[1])
    assert (document["outcome"], document["entry"]) == ("hit", entry.id)
    assert (document["key"], document["nearest"]) == (entry.key.hex(), None)
    assert document["differences"] == []


# What was meant.


@pytest.mark.parametrize("stored", [{"n": 5, "m": "6"}, {"n": "5", "m": 6}, {"n": "5", "m": "6"}])
@pytest.mark.parametrize("age", ["fresh", "expired"])
def test_numbers_and_texts_are_both_tried(why, filled, clock, stored, age):
    """Each param by itself: who types 5 does not know which of the two code says."""
    clock.now -= 3 * DAY_S if age == "expired" else 0
    filled.put("page", "text", params=stored)
    expected = {"fresh": "hit: fresh;", "expired": "miss: expired 2d ago;"}[age]
    assert why("page", "n=5", "m=6")[1].startswith(expected)


def test_what_may_be_meant_is_not_told_to_differ(why, filled):
    """The nearest entry has the text: that may well be what was typed."""
    filled.put("page", "text", n="5", m=1)
    out = why("page", "n=5", "m=2")[1]
    assert out.splitlines()[1:] == ["  m = 2 here, 1 there"]


@pytest.mark.parametrize(("stored", "told"), [("5", '"6" here, "5" there'), (5, "6 here, 5 there")])
def test_another_value_is_read_as_the_type_that_is_there(why, filled, stored, told):
    """Who types grade=6 where there is a text asks for a text."""
    filled.put("quiz", "text", params={"grade": stored})
    assert f"grade = {told}\n" in why("quiz", "grade=6")[1]


def test_what_was_not_stored_is_found_by_either_reading(why, filled):
    """The note is of the text."""
    policy = CachePolicy(store_if=["not_empty"])
    filled.get_or_generate_sync("page", str, policy=policy, n="5")
    filled.put("page", "text", n=7)
    assert re.match(r"miss: it was not stored 2h ago: empty; ", why("page", "n=5")[1])


@pytest.mark.parametrize("typed", ["NaN", "Infinity", "-Infinity", "1e999", "[NaN]", "nan", ""])
def test_what_json_has_no_number_for_is_text(why, filled, typed):
    """As code would have to give it."""
    filled.put("page", "text", n=typed)
    assert why("page", f"n={typed}")[1].startswith("hit")


@pytest.mark.parametrize(
    ("typed", "value"),
    [("a=b", "a=b"), ("[", "["), ("[" * 5000, "[" * 5000), ('{"b": [1]}', {"b": [1]}),
     ("null", None), ("null", "null"), ("true", True), ("1.0", 1.0), (" 5", " 5"),
     (str(2**80), 2**80), ("9" * 5000, "9" * 5000)],
    ids=range(11),
)  # fmt: skip
def test_any_value_can_be_typed(why, filled, typed, value):
    """What follows the first `=`."""
    filled.put("page", "text", n=value)
    assert why("page", f"n={typed}")[1].startswith("hit")


# Versions.


def test_without_a_version_any_that_is_there_is_tried(why, filled, clock):
    """Where the settings say none."""
    filled.put("page", "text", policy=CachePolicy(version="v2"), n=1)
    clock.now -= 3 * DAY_S
    filled.put("page", "text", policy=CachePolicy(version="v1"), n=2)
    filled.close()
    assert why("page", "n=1")[1].startswith("hit: fresh")
    assert why("page", "n=2")[1].startswith("miss: expired 2d ago")


@pytest.mark.parametrize(("asked", "named"), [("v1", "v1"), ("", "none")])
def test_a_version_that_is_asked_for_is_the_one(why, filled, asked, named):
    """And no other is tried."""
    filled.put("page", "text", policy=CachePolicy(version="v2"), n=1)
    out = why("page", "n=1", "--version", asked)[1]
    assert out.startswith(f"miss: version differs: {named} here, v2 there; the nearest entry is ")
    assert why("page", "n=1", "--version", "v2")[1].startswith("hit")


def test_the_version_of_the_settings_is_the_one(why, filled, here):
    """What the application asks for."""
    filled.put("page", "text", policy=CachePolicy(version="v2"), n=1)
    (here / "cache.toml").write_text('[prefixes.page]\nversion = "v3"\n')
    assert "version differs: v3 here, v2 there" in why("page", "n=1")[1]
    (here / "cache.toml").write_text('[prefixes.page]\nversion = "v2"\n')
    assert why("page", "n=1")[1].startswith("hit")


def test_a_version_that_only_code_knows_is_found(why, filled, here):
    """`auto` is a digest of a function that is not there: what is stored is tried."""
    filled.put("page", "text", policy=CachePolicy(version="0123abcd"), n=1)
    (here / "cache.toml").write_text('[prefixes.page]\nversion = "auto"\n')
    assert why("page", "n=1")[1].startswith("hit")


# Tenants and settings.


def test_a_tenant_is_asked_for_its_own(filled, directory, capfd):
    """With the flag of all commands."""
    with filled.tenant("acme"):
        filled.put("page", "text", n=1)
    filled.close()
    for tenant, expected in (
        ("acme", "hit: fresh; "),
        ("globex", "miss: nothing is stored under this prefix for the tenant 'globex'"),
    ):
        args = ["--cache-dir", str(directory), "--tenant", tenant, "why", "page", "n=1"]
        assert run(args) == ExitCode.DONE
        assert capfd.readouterr().out.startswith(expected)


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        ("[cache]\nenabled = false", "bypass: the cache is disabled\n"),
        ('[prefixes.lesson_page]\nmode = "off"', "bypass: the mode is off\n"),
        ("[prefixes.lesson_page]\nttl = 0", "bypass: the ttl is 0\n"),
        ('[prefixes.lesson_page]\nttl = "1h"', "miss: expired 1h ago; made 2h ago\n"),
    ],
    ids=["disabled", "off", "ttl 0", "a shorter ttl"],
)
def test_settings_count(why, here, settings, answer):
    """As they do for the application."""
    (here / "cache.toml").write_text(settings)
    assert why("lesson_page", "subject=math", "grade=5") == (ExitCode.DONE, answer, "")


# What is wrong.


def test_an_unknown_prefix_is_an_answer_with_a_guess(why):
    """Nothing is there, which is what was asked."""
    code, out, err = why("lesson_pge", "grade=5")
    assert (code, out) == (ExitCode.DONE, "miss: nothing is stored under this prefix\n")
    assert err == "hint: did you mean 'lesson_page'?\n"


def test_a_prefix_like_no_other_has_no_guess(why):
    """Nor has one under which everything was invalidated."""
    assert why("zzz", "grade=5")[2] == ""


def test_an_empty_cache_is_an_answer(tmp_path, here):
    """And is not made by asking."""
    nowhere = tmp_path / "nowhere"
    shown = terminal.run("--cache-dir", nowhere, "why", "lesson_page", "grade=5", cwd=here)
    assert (shown.code, shown.out) == (0, "miss: nothing is stored under this prefix\n")
    assert shown.err.startswith(f"hint: there is no cache in {nowhere}; ")
    assert not nowhere.exists()


WRONG = {
    "no params": ([], "missing argument 'PREFIX'"),
    "no =": (["lesson_page", "grade"], "'grade' is no param\nhint: write NAME=VALUE"),
    "no name": (["lesson_page", "=5"], "'=5' is no param\nhint: write NAME=VALUE"),
    "twice": (
        ["lesson_page", "a=1", "b=2", "a=1"],
        "the param 'a' is given twice\nhint: keep one of them",
    ),
    "a prefix that is none": (["les son", "a=1"], "prefix 'les son' is not allowed"),
    "a wildcard": (["lesson*", "a=1"], "prefix 'lesson*' is not allowed"),
    "an unknown flag": (["lesson_page", "--verson", "v"], "no such option '--verson'"),
}


@pytest.mark.parametrize("case", WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said(why, case):
    """On stderr, exit 2, nothing on stdout."""
    args, message = case
    code, out, err = why(*args)
    assert (code, out) == (ExitCode.USAGE, "")
    assert err.startswith(f"error: {message}")


def test_a_store_in_trouble_is_a_failure(tmp_path, here):
    """Exit 1: nobody can tell."""
    broken = tmp_path / "broken"
    broken.mkdir(mode=0o700)
    with apsw.Connection(str(broken / "cache.db")) as connection:
        connection.execute("CREATE TABLE theirs (a)").fetchall()
    shown = terminal.run("--cache-dir", broken, "why", "lesson_page", "a=1", cwd=here)
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith("error: ")


# Hostile text.


@pytest.mark.parametrize("form", [[], ["--json"]], ids=["words", "json"])
@pytest.mark.parametrize("where", ["typed", "stored", "both", "name"])
def test_hostile_text_is_shown_as_itself(filled, directory, here, form, where):
    """In a name, in a value, here and there, on a terminal: escaped, never obeyed."""
    stored, typed = {"n": "text"}, ["n=other"]
    if where in ("stored", "both"):
        stored = {"n": EVIL}
    if where in ("typed", "both"):
        typed = [f"n={EVIL}!"]
    if where == "name":
        stored, typed = {EVIL.replace("=", "-"): 1}, [f"{EVIL.replace('=', '-')}=2"]
    filled.put("page", "text", params=stored)
    filled.close()
    args = ("--cache-dir", directory, "why", "page", *typed, *form)
    shown = terminal.on_terminal(*args, cwd=here, env={"NO_COLOR": "1"})
    assert shown.code == 0
    assert OBEYED.search(shown.out) is None, shown.out
    assert "[red]x[/red] :key:" in shown.out


@pytest.mark.parametrize("line_break", ["\n", "\r\n", "\x0b", "\x85", "\u2028"], ids=ascii)
def test_a_line_break_in_a_name_makes_no_line(why, filled, line_break):
    """Every difference is a line, and every line ours."""
    filled.put("page", "text", params={f"a{line_break}hit: fresh": 1})
    lines = why("page", "b=1")[1].splitlines()
    assert len(lines) == 3
    assert not any(line.startswith("hit") for line in lines)
