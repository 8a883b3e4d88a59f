"""What a configuration made in code takes, and what it answers to anything else."""

import math
from datetime import timedelta
from pathlib import Path
from typing import Any

import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from llm_cache.config import CacheConfig, OriginKind
from llm_cache.config import checks as check
from llm_cache.core.policy import POLICY_FIELDS, CachePolicy
from llm_cache.core.units import format_duration, to_seconds
from llm_cache.errors import CacheError, ConfigError

HUGE = "9" * 5000
CENTURY_S = 100 * 365.25 * 86_400


@pytest.mark.parametrize(
    ("given", "size_bytes"),
    [("64MiB", 64 * 1024**2), ("10 MB", 10**7), ("1.5 GiB", 3 * 2**29), (2**21, 2**21)],
)
def test_sizes_are_text_or_bytes(given: str | int, size_bytes: int):
    """A size is written as people do."""
    assert CacheConfig(max_disk=given).max_disk == size_bytes


def test_cache_dir_is_text_or_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Both come out as a path, with the home directory put in."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert CacheConfig(cache_dir="a/b").cache_dir == Path("a/b")
    assert CacheConfig(cache_dir=Path("/a")).cache_dir == Path("/a")
    assert CacheConfig(cache_dir="~/a").cache_dir == tmp_path / "a"


def test_short_form_for_a_prefix():
    """`<prefix>_ttl_hours` is the ttl of that prefix."""
    config = CacheConfig(intro_page_ttl_hours=168, word_problem_ttl_hours=0.5)
    assert config.prefixes["intro_page"].ttl == 7 * 86_400
    assert config.prefixes["word_problem"].ttl == 1800
    assert config.policies().prefixes["intro_page"] == CachePolicy(ttl="7d")


def test_short_form_joins_what_else_is_said():
    """It adds to the prefix, whose other settings stay."""
    config = CacheConfig(
        x_ttl_hours=1,
        y_ttl_hours=1,
        prefixes={"x": {"version": "2"}, "y": CachePolicy(version="3")},
    )
    assert config.prefixes["x"] == CachePolicy(ttl="1h", version="2")
    assert config.prefixes["y"] == CachePolicy(ttl="1h", version="3")


@pytest.mark.parametrize("beside", [{"ttl": "1h"}, {"ttl_hours": 1}, CachePolicy(ttl="1h")])
def test_short_form_beside_another_ttl_is_an_error(beside: Any):
    """Two answers to one question are refused."""
    with pytest.raises(ConfigError, match=r"is given beside .*: keep one of them"):
        CacheConfig(x_ttl_hours=1, prefixes={"x": beside})


@pytest.mark.parametrize(
    ("said", "ttl_s"),
    [
        ({"ttl": "7d"}, 7 * 86_400),
        ({"ttl": "1h30m"}, 5400),
        ({"ttl": timedelta(minutes=5)}, 300),
        ({"ttl": "forever"}, math.inf),
        ({"ttl": 0}, 0),
        ({"ttl_hours": 168}, 7 * 86_400),
        ({"ttl_hours": 0.25}, 900),
        ({"ttl_hours": 0}, 0),
        ({}, None),
        ({"ttl": None}, None),
    ],
)
def test_ttl_of_a_prefix(said: dict[str, Any], ttl_s: float | None):
    """A ttl is a text, a timedelta, 0, or a number of hours under its other name."""
    config = CacheConfig(prefixes={"x": said}, defaults=said)
    assert config.prefixes["x"].ttl == ttl_s
    assert config.defaults.ttl == ttl_s
    assert config.policies().prefixes["x"].ttl == ttl_s
    assert config.policies().defaults.ttl == ttl_s


def test_policy_stands_for_a_prefix():
    """What is already a policy need not be taken apart."""
    policy = CachePolicy(
        ttl="90s",
        grace="1m",
        stale_if_error="3d",
        version="2",
        timeout="forever",
        lock_timeout="1ms",
    )
    table = CacheConfig(prefixes={"x": policy}, defaults=policy).policies()
    assert table.prefixes["x"] == policy
    assert table.defaults == policy


def test_every_field_of_a_prefix_reaches_its_policy():
    """Nothing that a file can say is lost on the way."""
    durations = ("ttl", "grace", "stale_if_error", "timeout", "lock_timeout")
    said: dict[str, Any] = {name: f"{minutes}m" for minutes, name in enumerate(durations, 1)}
    said |= {
        "version": "v",
        "ttl_jitter": 0.1,
        "mode": "refresh",
        "store_if": ["not_empty"],
        "store_params": "none",
        "secret_params": ["student"],
        "public_params": ["token"],
    }
    policy = CacheConfig(prefixes={"p": said}).policies().prefixes["p"]
    assert policy == CachePolicy(**said)
    assert policy.said().keys() == said.keys() == POLICY_FIELDS.keys() - {"cache_if"}


