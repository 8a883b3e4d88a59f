"""A value on a terminal: its first lines, markdown laid out, and nothing in it that is obeyed."""

import io
import json
import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from llm_cache.cli.render import Screen
from llm_cache.cli.text import draw_text
from tests.conformance.samples import an_entry

OURS = re.compile(r"\x1b\[(?:[139](?:;[139])*|0)m")
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
    """The lines of that, without weights and indent."""
    return [line.removeprefix("  ") for line in OURS.sub("", shown(value, **kwargs)).splitlines()]


# Markdown.


def test_headings_are_bold_and_keep_their_marks():
    """Of every level, to the left."""
    assert shown("# One\n\n### Three") == "  \x1b[1m# One\x1b[0m\n\n  \x1b[1m### Three\x1b[0m\n"


def test_emphasis_is_shown_by_weight():
    """Bold, italic, struck out, and together."""
    assert shown("a **b** *c* ~~d~~ ***e***") == (
        "  a \x1b[1mb\x1b[0m \x1b[3mc\x1b[0m \x1b[9md\x1b[0m \x1b[1;3me\x1b[0m\n"
    )


def test_lists_have_hanging_marks():
    """Bullets and numbers, wrapped behind them, one within another."""
    text = "- one two three\n- four\n  - five\n\n9. nine\n10. ten"
    assert plain(text, columns=15) == [
        "• one two",
        "  three",
        "• four",
        "  • five",
        "",
        " 9. nine",
        "10. ten",
    ]


def test_code_is_as_it_was_written():
    """A block with its fences or its indent, a piece with its marks; nothing in it is markdown."""
    text = "```py title\nx = **1**\n\ny\n```\n\n    if a:\n        *b*\n\nand `**c**`"
    assert plain(text) == text.split("\n")


def test_fence_that_is_not_closed_is_not_closed():
    """What is shown is what is there."""
    assert plain("```\nx = 1") == ["```", "x = 1"]


def test_quotes_have_a_bar():
    """Also one within another."""
    assert plain("> a\n> > b") == ["│ a", "│ │ b"]


def test_lines_of_a_paragraph_stay_lines():
    """A poem is no prose."""
    assert plain("one\ntwo\n\nthree") == ["one", "two", "", "three"]


@pytest.mark.parametrize(
    "text",
    [
        "[text](http://x.example)",
        "![picture](http://x.example/a.png)",
        "<http://x.example>",
        "http://x.example",
        "[a]: http://x.example 'title'",
        "<b>bold</b> <kbd>x</kbd>",
        "<!-- a comment -->",
        "<script>alert(1)</script>",
        "| a | b |\n|---|---|\n| 1 | 2 | 3 |",
        "[red]x[/red] [/x] :key: :smile:",
        "{not json",
        "snake_case_name and 2 * 3 * 4",
    ],
)
def test_what_is_not_laid_out_is_as_it_was_written(text):
    """Links, pictures, HTML, tables, markup and emoji codes are seen whole."""
    assert plain(text) == text.split("\n")
    assert "\x1b]" not in shown(text)


def test_entities_are_read_and_escaped_again():
    """`&lt;` is a `<`; what would be obeyed or hidden is not made by naming it."""
    assert plain("1 &lt; 2 &amp; &#x202e;x&#8203;y&#9;z") == [r"1 < 2 & \u202ex\u200by\tz"]


def test_what_is_nested_too_deeply_is_as_it_was_written():
    """The parser would leave it out."""
    text = "> " * 30 + "the end"
    assert "".join(plain(text)).replace(" ", "") == text.replace(" ", "")


def test_without_colour_the_marks_are_shown():
    """Weight could not be seen; nothing is an escape then."""
    text = "# One\n**two** `three`"
    assert shown(text, colour=False) == "  # One\n  **two** `three`\n"


def test_ascii_terminal_gets_ascii():
    """Marks of ours in ASCII, other characters as escapes."""
    assert plain("- 分\n\n> b\n\n---", encoding="ascii", columns=12) == [
        r"- \u5206",
        "",
        "| b",
        "",
        "-" * 10,
    ]


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


def test_markdown_that_takes_fewer_lines_shows_more():
    """Blank lines that mean nothing are not counted against it."""
    assert plain("one\n\n\n\n\n" * 20)[-1] == f"(first 30 of 100 lines; {HINT}"


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
def test_whatever_it_is_only_our_weights_are_obeyed(text, columns, colour, encoding):
    """Every escape is bold, italic, struck or the end of it; every line fits."""
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
