"""A cache as a lesson service leaves it, and ways to run `llm-cache` on it."""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
import terminal
from terminal import Result

from llm_cache.api.cache import LLMCache
from llm_cache.cli.app import run

HOUR_S = 3600.0
DAY_S = 86_400.0
PAGE = "# Adding fractions\n\n" + "\n".join(f"Line {n} of the page." for n in range(200)) + "\n"


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self):
        self.now = time.time()

    def __call__(self) -> float:
        """Epoch seconds."""
        return self.now


@dataclass(frozen=True)
class Lessons:
    """A cache with known entries: their ids by name."""

    directory: Path
    page: str
    other_page: str
    old_page: str
    sports: str
    cooking: str
    day: str
    """On which its use was counted, in UTC: two hours ago may be yesterday."""

    @property
    def all_ids(self) -> set[str]:
        """The ids of all five."""
        return {self.page, self.other_page, self.old_page, self.sports, self.cooking}

    def ids_there(self) -> set[str]:
        """The ids of what is in the cache now."""
        with LLMCache(self.directory) as cache:
            return {entry.id for entry in cache.entries()}


BY_THE_DAY = {"test_cli_stats", "test_cli_ls"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Marks what tells days and ages by the wall clock: `make test-clocks` runs it at odd hours."""
    for item in items:
        if item.path.stem in BY_THE_DAY and "lessons" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.clock)


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of the developer's terminal, and a working directory without settings."""
    for name in ("NO_COLOR", "COLUMNS", "LC_ALL", "PYTHONIOENCODING", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """The working directory: empty."""
    return tmp_path / "here"


@pytest.fixture
def lessons(tmp_path: Path) -> Lessons:
    """Three intro pages, one of them expired and one used, and two word problems."""
    directory, clock = tmp_path / "cache", Clock()
    begun = clock.now
    topic = {"subject": "math", "topic": "fractions", "grade": "5"}
    with LLMCache(directory, clock=clock) as cache:
        clock.now = begun - 9 * DAY_S
        cache.put("intro_page", "old", subject="chemistry", topic="balancing", grade="9")
        clock.now = begun - 2 * HOUR_S
        for _ in range(12):
            cache.get_or_generate_sync(
                "intro_page", lambda: PAGE, subtopic="adding-fractions", **topic
            )
        clock.now += 1
        cache.put("intro_page", "subtracting", subtopic="subtracting-fractions", **topic)
        for context in ("sports", "cooking"):
            clock.now += 1
            problem = {"text": f"Tom and {context}", "numbers": [1, 2]}
            cache.put("word_problem", problem, operation="addition", context_type=context)
        other, page, old = (entry.id for entry in cache.entries("intro_page"))
        cooking, sports = (entry.id for entry in cache.entries("word_problem"))
        day = datetime.fromtimestamp(clock.now, UTC).date().isoformat()
    return Lessons(directory, page, other, old, sports, cooking, day)


Cli = Callable[..., Result]


@pytest.fixture
def cli(lessons: Lessons, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Runs a command on the lessons, in this process, with its output in a pipe's stead."""

    def call(*args: str | Path) -> Result:
        code = run(["--cache-dir", str(lessons.directory), *map(str, args)])
        with contextlib.suppress(ValueError):
            sys.stdout.flush()
        out, err = capfd.readouterr()
        return Result(int(code), out, err)

    return call


@pytest.fixture
def screen(lessons: Lessons, here: Path) -> Cli:
    """Runs a command on the lessons on a real terminal; what it shows is in `out`."""

    def call(*args: str | Path, columns: int = 80, env: Mapping[str, str] | None = None) -> Result:
        given = ("--cache-dir", lessons.directory, *args)
        return terminal.on_terminal(*given, cwd=here, columns=columns, env=env)

    return call


@pytest.fixture
def piped(lessons: Lessons, here: Path) -> Cli:
    """Runs a command on the lessons as a process, with its output in pipes."""

    def call(*args: str | Path, env: Mapping[str, str] | None = None) -> Result:
        return terminal.run("--cache-dir", lessons.directory, *args, cwd=here, env=env)

    return call