def test_code_has_no_place_in_a_file():
    """A gate that is a function cannot be written out as a setting."""
    with pytest.raises(ConfigError, match=r"prefixes\.p\.cache_if is code"):
        CacheConfig(prefixes={"p": CachePolicy(cache_if=bool)})


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"max_memry": 1}, "max_memry is unknown; did you mean 'max_memory'?"),
    "far from anything": ({"zzz": 1}, "zzz is unknown; known here: allow_network_fs, "),
    "table of a file": ({"cache": {}}, "cache is unknown; "),
    "no prefix": ({"_ttl_hours": 1}, "_ttl_hours is unknown; "),
    "bool for a count": ({"max_memory_entries": True}, "max_memory_entries: true is not a whole"),
    "float for a count": ({"max_memory_entries": 1.0}, "max_memory_entries: 1.0 is not a whole"),
    "text for a count": ({"max_memory_entries": "5"}, "max_memory_entries: '5' is not a whole"),
    "negative count": ({"max_memory_entries": -1}, "max_memory_entries: -1 is out of range: write"),
    "too large a count": ({"max_memory_entries": 10**10}, "max_memory_entries: 10000000000 is out"),
    "huge count": ({"max_memory_entries": 10**5000}, "max_memory_entries: a very long number is"),
    "text for a switch": ({"enabled": "yes"}, "enabled: 'yes' is not a switch: write true or fals"),
    "number for a switch": ({"enabled": 1}, "enabled: 1 is not a switch: write true or false"),
    "no size": ({"max_memory": "64 potatoes"}, "max_memory: '64 potatoes' is not a size: write a "),
    "float for a size": ({"max_memory": 1.5}, "max_memory: 1.5 is not a size: write bytes, or a "),
    "bool for a size": ({"max_memory": True}, "max_memory: true is not a size: write bytes, or a "),
    "negative size": ({"max_memory": -1}, "max_memory: -1 is negative: write 0 or more"),
    "negative text": ({"max_memory": "-1MiB"}, "max_memory: '-1MiB' is not a size"),
    "too little disk": (
        {"max_disk": "1023KiB"},
        "max_disk: '1023KiB' is too little: at least 1MiB",
    ),
    "nothing to keep": ({"max_value": 0}, "max_value: 0 is too little: at least 1"),
    "large size": ({"max_disk": f"{'9' * 60}GiB"}, "max_disk: '999"),
    "huge size": ({"max_disk": f"{HUGE}GiB"}, "max_disk: '999"),
    "huge bytes": ({"max_disk": 10**5000}, "max_disk: a very long number is too much: at most "),
    "long nonsense": ({"max_disk": "x" * 10_000}, "max_disk: 'xxx"),
    "other store": ({"store": "redis"}, "store: 'redis' is not supported: write 'sqlite'"),
    "no store": ({"store": None}, "store: None is not supported: write 'sqlite'"),
    "other durability": (
        {"durability": "FULL"},
        "durability: 'FULL' is not supported: write 'norma",
    ),
    "empty path": ({"cache_dir": ""}, "cache_dir: '' is not a path"),
    "path with NUL": ({"cache_dir": "a\0b"}, "cache_dir: 'a\\x00b' is not a path"),
    "number for a path": ({"cache_dir": 1}, "cache_dir: 1 is not a path: write it in quotes"),
    "home of nobody": ({"cache_dir": "~no-such-user/x"}, "cache_dir: '~no-such-user/x': there is"),
    "list of prefixes": ({"prefixes": []}, "prefixes is not a table: an array"),
    "text for a prefix": ({"prefixes": {"x": "7d"}}, "prefixes.x is not a table: '7d'"),
    "prefix with a space": ({"prefixes": {"a b": {}}}, "prefixes.\"a b\": prefix 'a b' is not"),
    "number as a prefix": ({"prefixes": {1: {}}}, "prefixes[1]: 1 is not a prefix"),
    "hostile prefix": ({"prefixes": {"\x1b[31m": {}}}, 'prefixes."\\u001B[31m": prefix '),
    "unknown of a prefix": (
        {"prefixes": {"x": {"ttl_hour": 1}}},
        "prefixes.x.ttl_hour is unknown; did you mean 'ttl_hours'?",
    ),
    "key of pydantic's own": (
        {"defaults": {"[key]": 1}},
        'defaults."[key]" is unknown; known here',
    ),
    "constructor's own": (
        {"defaults": {"self": 1}},
        "defaults.self is unknown; known here: g",
    ),
    "two ttls": (
        {"defaults": {"ttl": "1h", "ttl_hours": 1}},
        "defaults.ttl_hours is given beside ttl: keep one of them",
    ),
    "bare ttl": ({"defaults": {"ttl": 30}}, "defaults.ttl: 30 has no unit: write '30s', '30h' or"),
    "bool ttl": ({"defaults": {"ttl": True}}, "defaults.ttl: true is not a duration: write a text"),
    "NaN ttl": ({"defaults": {"ttl": math.nan}}, "defaults.ttl: nan is not a duration: write"),
    "infinite ttl": ({"defaults": {"ttl": math.inf}}, "defaults.ttl: inf is not a duration: write"),
    "negative ttl": ({"defaults": {"ttl": -5}}, "defaults.ttl: -5 is negative: write 0 or more"),
    "negative text ttl": ({"defaults": {"ttl": "-5d"}}, "defaults.ttl: '-5d' is not a duration: "),
    "negative timedelta": (
        {"defaults": {"ttl": timedelta(-1)}},
        "defaults.ttl: -1 day, 0:00:00 is",
    ),
    "long ttl": ({"defaults": {"ttl": "101y"}}, "defaults.ttl: 101y is over 100 years: write"),
    "large ttl": ({"defaults": {"ttl": f"{'9' * 60}d"}}, "defaults.ttl: 999"),
    "huge ttl": ({"defaults": {"ttl": f"{HUGE}d"}}, "defaults.ttl: 999"),
    "huge number": (
        {"defaults": {"ttl": 10**5000}},
        "defaults.ttl: a very long number is over 100",
    ),
    "empty ttl": ({"defaults": {"ttl": ""}}, "defaults.ttl: an empty text is not a duration: wri"),
    "list ttl": ({"defaults": {"ttl": ["7d"]}}, "defaults.ttl: an array is not a duration: write"),
    "text hours": (
        {"defaults": {"ttl_hours": "5"}},
        "defaults.ttl_hours: '5' is not a number of ho",
    ),
    "bool hours": (
        {"defaults": {"ttl_hours": True}},
        "defaults.ttl_hours: true is not a number of",
    ),
    "NaN hours": ({"defaults": {"ttl_hours": math.nan}}, "defaults.ttl_hours: nan hours is not a"),
    "negative hours": (
        {"defaults": {"ttl_hours": -1}},
        "defaults.ttl_hours: -1 hours is negative: write 0 or more",
    ),
    "long hours": (
        {"defaults": {"ttl_hours": 900_000}},
        "defaults.ttl_hours: 900000 hours is over",
    ),
    "huge hours": (
        {"defaults": {"ttl_hours": 10**5000}},
        "defaults.ttl_hours: a very long number hours is over ",
    ),
    "short form": ({"x_ttl_hours": -1}, "prefixes.x.ttl_hours: -1 hours is negative"),
    "number as version": ({"defaults": {"version": 2}}, "defaults.version: 2 is not a text: write"),
    "bare timeout": ({"defaults": {"timeout": 5}}, "defaults.timeout: 5 has no unit: write '5s'"),
    "bool lock_timeout": ({"defaults": {"lock_timeout": False}}, "defaults.lock_timeout: false is"),
}


