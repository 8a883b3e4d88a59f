"""A value on a terminal: its first lines, and nothing in it that is obeyed."""

import io
import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from llm_cache.cli.output.preview import draw_text
from llm_cache.cli.output.screen import Screen
from tests.conformance.samples import an_entry

OURS = re.compile(r"\x1b\[[10]m")
OBEYED = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b\u202a-\u202e\u2066-\u2069\u2028\u2029]")
ID = an_entry().id
HINT = f"llm-cache inspect {ID} --raw for the exact value)"
QUICK_S = 1.0


def shown(
    value: object, *, columns: int = 80, colour: bool = True, encoding: str = "utf-8",
    stored_as: str = "json",
) -> str:  # fmt: skip
    """What a terminal shows of a value."""
    screen = Screen(io.StringIO(), True, False, columns, colour, encoding)
    draw_text(screen, an_entry(encoding=stored_as), value)
    assert isinstance(screen.stream, io.StringIO)
    return screen.stream.getvalue()


def plain(value: object, **kwargs) -> list[str]:
    """The lines of that, without our bold and the indent."""
    return [line.removeprefix("  ") for line in OURS.sub("", shown(value, **kwargs)).splitlines()]


# Text.


@pytest.mark.parametrize(
    "text",
    [
        "# One\n\n### Three",
        "a **b** *c* ~~d~~ ***e***",
        "- one\n  - two\n\n9. nine",
        "```py title\nx = **1**\n```\n\n    if a:",
        "> a\n> > b",
        "[text](http://x.example) <b>bold</b> 1 &lt; 2",
        "[red]x[/red] [/x] :key: :smile:",
        "{not json",
    ],
)
@pytest.mark.parametrize("colour", [True, False])
def test_text_is_as_it_was_stored(text, colour):
    """A reader sees what is there: marks, links and markup whole, none of them obeyed."""
    assert shown(text, colour=colour) == "".join(
        f"  {line}".rstrip() + "\n" for line in text.split("\n")
    )


def test_ascii_terminal_gets_ascii():
    """Other characters as escapes."""
    assert plain("- 分", encoding="ascii") == [r"- \u5206"]


# JSON.


def test_json_is_laid_out():
    """An item a line, names in bold; no colours."""
    assert shown({"a": [1, None], "b": {"c": "d: e"}}) == (
        '  {\n    \x1b[1m"a"\x1b[0m: [\n      1,\n      null\n    ],\n'
        '    \x1b[1m"b"\x1b[0m: {\n      \x1b[1m"c"\x1b[0m: "d: e"\n    }\n  }\n'
    )


def test_json_without_colour_has_no_escapes():
    """The names are as plain as the rest."""
    assert shown({"a": 1}, colour=False) == '  {\n    "a": 1\n  }\n'


def test_text_that_is_json_is_laid_out():
    """A model that was asked for JSON answers in a text."""
    assert plain('{"a": [1, "*b*"]}') == ["{", '  "a": [', "    1,", '    "*b*"', "  ]", "}"]


@pytest.mark.parametrize(
    ("value", "line"),
    [(None, "null"), (True, "true"), (3, "3"), (1.5, "1.5"), ([], "[]"), ({}, "{}"), (2**80, None)],
)
def test_any_json_value_is_shown(value, line):
    """Also what orjson does not know."""
    stored_as = "json-wide" if line is None else "json"
    assert plain(value, stored_as=stored_as) == [line or str(value)]


def test_an_empty_text_is_said_to_be_one():
    """Nothing at all could be a mistake of ours."""
    assert plain("") == ["(an empty text)"]


# How much of it.


def test_a_short_text_is_shown_whole():
    """Without a hint, and without blank ends."""
    assert plain("\n\none\n\ntwo\n\n") == ["one", "", "two"]
    assert plain("\n".join(f"{n}" for n in range(12)))[-1] == "11"


def test_of_a_long_text_whole_lines_are_shown():
    """How many of how many is exact."""
    lines = [f"{n}. line" for n in range(100, 200)]
    found = plain("\n".join(lines))
    assert found[:-1] == lines[:12]
    assert found[-1] == f"(first 12 of 100 lines; {HINT}"


