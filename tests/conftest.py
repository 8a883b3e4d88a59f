"""What holds for every test: hypothesis profiles, and an environment that decides nothing."""

import os

from hypothesis import settings

settings.register_profile("local", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True, database=None, print_blob=True)
settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_configure() -> None:
    """Forgets the developer's own cache and model, so that no test reads or pays for them."""
    for name in list(os.environ):
        if name.startswith(("LLM_CACHE_", "OPENAI_")):
            del os.environ[name]
