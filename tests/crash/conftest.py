"""Processes that are killed, or whose disk fails, while they write to a cache."""

import random
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from llm_cache import LLMCache
from tests.children import GUARD_S, Child

WRITER = """
import random
def text(name, n):
    return random.Random(f"{name} {n}").randbytes(20 + n % 7 * 3000).hex()
def write(name, count):
    cache = LLMCache(config=CacheConfig(cache_dir=directory, min_free=0))
    for n in range(count):
        cache.put("p", text(name, n), name=name, n=n)
        say(n)
    return cache
"""
"""Puts numbered texts, and says each number once it is kept."""


def text(name: str, n: int) -> str:
    """What `WRITER` puts under a number."""
    return random.Random(f"{name} {n}").randbytes(20 + n % 7 * 3000).hex()


def found(place: Path, name: str) -> int:
    """How many texts of a writer are there, from the first on; each of them whole."""
    with LLMCache(place) as cache:
        entries = [entry for entry in cache.entries("p") if entry.params["name"] == name]
        count = len(entries)
        assert {entry.params["n"] for entry in entries} == set(range(count))
        for n in range(count):
            assert cache.peek("p", name=name, n=n).value == text(name, n)
        stats = cache.get_stats()
        assert stats["file_entries"] == len(list(cache.entries()))
        cache.put("q", "still writable", name=name)
        assert cache.peek("q", name=name).value == "still writable"
    return count


@pytest.fixture
def inject():
    """Makes system calls of a child, and of its threads, fail or kill it, as strace(1) says it."""
    path = shutil.which("strace")
    if path is None:
        pytest.skip("strace is not installed")

    @contextmanager
    def inject(child: Child, fault: str) -> Iterator[None]:
        call = fault.partition(":")[0]
        # Attached to a process that has started: under strace that alone takes seconds.
        words = [path, "-f", "-p", str(child.process.pid), "-o", "/dev/null"]
        tracer = subprocess.Popen(
            [*words, "-e", f"trace={call}", "-e", f"inject={fault}"],
            stderr=subprocess.PIPE,
            text=True,
        )
        if "attached" not in tracer.stderr.readline():
            pytest.skip("strace may not trace here")
        try:
            yield
        finally:
            child.process.kill()
            tracer.communicate(timeout=GUARD_S)

    return inject
