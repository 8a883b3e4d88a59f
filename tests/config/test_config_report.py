"""Showing the settings in force, writing them as TOML, and the files we give to users."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cache.config import CacheConfig, OriginKind, load_config
from llm_cache.config._parts import Price
from llm_cache.config.json_schema import first_file
from llm_cache.config.show import ShownSetting, settings_as_toml, settings_in_force
from llm_cache.core.policy import CachePolicy

ROOT = Path(__file__).parents[2]
Load = Callable[[str], CacheConfig]


@pytest.fixture
def load(tmp_path: Path) -> Load:
    """The configuration of a `cache.toml` with this text."""

    def load(text: str) -> CacheConfig:
        (tmp_path / "cache.toml").write_text(text, "utf-8")
        return load_config("cache.toml", environ={}, cwd=tmp_path)

    return load


def rows(config: CacheConfig) -> list[str]:
    """The settings in force as lines."""
    return [f"{each.key} = {each.shown} ({each.origin})" for each in settings_in_force(config)]


def test_all_builtin_settings_are_shown(tmp_path: Path):
    """Without any source there is still something to see: everything."""
    assert rows(load_config(environ={}, cwd=tmp_path)) == [
        "cache.enabled = true (built-in)",
        f"cache.cache_dir = {tmp_path}/.cache/llm (built-in)",
        "cache.store = sqlite (built-in)",
        "cache.max_memory_entries = 1000 (built-in)",
        "cache.max_memory = 64MiB (built-in)",
        "cache.max_disk = 1GiB (built-in)",
        "cache.max_value = 16MiB (built-in)",
        "cache.min_free = 64MiB (built-in)",
        "cache.durability = normal (built-in)",
        "cache.lease = 15s (built-in)",
        "cache.allow_shared_dir = false (built-in)",
        "cache.allow_network_fs = false (built-in)",
        "cache.mode = live (built-in)",
        'cache.tenant = "" (built-in)',
        "cache.tenant_required = false (built-in)",
        "defaults.ttl = 24h (built-in)",
        "defaults.ttl_jitter = 0.0 (built-in)",
        "defaults.grace = 0s (built-in)",
        "defaults.stale_if_error = 0s (built-in)",
        'defaults.version = "" (built-in)',
        "defaults.timeout = forever (built-in)",
        "defaults.lock_timeout = 5m (built-in)",
        "defaults.store_if = none (built-in)",
        "defaults.store_params = full (built-in)",
        "defaults.secret_params = none (built-in)",
        "defaults.public_params = none (built-in)",
        "prefixes.intro_page.ttl = 7d (built-in)",
        "prefixes.word_problem.ttl = 24h (built-in)",
    ]


def test_settings_of_a_file_are_shown_with_their_lines(load: Load):
    """Each with the line that decides it, in our order, not the file's."""
    config = load(
        '[prefixes.b]\nttl_hours = 1\n[prefixes."a/x"]\nversion = "2"\nttl = "forever"\n'
        '[defaults]\ntimeout = "1m"\n[cache]\nmax_disk = 2000001\n'
    )
    shown = [row for row in rows(config) if "built-in" not in row]
    assert shown == [
        "cache.max_disk = 2000001 (cache.toml:9)",
        "defaults.timeout = 1m (cache.toml:7)",
        'prefixes."a/x".ttl = forever (cache.toml:5)',
        'prefixes."a/x".version = 2 (cache.toml:4)',
        "prefixes.b.ttl = 1h (cache.toml:2)",
    ]
    assert "defaults.lock_timeout = 1m (built-in)" in rows(config)


def test_builtin_ttl_of_a_prefix_is_shown_only_in_force(load: Load):
    """A ttl under `[defaults]` goes before the built-in ones, which would be a lie then."""
    shown = rows(load('[defaults]\nttl = "1h"\n[prefixes.intro_page]\nversion = "2"\n'))
    assert "defaults.ttl = 1h (cache.toml:2)" in shown
    assert [row for row in shown if row.startswith("prefixes.")] == [
        "prefixes.intro_page.version = 2 (cache.toml:4)"
    ]


