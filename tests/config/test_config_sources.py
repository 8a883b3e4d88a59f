"""Flags go before the environment, the environment before the file, the file before the rest."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from llm_cache.config import CacheConfig, Origin, OriginKind, load_config
from llm_cache.errors import ConfigError

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes the `cache.toml` of the working directory, which is `tmp_path / "work"`."""
    (tmp_path / "work").mkdir()

    def write(text: str) -> Path:
        path = tmp_path / "work" / "cache.toml"
        path.write_text(text, "utf-8")
        path.chmod(0o644)
        return path

    return write


@pytest.fixture
def work(write: Write, tmp_path: Path) -> Path:
    """The working directory, still empty."""
    return tmp_path / "work"


def test_builtin_values_are_those_of_the_documentation():
    """Without any source, these hold."""
    config = CacheConfig()
    assert config.enabled is True
    assert config.cache_dir == Path(".cache/llm")
    assert config.store == "sqlite"
    assert config.max_memory_entries == 1000
    assert config.max_memory == 64 * 1024**2
    assert config.max_disk == 1024**3
    assert config.max_value == 16 * 1024**2
    assert config.durability == "normal"
    assert config.prefixes == {}
    assert config.warm == []
    assert config.policies().resolve("intro_page").ttl()[0] == 7 * 86_400
    assert config.policies().resolve("word_problem").ttl()[0] == 86_400
    assert config.policies().resolve("other").ttl()[0] == 86_400


def test_without_a_file_the_cache_is_in_the_working_directory(work: Path):
    """The built-in directory starts from where one is."""
    config = load_config(environ={}, cwd=work)
    assert config.cache_dir == work / ".cache" / "llm"
    assert config == CacheConfig(cache_dir=work / ".cache" / "llm")


def test_file_goes_before_builtin_values(write: Write, work: Path):
    """A file decides what it mentions, and leaves the rest."""
    path = write('[cache]\nmax_memory = "1MiB"\n')
    config = load_config(environ={}, cwd=work)
    assert config.source == path
    assert config.max_memory == 1024**2
    assert config.max_disk == 1024**3


def test_environment_goes_before_the_file(write: Write, work: Path):
    """Variables override what they are for, and nothing else."""
    write('[cache]\nenabled = true\ncache_dir = "a"\nmax_memory = "1MiB"\n')
    environ = {"LLM_CACHE_DIR": "b", "LLM_CACHE_ENABLED": "0"}
    config = load_config(environ=environ, cwd=work)
    assert config.cache_dir == work / "b"
    assert config.enabled is False
    assert config.max_memory == 1024**2


def test_flag_goes_before_the_environment(write: Write, work: Path):
    """What was typed last counts most."""
    write('[cache]\ncache_dir = "a"\n')
    config = load_config(cache_dir="c", environ={"LLM_CACHE_DIR": "b"}, cwd=work)
    assert config.cache_dir == work / "c"


def test_each_setting_tells_its_source(write: Write, work: Path):
    """Flag, variable, file with line, or built in."""
    path = write('[cache]\nmax_memory = "1MiB"\ncache_dir = "a"\nenabled = true\n')
    environ = {"LLM_CACHE_ENABLED": "off", "LLM_CACHE_DIR": "b"}
    config = load_config(cache_dir="c", environ=environ, cwd=work)
    assert config.origin("cache.cache_dir") == Origin(OriginKind.FLAG, "--cache-dir")
    assert config.origin("cache.enabled") == Origin(OriginKind.ENVIRONMENT, "LLM_CACHE_ENABLED")
    assert config.origin("cache.max_memory") == Origin(OriginKind.FILE, "cache.toml", path, 2)
    assert config.origin("cache.max_disk").kind is OriginKind.BUILTIN


def test_paths_in_a_file_start_from_its_directory(write: Write, tmp_path: Path):
    """Wherever one stands in the repository, it is one cache."""
    path = write('[cache]\ncache_dir = "kept/here"\n')
    config = load_config(path, environ={}, cwd=tmp_path)
    assert config.cache_dir == path.parent / "kept" / "here"


def test_builtin_directory_starts_from_the_file_that_was_read(write: Write, tmp_path: Path):
    """A file that leaves `cache_dir` out still keeps one cache for its whole tree."""
    path = write("[cache]\n")
    assert load_config(path, environ={}, cwd=tmp_path).cache_dir == path.parent / ".cache" / "llm"


