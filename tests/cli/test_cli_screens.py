"""On a terminal of 80 columns the commands look as they are kept in `screens/`.

After a change that is meant: `make screens`, and look at what git shows.
"""

import os
import re
from pathlib import Path

import pytest
from pictures import shown
from showcase import SCREENS, make_showcase

KEPT = Path(__file__).parent / "screens"
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
CHANGING = {
    re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d"): "YYYY-MM-DD hh:mm",
    re.compile(r"\d{4}-\d\d-\d\d"): "YYYY-MM-DD",
}


def plain(text: str) -> str:
    """What stays the same from day to day, without colours."""
    text = COLOURS.sub("", text)
    for pattern, stands_for in CHANGING.items():
        text = pattern.sub(stands_for, text)
    return "\n".join(line.rsplit("\r", 1)[-1] for line in text.split("\n"))


@pytest.fixture(scope="module")
def screens(tmp_path_factory):
    """What a terminal shows of each command, one after the other on one cache."""
    directory = tmp_path_factory.mktemp("showcase")
    make_showcase(directory)
    return {name: plain(shown(typed, directory)) for name, typed in SCREENS.items()}


@pytest.mark.slow
@pytest.mark.parametrize("name", SCREENS)
def test_screen_is_as_kept(name, screens):
    """To the character."""
    kept = KEPT / f"{name}.txt"
    if os.environ.get("SCREENS") == "keep":
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(screens[name], "utf-8")
    assert screens[name] == kept.read_text("utf-8")


@pytest.mark.slow
def test_no_line_is_wider_than_the_terminal(screens):
    """Nothing is broken by the terminal itself."""
    from rich.cells import cell_len

    wide = [
        (name, line)
        for name, text in screens.items()
        for line in text.split("\n")
        if cell_len(line) > 80
    ]
    assert wide == []


def test_every_kept_screen_is_looked_at():
    """None is left over."""
    assert {path.stem for path in KEPT.iterdir()} == set(SCREENS)
