"""Draws what the commands show: `python tests/cli/pictures.py docs/pictures`.

Each picture is the output of the real command on a real terminal of 80 columns, so that pictures
stay true.
"""

from __future__ import annotations

import io
import re
import shlex
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text
from showcase import PICTURES, make_showcase
from terminal import on_terminal

COLUMNS = 80
_MOVES = re.compile(r"\x1b\[(\d*)A|\x1b\[2K|\x1b\[\?\d+[hl]|\r")
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)


def shown(typed: str, directory: Path, *, columns: int = COLUMNS) -> str:
    """What a terminal shows of a command, colours included."""
    return on_terminal(*shlex.split(typed), cwd=directory, columns=columns).out


def svg(name: str, typed: str, text: str) -> str:
    """A picture of a terminal with a command and what it shows."""
    console = Console(
        record=True,
        width=COLUMNS,
        file=io.StringIO(),
        color_system="truecolor",
        legacy_windows=False,
    )
    console.print(Text(f"$ llm-cache {typed}", style="bold"))
    console.print(Text.from_ansi(at_last(text)), soft_wrap=True)
    drawn = console.export_svg(title="llm-cache", theme=MONOKAI, unique_id=f"llm-cache-{name}")
    return _FONTS.sub("", drawn)  # no font is fetched from anywhere


def at_last(text: str) -> str:
    """What a terminal shows in the end of what was drawn on it, live bars drawn over included."""
    lines, row = [""], 0
    for line in text.rstrip("\n").split("\n"):
        position = 0
        for move in [*_MOVES.finditer(line), None]:
            piece = line[position : move.start() if move else None]
            if piece:
                lines[row] = piece
            if move is None:
                break
            position = move.end()
            if move[1] is not None:
                row -= int(move[1] or 1)
        row += 1
        if row == len(lines):
            lines.append("")
    return "\n".join(lines).rstrip("\n")


def main(target: Path) -> None:
    """Draws every picture into a directory."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as directory:
        make_showcase(Path(directory))
        for name, typed in PICTURES.items():
            picture = svg(name, typed, shown(typed, Path(directory)))
            (target / f"{name}.svg").write_text(picture, "utf-8")
            print(target / f"{name}.svg")  # noqa: T201 - a script's own output


if __name__ == "__main__":
    main(Path(sys.argv[1]))