@pytest.mark.parametrize(("given", "message"), WRONG.values(), ids=WRONG)
def test_wrong_use_is_one_line_that_names_the_setting(given: dict[str, Any], message: str):
    """Whatever is wrong: a ConfigError of one short line, nothing of pydantic's."""
    with pytest.raises(ConfigError) as caught:
        CacheConfig(**given)
    text = str(caught.value)
    assert text.startswith(message)
    assert "\n" not in text
    assert len(text) < 400
    assert not isinstance(caught.value, ValidationError)
    assert isinstance(caught.value, CacheError)
    assert isinstance(caught.value, ValueError)
    assert caught.value.__cause__ is None


def test_several_mistakes_are_counted():
    """The first is told in full, the others are not hidden."""
    with pytest.raises(ConfigError, match=r"^enabled: 1 is not .* \(and 2 more\)$"):
        CacheConfig(enabled=1, durability="x", defaults={"ttl": -1})  # type: ignore[arg-type]


def test_parts_made_in_code_have_the_same_errors():
    """A part on its own is checked like the whole."""
    with pytest.raises(ConfigError, match=r"^ttl: 30 has no unit"):
        CachePolicy(ttl=30)


def test_configuration_does_not_change():
    """A setting is given when the configuration is made, or not at all."""
    with pytest.raises(ValueError, match="frozen"):
        CacheConfig().enabled = False  # type: ignore[misc]