def test_lines_that_wrap_are_fewer():
    """Twelve lines of the terminal are never exceeded."""
    lines = [f"{n} " + "word " * 25 for n in range(9)]  # two lines each
    found = plain("\n".join(lines))
    assert len(found) == 13
    assert found[-1] == f"(first 6 of 9 lines; {HINT}"


def test_of_a_long_line_the_start_is_shown():
    """As much as there is room for, and how much there is."""
    found = plain("word " * 100_000)
    assert len(found) == 13
    assert found[-1] == f"(the start of 488 KiB; {HINT}"


def test_a_long_line_after_short_ones_is_begun():
    """A line alone would tell nothing."""
    found = plain({"text": "word " * 100_000})
    assert len(found) == 13
    assert found[1].startswith('  "text": "word word')
    assert "(the start of " in found[-1]


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_hint_fits_the_terminal(columns):
    """On several lines, where it is narrow."""
    lines = shown("x\n" * 10**5, columns=columns).splitlines()
    assert max(map(len, lines)) <= columns
    assert "--raw for the exact value)" in " ".join(" ".join(lines).split())


MUCH = {
    "lines": "A line of the text.\n" * 500_000,
    "a line": "word " * 2_000_000,
    "a word": "x" * 10_000_000,
    "CJK": "字" * 3_300_000,
    "nothing": "\n" * 10_000_000,
    "brackets": "[" * 200_000,
    "stars": "*a" * 200_000,
    "quotes": ">" * 200_000,
    "a list in a list": "".join("  " * n + "- x\n" for n in range(500)),
    "a table": "|a" * 3000 + "|\n" + "|-" * 3000 + "|\n",
    "accents": "e" + "\u0301" * 200_000,
    "numbers": list(range(1_500_000)),
    "JSON": json.dumps(["x" * 100] * 100_000),
    "deep JSON": "[" * 100_000 + "]" * 100_000,
}


@pytest.mark.parametrize("value", MUCH.values(), ids=MUCH)
def test_however_much_it_is_its_beginning_is_shown_at_once(value):
    """No more is laid out than can be seen."""
    begun = time.process_time()
    out = shown(value)
    assert time.process_time() - begun < QUICK_S
    assert len(out.splitlines()) <= 14
    assert max(map(cell_len, OURS.sub("", out).splitlines())) <= 80


# What would be obeyed.

BITS = st.sampled_from(
    ["# ", "- ", "1. ", "> ", "```", "\n", "\n\n", "    ", "\t", "**", "*", "_", "~~", "`", "a ",
     "分数", "[", "]", "(", ")", "!", "<b>", "<!--", "-->", "|", "|---|", "===", "&#x202e;",
     "&#10;", "&#9;", "\x1b[31m", "\x1b]8;;http://x\x07", "\x9b2J", "\u202e", "\0", "\r", "\\",
     ":key:", "[red]", "e\u0301", "\u2028", "{", '"a": ', "<http://x>", "[a]: http://x", "\u200b"]
)  # fmt: skip


@settings(deadline=None)
@given(
    st.lists(BITS, max_size=60).map("".join),
    st.sampled_from([40, 80, 200]),
    st.booleans(),
    st.sampled_from(["utf-8", "ascii"]),
)
def test_whatever_it_is_only_our_bold_is_obeyed(text, columns, colour, encoding):
    """Every escape is bold or the end of it; every line fits."""
    out = shown(text, columns=columns, colour=colour, encoding=encoding)
    rest = OURS.sub("", out) if colour else out
    assert OBEYED.search(rest) is None
    assert max(map(cell_len, rest.split("\n"))) <= columns
    assert encoding != "ascii" or out.isascii()


@given(st.text(st.sampled_from("ab\u202e \x1b:[]\n"), max_size=40))
def test_strings_in_json_are_harmless_too(text):
    """As values and as names."""
    assert OBEYED.search(OURS.sub("", shown({text: [text]}))) is None


def test_halves_of_a_pair_can_be_shown():
    """A lone surrogate is no text for a terminal."""
    assert plain("a\ud800b", stored_as="json-wide") == [r"a\ud800b"]
