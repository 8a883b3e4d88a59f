"""Which file the settings are read from, and when a file that was found is trusted."""

import os
import stat
from pathlib import Path

import pytest

from llm_cache.config import check_config, config_path, load_config
from llm_cache.config.files import distrust, find_config_file, private_group
from llm_cache.errors import ConfigError

ME = 1000
SOMEBODY = 2000
MY_GROUP = 1000
STAFF = 50
TABLE = "[tool.llm-cache.cache]\nmax_memory_entries = 7\n"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """The root of a repository, in a directory of its own."""
    root = tmp_path / "repository"
    (root / ".git").mkdir(parents=True)
    (root / "app" / "lessons").mkdir(parents=True)
    return root


def write(path: Path, text: str = "") -> Path:
    """A file with this text that only its owner may write to."""
    path.write_text(text, "utf-8")
    path.chmod(0o644)
    return path


def facts(mode: int = 0o644, *, kind: int = stat.S_IFREG, uid: int = ME, gid: int = STAFF):
    """What `os.stat` says about a file."""
    return os.stat_result((kind | mode, 1, 1, 1, uid, gid, 0, 0, 0, 0))


def reason(seen: os.stat_result, uid: int = ME) -> str | None:
    """Why user `uid` distrusts a file; the private group of everybody has their own number."""
    return distrust(seen, "cache.toml", uid=uid, private_group=lambda uid: uid)


def test_without_any_file_nothing_is_read(repository: Path):
    """No file is fine."""
    assert find_config_file(repository) is None
    assert load_config(cwd=repository, environ={}).source is None


def test_file_in_the_working_directory_is_found(tmp_path: Path):
    """Without a repository the working directory counts."""
    found = write(tmp_path / "cache.toml")
    assert find_config_file(tmp_path) == found


def test_file_above_is_found_within_the_repository(repository: Path):
    """From anywhere inside, the file at the root is found."""
    found = write(repository / "cache.toml")
    assert find_config_file(repository / "app" / "lessons") == found


def test_nearest_file_is_taken(repository: Path):
    """A file further down goes before one further up."""
    write(repository / "cache.toml")
    nearer = write(repository / "app" / "cache.toml")
    assert find_config_file(repository / "app" / "lessons") == nearer


def test_file_above_the_repository_is_not_found(repository: Path):
    """Whoever owns the directory above a repository has no say in it."""
    write(repository.parent / "cache.toml")
    assert find_config_file(repository / "app") is None


def test_file_above_is_not_found_without_a_repository(tmp_path: Path):
    """Without a repository nothing above the working directory counts."""
    write(tmp_path / "cache.toml")
    (tmp_path / "below").mkdir()
    assert find_config_file(tmp_path / "below") is None


def test_inner_repository_ends_the_search(repository: Path):
    """A repository inside another (a submodule, whose `.git` is a file) is the nearest one."""
    write(repository / "cache.toml")
    write(repository / "app" / ".git", "gitdir: ../.git/modules/app")
    assert find_config_file(repository / "app" / "lessons") is None


def test_pyproject_is_found_by_its_table(repository: Path):
    """A `pyproject.toml` counts if it has a table for us."""
    found = write(repository / "pyproject.toml", TABLE)
    config = load_config(cwd=repository / "app", environ={})
    assert config.source == found
    assert config.max_memory_entries == 7


@pytest.mark.parametrize(
    "text",
    [
        "",
        '[project]\nname = "app"\ndependencies = ["llm-cache"]',
        "[tool.ruff]\nline-length = 100",
        'tool = "llm-cache"',
        '# [tool.llm-cache]\n[project]\nname = "llm-cache"',
        'broken = = "llm-cache"',
    ],
)
def test_pyproject_without_our_table_is_passed_by(repository: Path, text: str):
    """Somebody else's settings, even broken ones, are not ours to judge."""
    outer = write(repository / "cache.toml")
    write(repository / "app" / "pyproject.toml", text)
    assert find_config_file(repository / "app") == outer


def test_broken_pyproject_with_our_table_is_reported(repository: Path):
    """Settings that cannot be read are not passed over in silence."""
    write(repository / "pyproject.toml", f"{TABLE}broken = = 1\n")
    with pytest.raises(ConfigError, match=r"^pyproject\.toml:3: broken TOML: "):
        load_config(cwd=repository, environ={})


def test_cache_toml_goes_before_the_pyproject_beside_it(repository: Path):
    """Of two files in one directory only the `cache.toml` counts, whatever it leaves out."""
    write(repository / "pyproject.toml", TABLE)
    found = write(repository / "cache.toml")
    config = load_config(cwd=repository, environ={})
    assert config.source == found
    assert config.max_memory_entries == 1000


