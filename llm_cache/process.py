"""The cache that a whole process shares."""

from __future__ import annotations

import threading
from typing import Final

from llm_cache.cache import LLMCache
from llm_cache.config import load_config

_making: Final = threading.Lock()
_shared: LLMCache | None = None


def get_cache() -> LLMCache:
    """The process-wide cache, made on first use from the settings in force.

    These are `LLM_CACHE_CONFIG`, `LLM_CACHE_DIR`, `LLM_CACHE_ENABLED`, `LLM_CACHE_MODE` and
    `LLM_CACHE_TENANT`, and the `cache.toml` found from the working directory upward. Raises
    ConfigError if one of them is wrong.
    """
    global _shared  # noqa: PLW0603 - one per process is what it is for
    cache = _shared
    if cache is not None:
        return cache
    with _making:
        if _shared is None:
            _shared = LLMCache(config=load_config())
        return _shared


def set_cache(cache: LLMCache | None) -> None:
    """Makes `cache` the process-wide one; None has the next `get_cache` make a new one.

    The one before is not closed.
    """
    global _shared  # noqa: PLW0603
    with _making:
        _shared = cache
