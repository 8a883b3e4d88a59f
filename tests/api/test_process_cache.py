"""The process-wide cache: made on first use, from the environment and the file in force."""

import subprocess
import sys

import pytest

from llm_cache import LLMCache, get_cache, set_cache


@pytest.fixture(autouse=True)
def _of_its_own(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    set_cache(None)
    yield
    set_cache(None)


def test_it_is_one(tmp_path):
    """Every call gets the same, and nothing is written before it is used."""
    assert get_cache() is get_cache()
    assert get_cache().cache_dir == tmp_path / ".cache" / "llm"
    assert list(tmp_path.iterdir()) == []


def test_it_reads_the_environment(monkeypatch, tmp_path):
    """`LLM_CACHE_DIR` and `LLM_CACHE_ENABLED` go before the file that `LLM_CACHE_CONFIG` names."""
    file = tmp_path / "other.toml"
    file.write_text('[cache]\ncache_dir = "from_file"\nmax_memory_entries = 7\n')
    monkeypatch.setenv("LLM_CACHE_CONFIG", str(file))
    monkeypatch.setenv("LLM_CACHE_DIR", str(tmp_path / "from_environment"))
    monkeypatch.setenv("LLM_CACHE_ENABLED", "no")
    config = get_cache().config
    assert config.cache_dir == tmp_path / "from_environment"
    assert (config.enabled, config.max_memory_entries) == (False, 7)


def test_it_reads_the_file_in_force(tmp_path):
    """A `cache.toml` in the working directory."""
    (tmp_path / "cache.toml").write_text("[cache]\nmax_memory_entries = 7\n")
    assert get_cache().config.max_memory_entries == 7


def test_it_can_be_set(tmp_path):
    """`set_cache` puts another in its place."""
    with LLMCache(tmp_path) as cache:
        set_cache(cache)
        assert get_cache() is cache


def test_a_cache_of_ones_own_reads_nothing(monkeypatch, tmp_path):
    """`LLMCache(dir)` looks at no file and no environment."""
    monkeypatch.setenv("LLM_CACHE_ENABLED", "nonsense")
    (tmp_path / "cache.toml").write_text("nonsense")
    with LLMCache(tmp_path / "own") as cache:
        assert cache.config.enabled


def test_importing_costs_nothing():
    """`import llm_cache` loads none of what is slow, and makes no cache."""
    program = (
        "import sys, llm_cache\n"
        "slow = {'click', 'rich', 'pydantic', 'apsw', 'asyncio', 'orjson', 'tomllib', 'tomli_w'}\n"
        "print(sorted(slow & sys.modules.keys()), sorted(m for m in sys.modules if m[:10] == "
        "'llm_cache.'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout.split() == ["[]", "[]"]