def test_nearer_pyproject_goes_before_a_cache_toml_above(repository: Path):
    """Nearness decides first."""
    write(repository / "cache.toml")
    nearer = write(repository / "app" / "pyproject.toml", TABLE)
    assert find_config_file(repository / "app") == nearer


def test_pipe_named_pyproject_is_passed_by(repository: Path):
    """Looking never waits for somebody to write into a pipe."""
    os.mkfifo(repository / "pyproject.toml")
    assert find_config_file(repository) is None


def test_path_goes_before_variable_before_search(repository: Path, tmp_path: Path):
    """What is pointed at more directly is read."""
    found = write(repository / "cache.toml")
    variable = write(tmp_path / "variable.toml")
    named = write(tmp_path / "named.toml")
    environ = {"LLM_CACHE_CONFIG": str(variable)}
    assert config_path(named, environ=environ, cwd=repository) == named
    assert config_path(environ=environ, cwd=repository) == variable
    assert config_path(environ={"LLM_CACHE_CONFIG": ""}, cwd=repository) == found
    assert config_path(environ={}, cwd=tmp_path) is None
    assert load_config(named, environ=environ, cwd=repository).source == named
    assert load_config(environ=environ, cwd=repository).source == variable


def test_paths_of_files_start_from_the_working_directory(repository: Path):
    """A relative path that somebody types or exports means what it means to other tools."""
    named = write(repository / "app" / "my.toml")
    assert config_path("app/my.toml", environ={}, cwd=repository) == named
    assert config_path(environ={"LLM_CACHE_CONFIG": "app/my.toml"}, cwd=repository) == named


