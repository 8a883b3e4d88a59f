"""What whole commands take beside their peers, in one run: the median of many, in turn.

- `--version`, `--help` and completion beside a Python that imports click.
- `ls` beside `hf cache ls` of huggingface_hub, on a cache of one model that is made here.
- `ls --limit 50` on 1,000,000 entries beside the same on 1,000.
- The memory that `ls --jsonl` takes for 1,000,000 entries beside 10,000.

Exits 1 if a limit is missed. Takes some minutes, and 1 GB of disk.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from _filled import fill

BIN = Path(sys.executable).parent
OURS = str(BIN / "llm-cache")
ROUNDS = 15
FEW, SOME, MANY = 1_000, 10_000, 1_000_000


def seconds(program: Sequence[str], environ: Mapping[str, str]) -> float:
    """What a whole process takes, from its start to its end."""
    begun = time.perf_counter()
    subprocess.run(  # noqa: S603 - our own program, and its peers
        program, check=True, env=environ, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    return time.perf_counter() - begun


def compared(
    ours: Sequence[str], theirs: Sequence[str], more: Mapping[str, str]
) -> tuple[float, float]:
    """Milliseconds of both, each the median of rounds in turn."""
    environ = {**os.environ, **more}
    rounds = [(seconds(ours, environ), seconds(theirs, environ)) for _ in range(ROUNDS)]
    return median(our for our, _ in rounds) * 1e3, median(their for _, their in rounds) * 1e3


def told(row: str, peer: str, figures: tuple[float, float], limit: float, unit: str) -> bool:
    """Prints a row; whether its limit is kept."""
    ours, theirs = figures
    ratio = ours / theirs
    verdict = "ok" if ratio <= limit else "MISSED"
    print(
        f"{row:<28} {ours:7.1f} {unit}   {peer:<24} {theirs:7.1f} {unit}   "
        f"{ratio:.2f}x   limit {limit}x   {verdict}",
        flush=True,
    )
    return ratio <= limit


def a_model(directory: Path) -> dict[str, str]:
    """A cache of the hub with one model of one file, and the environment that names it."""
    model = directory / "hub" / "models--acme--tiny"
    for part in ("blobs", "refs", "snapshots/abc"):
        (model / part).mkdir(parents=True)
    (model / "blobs" / "1").write_text("{}")
    (model / "refs" / "main").write_text("abc")
    (model / "snapshots" / "abc" / "config.json").symlink_to("../../blobs/1")
    return {"HF_HOME": str(directory), "HF_HUB_OFFLINE": "1"}


def peak_kib(*program: str) -> float:
    """The most memory a process had, in KiB; its output is read and dropped."""
    with subprocess.Popen(program, stdout=subprocess.DEVNULL) as process:  # noqa: S603 - our own
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return float(usage.ru_maxrss)


def main() -> int:
    """Prints a row for each comparison; 1 if one is over its limit."""
    import_click = [sys.executable, "-c", "import click"]
    completing = {
        "_LLM_CACHE_COMPLETE": "bash_complete",
        "COMP_WORDS": "llm-cache in",
        "COMP_CWORD": "1",
    }
    kept = [
        told("--version", "import click", compared([OURS, "--version"], import_click, {}), 2, "ms"),
        told("--help", "import click", compared([OURS, "--help"], import_click, {}), 2, "ms"),
        told("completion", "import click", compared([OURS], import_click, completing), 2, "ms"),
    ]
    with tempfile.TemporaryDirectory() as directory:
        sizes = {number: Path(directory) / str(number) for number in (FEW, SOME, MANY)}
        for number, place in sizes.items():
            fill(place, number)

        def ls(number: int, *flags: str) -> list[str]:
            return [OURS, "--cache-dir", str(sizes[number]), "ls", *flags]

        peer = BIN / "hf"
        if peer.exists():
            figures = compared(
                ls(FEW, "--limit", "50"),
                [str(peer), "cache", "ls"],
                a_model(Path(directory) / "hf"),
            )
            kept.append(told("ls --limit 50", "hf cache ls", figures, 0.6, "ms"))
        else:
            print("ls: hf is not installed (make bench installs it): not compared")
        figures = compared(ls(MANY, "--limit", "50"), ls(FEW, "--limit", "50"), {})
        kept.append(told("ls --limit 50, of 1,000,000", "of 1,000", figures, 1.3, "ms"))
        memory = [peak_kib(*ls(number, "--jsonl")) / 1024 for number in (MANY, SOME)]
        kept.append(told("ls --jsonl, 1,000,000", "10,000", (memory[0], memory[1]), 1.3, "MiB"))
    return 0 if all(kept) else 1


if __name__ == "__main__":
    sys.exit(main())
