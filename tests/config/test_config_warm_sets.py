"""What a `[[warm]]` table lists, and what it refuses to."""

import tomllib
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cache.config import CacheConfig, WarmSet, load_config
from llm_cache.errors import ConfigError


def warm_set(**given: Any) -> WarmSet:
    """A warm set with this and what every set needs."""
    return WarmSet(**{"prefix": "p", "generate": "app:make", **given})


def test_builtin_values():
    """A set says little: the rest is built in."""
    warm = warm_set(params=[{}])
    assert (warm.concurrency, warm.retries, warm.rate) == (4, 3, None)
    assert warm.calls_per_second() is None


def test_params_are_the_items():
    """Each table is one entry, in order."""
    assert warm_set(params=[{"b": 1, "a": 2}, {}]).items() == [{"b": 1, "a": 2}, {}]


def test_matrix_is_every_combination_in_declared_order():
    """The last name varies fastest."""
    items = warm_set(matrix={"b": [1, 2], "a": ["x", "y"]}).items()
    assert items == [
        {"b": 1, "a": "x"},
        {"b": 1, "a": "y"},
        {"b": 2, "a": "x"},
        {"b": 2, "a": "y"},
    ]
    assert [list(item) for item in items] == [["b", "a"]] * 4


def test_params_and_matrix_add_up():
    """First the single ones, then the combinations."""
    warm = warm_set(params=[{"a": 0}], matrix={"a": [1, 2]})
    assert warm.items() == [{"a": 0}, {"a": 1}, {"a": 2}]


def test_items_are_dicts_of_their_own():
    """Whoever changes an item changes no other, and not the set."""
    warm = warm_set(params=[{"a": 0}])
    warm.items()[0]["a"] = 1
    assert warm.items() == [{"a": 0}]


@given(
    st.dictionaries(
        st.text(max_size=5), st.lists(st.integers(), min_size=1, max_size=4), min_size=1, max_size=4
    )
)
def test_matrix_makes_each_combination_once(matrix: dict[str, list[int]]):
    """As many items as the lengths multiply to, each with every name and a listed value."""
    items = warm_set(matrix=matrix).items()
    expected = 1
    for axis in matrix.values():
        expected *= len(axis)
    assert len(items) == expected
    for item in items:
        assert list(item) == list(matrix)
        assert all(value in matrix[name] for name, value in item.items())


def test_values_are_those_of_the_file(tmp_path: Path):
    """Dates, numbers, lists and tables come out as TOML has them."""
    text = (
        '[[warm]]\nprefix = "p"\ngenerate = "a.b:f"\n'
        'params = [{ day = 2026-01-02, n = 1, x = 1.0, l = [1, "a"], t = { u = true } }]\n'
    )
    path = tmp_path / "cache.toml"
    path.write_text(text)
    (item,) = load_config(path, environ={}).warm[0].items()
    assert item == tomllib.loads(text)["warm"][0]["params"][0]
    assert item["day"] == date(2026, 1, 2)
    assert type(item["n"]) is int
    assert type(item["x"]) is float


@pytest.mark.parametrize(
    ("rate", "per_second"),
    [
        ("10/s", 10),
        ("60/min", 1),
        ("60 / minute", 1),
        ("1800/h", 0.5),
        ("0.5/sec", 0.5),
        ("90/Min", 1.5),
    ],
)
def test_rate_is_calls_per_second(rate: str, per_second: float):
    """A rate is calls in a second, a minute or an hour."""
    assert warm_set(params=[{}], rate=rate).calls_per_second() == per_second


@pytest.mark.parametrize(
    "generate", ["app:make", "examples.lessons:generate_intro_page", "a._b.c1:_f", "модуль:функция"]
)
def test_places_of_functions(generate: str):
    """A module's path, a colon, a name."""
    assert warm_set(params=[{}], generate=generate).generate == generate


