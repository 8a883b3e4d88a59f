"""Keep what language models generated and give it back: pay for an answer once."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers understand it; importing typing takes 10 ms
if TYPE_CHECKING:
    from typing import Any

    from llm_cache.api.cache import LLMCache
    from llm_cache.api.decorator import CachedAsyncFunction, CachedFunction, cached_llm_call
    from llm_cache.api.default import get_cache, set_cache
    from llm_cache.config import CacheConfig, load_config
    from llm_cache.core.entry import Entry, EntryInfo
    from llm_cache.core.freshness import Freshness
    from llm_cache.core.policy import CachePolicy, Mode
    from llm_cache.core.result import Outcome, Reason, Result
    from llm_cache.core.usage import Generated, Usage
    from llm_cache.engine.events import Event
    from llm_cache.engine.explain import Why
    from llm_cache.errors import (
        CacheError,
        ConfigError,
        EventLoopError,
        GenerationTimeoutError,
        KeyParamError,
        PrefixConflictError,
        PrefixError,
        RecursiveGenerationError,
        ReplayMissError,
        StoreError,
        TenantRequiredError,
    )
    from llm_cache.store.records import Removed

__version__ = "0.1.0"

_HOMES = {
    "CacheConfig": "config",
    "CacheError": "errors",
    "CachePolicy": "core.policy",
    "CachedAsyncFunction": "api.decorator",
    "CachedFunction": "api.decorator",
    "ConfigError": "errors",
    "Entry": "core.entry",
    "EntryInfo": "core.entry",
    "Event": "engine.events",
    "EventLoopError": "errors",
    "Freshness": "core.freshness",
    "Generated": "core.usage",
    "GenerationTimeoutError": "errors",
    "KeyParamError": "errors",
    "LLMCache": "api.cache",
    "Mode": "core.policy",
    "Outcome": "core.result",
    "PrefixConflictError": "errors",
    "PrefixError": "errors",
    "Reason": "core.result",
    "RecursiveGenerationError": "errors",
    "Removed": "store.records",
    "ReplayMissError": "errors",
    "Result": "core.result",
    "StoreError": "errors",
    "TenantRequiredError": "errors",
    "Usage": "core.usage",
    "Why": "engine.explain",
    "cached_llm_call": "api.decorator",
    "get_cache": "api.default",
    "load_config": "config",
    "set_cache": "api.default",
}

__all__ = [
    "CacheConfig",
    "CacheError",
    "CachePolicy",
    "CachedAsyncFunction",
    "CachedFunction",
    "ConfigError",
    "Entry",
    "EntryInfo",
    "Event",
    "EventLoopError",
    "Freshness",
    "Generated",
    "GenerationTimeoutError",
    "KeyParamError",
    "LLMCache",
    "Mode",
    "Outcome",
    "PrefixConflictError",
    "PrefixError",
    "Reason",
    "RecursiveGenerationError",
    "Removed",
    "ReplayMissError",
    "Result",
    "StoreError",
    "TenantRequiredError",
    "Usage",
    "Why",
    "cached_llm_call",
    "get_cache",
    "load_config",
    "set_cache",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - whatever the name stands for
    """Imports a public name when it is first used (PEP 562), so that importing costs nothing."""
    home = _HOMES.get(name)
    if home is None:
        msg = f"module 'llm_cache' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(f"llm_cache.{home}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """The public names, imported or not."""
    return sorted({*globals(), *__all__})