def test_home_directory_is_understood(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """A tilde is the home directory, also where no shell replaces it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert config_path("~/my.toml", environ={}, cwd="/") == tmp_path / "my.toml"


@pytest.mark.parametrize("by_variable", [False, True])
def test_missing_file_that_was_pointed_at_is_an_error(tmp_path: Path, by_variable: bool):
    """A typing error in a path never ends in the built-in settings."""
    environ = {"LLM_CACHE_CONFIG": "no.toml"} if by_variable else {}
    hint = r" \(named by LLM_CACHE_CONFIG\)" if by_variable else ""
    with pytest.raises(ConfigError, match=rf"^no\.toml: does not exist{hint}$"):
        load_config(None if by_variable else "no.toml", environ=environ, cwd=tmp_path)


def test_pyproject_that_was_pointed_at_needs_the_table(tmp_path: Path):
    """Naming a `pyproject.toml` means its table; without one that is an error."""
    write(tmp_path / "pyproject.toml", "[tool.other]\n")
    with pytest.raises(ConfigError, match=r"^pyproject\.toml: has no \[tool\.llm-cache\] table$"):
        load_config("pyproject.toml", environ={}, cwd=tmp_path)


@pytest.mark.parametrize(
    ("seen", "trusted"),
    [
        (facts(), True),
        (facts(0o600), True),
        (facts(0o444), True),
        (facts(uid=0), True),
        (facts(0o664, gid=MY_GROUP), True),
        (facts(0o664, uid=0, gid=MY_GROUP), True),
        (facts(0o664, gid=STAFF), False),
        (facts(0o666), False),
        (facts(0o666, gid=MY_GROUP), False),
        (facts(0o602, gid=MY_GROUP), False),
        (facts(uid=SOMEBODY), False),
        (facts(0o664, uid=SOMEBODY, gid=SOMEBODY), False),
        (facts(kind=stat.S_IFIFO), False),
        (facts(kind=stat.S_IFDIR), False),
        (facts(kind=stat.S_IFCHR), False),
    ],
)
def test_trust(seen: os.stat_result, trusted: bool):
    """A found file is the user's or root's, regular, and nobody else may write to it."""
    assert (reason(seen) is None) is trusted


def test_root_trusts_only_its_own():
    """Being able to read everything is no reason to trust everybody."""
    assert reason(facts(uid=0), uid=0) is None
    assert reason(facts(uid=ME), uid=0) is not None


def test_distrust_says_why_and_what_to_do():
    """Each reason comes with its way out."""
    assert reason(facts(0o666)) == "everybody may write to it (mode 0666): chmod o-w cache.toml"
    assert reason(facts(0o664)) == "its group may write to it (mode 0664): chmod g-w cache.toml"
    who = reason(facts(uid=4_000_000_000))
    assert who is not None
    assert who.startswith("it belongs to 4000000000, not to you: chown ")


def test_user_without_an_account_has_no_private_group():
    """In a container the user may be a mere number."""
    assert private_group(4_000_000_000) is None


def test_found_file_that_everybody_may_write_to_is_refused(repository: Path):
    """The error names the file, the reason, the cure and the way around."""
    found = write(repository / "cache.toml")
    found.chmod(0o666)
    with pytest.raises(ConfigError) as caught:
        load_config(cwd=repository, environ={})
    assert str(caught.value) == (
        "cache.toml: is not trusted, since everybody may write to it (mode 0666): "
        "chmod o-w cache.toml, or point at it with --config or LLM_CACHE_CONFIG if you trust it"
    )


def test_found_pyproject_that_everybody_may_write_to_is_refused(repository: Path):
    """Both kinds of file are held to the same."""
    write(repository / "pyproject.toml", TABLE).chmod(0o666)
    with pytest.raises(ConfigError, match=r"^pyproject\.toml: is not trusted"):
        load_config(cwd=repository, environ={})


@pytest.mark.parametrize("by_variable", [False, True])
def test_file_that_was_pointed_at_is_trusted(repository: Path, by_variable: bool):
    """Pointing at a file is trusting it."""
    found = write(repository / "cache.toml")
    found.chmod(0o666)
    environ = {"LLM_CACHE_CONFIG": "cache.toml"} if by_variable else {}
    path = None if by_variable else "cache.toml"
    assert load_config(path, environ=environ, cwd=repository).source == found


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_file_of_another_user_is_refused(repository: Path):
    """A file that somebody left in a shared directory decides nothing."""
    os.chown(write(repository / "cache.toml"), 4_000_000, 4_000_000)
    with pytest.raises(ConfigError, match="it belongs to 4000000, not to you"):
        load_config(cwd=repository, environ={})


def test_link_is_judged_by_its_target(repository: Path, tmp_path: Path):
    """A link to a good file is good, a link to a bad one is bad."""
    target = write(tmp_path / "shared.toml", "[cache]\nmax_memory_entries = 7\n")
    (repository / "cache.toml").symlink_to(target)
    assert load_config(cwd=repository, environ={}).max_memory_entries == 7
    target.chmod(0o666)
    with pytest.raises(ConfigError, match="is not trusted"):
        load_config(cwd=repository, environ={})


def test_link_to_nothing_is_an_error(repository: Path):
    """Somebody meant a file to be there."""
    (repository / "cache.toml").symlink_to("nowhere.toml")
    with pytest.raises(ConfigError, match=r"cache\.toml: is a link to a file that does not exist"):
        load_config(cwd=repository, environ={})


def test_found_pipe_is_refused_without_waiting(repository: Path):
    """Nobody can hold up the application by leaving a pipe in its directory."""
    os.mkfifo(repository / "cache.toml", 0o600)
    with pytest.raises(ConfigError, match="it is not a regular file"):
        load_config(cwd=repository, environ={})


@pytest.mark.parametrize("named", [False, True])
def test_directory_is_an_error(repository: Path, named: bool):
    """A directory is not the file in it."""
    (repository / "cache.toml").mkdir()
    with pytest.raises(ConfigError, match=r"cache\.toml: is a directory: name the cache\.toml in"):
        load_config("cache.toml" if named else None, cwd=repository, environ={})


def test_unreadable_file_is_an_error(repository: Path):
    """Settings that cannot be read are an error, never the built-in ones."""
    # A name that is too long is unreadable for root, too.
    with pytest.raises(ConfigError, match=r": cannot be read: File name too long$"):
        load_config("x" * 300, cwd=repository, environ={})


def test_pipe_that_was_pointed_at_is_read(tmp_path: Path):
    """`--config <(generate-config)` works: what is pointed at may be a pipe."""
    reading, writing = os.pipe()
    try:
        os.write(writing, b"[cache]\nmax_memory_entries = 7\n")
        os.close(writing)
        config = load_config(f"/dev/fd/{reading}", cwd=tmp_path, environ={})
    finally:
        os.close(reading)
    assert config.max_memory_entries == 7


def test_endless_file_is_refused(tmp_path: Path):
    """Nothing of many megabytes is a configuration."""
    with pytest.raises(ConfigError, match=r"^/dev/zero: is over 4 MiB"):
        load_config("/dev/zero", cwd=tmp_path, environ={})


@pytest.mark.parametrize("path", ["", "a\0b"])
def test_path_that_is_none_is_an_error(path: str, tmp_path: Path):
    """An empty path is not the working directory."""
    with pytest.raises(ConfigError, match=r"--config: .* is not a path"):
        load_config(path, cwd=tmp_path, environ={})


def test_vanished_working_directory_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A shell may stand in a directory that is gone."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(ConfigError, match="working directory does not exist any more"):
        load_config(environ={})
    monkeypatch.chdir(tmp_path)


def test_what_is_wrong_with_a_file_as_such_is_a_problem_too(repository: Path):
    """Checking reports an untrusted file as it does a wrong setting."""
    write(repository / "cache.toml").chmod(0o666)
    (problem,) = check_config(cwd=repository, environ={})
    assert str(problem).startswith("cache.toml: is not trusted")
