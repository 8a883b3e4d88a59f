"""What a shell asks when TAB is pressed, and the answer in the form its script reads.

Whatever goes wrong, the answer is silence: nobody wants an error message within a half-typed line.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from click.shell_completion import ShellComplete

from llm_cache.cli.output.escape import is_harmless, printable
from llm_cache.cli.shell_words import Line, quoted_for_bash, split

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import click
    from click.shell_completion import CompletionItem

    from llm_cache.cli.session import Session

LINE_VARIABLE: Final = "COMP_WORDS"
"""The line up to the cursor, as it was typed."""
BREAKS_VARIABLE: Final = "COMP_BREAKS"
LONGEST: Final = 200
_HELP_CHARS: Final = 60
_PLAIN: Final = "plain"


def answer(
    command: click.Command, session: Session, question: str, environ: Mapping[str, str]
) -> int:
    """Writes what the line may go on with; always 0. `question` is `bash_complete` and so on."""
    with suppress(Exception):
        shell, _, _ = question.partition("_")
        told = "".join(f"{line}\n" for line in _answers(command, session, shell, environ))
        session.out.put(told)
        session.out.flush()
    return 0


def _answers(
    command: click.Command, session: Session, shell: str, environ: Mapping[str, str]
) -> Iterable[str]:
    line = split(
        environ[LINE_VARIABLE], breaks=environ.get(BREAKS_VARIABLE, ""), is_fish=shell == "fish"
    )
    click_does = ShellComplete(command, {"obj": session}, "llm-cache", "")
    items = click_does.get_completions(list(line.words[1:]), line.word)
    encoding = session.out.stream.encoding or "utf-8"
    return _FORMS[shell](line, [item for item in items if _can_be_shown(item.value, encoding)])


def _can_be_shown(value: str, encoding: str) -> bool:
    """Whether a shell may list it on its terminal as it is, and gets it whole."""
    if not is_harmless(value) or len(value) > LONGEST:
        return False
    try:
        value.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


@dataclass(frozen=True, slots=True)
class _Choice:
    """One way to go on: what the whole word would be, and what to say of it."""

    kind: str
    word: str
    about: str


def _choices(line: Line, items: Iterable[CompletionItem[str]]) -> list[_Choice]:
    """Click is asked about `--flag=value` as about `--flag value`, and answers with the value."""
    flag, mark, _ = line.word.partition("=")
    before = f"{flag}=" if mark and line.word.startswith("-") and "--" not in line.words else ""
    return [_Choice(item.type, before + item.value, _in_short(item.help or "")) for item in items]


def _in_short(text: str) -> str:
    """What fits beside a word, on one line."""
    shown = printable(" ".join(text.split()))
    if len(shown) <= _HELP_CHARS:
        return shown
    return f"{shown[:_HELP_CHARS].rpartition(' ')[0]} ..."


def _for_bash(line: Line, items: Iterable[CompletionItem[str]]) -> list[str]:
    """`kind,text`: only what comes after what bash takes for words before, quoted."""
    return [
        f"{each.kind},{quoted_for_bash(each.word[line.kept :], line.quote)}"
        for each in _choices(line, items)
    ]


def _for_zsh(line: Line, items: Iterable[CompletionItem[str]]) -> list[str]:
    """Three lines each: kind, word, and how it is listed. Zsh quotes it by itself."""
    choices = _choices(line, items)
    width = max((len(each.word) for each in choices), default=0)
    lines: list[str] = []
    for each in choices:
        listed = f"{each.word.ljust(width)}  -- {each.about}" if each.about else each.word
        lines += (each.kind, each.word or "_", listed or "_")
    return lines


def _for_fish(line: Line, items: Iterable[CompletionItem[str]]) -> list[str]:
    """`kind,word`, a tab, and what to say of it. Fish quotes it by itself."""
    return [f"{each.kind},{each.word}\t{each.about}".rstrip("\t") for each in _choices(line, items)]


_FORMS: Final[dict[str, Callable[[Line, Iterable[CompletionItem[str]]], list[str]]]] = {
    "bash": _for_bash,
    "zsh": _for_zsh,
    "fish": _for_fish,
}
