"""What is remembered of a function's calls never takes one argument for another."""

import array
import contextlib
import ctypes
import enum
import mmap

import pytest

from llm_cache import KeyParamError, cached_llm_call

pytestmark = pytest.mark.usefixtures("cache")


def _mapped(content):
    mapped = mmap.mmap(-1, len(content))
    mapped[:] = content
    return mapped


BUFFERS = [
    bytearray(b"abcd"),
    memoryview(b"abcd"),
    array.array("b", b"abcd"),
    (ctypes.c_char * 4)(*b"abcd"),
    _mapped(b"abcd"),
]
WAYS = {
    "by itself": lambda value: value,
    "in a list": lambda value: [1, value],
    "in a tuple in a dict": lambda value: {"a": (value, "x")},
}


class Buffer(bytes):
    """As numpy's scalars: of a subclass, and written like the built-in one."""


@pytest.fixture
def kind():
    """A function that tells the type of the innermost value it was given."""

    @cached_llm_call("p")
    def kind(x: object) -> str:
        while isinstance(x, list | tuple | dict):
            x = x["a"][0] if isinstance(x, dict) else x[-1]
        return type(x).__name__

    return kind


@pytest.mark.parametrize("inside", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("other", [*BUFFERS, Buffer(b"abcd")], ids=lambda v: type(v).__name__)
def test_a_buffer_is_not_bytes(kind, inside, other):
    """Each of its own type, or refused, whatever was asked first."""
    assert [kind(inside(b"abcd")), kind(inside(b"abcd"))] == ["bytes", "bytes"]
    with contextlib.suppress(KeyParamError):
        assert kind(inside(other)) == type(other).__name__
    assert kind(inside(b"abcd")) == "bytes"


def test_bytes_are_not_a_buffer(kind):
    """Nor the other way round."""
    assert kind(bytearray(b"abcd")) == kind(bytearray(b"abcd")) == "bytearray"
    assert kind(b"abcd") == "bytes"


def test_a_buffer_by_keyword():
    """As a name of a keyword's, too, a buffer is told apart."""

    @cached_llm_call("p", exclude=("data",))
    def kind(q: str, data: object = None, **more: object) -> str:
        return type(more["x"]).__name__

    assert kind("q", data=bytearray(b"1"), x=b"abcd") == "bytes"
    assert kind("q", data=bytearray(b"1"), x=bytearray(b"abcd")) == "bytearray"


def test_what_looks_like_a_number_or_a_text_is_none():
    """Enums and subclasses are told from the values they are equal to."""

    class Grade(enum.IntEnum):
        FIVE = 5

    class Name(enum.StrEnum):
        FIVE = "5"

    class Text(str):
        __slots__ = ()

    @cached_llm_call("p")
    def kind(x: object) -> str:
        return f"{type(x).__name__} {x!r}"

    values = [
        5,
        Grade.FIVE,
        5.0,
        "5",
        Name.FIVE,
        Text("5"),
        True,
        1,
        1.0,
        0.0,
        -0.0,
        False,
        0,
        None,
    ]
    for _ in range(3):
        assert [kind(value) for value in values] == [f"{type(v).__name__} {v!r}" for v in values]


def test_calls_without_buffers_are_remembered(cache, monkeypatch):
    """They are bound once: the second call of each looks at no param."""
    from llm_cache.functions.binding import Binding

    @cached_llm_call("p")
    def text(*values: object, **more: object) -> str:
        return "text"

    calls = [((1, "a", None, [2.5, {"b": (True,)}]), {}), (("x",), {"y": 1})]
    for args, kwargs in calls:
        text(*args, **kwargs)
    bound = []
    identity = Binding.identity
    monkeypatch.setattr(
        Binding, "identity", lambda *given: (bound.append(given), identity(*given))[1]
    )
    for args, kwargs in calls:
        text(*args, **kwargs)
    assert bound == []
