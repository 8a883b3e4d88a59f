"""What `import llm_cache` and `llm-cache --version` cost beside a bare Python, in one run."""

from __future__ import annotations

import subprocess
import sys
import time

ROUNDS = 15
PROGRAMS = {
    "python -c pass": ["-c", "pass"],
    "import click": ["-c", "import click"],
    "import llm_cache": ["-c", "import llm_cache"],
    "llm-cache --version": ["-m", "llm_cache", "--version"],
}


def seconds(arguments: list[str]) -> float:
    """What a whole process takes."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)  # noqa: S603 - our own program
    return time.perf_counter() - begun


def main() -> None:
    """Prints the median of each, and its ratio to the bare one."""
    rounds = [{name: seconds(a) for name, a in PROGRAMS.items()} for _ in range(ROUNDS)]
    medians = {name: sorted(r[name] for r in rounds)[ROUNDS // 2] for name in PROGRAMS}
    bare = medians["python -c pass"]
    for name, median in medians.items():
        print(f"{name:<20} {median * 1e3:6.1f} ms   {median / bare:.2f}x")


if __name__ == "__main__":
    main()
