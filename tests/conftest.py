"""What holds for every test: an environment that decides nothing, and child processes."""

import os
from pathlib import Path

import pytest
from hypothesis import settings

from tests.children import Child

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
