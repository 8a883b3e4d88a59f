"""Running `llm-cache` as a user does: as a process, on a pipe or on a real terminal."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

HANGS_AFTER_S = 30.0
TAKE_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(2, termios.TIOCSCTTY, 0)  # so that Ctrl-C reaches the process
os.execv(sys.argv[1], sys.argv[1:])
"""
COMMAND = (sys.executable, "-m", "llm_cache")


def clean_environment(**more: str) -> dict[str, str]:
    """An environment that says nothing but what a test wants said."""
    kept = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "TERM": "xterm-256color", "TZ": "UTC"}
    return {**kept, **_clock_of_this_process(), **more}


def _clock_of_this_process() -> dict[str, str]:
    """What libfaketime goes by, if the tests run under it: a child is in the same time."""
    ours = ("LD_PRELOAD", "FAKE_UTIME")
    return {
        name: value
        for name, value in os.environ.items()
        if name in ours or name.startswith("FAKETIME")
    }


@dataclass(frozen=True)
class Result:
    """How a process ended, and what it wrote."""

    code: int
    out: str
    err: str


def run(
    *args: str | Path,
    cwd: Path,
    env: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    command: Sequence[str] = COMMAND,
) -> Result:
    """Runs `llm-cache` with its output in pipes."""
    process = subprocess.Popen(
        [*command, *map(str, args)],
        cwd=cwd,
        env=clean_environment(**(env or {})),
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    with _killed_if_it_hangs(process):
        out, err = process.communicate()
    return Result(
        process.returncode,
        out.decode("utf-8", "surrogateescape"),
        err.decode("utf-8", "surrogateescape"),
    )


@contextlib.contextmanager
def _killed_if_it_hangs(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """Ends a process that does not by itself.

    A timeout of `subprocess` sleeps in very short steps, which libfaketime fails now and then.
    """
    guard = threading.Timer(HANGS_AFTER_S, process.kill)
    guard.daemon = True
    guard.start()
    try:
        yield
    finally:
        guard.cancel()


class Terminal:
    """A terminal of a fixed size with `llm-cache` in it; everything it shows is kept in `shown`."""

    def __init__(
        self,
        *args: str | Path,
        cwd: Path,
        columns: int = 80,
        env: Mapping[str, str] | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        command: Sequence[str] = COMMAND,
    ):
        self.shown = b""
        self._ours, theirs = pty.openpty()
        size = struct.pack("HHHH", 24, columns, 0, 0)
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, size)
        self.process = subprocess.Popen(
            [sys.executable, "-ISc", TAKE_TERMINAL, *command, *map(str, args)],
            cwd=cwd,
            env=clean_environment(**(env or {})),
            stdin=theirs if stdin is None else stdin,
            stdout=theirs if stdout is None else stdout,
            stderr=theirs,
            start_new_session=True,
        )
        os.close(theirs)

    def wait_for(self, text: str) -> None:
        """Reads until `text` is shown."""
        self._read_until(lambda: text.encode() in self.shown, f"{text!r} to be shown")

    def type(self, text: str) -> None:
        """Types on its keyboard."""
        os.write(self._ours, text.encode())

    def interrupt(self) -> None:
        """Presses Ctrl-C, once the process waits.

        What comes in the microseconds between Python's last look for signals and the wait is seen
        after the wait only. A person is never that quick.
        """
        ends_at = time.monotonic() + HANGS_AFTER_S
        while self._is_running() and time.monotonic() < ends_at:
            os.sched_yield()
        self.type("\x03")

    def end(self) -> Result:
        """Reads until the process is gone; what it showed is in `out`."""
        self._read_until(lambda: False, "the end")
        with _killed_if_it_hangs(self.process):
            code = self.process.wait()
        os.close(self._ours)
        return Result(code, self.shown.decode("utf-8").replace("\r\n", "\n"), "")

    def _is_running(self) -> bool:
        try:
            state = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:  # a system that has no such files
            return False
        return state == "R"

    def _read_until(self, is_enough: Callable[[], bool], what: str) -> None:
        ends_at = time.monotonic() + HANGS_AFTER_S
        while not is_enough():
            ready, _, _ = select.select([self._ours], [], [], ends_at - time.monotonic())
            if not ready:
                self.process.send_signal(signal.SIGKILL)
                message = f"waited for {what}; it shows {self.shown!r}"
                raise TimeoutError(message)
            try:
                read = os.read(self._ours, 65536)
            except OSError:  # Linux says EIO when the other side is closed
                read = b""
            if not read:
                return
            self.shown += read


def on_terminal(
    *args: str | Path, cwd: Path, columns: int = 80, env: Mapping[str, str] | None = None
) -> Result:
    """Runs `llm-cache` on a terminal until it ends; what the terminal shows is in `out`."""
    return Terminal(*args, cwd=cwd, columns=columns, env=env).end()