def test_warm_sets_are_shown(load: Load):
    """Long lists are counted, not printed."""
    config = load(
        '[[warm]]\nprefix = "p"\ngenerate = "app:make"\nrate = "1/s"\n'
        'params = [{ a = 1 },\n{ a = 2 }]\nmatrix = { a = [3, 4], b = ["x"] }\n'
    )
    assert [row for row in rows(config) if row.startswith("warm")] == [
        "warm[0].prefix = p (cache.toml:2)",
        "warm[0].generate = app:make (cache.toml:3)",
        "warm[0].params = 2 listed (cache.toml:5)",
        "warm[0].matrix = 2 a x 1 b (cache.toml:7)",
        "warm[0].concurrency = 4 (built-in)",
        "warm[0].retries = 3 (built-in)",
        "warm[0].rate = 1/s (cache.toml:4)",
    ]


def test_every_key_shown_can_be_asked_for(load: Load):
    """What `config show` prints is what `origin` takes."""
    config = load('[prefixes."введение.a:b"]\nttl = "1h"\n[[warm]]\nprefix = "p"\n'
                  'generate = "a:b"\nparams = [{}]\n')  # fmt: skip
    for each in settings_in_force(config):
        assert config.origin(each.key) == each.origin
    assert str(config.origin('prefixes."введение.a:b".ttl')) == "cache.toml:2"
    assert str(config.origin("prefixes.введение.a:b.ttl")) == "cache.toml:2"


def test_settings_have_plain_values(load: Load):
    """What JSON shows is what TOML has."""
    values = {each.key: each.value for each in settings_in_force(load("[cache]\n"))}
    assert values["cache.enabled"] is True
    assert values["cache.max_memory_entries"] == 1000
    assert values["cache.max_memory"] == "64MiB"
    assert isinstance(values["cache.cache_dir"], str)
    assert values["defaults.ttl"] == "24h"


def plain(config: CacheConfig) -> list[tuple[str, object]]:
    """Settings without their origins."""
    return [(each.key, each.value) for each in settings_in_force(config)]


def test_toml_means_the_same_when_read_back(load: Load):
    """Writing out the settings and reading them again changes nothing."""
    config = load_config(ROOT / "cache.toml.example", environ={}, cwd=ROOT)
    again = load(settings_as_toml(config))
    assert again == config
    assert again.policies() == config.policies()
    assert plain(again) == plain(config)


def test_toml_of_overridden_settings_has_what_is_in_force(tmp_path: Path, load: Load):
    """What flags and variables say is in force, so it is written."""
    environ = {"LLM_CACHE_ENABLED": "0"}
    config = load_config(cache_dir="elsewhere", environ=environ, cwd=tmp_path)
    again = load(settings_as_toml(config))
    assert again.enabled is False
    assert again.cache_dir == tmp_path / "elsewhere"


def test_builtin_ttls_are_comments(load: Load, tmp_path: Path):
    """Written out they would go before the decorators."""
    text = settings_as_toml(load_config(environ={}, cwd=tmp_path))
    assert load(text).prefixes == {}
    assert load(text).defaults == CachePolicy()
    uncommented = load(re.sub("^# (?!Built-in)", "", text, flags=re.MULTILINE))
    assert uncommented.prefixes["intro_page"].ttl == 7 * 86_400
    assert uncommented.defaults.ttl == 86_400


