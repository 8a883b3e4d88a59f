"""Errors: one line that says what, one hint that says what to do, and the exit code."""

from pathlib import Path

import apsw
import pytest

from llm_cache.cli import errors
from llm_cache.cli.errors import ExitCode, explain
from llm_cache.errors import ConfigError, KeyParamError, PrefixError, StoreError


@pytest.mark.parametrize(
    ("args", "hint"),
    [
        (["lss"], "did you mean 'ls'?"),
        (["frobnicate"], "llm-cache --help lists them"),
        (["config", "chek"], "did you mean 'check'?"),
        (["ls", "--jsno"], "did you mean --json?"),
        (["invalidate", "--purg"], "did you mean --purge?"),
        (["inspect"], "llm-cache inspect --help shows what it takes"),
        (["ls", "--limit", "0"], "llm-cache ls --help shows what it takes"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_usage(cli, args, hint):
    """Exit 2, one error line, one hint line, nothing on stdout."""
    shown = cli(*args)
    error, second = shown.err.splitlines()
    assert (shown.code, shown.out) == (2, "")
    assert error.startswith("error: ")
    assert second == f"hint: {hint}"


def somebody_elses(lessons) -> Path:
    """Puts another application's database in the place of the cache's."""
    for path in lessons.directory.glob("cache.db*"):
        path.unlink()
    database = lessons.directory / "cache.db"
    with apsw.Connection(str(database)) as connection:
        connection.execute("CREATE TABLE theirs (a)").fetchall()
    return database


def test_store_in_trouble(cli, lessons):
    """A file that is no cache: exit 1, one line that names it, no traceback."""
    database = somebody_elses(lessons)
    before = database.read_bytes()
    shown = cli("ls")
    assert (shown.code, shown.out) == (1, "")
    assert shown.err.startswith("error: ")
    assert str(database) in shown.err
    assert "Traceback" not in shown.err
    assert database.read_bytes() == before


def test_debug_shows_the_traceback(cli, lessons):
    """Before or after the command."""
    somebody_elses(lessons)
    for args in (["--debug", "ls"], ["ls", "--debug"]):
        shown = cli(*args)
        assert "Traceback (most recent call last)" in shown.err
        assert shown.err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConfigError("x"), 2),
        (PrefixError("x"), 2),
        (KeyParamError("x"), 1),
        (StoreError("x"), 1),
        (PermissionError(13, "Permission denied", "f"), 1),
        (ZeroDivisionError("x"), 1),
        (RecursionError(), 1),
        (errors.Failure(message="x", code=ExitCode.NOT_FOUND), 3),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_exit_code_of_each_kind(error, code):
    """Settings and prefixes are usage, a missing entry is 3, the rest failed."""
    assert explain(error).code == code


def test_unknown_error_says_where_to_look():
    """A bug of ours is no traceback either."""
    told = explain(ZeroDivisionError("division by zero"))
    assert told.message == "ZeroDivisionError: division by zero"
    assert told.hint is not None
    assert "--debug" in told.hint


def test_guess_is_a_hint_of_its_own():
    """What an error of the library guesses goes on the second line."""
    told = explain(ConfigError("cache.toml:2: cache.tll is unknown; did you mean 'ttl'?"))
    assert (told.message, told.hint) == (
        "cache.toml:2: cache.tll is unknown",
        "did you mean 'ttl'?",
    )


def test_global_flags_may_follow_the_command(cli, lessons, tmp_path):
    """Wherever they stand, they count."""
    assert cli("ls", "-q", "--cache-dir", tmp_path / "other").out == ""


def test_version(cli):
    """One line, on stdout."""
    from llm_cache import __version__

    assert cli("--version").out == f"llm-cache {__version__}\n"


def test_warning_of_the_library_is_a_line(cli, lessons, here):
    """What the library logs is shown as a line of ours, escaped."""
    import io
    import logging

    from llm_cache.cli.output.log_lines import show_warnings
    from llm_cache.cli.output.screen import screen_for

    stream = io.StringIO()
    end = show_warnings(screen_for(stream, environ={"PYTHONUTF8": "1"}))
    logging.getLogger("llm_cache").warning("odd \x1b[31m %s", "thing")
    end()
    assert stream.getvalue() == "warning: odd \\x1b[31m thing\n"
    assert not any("_LogLines" in type(h).__name__ for h in logging.getLogger("llm_cache").handlers)
