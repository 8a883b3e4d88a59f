"""`printable`: what a terminal would obey or hide is escaped, and nothing else."""

import json
import re
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cache.cli.output.escape import is_harmless, printable, printable_json

SHOWN = {
    "escape sequence": ("\x1b[31mred", r"\x1b[31mred"),
    "clipboard": ("\x1b]52;c;aGk=\x07", r"\x1b]52;c;aGk=\x07"),
    "link": ("\x1b]8;;http://x\x1b\\y", "\\x1b]8;;http://x\\x1b\\y"),
    "C1": ("a\x9b31mb", r"a\x9b31mb"),
    "delete and null": ("a\x7f\0", r"a\x7f\x00"),
    "lines": ("a\tb\nc\rd\u2028e\u2029f\x85", r"a\tb\nc\rd\u2028e\u2029f\x85"),
    "bidi override": ("\u202etxt.exe", r"\u202etxt.exe"),
    "bidi isolate": ("\u2066a\u2069", r"\u2066a\u2069"),
    "direction marks": ("a\u200eb\u200fc\u061c", r"a\u200eb\u200fc\u061c"),
    "zero width": ("a\u200bb\u200cc\u200dd\u2060e\ufefff", r"a\u200bb\u200cc\u200dd\u2060e\ufefff"),
    "tags": ("a\U000e0041\U000e007f", r"a\U000e0041\U000e007f"),
    "lone surrogate": ("a\ud800b", r"a\ud800b"),
    "soft hyphen": ("a\u00adb", r"a\xadb"),
    "blank letters": ("\u3164\u115f", r"\u3164\u115f"),
    "selectors in a row": ("x\ufe0f\ufe0f", "x\ufe0f\\ufe0f"),
    "hidden selectors": ("x\U000e0100", r"x\U000e0100"),
}
LEFT_ALONE = [
    "plain text, with 'quotes' and \\backslashes\\",
    "分数の足し算 한국어 中文",
    "Ünïcödé e\u0301",
    "שלום עולם مرحبا",
    "می\u200cخواهم",
    "क्\u200dष",
    "😀 👍🏽 👨\u200d👩\u200d👧 ❤\ufe0f 🏳\ufe0f\u200d🌈 🇩🇪",
    "[red]markup[/red] :smile: [link=x]",
    "",
]


@pytest.mark.parametrize(("text", "shown"), SHOWN.values(), ids=SHOWN)
def test_harmful_text_is_escaped(text: str, shown: str):
    """As a programmer would write it."""
    assert printable(text) == shown
    assert not is_harmless(text)


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_harmless_text_is_left_alone(text: str):
    """Other scripts, emoji and markup are what they are."""
    assert printable(text) == text


ANY_TEXT = st.text(st.characters(), max_size=40)


@given(ANY_TEXT)
def test_nothing_that_controls_is_left(text: str):
    """No control, format, separator or surrogate character but joiners between what they join."""
    kinds = {"Cc", "Zl", "Zp", "Cs"}
    shown = printable(text)
    assert not any(unicodedata.category(char) in kinds for char in shown)
    assert not re.search("[\u202a-\u202e\u2066-\u2069\u200b\ufeff\U000e0000-\U000e007f]", shown)
    shown.encode()


@given(ANY_TEXT)
def test_printable_text_stays_as_it_is(text: str):
    """To show what was shown changes nothing."""
    assert printable(printable(text)) == printable(text)


@given(st.recursive(st.none() | st.integers() | ANY_TEXT, lambda s: st.dictionaries(ANY_TEXT, s)))
def test_printable_json_is_the_same_document(document: object):
    """Escaping for the terminal does not change what a program reads."""
    shown = printable_json(json.dumps(document, ensure_ascii=False))
    assert json.loads(shown) == document
    assert is_harmless(shown)
