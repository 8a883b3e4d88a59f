"""Keep what language models generated and give it back: pay for an answer once."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers understand it; importing typing takes 10 ms
if TYPE_CHECKING:
    from typing import Any

    from llm_cache.cache import LLMCache
    from llm_cache.config import CacheConfig, load_config
    from llm_cache.decorator import CachedAsyncFunction, CachedFunction, cached_llm_call
    from llm_cache.entry import Entry, EntryInfo, Freshness
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
    from llm_cache.events import Event
    from llm_cache.policy import CachePolicy, Mode
    from llm_cache.process import get_cache, set_cache
    from llm_cache.result import Outcome, Reason, Result
    from llm_cache.savings import Generated, Usage
    from llm_cache.stores.base import Removed
    from llm_cache.why import Why

__version__ = "0.1.0"

_HOMES = {
    "CacheConfig": "config",
    "CacheError": "errors",
    "CachePolicy": "policy",
    "CachedAsyncFunction": "decorator",
    "CachedFunction": "decorator",
    "ConfigError": "errors",
    "Entry": "entry",
    "EntryInfo": "entry",
    "Event": "events",
    "EventLoopError": "errors",
    "Freshness": "entry",
    "Generated": "savings",
    "GenerationTimeoutError": "errors",
    "KeyParamError": "errors",
    "LLMCache": "cache",
    "Mode": "policy",
    "Outcome": "result",
    "PrefixConflictError": "errors",
    "PrefixError": "errors",
    "Reason": "result",
    "RecursiveGenerationError": "errors",
    "Removed": "stores.base",
    "ReplayMissError": "errors",
    "Result": "result",
    "StoreError": "errors",
    "TenantRequiredError": "errors",
    "Usage": "savings",
    "Why": "why",
    "cached_llm_call": "decorator",
    "get_cache": "process",
    "load_config": "config",
    "set_cache": "process",
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
