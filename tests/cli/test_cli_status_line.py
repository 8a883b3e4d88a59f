"""A count that is kept up to date on a terminal, and nowhere else."""

import io
from dataclasses import replace

from llm_cache.cli.output.screen import screen_for
from llm_cache.cli.output.status_line import StatusLine


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        """The instant."""
        return self.now


def shown_by(steps, *, is_terminal=True, is_dumb=False, columns=80) -> str:
    """What a terminal gets when words are shown at instants, and the count is taken away."""
    stream, clock = io.StringIO(), Clock()
    screen = screen_for(stream, environ={"PYTHONUTF8": "1"})
    screen = replace(screen, is_terminal=is_terminal, is_dumb=is_dumb, columns=columns)
    status = StatusLine(screen, clock)
    for clock.now, words in steps:
        status.show(lambda words=words: words)
    status.clear()
    return stream.getvalue()


def test_what_is_quick_shows_nothing():
    """Not before a second has passed."""
    assert shown_by([(0.0, "1"), (0.9, "2")]) == ""


def test_count_is_written_over():
    """Five times a second at most; nothing of a longer one is left, and in the end nothing."""
    steps = [(1.0, "10 read"), (1.1, "11 read"), (1.2, "9 read")]
    assert shown_by(steps) == "\r10 read\r9 read \r      \r"


def test_count_stays_on_its_line():
    """A narrow terminal gets its beginning, and nothing to obey."""
    assert shown_by([(1.0, "10 lines\x1b[2J")], columns=12) == "\r10 lines\\x1\r           \r"


def test_other_streams_get_nothing():
    """A pipe, or a terminal that cannot go back."""
    assert shown_by([(5.0, "1")], is_terminal=False) == ""
    assert shown_by([(5.0, "1")], is_dumb=True) == ""
