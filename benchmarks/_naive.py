"""The cache one writes first: a dict over JSON files, keyed by a SHA-256 of sorted JSON."""

from __future__ import annotations

import functools
import hashlib
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any


class NaiveCache:
    """What most applications begin with."""

    def __init__(self, directory: Path, *, with_memory: bool) -> None:
        self.directory = directory
        self.with_memory = with_memory
        self.memory: dict[str, dict[str, Any]] = {}
        self.hits = self.misses = 0
        directory.mkdir(parents=True, exist_ok=True)

    def key(self, prefix: str, params: dict[str, Any]) -> str:
        """Prefix and digest."""
        text = json.dumps(params, sort_keys=True)
        return f"{prefix}_{hashlib.sha256(text.encode()).hexdigest()[:16]}"

    def get(self, key: str, ttl_s: float) -> dict[str, Any] | None:
        """The entry, from memory or its file, if it is not too old."""
        entry = self.memory.get(key) if self.with_memory else None
        if entry is None:
            path = self.directory / f"{key}.json"
            if not path.exists():
                return None
            with path.open(encoding="utf-8") as file:
                entry = json.load(file)
            if self.with_memory:
                self.memory[key] = entry
        return entry if time.time() - entry["created_at"] < ttl_s else None

    def put(self, key: str, value: object, params: dict[str, Any]) -> None:
        """Keeps a value in both places."""
        entry = {"created_at": time.time(), "params": params, "value": value}
        self.memory[key] = entry
        with (self.directory / f"{key}.json").open("w", encoding="utf-8") as file:
            json.dump(entry, file)

    async def get_or_generate(
        self,
        prefix: str,
        generator: Callable[[], Awaitable[Any]],
        ttl_s: float,
        **params: Any,
    ) -> Any:
        """As ours, without any of its promises."""
        key = self.key(prefix, params)
        entry = self.get(key, ttl_s)
        if entry is not None:
            self.hits += 1
            return entry["value"]
        self.misses += 1
        value = await generator()
        self.put(key, value, params)
        return value


def naive(cache: NaiveCache, prefix: str, ttl_s: float) -> Callable[..., Any]:
    """A decorator over it, for keyword arguments."""

    def decorate(function: Callable[..., Awaitable[Any]]) -> Callable[..., Any]:
        @functools.wraps(function)
        async def cached(**params: Any) -> Any:
            return await cache.get_or_generate(prefix, lambda: function(**params), ttl_s, **params)

        return cached

    return decorate
