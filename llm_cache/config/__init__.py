"""The settings of a cache: where they come from, what they may be, and how they are shown."""

from __future__ import annotations

from llm_cache.config._parts import Price, WarmSet
from llm_cache.config._schema import CacheConfig
from llm_cache.config.load import check_config, config_path, load_config
from llm_cache.config.problems import Origin, OriginKind, Problem

__all__ = [
    "CacheConfig",
    "Origin",
    "OriginKind",
    "Price",
    "Problem",
    "WarmSet",
    "check_config",
    "config_path",
    "load_config",
]