DURATIONS = st.floats(0, 3e9).map("{:.20f}".format).map(lambda text: f"{text}s") | st.just(
    "forever"
)
PREFIXES = st.dictionaries(
    st.text(st.sampled_from("aZ9_-./:é介"), min_size=1, max_size=9),
    st.fixed_dictionaries({}, optional={"ttl": DURATIONS, "timeout": DURATIONS, "version": st.text(
        st.characters(exclude_categories=("Cs",)), max_size=9)}),
    max_size=4,
)  # fmt: skip


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "enabled": st.booleans(),
            "max_memory_entries": st.integers(0, 10**9),
            "max_memory": st.integers(0, 2**60),
            "max_disk": st.integers(2**20, 2**60),
            "durability": st.sampled_from(["normal", "full"]),
        },
    ),
    PREFIXES,
)
def test_any_settings_survive_toml(
    tmp_path_factory: pytest.TempPathFactory,
    cache: dict[str, object],
    prefixes: dict[str, dict[str, str]],
):
    """Sizes and durations of any value come back exactly."""
    directory = tmp_path_factory.getbasetemp()
    defaults = next(iter(prefixes.values()), {})
    config = CacheConfig(
        cache_dir=directory / "kept", prefixes=prefixes, defaults=defaults, **cache
    )  # type: ignore[arg-type]
    path = directory / "any.toml"
    path.write_text(settings_as_toml(config), "utf-8")
    again = load_config(path, environ={}, cwd=directory)
    said = {name: said for name, said in config.prefixes.items() if said != CachePolicy()}
    assert {name: each for name, each in again.prefixes.items() if each != CachePolicy()} == said
    assert again.with_values(prefixes={}) == config.with_values(prefixes={})
    assert plain(again) == plain(config)


def test_first_file_says_what_is_built_in(load: Load, tmp_path: Path):
    """Writing a first file changes nothing."""
    config = load(first_file())
    (tmp_path / "cache.toml").unlink()
    assert config == load_config(environ={}, cwd=tmp_path)
    kinds = {each.key: each.origin.kind for each in settings_in_force(config)}
    assert all((kind is OriginKind.FILE) == key.startswith("cache.") for key, kind in kinds.items())


def test_samples_of_the_first_file_work_when_uncommented(load: Load):
    """Taking the comment signs away gives a good file."""
    config = load(re.sub(r"^# (?=[\[\w]+( =|\]|\.))", "", first_file(), flags=re.MULTILINE))
    assert config.defaults == CachePolicy(
        ttl="24h",
        timeout="10m",
        ttl_jitter=0.1,
        grace="1d",
        stale_if_error="30d",
        store_if=["not_empty", "not_truncated", "not_filtered"],
        store_params="redacted",
        secret_params=["student"],
    )
    assert config.prices == {"my-model": Price(input=0.15, output=0.6)}
    assert config.prefixes == {"intro_page": CachePolicy(ttl="7d", version="2")}
    (warm,) = config.warm
    assert warm.prefix == "intro_page"
    assert len(warm.items()) == 5
    assert warm.calls_per_second() == 1


def test_example_file_warms_the_lessons():
    """Three intro pages and a matrix of word problems, beside the built-in settings."""
    config = load_config(ROOT / "cache.toml.example", environ={}, cwd=ROOT)
    builtin = load_config(environ={}, cwd=ROOT.parent)
    assert config.cache_dir == ROOT / ".cache" / "llm"
    for name in ("store", "max_memory_entries", "max_memory", "max_disk", "max_value"):
        assert getattr(config, name) == getattr(builtin, name)
    for prefix in ("intro_page", "word_problem", "other"):
        assert (
            config.policies().resolve(prefix).ttl()[0]
            == builtin.policies().resolve(prefix).ttl()[0]
        )
    pages, problems = config.warm
    assert pages.generate == "examples.lessons:generate_intro_page"
    assert problems.generate == "examples.lessons:generate_word_problem_context"
    names = ("subject", "topic", "subtopic", "grade", "difficulty")
    assert [list(item) for item in pages.items()] == [list(names)] * 3
    assert [tuple(item.values()) for item in pages.items()] == [
        ("math", "fractions", "adding-fractions", "5", "medium"),
        ("math", "fractions", "subtracting-fractions", "5", "medium"),
        ("chemistry", "balancing-equations", "synthesis", "9", "medium"),
    ]
    assert len(problems.items()) == 16
    assert {item["subject"] for item in problems.items()} == {"math"}


def test_setting_is_shown_short():
    """Whatever it holds, a setting fits a line."""
    origin = CacheConfig().origin("cache.enabled")
    assert ShownSetting("k", False, origin).shown == "false"
    assert ShownSetting("k", 0, origin).shown == "0"
    assert ShownSetting("k", "", origin).shown == '""'
    assert ShownSetting("k", [1, 2], origin).shown == "2 listed"
