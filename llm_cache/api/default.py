"""The cache that a whole process shares."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final

from llm_cache.api._management import engine_of
from llm_cache.api.cache import LLMCache
from llm_cache.config import load_config
from llm_cache.core.arguments import refuse_argument
from llm_cache.core.fork_locks import reset_after_fork

if TYPE_CHECKING:
    from llm_cache.engine.engine import Engine


class _Shared:
    """The cache of this process, and a lock so that only one is made."""

    def __init__(self) -> None:
        self.cache: LLMCache | None = None
        reset_after_fork(self._make_locks)

    def _make_locks(self) -> None:
        self.making = threading.Lock()


_shared: Final = _Shared()


def get_cache() -> LLMCache:
    """The process-wide cache, made on first use from the settings in force.

    These are `LLM_CACHE_CONFIG`, `LLM_CACHE_DIR`, `LLM_CACHE_ENABLED`, `LLM_CACHE_MODE` and
    `LLM_CACHE_TENANT`, and the `cache.toml` found from the working directory upward. Raises
    ConfigError if one of them is wrong.
    """
    cache = _shared.cache
    if cache is not None:
        return cache
    with _shared.making:
        if _shared.cache is None:
            _shared.cache = LLMCache(config=load_config())
        return _shared.cache


def engine_in_use() -> Engine:
    """The engine of the process-wide cache; the quick way of decorated functions to it."""
    return engine_of(_shared.cache or get_cache())


def set_cache(cache: LLMCache | None) -> None:
    """Makes `cache` the process-wide one; None has the next `get_cache` make a new one.

    The one before is not closed. Raises ConfigError if it is neither.
    """
    if cache is not None and not isinstance(cache, LLMCache):
        refuse_argument("cache", cache, "an LLMCache, or None")
    with _shared.making:
        _shared.cache = cache
