"""What a hit costs beside the naive cache: the same text, the same calls, in one run.

The two are timed in turn, and the least of many rounds is taken: what else the machine does
only ever adds. Exits 1 if a limit is missed.
"""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from _naive import NaiveCache, naive

from llm_cache import CacheConfig, CachePolicy, LLMCache, cached_llm_call

TEXT = "Adding fractions means finding one name for two parts. " * 37
PARAMS = {
    "subject": "math",
    "topic": "fractions",
    "subtopic": "adding-fractions",
    "grade": "5",
    "difficulty": "medium",
}
PLAIN = CachePolicy(ttl="7d")
EVERYTHING = CachePolicy(
    ttl="7d",
    ttl_jitter=0.1,
    grace="1d",
    stale_if_error="30d",
    version="auto",
    timeout="1m",
    lock_timeout="1m",
    mode="live",
    cache_if=bool,
    store_if=["not_empty", "not_truncated", "not_filtered", "not_refused"],
    store_params="redacted",
    secret_params=["difficulty"],
    public_params=["grade"],
)
ROWS = (
    ("memory hit", 0.5, PLAIN),
    ("with every policy set", 0.5, EVERYTHING),
    ("store hit", 0.7, PLAIN),
)
ROUNDS, CALLS = 40, 500

Call = Callable[..., Awaitable[str]]


async def page(subject: str, topic: str, subtopic: str, grade: str, difficulty: str) -> str:
    """A text of 2 KB."""
    return TEXT


async def seconds(call: Call) -> float:
    """What `CALLS` hits take."""
    begun = time.perf_counter()
    for _ in range(CALLS):
        await call(**PARAMS)
    return time.perf_counter() - begun


async def compare(ours: Call, theirs: Call) -> tuple[float, float]:
    """Microseconds a hit of each takes."""
    assert await ours(**PARAMS) == await theirs(**PARAMS) == TEXT
    rounds = [(await seconds(ours), await seconds(theirs)) for _ in range(ROUNDS)]
    return (
        min(our for our, _ in rounds) / CALLS * 1e6,
        min(their for _, their in rounds) / CALLS * 1e6,
    )


async def main() -> int:
    """Prints a row for each kind of hit; 1 if one is over its limit."""
    missed = 0
    with tempfile.TemporaryDirectory() as directory:
        for row, limit, policy in ROWS:
            in_memory = row != "store hit"
            config = CacheConfig(
                cache_dir=Path(directory) / row, max_memory_entries=1000 if in_memory else 0
            )
            their_cache = NaiveCache(Path(directory) / f"naive {row}", with_memory=in_memory)
            with (
                LLMCache(config=config) as cache,
                cache.tenant("acme" if policy is EVERYTHING else ""),
            ):
                ours = cached_llm_call("page", policy=policy, shared=True, cache=cache)(page)
                theirs = naive(their_cache, "page", 7 * 86_400.0)(page)
                our_us, their_us = await compare(ours, theirs)
            ratio = our_us / their_us
            verdict = "ok" if ratio <= limit else "MISSED"
            missed += ratio > limit
            print(
                f"{row:<21} {our_us:6.2f} µs   naive {their_us:6.2f} µs   "
                f"{ratio:.2f}x   limit {limit}x   {verdict}"
            )
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
