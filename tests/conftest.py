"""What holds for every test: an environment that decides nothing, caches, child processes."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from llm_cache import CacheConfig, LLMCache, load_config
from llm_cache.functions import registry
from tests.children import Child
from tests.conformance.samples import Clock

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_configure() -> None:
    """Forgets the developer's own cache and model, so that no test reads or pays for them."""
    for name in list(os.environ):
        if name.startswith(("LLM_CACHE_", "OPENAI_")):
            del os.environ[name]


@pytest.fixture
def start(tmp_path):
    """Starts processes on the cache in `cache`; all are gone after the test."""
    children: list[Child] = []

    def start(
        script: str, *, directory: Path = tmp_path / "cache", env: dict[str, str] | None = None
    ) -> Child:
        children.append(Child(script, directory, env=env))
        return children[-1]

    yield start
    for child in children:
        child.process.kill()
        child.ends()


@pytest.fixture
def clock():
    """A clock that stands still."""
    return Clock()


@pytest.fixture
def directory(tmp_path):
    """Where the caches of a test are."""
    return tmp_path / "cache"


@pytest.fixture
def make_cache(directory, clock):
    """Makes caches on one directory, with settings."""
    made = []

    def make(*, on_event=None, **settings):
        config = CacheConfig(cache_dir=directory, **settings)
        made.append(LLMCache(config=config, clock=clock, on_event=on_event))
        return made[-1]

    yield make
    for cache in made:
        cache.close()


@pytest.fixture
def load_cache(tmp_path, directory, clock):
    """Makes caches on the same directory as a file and an environment say."""
    made = []

    def load(text="", **environ):
        file = tmp_path / "cache.toml"
        file.write_text(text)
        config = load_config(file, cache_dir=directory, environ=environ)
        made.append(LLMCache(config=config, clock=clock))
        return made[-1]

    yield load
    for cache in made:
        cache.close()


@pytest.fixture(autouse=True)
def _free_prefixes(monkeypatch):
    monkeypatch.setattr(registry, "_claims", {})