def test_configuration_survives_a_process_border():
    """It can be handed to worker processes; so can its errors."""
    import pickle

    config = CacheConfig(max_memory="1MiB", x_ttl_hours=1)
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 - our own
    with pytest.raises(ConfigError) as caught:
        CacheConfig(enabled=1)  # type: ignore[arg-type]
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)  # noqa: S301 - as above


def test_origin_of_settings_made_in_code():
    """What was given is from code, the rest is built in."""
    config = CacheConfig(max_memory=0, x_ttl_hours=1, defaults=CachePolicy(version="2"))
    assert config.origin("cache.max_memory").kind is OriginKind.CODE
    assert config.origin("prefixes.x.ttl").kind is OriginKind.CODE
    assert config.origin("defaults.version").kind is OriginKind.CODE
    assert str(config.origin("cache.max_disk")) == "built-in"
    assert str(config.origin("prefixes.x.version")) == "built-in"
    assert str(config.origin("prefixes.y.ttl")) == "built-in"
    assert str(config.origin("defaults.ttl")) == "built-in"
    assert str(config.origin("warm[3].prefix")) == "built-in"


def test_origin_of_a_price_is_found_by_its_model():
    """Whatever the model is called."""
    config = CacheConfig(prices={"gpt-4.1-mini": {"input": 0.4, "output": 1.6}})
    assert config.origin('prices."gpt-4.1-mini".input').kind is OriginKind.CODE
    assert str(config.origin("prices.gpt-4.1-mini.cached_input")) == "built-in"


@pytest.mark.parametrize(
    "key", ["cache.max_memry", "cache", "", "max_memory", "prefixes.x.tll", "warm.prefix", "x.y.z"]
)
def test_origin_of_an_unknown_setting_is_an_error(key: str):
    """A typing error is not answered with "built-in"."""
    with pytest.raises(ConfigError, match="is unknown"):
        CacheConfig().origin(key)


@given(st.floats(0, CENTURY_S) | st.integers(0, int(CENTURY_S)).map(float) | st.just(math.inf))
def test_a_written_duration_is_exact(duration_s: float):
    """Any duration can be written down and read back without a change."""
    assert to_seconds(format_duration(duration_s)) == duration_s


@given(st.integers(0, 2**60))
def test_size_text_is_exact(size_bytes: int):
    """Any size can be written down and read back without a change."""
    assert check.size(0).check(check.size_text(size_bytes)) == size_bytes


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [(86_400, "24h"), (604_800, "7d"), (5400, "1h30m"), (3600, "1h"), (129_600, "36h"), (0, "0s")],
)
def test_a_written_duration_is_what_one_would_write(duration_s: float, text: str):
    """A day is 24h, a week 7d."""
    assert format_duration(duration_s) == text


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20) | st.dates(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)


def complaint(**given: Any) -> str:
    """What is wrong with these settings, empty if nothing is."""
    try:
        CacheConfig(**given)
    except ConfigError as error:
        return str(error)
    return ""


@given(st.sampled_from(list(CacheConfig.fields)), ANYTHING)
def test_no_value_escapes_our_errors(name: str, value: object):
    """Any value for any setting is taken, or refused by a ConfigError that names it."""
    text = complaint(**{name: value})
    assert not text or text.startswith(name)
    assert "\n" not in text


@given(st.dictionaries(st.sampled_from([*POLICY_FIELDS, "ttl_hours"]), ANYTHING))
def test_no_value_of_a_prefix_escapes_our_errors(said: dict[str, object]):
    """The same for what is said about a prefix."""
    text = complaint(prefixes={"x": said})
    assert not text or text.startswith("prefixes.x.")


def test_configuration_stands_in_models_of_pydantic():
    """An application's own settings may hold it, as such or as a table."""

    class Settings(pydantic.BaseModel):
        cache: CacheConfig

    config = CacheConfig(max_memory=0)
    assert Settings(cache=config).cache is config
    assert Settings.model_validate({"cache": {"max_memory": 0}}).cache == config
    with pytest.raises(ValidationError, match="max_memory: -1 is negative"):
        Settings.model_validate({"cache": {"max_memory": -1}})
