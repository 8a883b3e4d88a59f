"""Terminals of all kinds: without colour, dumb, not UTF-8, narrow; pipes that are closed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import terminal


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"TERM": "dumb"}], ids=["NO_COLOR", "dumb"])
def test_colour_can_be_declined(screen, env):
    """The words alone say it all."""
    shown = screen("ls", env=env).out
    assert "\x1b" not in shown
    assert "expired" in shown


def test_color_flag_decides(screen, piped):
    """Never and always go before what the terminal and the environment say."""
    assert "\x1b" not in screen("--color", "never", "ls").out
    assert "\x1b[33mexpired\x1b[0m" in screen("ls", "--color", "always", env={"NO_COLOR": "1"}).out
    assert piped("--color", "always", "lss").err.startswith("\x1b[31merror:\x1b[0m ")


def test_pipe_has_no_colour(piped):
    """Values are not decorated."""
    assert "\x1b" not in piped("ls").out + piped("lss").err


@pytest.mark.parametrize("command", ["ls", "stats", "inspect", "prune -n", "warm"])
@pytest.mark.parametrize(
    "env", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}], ids=["C", "ascii"]
)
def test_terminal_that_is_not_utf8_gets_ascii(screen, lessons, command, env):
    """Bars, dashes and ellipses in ASCII; no UnicodeEncodeError."""
    from llm_cache.api.cache import LLMCache

    with LLMCache(lessons.directory) as cache:
        cache.put("wide", "分数の足し算", topic="分数の足し算" * 9)
        (wide,) = (entry.id for entry in cache.entries("wide"))
    args = [*command.split(), wide] if command == "inspect" else command.split()
    shown = screen(*args, env=env)
    assert shown.code == 0
    assert shown.out.isascii()


def test_ascii_pictures(screen):
    """The bar is of hashes, the footer has dashes."""
    assert "hit rate   ####" in screen("stats", env={"LC_ALL": "C"}).out
    assert "5 entries - " in screen("ls", env={"LC_ALL": "C"}).out


def test_pipe_under_c_locale_still_gets_the_data_itself(piped, lessons):
    """A script that sorts by bytes wants the text, not its escapes."""
    from llm_cache.api.cache import LLMCache

    with LLMCache(lessons.directory) as cache:
        cache.put("wide", "x", topic="分数")
    assert "分数" in piped("ls", "wide", env={"LC_ALL": "C"}).out
    ascii_only = piped("ls", "wide", env={"PYTHONIOENCODING": "ascii"})
    assert (ascii_only.code, ascii_only.out.isascii()) == (0, True)


def test_columns_variable_is_respected(screen):
    """Whoever sets COLUMNS knows why."""
    lines = screen("ls", env={"COLUMNS": "60", "NO_COLOR": "1"}).out.splitlines()
    assert max(map(len, lines)) <= 60


@pytest.mark.parametrize(
    "args", [["ls"], ["ls", "--jsonl"], ["ls", "-q"], ["--help"]], ids=" ".join
)
def test_reader_that_leaves_is_no_error(lessons, here, args):
    """`| head` ends the listing: silently, exit 0."""
    from llm_cache.api.cache import LLMCache

    with LLMCache(lessons.directory) as cache:
        for number in range(1500):  # more than a pipe holds
            cache.put("many", "x", params={"number": number, "text": "x" * 60})
    process = subprocess.Popen(
        [*terminal.COMMAND, "--cache-dir", lessons.directory, *args],
        cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=terminal.clean_environment(),
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(terminal.HANGS_AFTER_S) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


@pytest.mark.parametrize("args", [["ls"], ["stats"], ["ls", "--json"], ["--help"], ["--version"]])
def test_reader_that_never_read_is_no_error(lessons, here, args):
    """`| true`: what is still in the buffer at the end is let go of, too."""
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*terminal.COMMAND, "--cache-dir", lessons.directory, *args],
        cwd=here, stdout=writing, stderr=subprocess.PIPE, env=terminal.clean_environment(),
        timeout=terminal.HANGS_AFTER_S, check=False,
    )  # fmt: skip
    os.close(writing)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs /dev/full")
def test_full_disk_is_one_error_line(lessons, here):
    """Output that cannot be written is a failure, told once."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [*terminal.COMMAND, "--cache-dir", lessons.directory, "ls"],
            cwd=here, stdout=full, stderr=subprocess.PIPE,
            env=terminal.clean_environment(), timeout=terminal.HANGS_AFTER_S, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == b"error: no space left on device\n"


def test_closed_stdout_is_survived(lessons, here):
    """`>&-`: there is nowhere to write, and nothing breaks."""
    shell = 'exec "$@" >&-'
    command = ("sh", "-c", shell, "sh", *terminal.COMMAND)
    shown = terminal.run(
        "--cache-dir", lessons.directory, "inspect", lessons.page, "--raw", cwd=here,
        command=command,
    )  # fmt: skip
    assert (shown.code, shown.err) == (0, "")
