"""Where a cache lies: said once, and the same place from then on."""

import os
from pathlib import Path

import pytest

from llm_cache import CacheConfig, ConfigError, LLMCache
from tests.children import Child

FORKED = """
cache = LLMCache(*eval(hear()))
cache.put("p", "v", n=1)
os.chdir("/")
pid = os.fork()
if pid == 0:
    os._exit(0 if cache.peek("p", n=1) is not None else 1)
say(os.waitpid(pid, 0)[1])
"""


@pytest.fixture
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize(
    ("make", "place"),
    [(LLMCache, ".cache/llm"), (lambda: LLMCache("a/b"), "a/b"),
     (lambda: LLMCache(Path("a/b")), "a/b"),
     (lambda: LLMCache(config=CacheConfig(cache_dir="a")), "a"),
     (lambda: LLMCache("b", config=CacheConfig(cache_dir="a")), "b")],
    ids=["the default", "text", "a path", "of a config", "beside a config"],
)  # fmt: skip
def test_relative_directory_starts_where_the_cache_was_made(make, place: str, tmp_path: Path):
    """A later change of the working directory moves nothing."""
    with make() as cache:
        os.chdir("/")
        cache.put("p", "v", n=1)
        assert cache.cache_dir == tmp_path / place
    assert (tmp_path / place / "cache.db").is_file()


@pytest.mark.usefixtures("_here")
@pytest.mark.parametrize("text", ["~/llm", "$HOME/llm", "${HOME}/llm"])
@pytest.mark.parametrize("kind", [str, Path])
def test_home_directory_is_understood(text: str, kind, tmp_path: Path):
    """Nobody gets a directory named `~` or `$HOME`."""
    for cache in (LLMCache(kind(text)), LLMCache(config=CacheConfig(cache_dir=kind(text)))):
        assert cache.cache_dir == tmp_path / "home" / "llm"


def test_absolute_path_of_code_is_taken_as_it_is(tmp_path: Path):
    """A directory whose name has a dollar can be opened by the `Path` of a cache that is there."""
    with LLMCache(tmp_path / "a$b") as first, LLMCache(first.cache_dir) as second:
        assert second.cache_dir == tmp_path / "a$b"


@pytest.mark.parametrize(
    ("wrong", "said"),
    [("$NOPE_NOT_SET/x", "names the variable NOPE_NOT_SET, which is not set"),
     ("a$/b", r"has a \$ that names no variable"), ("~nobodyhere/x", "there is no such user"),
     ("", "'' is not a path"), (5, "5 is not a path"), (b"x", "b'x' is not a path")],
    ids=repr,
)  # fmt: skip
def test_directory_that_is_none_is_an_error(wrong, said: str):
    """What cannot be a directory is said where the cache is made."""
    with pytest.raises(ConfigError, match=f"^cache_dir.*{said}"):
        LLMCache(wrong)


def test_relative_directory_where_the_working_directory_is_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """There is nothing for it to start from; an absolute one works."""
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(ConfigError, match=r"^cache_dir='x' starts from the working directory"):
        LLMCache("x")
    with LLMCache(tmp_path / "cache") as cache:
        cache.put("p", "v", n=1)


@pytest.mark.parametrize("said", ["[]", '["cache"]'])
def test_forked_child_looks_where_its_parent_does(tmp_path: Path, said: str):
    """Also after the working directory became another, and whoever named the directory."""
    child = Child(f"os.chdir(directory)\n{FORKED}", tmp_path)
    child.tell(said)
    assert child.says() == "0"
    assert child.ends()[0] == 0