MISTAKES: dict[str, tuple[dict[str, Any], str]] = {
    "no prefix": ({"prefix": None}, "prefix: None is not a prefix: write it in quotes"),
    "prefix that is none": ({"prefix": "a b"}, "prefix: prefix 'a b' is not allowed"),
    "nothing listed": ({}, "lists nothing: write params = "),
    "empty lists": ({"params": [], "matrix": {}}, "lists nothing: write params = "),
    "empty axis": ({"matrix": {"a": [1], "b": []}}, "matrix.b is empty, so that nothing would be"),
    "axis that is no list": ({"matrix": {"a": "xyz"}}, "matrix.a is not an array: 'xyz'"),
    "list of no tables": ({"params": [{}, 5]}, "params[1] is not a table: 5"),
    "table for params": ({"params": {"a": 1}}, "params is not an array: a table"),
    "list for a matrix": ({"matrix": [{"a": [1]}]}, "matrix is not a table: an array"),
    "far too many": (
        {"matrix": {"a": list(range(1000)), "b": list(range(1000))}},
        "matrix is too large: 1,000,000 combinations, at most 100,000",
    ),
    "minute or month": (
        {"rate": "90/M"},
        "rate: '90/M' may be of a minute or of a month: write '90/min'",
    ),
    "no colon": ({"generate": "app.make"}, "generate: 'app.make' is not a function: write 'module"),
    "two colons": ({"generate": "a:b:c"}, "generate: 'a:b:c' is not a function"),
    "path": ({"generate": "app/lessons.py:make"}, "generate: 'app/lessons.py:make' is not a func"),
    "relative module": ({"generate": ".app:make"}, "generate: '.app:make' is not a function"),
    "no module": ({"generate": ":make"}, "generate: ':make' is not a function"),
    "code": ({"generate": "os:system('x')"}, "generate: \"os:system('x')\" is not a function"),
    "trailing newline": ({"generate": "a:b\n"}, "generate: 'a:b\\n' is not a function"),
    "digit": ({"generate": "1a:b"}, "generate: '1a:b' is not a function"),
    "nobody works": (
        {"concurrency": 0},
        "concurrency: 0 is out of range: write a number from 1 to",
    ),
    "crowd": ({"concurrency": 1001}, "concurrency: 1001 is out of range"),
    "half a worker": ({"concurrency": 1.5}, "concurrency: 1.5 is not a whole number"),
    "negative retries": ({"retries": -1}, "retries: -1 is out of range"),
    "stubborn": ({"retries": 101}, "retries: 101 is out of range"),
    "bool for retries": ({"retries": True}, "retries: true is not a whole number"),
    "bare rate": ({"rate": 10}, "rate: 10 is not a rate: write a text like '10/s' or '60/min'"),
    "rate without a time": ({"rate": "10"}, "rate: '10' is not a rate: write a number above 0"),
    "rate of nothing": ({"rate": "0/s"}, "rate: '0/s' is not a rate: write a number above 0"),
    "negative rate": ({"rate": "-1/s"}, "rate: '-1/s' is not a rate"),
    "rate per day": ({"rate": "5/day"}, "rate: '5/day' is not a rate"),
    "unknown key": ({"concurency": 1}, "concurency is unknown; did you mean 'concurrency'?"),
}


@pytest.mark.parametrize(("said", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_told(said: dict[str, Any], message: str):
    """What a set refuses, it names, on its own and inside a configuration."""
    listed = {} if {"params", "matrix"} & said.keys() or not said else {"params": [{}]}
    with pytest.raises(ConfigError) as caught:
        warm_set(**listed, **said)
    assert str(caught.value).startswith(message)
    whole = {"prefix": "p", "generate": "app:make", **listed, **said}
    with pytest.raises(ConfigError) as caught:
        CacheConfig(warm=[{"prefix": "p", "generate": "a:b", "params": [{}]}, whole])
    between = ": " if message.startswith("lists") else "."
    assert str(caught.value).startswith(f"warm[1]{between}{message}")


def test_what_is_missing_is_named():
    """Every set needs to say for which prefix, and how."""
    with pytest.raises(ConfigError, match=r"^prefix is missing: every \[\[warm\]\] needs it \(and"):
        WarmSet(params=[{}])  # type: ignore[call-arg]
