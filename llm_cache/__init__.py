"""Keep what language models generated and give it back: pay for an answer once."""

from __future__ import annotations

TYPE_CHECKING = False  # as type checkers understand it; importing typing takes 10 ms
if TYPE_CHECKING:
    from typing import Any

    from llm_cache.api.aio import AsyncManagement
    from llm_cache.api.cache import LLMCache
    from llm_cache.api.decorator import (
        CachedAsyncFunction,
        CachedFunction,
        Decorator,
        cached_llm_call,
    )
    from llm_cache.api.default import get_cache, set_cache
    from llm_cache.api.stats import Amount, Breakdown, DayStats, ModelStats, PrefixStats, Stats
    from llm_cache.api.trash import Trash
    from llm_cache.api.upkeep import Measured, Upkeep
    from llm_cache.config import CacheConfig, Origin, OriginKind, Price, WarmSet, load_config
    from llm_cache.core.entry import Entry, EntryInfo
    from llm_cache.core.freshness import Freshness
    from llm_cache.core.policy import CachePolicy, Mode, StoreParams
    from llm_cache.core.policy_resolution import Policy, Remembered, TtlSource
    from llm_cache.core.result import Outcome, Reason, Result
    from llm_cache.core.units import Duration
    from llm_cache.core.usage import Generated, Usage
    from llm_cache.engine.events import Event
    from llm_cache.engine.explain import Difference, Why
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
    from llm_cache.store.records import Group, Removed, Trashed
    from llm_cache.warm.budget import Limits, Stopped
    from llm_cache.warm.estimate import Outlook
    from llm_cache.warm.plan import PlannedSet, WarmItem, WarmPlan
    from llm_cache.warm.run import SetReport, WarmEvent, Warming, WarmReport, WarmStep

__version__ = "0.1.0"

_HOMES = {
    "Amount": "api.stats",
    "AsyncManagement": "api.aio",
    "Breakdown": "api.stats",
    "CacheConfig": "config",
    "CacheError": "errors",
    "CachePolicy": "core.policy",
    "CachedAsyncFunction": "api.decorator",
    "CachedFunction": "api.decorator",
    "ConfigError": "errors",
    "DayStats": "api.stats",
    "Decorator": "api.decorator",
    "Difference": "engine.explain",
    "Duration": "core.units",
    "Entry": "core.entry",
    "EntryInfo": "core.entry",
    "Event": "engine.events",
    "EventLoopError": "errors",
    "Freshness": "core.freshness",
    "Generated": "core.usage",
    "GenerationTimeoutError": "errors",
    "Group": "store.records",
    "KeyParamError": "errors",
    "LLMCache": "api.cache",
    "Limits": "warm.budget",
    "Measured": "api.upkeep",
    "Mode": "core.policy",
    "ModelStats": "api.stats",
    "Origin": "config",
    "OriginKind": "config",
    "Outcome": "core.result",
    "Outlook": "warm.estimate",
    "PlannedSet": "warm.plan",
    "Policy": "core.policy_resolution",
    "PrefixConflictError": "errors",
    "PrefixError": "errors",
    "PrefixStats": "api.stats",
    "Price": "config",
    "Reason": "core.result",
    "RecursiveGenerationError": "errors",
    "Remembered": "core.policy_resolution",
    "Removed": "store.records",
    "ReplayMissError": "errors",
    "Result": "core.result",
    "SetReport": "warm.run",
    "Stats": "api.stats",
    "Stopped": "warm.budget",
    "StoreError": "errors",
    "StoreParams": "core.policy",
    "TenantRequiredError": "errors",
    "Trash": "api.trash",
    "Trashed": "store.records",
    "TtlSource": "core.policy_resolution",
    "Upkeep": "api.upkeep",
    "Usage": "core.usage",
    "WarmEvent": "warm.run",
    "WarmItem": "warm.plan",
    "WarmPlan": "warm.plan",
    "WarmReport": "warm.run",
    "WarmSet": "config",
    "WarmStep": "warm.run",
    "Warming": "warm.run",
    "Why": "engine.explain",
    "cached_llm_call": "api.decorator",
    "get_cache": "api.default",
    "load_config": "config",
    "set_cache": "api.default",
}

__all__ = [
    "Amount",
    "AsyncManagement",
    "Breakdown",
    "CacheConfig",
    "CacheError",
    "CachePolicy",
    "CachedAsyncFunction",
    "CachedFunction",
    "ConfigError",
    "DayStats",
    "Decorator",
    "Difference",
    "Duration",
    "Entry",
    "EntryInfo",
    "Event",
    "EventLoopError",
    "Freshness",
    "Generated",
    "GenerationTimeoutError",
    "Group",
    "KeyParamError",
    "LLMCache",
    "Limits",
    "Measured",
    "Mode",
    "ModelStats",
    "Origin",
    "OriginKind",
    "Outcome",
    "Outlook",
    "PlannedSet",
    "Policy",
    "PrefixConflictError",
    "PrefixError",
    "PrefixStats",
    "Price",
    "Reason",
    "RecursiveGenerationError",
    "Remembered",
    "Removed",
    "ReplayMissError",
    "Result",
    "SetReport",
    "Stats",
    "Stopped",
    "StoreError",
    "StoreParams",
    "TenantRequiredError",
    "Trash",
    "Trashed",
    "TtlSource",
    "Upkeep",
    "Usage",
    "WarmEvent",
    "WarmItem",
    "WarmPlan",
    "WarmReport",
    "WarmSet",
    "WarmStep",
    "Warming",
    "Why",
    "cached_llm_call",
    "get_cache",
    "load_config",
    "set_cache",
]


def __getattr__(name: str) -> Any:
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
