"""A storm: processes that use one cache in every way, and are killed and stopped at random.

    python -m tests.storm --minutes 10 --seed 1

Every answer is checked against what was generated, and everything acknowledged is looked for. The
seed decides what each process does and who is killed when; how far each has come by then is up to
the machine.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from llm_cache import LLMCache
from tests.storm.judge import Judge

ROOT = Path(__file__).parents[2]
PROCESSES = 6
ROUND_S = 10.0
PAUSE_S = (0.05, 1.0)
GUARD_S = 60.0
LOOKED_FOR_AGAIN = 500
EXPECTED = (
    "the cache goes on without its store",
    "the store works again",
    "somebody keeps a read of it open",
)
"""What may be logged: a process was stopped while it had the file locked, or read it (for 1.5 s, in
which the others write tens of MiB). With none stopped, none of them is."""


@dataclass
class Storm:
    """The processes of a storm, over one directory."""

    directory: Path
    seed: int
    judge: Judge = field(default_factory=Judge)
    troubles: list[str] = field(default_factory=list)
    started: int = 0

    def __post_init__(self) -> None:
        self.chance = random.Random(self.seed)
        self.cache_dir = self.directory / "cache"
        self.workers: list[subprocess.Popen[str]] = []
        self.logs: list[Path] = []

    def run(self, seconds: float) -> None:
        """Goes on for so long, in rounds that each begin with new processes on the same cache."""
        ends_at = time.monotonic() + seconds
        while (left_s := ends_at - time.monotonic()) > 0:
            self._round(min(left_s, ROUND_S))
            self._tell(seconds - max(0.0, ends_at - time.monotonic()))

    def _round(self, seconds: float) -> None:
        ends_at = time.monotonic() + seconds
        self.workers = [self._start() for _ in range(PROCESSES)]
        while time.monotonic() < ends_at:
            time.sleep(self.chance.uniform(*PAUSE_S))
            victim = self.chance.randrange(PROCESSES)
            if self.chance.random() < 0.6:
                self._kill(victim)
            else:
                self._stop_for_a_while(victim)
        for worker in self.workers:
            worker.send_signal(signal.SIGTERM)
        for worker in self.workers:
            self._end(worker)
        self._judge()

    def _start(self) -> subprocess.Popen[str]:
        self.started += 1
        name = f"{self.seed}.{self.started}"
        self.logs.append(self.directory / f"{name}.log")
        words = [sys.executable, "-m", "tests.storm.worker", self.cache_dir, self.logs[-1], name]
        return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True)

    def _kill(self, number: int) -> None:
        worker = self.workers[number]
        worker.kill()
        self.judge.counts["killed"] += 1
        self._end(worker)
        self.workers[number] = self._start()

    def _stop_for_a_while(self, number: int) -> None:
        worker = self.workers[number]
        worker.send_signal(signal.SIGSTOP)
        self.judge.counts["stopped"] += 1
        # Sometimes for longer than its leases last.
        time.sleep(self.chance.choice([0.05, 0.2, 1.5]))
        worker.send_signal(signal.SIGCONT)

    def _end(self, worker: subprocess.Popen[str]) -> None:
        try:
            _, errors = worker.communicate(timeout=GUARD_S)
        except subprocess.TimeoutExpired:
            worker.kill()
            _, errors = worker.communicate()
            self.troubles.append(f"did not end within {GUARD_S:g} s: {errors}")
        # One that is told to end before it has heard of that ends all the same.
        if worker.returncode not in {0, -signal.SIGKILL, -signal.SIGTERM}:
            self.troubles.append(f"ended with {worker.returncode}: {errors}")
        lines = [line for line in errors.splitlines() if not line.startswith(EXPECTED)]
        self.troubles += lines

    def _judge(self) -> None:
        kept_before = len(self.judge.kept)
        self.judge.hear(self.logs)
        for log in self.logs:
            log.unlink(missing_ok=True)
        self.logs = []
        new, old = self.judge.kept[kept_before:], self.judge.kept[:kept_before]
        with LLMCache(self.cache_dir) as cache:
            again = self.chance.sample(old, min(len(old), LOOKED_FOR_AGAIN))
            self.judge.look(cache, [*new, *again])
        connection = apsw.Connection(str(self.cache_dir / "cache.db"))
        found = connection.execute("PRAGMA integrity_check(1)").fetchall()
        connection.close()
        if found != [("ok",)]:
            self.troubles.append(f"the file is damaged: {found}")
        aside = [path.name for path in self.cache_dir.iterdir() if ".corrupt-" in path.name]
        self.troubles += [f"was taken for damaged: {name}" for name in aside]

    def _tell(self, seconds: float) -> None:
        judge = self.judge
        done = f"{judge.counts['answered']} answers, {judge.counts['killed']} kills"
        say(f"{seconds:6.0f} s  {done}, {len(judge.lost)} lost, {len(judge.wrong)} wrong")

    def report(self) -> str:
        """The figures."""
        counts = self.judge.counts
        names = (
            "answered", "generated", "put", "kept", "invalidated", "pruned", "found",
            "looked for", "refused", "killed", "stopped",
        )  # fmt: skip
        lines = [f"{name:12}{counts[name]:>10}" for name in names]
        lines += [f"{'processes':12}{self.started:>10}"]
        lines += [f"{'lost':12}{len(self.judge.lost):>10}"]
        lines += [f"{'wrong':12}{len(self.judge.wrong):>10}"]
        lines += [f"{'troubles':12}{len(self.troubles):>10}"]
        return "\n".join(lines)


def say(words: str) -> None:
    """Tells who watches."""
    print(words, flush=True)  # noqa: T201 - a program of its own


def main() -> None:
    """Storms, prints the figures, and exits with 1 if anything was lost, wrong, or in trouble."""
    parser = argparse.ArgumentParser(prog="python -m tests.storm", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None, help="to storm as another time")
    asked = parser.parse_args()
    seed = asked.seed if asked.seed is not None else int.from_bytes(os.urandom(4))
    say(f"seed {seed}: {PROCESSES} processes at a time, {asked.minutes:g} minutes")
    with tempfile.TemporaryDirectory(prefix="storm-") as directory:
        storm = Storm(Path(directory), seed)
        storm.run(asked.minutes * 60)
    say(storm.report())
    for trouble in [*storm.judge.lost[:20], *storm.judge.wrong[:20], *storm.troubles[:20]]:
        say(f"  {trouble}")
    sys.exit(bool(storm.judge.lost or storm.judge.wrong or storm.troubles))


if __name__ == "__main__":
    main()
