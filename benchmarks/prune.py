"""What reads take in one process while another sweeps 500,000 expired of 1,000,000 entries.

The reader looks up one entry after the other by its params, each from the file: `peek` does not use
the memory tier. The sweep is `llm-cache prune`. Exits 1 if a limit is missed, or if the sweep left
anything expired. Takes a minute or two, and 2 GB of disk.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

from _filled import fill

ENTRIES, EXPIRED = 1_000_000, 500_000
P99_LIMIT_MS = 10.0

READER = """
import json, random, sys, threading, time
from llm_cache import LLMCache
directory, first, end = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
asked_to_end = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), asked_to_end.set()), daemon=True).start()
taken = []
with LLMCache(directory) as cache:
    def read():
        n = random.randrange(first, end)
        return cache.peek("intro_page" if n % 3 else "word_problem", subject="math", n=n)
    for _ in range(1000):
        assert read() is not None
    print("ready", flush=True)
    while not asked_to_end.is_set():
        begun = time.perf_counter()
        read()
        taken.append(time.perf_counter() - begun)
print(json.dumps(taken), flush=True)
"""


def start_reader(directory: Path) -> subprocess.Popen[str]:
    """A process that reads fresh entries, warmed up."""
    reader = subprocess.Popen(  # noqa: S603 - a script of our own
        [sys.executable, "-c", READER, str(directory), str(EXPIRED), str(ENTRIES)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert reader.stdout is not None
    assert reader.stdout.readline() == "ready\n"
    return reader


def milliseconds(reader: subprocess.Popen[str]) -> list[float]:
    """How long each read took, once the reader was told to end."""
    return [seconds * 1000 for seconds in json.loads(reader.communicate("end\n")[0])]


def told(name: str, taken_ms: list[float]) -> float:
    """Prints a row; returns its p99."""
    p99 = quantiles(taken_ms, n=100)[98]
    print(
        f"{name:<20} {len(taken_ms):>9,} reads: median {median(taken_ms):.3f} ms   "
        f"p99 {p99:.2f} ms   longest {max(taken_ms):.1f} ms",
        flush=True,
    )
    return p99


def prune(directory: Path) -> dict[str, object]:
    """What the command says it removed."""
    command = Path(sys.executable).with_name("llm-cache")
    done = subprocess.run(  # noqa: S603 - as above
        [command, "--cache-dir", str(directory), "prune", "--json"], check=True, capture_output=True
    )
    answer: dict[str, object] = json.loads(done.stdout)
    return answer


def main() -> int:
    """Prints what reads take alone and beside the sweep; 1 if that is over the limit."""
    with tempfile.TemporaryDirectory() as place:
        directory = Path(place) / "cache"
        fill(directory, ENTRIES, expired=EXPIRED)
        reader = start_reader(directory)
        time.sleep(3)
        told("nothing beside", milliseconds(reader))
        reader = start_reader(directory)
        begun = time.perf_counter()
        removed = prune(directory)
        seconds = time.perf_counter() - begun
        p99 = told("a sweep beside", milliseconds(reader))
    print(f"the sweep removed {removed['removed']:,} entries in {seconds:.1f} s")
    missed = p99 > P99_LIMIT_MS or removed["removed"] != EXPIRED
    print(f"limit: p99 {P99_LIMIT_MS:g} ms   {'MISSED' if missed else 'ok'}")
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
