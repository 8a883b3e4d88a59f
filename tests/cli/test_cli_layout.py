"""Tables, wrapping, bars and figures: as they are laid out by hand."""

import io
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from llm_cache.cli.output import formatting
from llm_cache.cli.output.layout import cut, flow, wrap
from llm_cache.cli.output.screen import ColourChoice, Screen, Style, Styled, bar
from llm_cache.cli.output.table import Column, fit, write_table

TEXTS = st.text(st.sampled_from("ab 分数é\u0301字–"), max_size=60)


def screen_of(columns: int = 80, *, encoding: str = "utf-8", colour: bool = False) -> Screen:
    """A screen that writes to a text."""
    return Screen(io.StringIO(), True, False, columns, colour, encoding)


def shown_on(screen: Screen) -> str:
    """What was written."""
    assert isinstance(screen.stream, io.StringIO)
    return screen.stream.getvalue()


@given(TEXTS, st.integers(1, 20))
def test_cut_text_fits(text: str, cells: int):
    """In as many cells as there are, with an ellipsis if anything is missing."""
    found = cut(text, cells, screen=screen_of())
    assert cell_len(found) <= cells
    assert found == text or found.endswith("…")


@given(TEXTS, st.integers(2, 20))
def test_wrapped_text_fits_and_is_whole(text: str, cells: int):
    """No line is too wide, and nothing but spaces gets lost."""
    lines = list(wrap(text, cells))
    assert all(cell_len(line) <= cells for line in lines)
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_words_are_kept_whole():
    """Lines break at spaces where there are any."""
    assert list(wrap("one two three", 8)) == ["one two", "three"]
    assert list(wrap("  indented text", 12)) == ["  indented", "text"]
    assert list(wrap("", 8)) == [""]


def test_megabyte_is_wrapped_in_no_time():
    """The beginning of a long text costs the beginning."""
    lines = wrap("字" * 5_000_000, 80)
    assert next(lines) == "字" * 40


def test_items_flow():
    """As many on a line as fit."""
    assert list(flow(["a=1", "b=2", "c=3"], 8)) == ["a=1  b=2", "c=3"]
    assert list(flow(["a=1", "b=" + "x" * 9], 8)) == ["a=1", "b=xxxxxx", "xxx"]


COLUMNS = (
    Column("NAME", least=6),
    Column("NUMBER", right=True, spare=1),
    Column("NOTE", least=4),
)


@given(st.lists(st.tuples(TEXTS, st.integers(0, 10**6).map(str), TEXTS), max_size=8),
       st.integers(24, 100))  # fmt: skip
def test_table_fits_whatever_is_in_it(rows: list[tuple[str, str, str]], columns: int):
    """No line is wider than the terminal."""
    screen = screen_of(columns)
    write_table(screen, COLUMNS, rows)
    lines = shown_on(screen).splitlines()
    assert len(lines) == len(rows) + 1
    assert all(cell_len(line) <= columns for line in lines)


def test_table_is_no_wider_than_what_is_in_it():
    """Columns are as wide as they need to be; numbers stand to the right."""
    screen = screen_of()
    write_table(screen, COLUMNS, [("a", "7", "x"), ("bcd", "1234567", "")])
    assert shown_on(screen) == "NAME   NUMBER  NOTE\na           7  x\nbcd   1234567\n"


def test_table_streams():
    """After a sample, rows are written as they come."""
    screen = screen_of()

    def rows():
        for number in range(600):
            yield ("n", str(number), "")
        assert shown_on(screen).count("\n") == 601, "the rows before the last are written"
        yield ("last", "600", "")

    write_table(screen, COLUMNS, rows())
    assert shown_on(screen).count("\n") == 602


def test_narrow_table_leaves_out_what_can_be_spared():
    """The widest gives way first, then whole columns go."""
    layout = fit(screen_of(14), COLUMNS, [("long name", "1234567", "some note")])
    assert layout.widths == (6, None, 6)
    assert layout.is_cut("NAME")
    assert layout.is_cut("NUMBER")


def test_colour_does_not_change_the_layout():
    """Escapes take no cells."""
    plain, coloured = screen_of(), screen_of(colour=True)
    for screen in (plain, coloured):
        write_table(screen, COLUMNS, [(Styled("old", Style.EXPIRING), "1", "x")])
    assert shown_on(coloured).replace("\x1b[33m", "").replace("\x1b[0m", "") == shown_on(plain)
    assert "\x1b[33mold\x1b[0m" in shown_on(coloured)


@pytest.mark.parametrize(
    ("share", "shown"),
    [(0, "········"), (1, "████████"), (0.5, "████····"), (0.53, "████▎···"), (7, "████████")],
)
def test_bar(share, shown):
    """Finer than a cell; never longer than it is."""
    assert bar(share, 8, screen=screen_of()) == shown


def test_ascii_bar():
    """Of hashes and dots."""
    assert bar(0.5, 8, screen=screen_of(encoding="ascii")) == "####...."


def test_latin_terminal_keeps_what_it_has():
    """é is shown, 分 is escaped."""
    assert screen_of(encoding="iso-8859-1").printable("é 分 …") == "é \\u5206 ..."


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (7199, "1h"), (86_400 * 9, "9d"), (86_400 * 800, "2y"),
     (math.nan, "–")],
)  # fmt: skip
def test_span(seconds, shown):
    """One unit, rounded down."""
    assert formatting.span(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(None, "–"), (math.nan, "–"), (-1, "–"), (0.0001, "<1 ms"), (0.012, "12 ms"), (3.46, "3.5 s"),
     (497, "8m 17s"), (10_920, "3h 02m"), (190_800, "2d 05h")],
)  # fmt: skip
def test_duration(seconds, shown):
    """As precise as it matters."""
    assert formatting.duration(seconds) == shown


@pytest.mark.parametrize(
    ("usd", "shown"), [(None, "–"), (1.4712, "$1.47"), (0.0043, "$0.0043"), (14000, "$14,000.00")]
)
def test_money(usd, shown):
    """What is not known is never $0.00."""
    assert formatting.money(usd) == shown


@pytest.mark.parametrize(
    ("share", "digits", "shown"),
    [(0, 0, "0%"), (1, 0, "100%"), (0.9999, 0, "99%"), (0.0001, 0, "1%"), (0.9999, 1, "99.9%"),
     (0.913, 1, "91.3%")],
)  # fmt: skip
def test_percent(share, digits, shown):
    """All is all, and none is none."""
    assert formatting.percent(share, digits=digits) == shown


@pytest.mark.parametrize("instant", [None, math.inf, math.nan, 1e300, -1e300])
def test_instant_that_is_none(instant):
    """A tampered instant is no crash."""
    assert formatting.iso(instant) is None


def test_instant():
    """ISO 8601, in UTC, to the millisecond."""
    assert formatting.iso(1_700_000_000.25) == "2023-11-14T22:13:20.250Z"


def test_colour_choices_are_words():
    """What --color takes."""
    assert [choice.value for choice in ColourChoice] == ["auto", "always", "never"]
