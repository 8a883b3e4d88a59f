"""One process of a storm: does everything at random, and writes down what it saw.

    python -m tests.storm.worker DIRECTORY LOG SEED

Every value says what it is: its key, when its making began, and a text that follows from these. The
log has a JSON list a line: what was done, its key, when it began, and more, as `Log` says.
"""

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

import orjson

from llm_cache import CacheConfig, LLMCache, StoreError

PREFIXES = ("a", "b", "c")
KEYS = 40
LONGEST_GENERATION_S = 0.01
TASKS = 8


def now_ns() -> int:
    """An instant that means the same in every process of the storm."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def make(key: str, began: int) -> str:
    """The value of a key whose making began at an instant."""
    return f"{key} {began} " + random.Random(f"{key} {began}").randbytes(began % 3000).hex()


def began_at(key: str, value: object) -> int | None:
    """When the making of a value began; None if it is not one of that key, whole."""
    if not isinstance(value, str):
        return None
    name, _, rest = value.partition(" ")
    began = rest.partition(" ")[0]
    if name != key or not began.isdecimal() or value != make(key, int(began)):
        return None
    return int(began)


class Log:
    """What this process did, in a file that outlives it."""

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def write(self, what: str, *facts: object) -> None:
        """Adds a line; it is there as soon as this returns."""
        os.write(self._fd, orjson.dumps([what, *facts]) + b"\n")


class Worker:
    """Does one thing after the other, until it is told to stop."""

    def __init__(self, directory: Path, log: Log, seed: str) -> None:
        self.chance = random.Random(seed)
        self.log = log
        self.name = seed
        self.kept = 0
        self.is_stopping = False
        self.cache = LLMCache(
            config=CacheConfig(
                cache_dir=directory,
                lease="1s",
                min_free=0,
                prefixes={"brief": {"ttl": "1s"}, "kept": {"ttl": "forever"}},
            )
        )

    def run(self) -> None:
        """Goes on until `is_stopping`."""
        deeds = {
            self.ask: 40,
            self.ask_at_once: 6,
            self.ask_for_something_brief: 10,
            self.put: 6,
            self.keep: 10,
            self.look_at_what_was_kept: 8,
            self.invalidate: 6,
            self.invalidate_prefix: 1,
            self.prune: 1,
        }
        with self.cache:
            while not self.is_stopping:
                [deed] = self.chance.choices(list(deeds), list(deeds.values()))
                try:
                    deed()
                except StoreError as error:
                    # Only management calls may say so: the store was locked, by a stopped one, say.
                    self.log.write("refused", deed.__name__, str(error))

    def ask(self) -> None:
        """One request."""
        prefix, key = self._any_key()
        begun = now_ns()
        value = self.cache.get_or_generate_sync(prefix, lambda: self._generate(key), key=key)
        self._got(key, begun, value)

    def ask_at_once(self) -> None:
        """Some requests of one event loop, of the same key and of others."""
        asyncio.run(self._ask_at_once())

    async def _ask_at_once(self) -> None:
        async def ask(prefix: str, key: str) -> None:
            begun = now_ns()
            value = await self.cache.get_or_generate(
                prefix, lambda: self._generate_async(key), key=key
            )
            self._got(key, begun, value)

        asked = [self._any_key() for _ in range(TASKS // 2)] * 2
        await asyncio.gather(*(ask(prefix, key) for prefix, key in asked))

    def ask_for_something_brief(self) -> None:
        """One request of a value that is soon too old."""
        key = f"brief-{self.chance.randrange(KEYS)}"
        begun = now_ns()
        value = self.cache.get_or_generate_sync("brief", lambda: self._generate(key), key=key)
        self._got(key, begun, value)

    def put(self) -> None:
        """A value in place of whatever is there."""
        prefix, key = self._any_key()
        began = now_ns()
        self.log.write("putting", key, began)
        self.cache.put(prefix, make(key, began), key=key)
        self.log.write("put", key, began, now_ns())

    def keep(self) -> None:
        """A value that nobody takes away again: it has to be there whenever it is looked for."""
        key = f"kept-{self.name}-{self.kept}"
        self.cache.put("kept", make(key, now_ns()), key=key)
        self.log.write("kept", key)
        self.kept += 1

    def look_at_what_was_kept(self) -> None:
        """One of this process's own."""
        if self.kept:
            key = f"kept-{self.name}-{self.chance.randrange(self.kept)}"
            entry = self.cache.peek("kept", key=key)
            found = entry is not None and began_at(key, entry.value) is not None
            self.log.write("found" if found else "lost", key)

    def invalidate(self) -> None:
        """One entry."""
        prefix, key = self._any_key()
        begun = now_ns()
        self.cache.invalidate(prefix, key=key)
        self.log.write("invalidated", [key], begun, now_ns())

    def invalidate_prefix(self) -> None:
        """All entries of a prefix."""
        prefix = self.chance.choice(PREFIXES)
        begun = now_ns()
        self.cache.invalidate_prefix(prefix)
        keys = [f"{prefix}-{n}" for n in range(KEYS)]
        self.log.write("invalidated", keys, begun, now_ns())

    def prune(self) -> None:
        """What is expired."""
        self.log.write("pruned", self.cache.prune().entries)

    def _any_key(self) -> tuple[str, str]:
        prefix = self.chance.choice(PREFIXES)
        return prefix, f"{prefix}-{self.chance.randrange(KEYS)}"

    def _generate(self, key: str) -> str:
        began = now_ns()
        time.sleep(began % 1000 / 1000 * LONGEST_GENERATION_S)
        self.log.write("generated", key)
        return make(key, began)

    async def _generate_async(self, key: str) -> str:
        began = now_ns()
        await asyncio.sleep(began % 1000 / 1000 * LONGEST_GENERATION_S)
        self.log.write("generated", key)
        return make(key, began)

    def _got(self, key: str, begun: int, value: object) -> None:
        began = began_at(key, value)
        if began is None:
            self.log.write("wrong", key, repr(value)[:200])
        else:
            self.log.write("answered", key, begun, began)


def main() -> None:
    """Storms until SIGTERM."""
    directory, log, seed = sys.argv[1:]
    worker = Worker(Path(directory), Log(Path(log)), seed)

    def stop(*_: object) -> None:
        worker.is_stopping = True

    signal.signal(signal.SIGTERM, stop)
    worker.run()


if __name__ == "__main__":
    main()