def test_paths_in_flags_and_variables_start_from_the_working_directory(
    write: Write, tmp_path: Path
):
    """They are typed by somebody who stands there."""
    path = write('[cache]\ncache_dir = "a"\n')
    by_flag = load_config(path, cache_dir="b", environ={}, cwd=tmp_path)
    assert by_flag.cache_dir == tmp_path / "b"
    by_variable = load_config(path, environ={"LLM_CACHE_DIR": "c"}, cwd=tmp_path)
    assert by_variable.cache_dir == tmp_path / "c"


def test_absolute_and_home_paths_stay(
    write: Write, work: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    """What starts from the root or the home directory needs no other start."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    write('[cache]\ncache_dir = "~/kept"\n')
    assert load_config(environ={}, cwd=work).cache_dir == tmp_path / "home" / "kept"
    environ = {"LLM_CACHE_DIR": "/var/kept"}
    assert load_config(environ=environ, cwd=work).cache_dir == Path("/var/kept")
    assert load_config(cache_dir="~", environ={}, cwd=work).cache_dir == tmp_path / "home"


@pytest.mark.parametrize(
    ("text", "meant"),
    [("$DATA/llm", "/data/llm"), ("${DATA}/llm", "/data/llm"), ("/srv/$WHOSE.d", "/srv/me.d"),
     ("/srv/a$$b/$WHOSE", "/srv/a$b/me"), ("/srv/$WHOSE$WHOSE", "/srv/meme")],
)  # fmt: skip
def test_variables_in_a_directory_are_those_of_the_environment(
    write: Write, work: Path, text: str, meant: str
):
    """A directory is written alike in the file, in the variable and behind the flag."""
    environ = {"DATA": "/data", "WHOSE": "me"}
    write(f'[cache]\ncache_dir = "{text}"\n')
    assert load_config(environ=environ, cwd=work).cache_dir == Path(meant)
    by_variable = {**environ, "LLM_CACHE_DIR": text}
    assert load_config(environ=by_variable, cwd=work).cache_dir == Path(meant)
    assert load_config(cache_dir=text, environ=environ, cwd=work).cache_dir == Path(meant)


@pytest.mark.parametrize(
    ("text", "said"),
    [("$NOPE/llm", "'$NOPE/llm' names the variable NOPE, which is not set"),
     ("${NOPE}", "'${NOPE}' names the variable NOPE, which is not set"),
     ("$EMPTY/llm", "'$EMPTY/llm' names the variable EMPTY, which is not set"),
     ("/srv/a$/b", "'/srv/a$/b' has a $ that names no variable"),
     ("/srv/$1", "'/srv/$1' has a $ that names no variable"),
     ("~nobodyhere/llm", "'~nobodyhere/llm': there is no such user")],
)  # fmt: skip
def test_directory_that_names_nothing_is_an_error_wherever_it_is_written(
    write: Write, work: Path, text: str, said: str
):
    """No directory is ever named `$HOME` or `~nobody` by mistake."""
    environ = {"EMPTY": ""}
    for name, given in (("LLM_CACHE_DIR", {"environ": {**environ, "LLM_CACHE_DIR": text}}),
                        ("--cache-dir", {"cache_dir": text, "environ": environ})):  # fmt: skip
        with pytest.raises(ConfigError, match="^" + re.escape(f"{name}: {said}")):
            load_config(cwd=work, **given)
    write(f'[cache]\nenabled = true\ncache_dir = "{text}"\n')
    with pytest.raises(ConfigError, match=re.escape(f"cache.toml:3: cache.cache_dir: {said}")):
        load_config(environ=environ, cwd=work)


def test_home_directory_with_a_dollar_in_its_name_is_no_variable(
    work: Path, monkeypatch: pytest.MonkeyPatch
):
    """Only what was written is looked at for variables."""
    monkeypatch.setenv("HOME", "/home/a$b")
    assert load_config(cache_dir="~/llm", environ={}, cwd=work).cache_dir == Path("/home/a$b/llm")


@pytest.mark.parametrize("text", ["1", "true", "yes", "on", "TRUE", "On", " yes "])
def test_words_for_enabled(work: Path, text: str):
    """These switch the cache on, in any case."""
    assert load_config(environ={"LLM_CACHE_ENABLED": text}, cwd=work).enabled is True


@pytest.mark.parametrize("text", ["0", "false", "no", "off", "False", "OFF"])
def test_words_for_disabled(work: Path, text: str):
    """These switch the cache off, in any case."""
    assert load_config(environ={"LLM_CACHE_ENABLED": text}, cwd=work).enabled is False


@pytest.mark.parametrize("text", ["2", "enabled", "y", "tru", "-1", "none", "  "])
def test_other_words_are_an_error_that_names_the_variable(work: Path, text: str):
    """A word that nobody agreed on is not guessed at."""
    with pytest.raises(ConfigError, match=r"^LLM_CACHE_ENABLED: .* is neither on nor off: write 1"):
        load_config(environ={"LLM_CACHE_ENABLED": text}, cwd=work)


def test_empty_variables_are_not_set(write: Write, work: Path):
    """`LLM_CACHE_DIR= command` is how scripts unset something."""
    write('[cache]\nenabled = false\ncache_dir = "a"\n')
    environ = {"LLM_CACHE_DIR": "", "LLM_CACHE_ENABLED": "", "LLM_CACHE_CONFIG": ""}
    config = load_config(environ=environ, cwd=work)
    assert config.enabled is False
    assert config.cache_dir == work / "a"


def test_empty_flag_is_an_error(work: Path):
    """An unset shell variable must not put the cache into the working directory."""
    with pytest.raises(ConfigError, match=r"^--cache-dir: '' is not a path"):
        load_config(cache_dir="", environ={}, cwd=work)


def test_mistake_in_a_file_is_an_error_even_where_it_is_overridden(write: Write, work: Path):
    """A broken file is found when it is written, not when a variable goes away."""
    write("[cache]\nenabled = 1\n")
    with pytest.raises(ConfigError, match=r"^cache\.toml:2: cache\.enabled"):
        load_config(environ={"LLM_CACHE_ENABLED": "1"}, cwd=work)


def test_process_environment_and_directory_are_the_default(
    write: Write, work: Path, monkeypatch: pytest.MonkeyPatch
):
    """Called with nothing, it looks at the process."""
    path = write('[cache]\nmax_memory = "1MiB"\n')
    monkeypatch.chdir(work)
    monkeypatch.setenv("LLM_CACHE_ENABLED", "no")
    config = load_config()
    assert config.source == path
    assert config.enabled is False
    assert config.max_memory == 1024**2


def test_pyproject_has_the_same_settings_in_its_table(work: Path):
    """Everything a `cache.toml` can say stands under `[tool.llm-cache]`."""
    path = work / "pyproject.toml"
    path.write_text(
        '[project]\nname = "app"\n\n[tool.llm-cache.cache]\ncache_dir = "a"\n\n'
        '[tool.llm-cache.defaults]\nttl = "1h"\n\n'
        "[tool.llm-cache.prefixes.intro_page]\nttl_hours = 2\n\n"
        '[[tool.llm-cache.warm]]\nprefix = "intro_page"\ngenerate = "app:make"\nparams = [{}]\n'
    )
    config = load_config("pyproject.toml", environ={}, cwd=work)
    assert config.cache_dir == work / "a"
    assert config.defaults.ttl == 3600
    assert config.prefixes["intro_page"].ttl == 7200
    assert config.warm[0].generate == "app:make"
    assert str(config.origin("cache.cache_dir")) == "pyproject.toml:5"
    assert str(config.origin("prefixes.intro_page.ttl")) == "pyproject.toml:11"
    assert str(config.origin("warm[0].prefix")) == "pyproject.toml:14"


def test_file_outside_the_working_directory_is_named_in_full(write: Write, tmp_path: Path):
    """A name is as short as it can be, but never ambiguous."""
    path = write("[cache]\nenabled = true\n")
    from_above = load_config(path, environ={}, cwd=tmp_path)
    assert str(from_above.origin("cache.enabled")) == "work/cache.toml:2"
    from_elsewhere = load_config(path, environ={}, cwd="/")
    assert str(from_elsewhere.origin("cache.enabled")).endswith("/work/cache.toml:2")


def test_precedence_of_ttls(write: Write, work: Path):
    """The call, the file's prefix, the decorator, the file's defaults, then what is built in."""
    from llm_cache.core.policy import CachePolicy

    write('[defaults]\nttl = "1h"\n[prefixes.named]\nttl = "2h"\n')
    table = load_config(environ={}, cwd=work).policies()
    decorator, call = CachePolicy(ttl="3h"), CachePolicy(ttl="4h")
    assert table.resolve("named", call=call, decorator=decorator).ttl()[0] == 4 * 3600
    assert table.resolve("named", decorator=decorator).ttl()[0] == 2 * 3600
    assert table.resolve("other", decorator=decorator).ttl()[0] == 3 * 3600
    assert table.resolve("other").ttl()[0] == 3600
    assert table.resolve("intro_page").ttl()[0] == 3600


def test_settings_are_equal_wherever_they_come_from(write: Write, work: Path):
    """Two configurations that say the same are the same."""
    write('[cache]\nmax_memory = "1MiB"\n')
    loaded = load_config(environ={}, cwd=work)
    assert loaded == CacheConfig(max_memory=1024**2, cache_dir=work / ".cache" / "llm")
    assert loaded != CacheConfig(max_memory=1024**2)
