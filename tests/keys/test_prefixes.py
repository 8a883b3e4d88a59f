"""A prefix is 1 to 128 letters, digits or `_ - . / :` of any language, and nothing else."""

import enum

import pytest

from llm_cache.core.keys import check_prefix
from llm_cache.errors import PrefixError

GOOD = {
    "one letter": "p",
    "one digit": "7",
    "words": "intro_page",
    "every punctuation mark": "_-./:",
    "a path": "lessons/intro-page.v2:de",
    "128 letters": "x" * 128,
    "Latin with accents": "élève",
    "Greek": "εισαγωγή",
    "Cyrillic": "введение",
    "Chinese": "介绍",
    "Japanese": "導入ページ",
    "Korean": "소개",
    "Arabic": "مقدمة",
    "Hebrew": "מבוא",
    "Thai": "บทนา",
    "Arabic-Indic digits": "٤٢",
    "128 letters beyond the BMP": "𐐷" * 128,
}
BAD = {
    "empty": "",
    "129 letters": "x" * 129,
    "space": "intro page",
    "only a space": " ",
    "trailing newline": "intro_page\n",
    "NUL": "intro\0page",
    "escape": "\x1b[31mred",
    "tab": "a\tb",
    "backslash": "a\\b",
    "quote": "a'b",
    "star": "intro*",
    "question mark": "intro?",
    "percent": "a%b",
    "at": "a@b",
    "emoji": "🎈",
    "no-break space": "a\u00a0b",
    "right-to-left override": "a\u202eb",
    "zero-width space": "a\u200bb",
    "lone surrogate": "a\ud800",
    "dash of typographers": "a–b",
}
NO_STR = {"None": None, "int": 7, "bytes": b"intro_page", "list": ["intro_page"], "big": 10**5000}


class Prefix(enum.StrEnum):
    """Prefixes as somebody might keep them."""

    INTRO = "from_an_enum"


@pytest.mark.parametrize("prefix", GOOD.values(), ids=GOOD)
def test_letters_and_digits_of_any_language_are_allowed(prefix):
    """A good prefix is given back as it is."""
    assert check_prefix(prefix) == prefix


@pytest.mark.parametrize("prefix", BAD.values(), ids=BAD)
def test_other_characters_are_refused(prefix):
    """A bad prefix is refused with what is allowed."""
    with pytest.raises(PrefixError, match=r"1 to 128 letters, digits or _ - \. / :"):
        check_prefix(prefix)


@pytest.mark.parametrize("prefix", BAD.values(), ids=BAD)
def test_a_refusal_is_safe_to_print(prefix):
    """What is wrong with a prefix is told without control characters of its own."""
    with pytest.raises(PrefixError) as raised:
        check_prefix(prefix)
    assert str(raised.value).isprintable()


def test_a_long_prefix_is_not_quoted_in_full():
    """A prefix of a megabyte does not make a message of a megabyte."""
    with pytest.raises(PrefixError) as raised:
        check_prefix("x" * 1_000_000)
    assert len(str(raised.value)) < 1000


@pytest.mark.parametrize("prefix", NO_STR.values(), ids=NO_STR)
def test_what_is_no_str_is_refused(prefix):
    """A prefix of another type is refused, whatever it is."""
    with pytest.raises(PrefixError, match="str"):
        check_prefix(prefix)


def test_a_str_of_another_kind_is_refused_each_time():
    """An enum member is refused even after the str that it equals was accepted."""
    for _ in range(2):
        with pytest.raises(PrefixError, match="str"):
            check_prefix(Prefix.INTRO)
        check_prefix("from_an_enum")
