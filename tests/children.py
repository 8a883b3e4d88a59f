"""Real processes on one cache: they say lines on their stdout, and hear lines on their stdin."""

import contextlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

GUARD_S = 45.0
ROOT = Path(__file__).parents[1]

PRELUDE = """
import asyncio, json, logging, os, signal, sys, threading, time, warnings
# Python says so of every such fork from 3.12 on; that it goes well all the same is what is tested.
warnings.filterwarnings("ignore", "This process .* is multi-threaded", DeprecationWarning)
from llm_cache import CacheConfig, LLMCache, cached_llm_call
directory = sys.argv[1]
logging.basicConfig(level=logging.WARNING, stream=sys.stderr, format="%(message)s")
def say(*words): print(*words, flush=True)
def hear(): return sys.stdin.readline().strip()
"""


class Child:
    """A Python process that runs a script after `PRELUDE`."""

    def __init__(self, script: str, directory: Path, *, env: dict[str, str] | None = None) -> None:
        self.errors: str | None = None
        self.process = subprocess.Popen(
            [sys.executable, "-c", PRELUDE + script, str(directory)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self._guard = threading.Timer(GUARD_S, self.process.kill)
        self._guard.daemon = True
        self._guard.start()

    def says(self) -> str:
        """Its next line; an empty one if it has ended."""
        return self.process.stdout.readline().strip()

    def tell(self, line: str = "go") -> None:
        """Sends it a line."""
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def signal(self, number: signal.Signals) -> None:
        """Sends it a signal."""
        self.process.send_signal(number)

    def kill(self) -> None:
        """Kills it, and waits for its end."""
        self.process.kill()
        self.process.wait(GUARD_S)

    def ends(self) -> tuple[int, str]:
        """How it ended, and what it wrote to stderr. Its stdin is closed."""
        if self.errors is None:
            with contextlib.suppress(BrokenPipeError):
                self.process.stdin.close()
            self.process.stdin = None
            _, self.errors = self.process.communicate(timeout=GUARD_S)
            self._guard.cancel()
        return self.process.returncode, self.errors
