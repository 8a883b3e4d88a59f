"""The line of every key of a TOML text, however oddly the text is written."""

import tomllib
from collections.abc import Iterator

import pytest
import tomli_w
from hypothesis import example, given
from hypothesis import strategies as st

from llm_cache.config._toml_lines import KeyPath, key_lines, line_of

NASTY = '''\
# [not.a.table] = 1
top = 1

a.b = 1.5 # a.c = 2
"quoted \\" key".'literal # key' = """
[no.table]
no_key = 1 \\""" still text """" # end
after_text = \'\'\'
'' " """ [x] = {
\'\'\'
empty_text = """"""
two_quotes_more = """a"""""
escapes = "\\\\"
after_escapes = '\\'
[ table . "dotted.name" ]
dates = [1979-05-27 07:32:00, 1979-05-27T07:32:00.5Z] # ] }
list = [ # comment, with ] and "
    1, 2.5, [3,
    4], "]", \'}\', """
    , [ """,
    { inner = 1.5, deep.er = [ { leaf = "=" },
        { leaf2 = 2 } ] },
]
after_list = { x = { y = {} }, "z # =" = [] }
[[warm]]
prefix = "a"
[warm.sub]
value = 1
[[warm.nested]]
n = 1
[[warm.nested]]
n = 2
[[ warm ]]
prefix = "b"
[[warm.nested]]
n = 3
[after.all]
last = true'''


def all_paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The way to everything in a parsed document."""
    if isinstance(value, dict):
        inner = value.items()
    elif isinstance(value, list):
        inner = enumerate(value)
    else:
        return
    for part, each in inner:
        yield (*path, part)
        yield from all_paths(each, (*path, part))


def test_nasty_document_is_understood():
    """Every name is found on a line that has it, whatever strings and comments look like."""
    lines = key_lines(NASTY)
    text = NASTY.splitlines()
    paths = list(all_paths(tomllib.loads(NASTY)))
    assert set(lines) <= set(paths)
    for path in lines:
        if isinstance(path[-1], str):
            assert path[-1].replace('"', '\\"') in text[lines[path] - 1], path


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("a", "b"), 4),
        (('quoted " key', "literal # key"), 5),
        (("after_text",), 8),
        (("after_escapes",), 14),
        (("table", "dotted.name"), 15),
        (("table", "dotted.name", "dates", 1), 16),
        (("table", "dotted.name", "list", 2, 1), 17),
        (("table", "dotted.name", "list", 5), 17),
        (("table", "dotted.name", "list", 6, "inner"), 17),
        (("table", "dotted.name", "list", 6, "deep", "er", 1, "leaf2"), 17),
        (("table", "dotted.name", "after_list", "z # ="), 24),
        (("warm", 0, "sub", "value"), 28),
        (("warm", 0, "nested", 1, "n"), 32),
        (("warm", 1), 33),
        (("warm", 1, "nested", 0, "n"), 36),
        (("after", "all", "last"), 38),
    ],
)
def test_line_in_the_nasty_document(path: KeyPath, line: int):
    """Keys and tables are on their lines; what an array or inline table holds is on its key's."""
    assert line_of(key_lines(NASTY), path) == line


def test_windows_line_ends_count_once():
    """A carriage return before the line end makes no line of its own."""
    assert key_lines("a = 1\r\n[b]\r\nc = '''\r\n'''\r\nd = 1\r\n") == {
        ("a",): 1,
        ("b",): 2,
        ("b", "c"): 3,
        ("b", "d"): 5,
    }


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment", "a = 1"])
def test_small_documents(text: str):
    """Next to nothing is fine, and so is a last line without an end."""
    assert key_lines(text).keys() == set(all_paths(tomllib.loads(text)))


def test_what_has_no_line_is_on_the_line_around_it():
    """A key that is missing is reported where its table stands."""
    lines = key_lines("x = 1\n[[warm]]\nparams = [\n  { a = 1 },\n]")
    assert line_of(lines, ("warm", 0, "params", 0, "a")) == 3
    assert line_of(lines, ("warm", 0, "prefix")) == 2
    assert line_of(lines, ("warm", 7, "prefix")) == 2
    assert line_of(lines, ("elsewhere",)) is None


def test_deep_nesting_is_no_recursion():
    """As deep as tomllib follows, so do we."""
    depth = 200
    assert key_lines(f"x = {'[' * depth}1{']' * depth}\ny = 1") == {("x",): 1, ("y",): 2}


# What tomli_w escapes in a key would not be found in the text as it is.
KEYS = st.text(
    st.characters(exclude_categories=("Cs", "Cc", "Cf", "Zl", "Zp"), exclude_characters='"\\'),
    max_size=8,
)
SCALARS = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=30)
    | st.sampled_from(['"""', "'''", "[a]", "a = 1", "#", '\\"', "\n[x]\ny = 1\n", "]", "}, {"])
    | st.datetimes()
    | st.dates()
    | st.times()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS, inner, max_size=4)
)


@given(st.dictionaries(KEYS, VALUES, max_size=6), st.booleans())
@example({"": {"": [{}, {"": ""}]}}, True)
@example({"a": [[{"b": 1}], [], [[], {"c": [{"d": "]"}]}]]}, False)
def test_every_generated_path_is_on_a_line_with_its_name(document: dict[str, object], multi: bool):
    """Whatever tomli_w writes: all keys of tables that tomllib reads, each where its name is."""
    text = tomli_w.dumps(document, multiline_strings=multi)
    parsed = tomllib.loads(text)
    lines = key_lines(text)
    rows = text.split("\n")
    paths = set(all_paths(parsed))
    outside_arrays = {path for path in paths if all(isinstance(part, str) for part in path)}
    assert outside_arrays <= set(lines) <= paths
    for path, line in lines.items():
        if isinstance(path[-1], str):
            assert path[-1] in rows[line - 1]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=30))
def test_keys_after_blank_lines_and_texts_are_on_their_lines(blanks: list[int]):
    """Lines are counted across everything that lies between two keys."""
    text, expected = "", {}
    for number, blank in enumerate(blanks):
        expected[(f"k{number}",)] = text.count("\n") + 1
        between = "\n" * blank
        text += f'k{number} = """{between}""" # comment\n{between}'
    assert key_lines(text) == expected
