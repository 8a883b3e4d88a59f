"""A value comes back as what it was, type and all, or it is refused: never as anything else."""

import collections
import contextlib
import datetime as dt
import decimal
import enum
import json
import pathlib
import pickle
import typing
import uuid
import zlib
import zoneinfo
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any, Generic, Literal, NamedTuple, TypeVar

import pydantic
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydantic_core import core_schema
from typing_extensions import TypedDict

from llm_cache.core.values import codec
from llm_cache.core.values.codec import (
    UNTYPED,
    DecodeError,
    Encoded,
    NotStorable,
    codec_for,
    is_immutable,
    is_same,
)

T = TypeVar("T")


@dataclass
class Page:
    """A dataclass as functions return them."""

    title: str
    parts: list[str] = field(default_factory=list)


@dataclass
class TwinPage:
    """A dataclass that looks like `Page`."""

    title: str
    parts: list[str] = field(default_factory=list)


@dataclass
class LongPage(Page):
    """A dataclass that is more than its base."""

    words: int = 0


class Problem(pydantic.BaseModel):
    """A model as functions return them."""

    text: str
    page: Page | None = None
    price: decimal.Decimal = decimal.Decimal("1.0")


class Twin(pydantic.BaseModel):
    """A model with the fields of `Other`."""

    x: int


class Other(pydantic.BaseModel):
    """A model with the fields of `Twin`."""

    x: int


class Cat(pydantic.BaseModel):
    """A model that says what it is."""

    kind: Literal["cat"] = "cat"
    x: int


class Dog(pydantic.BaseModel):
    """Another that says what it is."""

    kind: Literal["dog"] = "dog"
    x: int


class HardProblem(Problem):
    """A model that is more than its base."""

    level: int = 3


class Account(pydantic.BaseModel):
    """A model with a secret in it."""

    token: pydantic.SecretStr


class Renamed(pydantic.BaseModel):
    """A model whose JSON has other names."""

    x: int = pydantic.Field(alias="theX")


class WrittenOtherwise(pydantic.BaseModel):
    """A model that is written under another name than it is read."""

    x: int = pydantic.Field(0, serialization_alias="outX")


class Forgetful(pydantic.BaseModel):
    """A model that does not write everything."""

    text: str
    note: str = pydantic.Field("", exclude=True)


class Open(pydantic.BaseModel):
    """A model that takes any further field."""

    model_config = pydantic.ConfigDict(extra="allow")


class Private(pydantic.BaseModel):
    """A model that keeps something to itself."""

    text: str
    _note: str = pydantic.PrivateAttr("")


class Old(pydantic.BaseModel):
    """A model with a deprecated field."""

    text: str = pydantic.Field("", deprecated="use another")


class Box(pydantic.BaseModel, Generic[T]):
    """A generic model."""

    content: T


class Point(NamedTuple):
    """A tuple with names."""

    x: int
    y: float


class Words(TypedDict):
    """A dict with known names."""

    easy: int
    hard: int


class Color(enum.Enum):
    """An enum."""

    RED = "red"


class Level(enum.IntEnum):
    """An enum whose members are ints."""

    HARD = 3


class Access(enum.Flag):
    """An enum whose members add up, and can be counted and walked through."""

    READ = 1
    WRITE = 2


class Shelf(pydantic.BaseModel):
    """A model that can be counted and walked through, and is more than its items."""

    books: list[str]
    note: str = pydantic.Field("", exclude=True)

    def __len__(self):
        return len(self.books)

    def __iter__(self):
        return iter(self.books)

    def __contains__(self, book):
        return book in self.books


def noted(text: str, note: str) -> Private:
    """A model with something in its private attribute."""
    private = Private(text=text)
    private._note = note
    return private


class Holder(pydantic.BaseModel):
    """A model that may hold anything."""

    content: Any = None


class Corner(enum.Enum):
    """An enum whose values are tuples."""

    LOW = (0, 0)
    HIGH = (1, 1)


@dataclass
class Pair(Generic[T]):
    """A generic dataclass."""

    one: T
    other: T


@dataclass(slots=True)
class Slotted:
    """A dataclass without a dict."""

    x: int


class Words_(pydantic.RootModel[Any]):  # noqa: N801 - beside a TypedDict of that name
    """A model that is one value."""


class Read(pydantic.BaseModel):
    """A model that is read under other names than it is written."""

    a: int = pydantic.Field(validation_alias=pydantic.AliasChoices("A", "aa"))


class Masked(pydantic.BaseModel):
    """A model that changes what it is given, each time."""

    number: str

    @pydantic.field_validator("number")
    @classmethod
    def _mask(cls, number):
        return f"#{number}"


class Plain(typing.TypedDict):
    """A TypedDict of the standard library's, which pydantic refuses before Python 3.12."""

    easy: int
    hard: typing.NotRequired[int]


class Weights(typing.TypedDict):
    """One with a float."""

    easy: float


class Tagged(str):
    """A str of another class."""

    __slots__ = ()


DAY = dt.date(2026, 11, 22)
NOON = dt.datetime(2026, 11, 22, 12, 0, 0, 5)  # noqa: DTZ001
ROUND_TRIPS = {
    "str": (str, "Was ist ½ + ¼? 🎈\0\n"),
    "empty str": (str, ""),
    "lone surrogate": (str, "a\ud800"),
    "int": (int, 2**63 - 1),
    "int over 64 bits": (int, 2**64),
    "int of 4000 digits": (int, 10**3999),
    "float": (float, 0.1),
    "negative zero": (float, -0.0),
    "NaN": (float, float("nan")),
    "infinity": (float, float("-inf")),
    "bool": (bool, False),
    "None": (None, None),
    "NoneType": (type(None), None),
    "untyped None": (Any, None),
    "untyped NaN inside": (Any, {"a": [float("nan"), 1]}),
    "untyped surrogate inside": (object, ["\udfff", 2**70]),
    "optional, absent": (str | None, None),
    "optional, like absent": (str | None, "null"),
    "list": (list[int], [1, 2**80, -1]),
    "dict": (dict[str, float], {"b": 1.0, "a": 2.5}),
    "dict of int names": (dict[int, str], {2: "b", 1: "a"}),
    "dict of date names": (dict[dt.date, int], {DAY: 1}),
    "list of anything": (list, [1, 1.0, "1", None, True, {"a": []}]),
    "tuple": (tuple[int, str], (1, "a")),
    "bare tuple with its type": (tuple, (1, "a")),
    "named tuple": (Point, Point(1, 2.0)),
    "set": (set[str], {"a"}),
    "set of more": (set[int], {1, 2, 3}),
    "frozenset": (frozenset[int], frozenset({1, 2})),
    "deque": (collections.deque[int], collections.deque([1, 2])),
    "typed dict": (Words, {"easy": 1, "hard": 2}),
    "dataclass": (Page, Page("a", ["b"])),
    "dataclass inside": (dict[str, list[Page]], {"a": [Page("a"), Page("b")]}),
    "model": (Problem, Problem(text="a", page=Page("b"), price=decimal.Decimal("1.50"))),
    "list of models": (list[Problem], [Problem(text="a"), Problem(text="b")]),
    "generic model": (Box[list[Problem]], Box[list[Problem]](content=[Problem(text="a")])),
    "model with an alias": (Renamed, Renamed(theX=1)),
    "model with further fields": (Open, Open(a=1, b=["c"])),
    "model with a default private attribute": (Private, Private(text="a")),
    "model with an excluded field at its default": (Forgetful, Forgetful(text="a")),
    "union of model and str": (Problem | str, "text"),
    "union of str and model": (Problem | str, Problem(text="a")),
    "union of distinct models": (Cat | Dog, Dog(x=1)),
    "union of twins, the first": (Twin | Other, Twin(x=1)),
    "union of int and float": (int | float, 1.0),
    "union of bool and int": (int | bool, True),
    "date or str, a date": (dt.date | str, DAY),
    "date or str, a str": (dt.date | str, "tomorrow"),
    "date": (dt.date, DAY),
    "datetime": (dt.datetime, NOON),
    "time": (dt.time, NOON.time()),
    "timedelta": (dt.timedelta, dt.timedelta(-1, 2, 3)),
    "Decimal": (decimal.Decimal, decimal.Decimal("1.00")),
    "UUID": (uuid.UUID, uuid.UUID(int=7)),
    "path": (pathlib.PurePosixPath, pathlib.PurePosixPath("/a/b")),
    "bytes of UTF-8": (bytes, "é".encode()),
    "enum": (Color, Color.RED),
    "IntEnum": (Level, Level.HARD),
    "Flag": (Access, Access.READ),
    "Flags together": (Access, Access.READ | Access.WRITE),
    "model with items": (Shelf, Shelf(books=["a"])),
    "literal": (Literal["a", 1], 1),
    "annotated": (Annotated[int, pydantic.Field(gt=0)], 5),
    "long text": (str, "word " * 1000),
    "long list of models": (list[Problem], [Problem(text="a " * 40)] * 40),
    "int where float is said": (float, 1),
    "int where a float may be": (float | None, 1),
    "tuple inside": (list, [(1, 2)]),
    "int names in a bare dict": (dict, {1: "a"}),
    "NaN where pydantic writes": (float | None, float("nan")),
    "NaN in a typed list": (list[float], [float("nan")]),
    "date-like str": (dt.date | str, "2026-11-22"),
    "bytes beyond UTF-8": (bytes, b"\xff"),
    "union of twins, the second": (Twin | Other, Other(x=1)),
    "union of twins in a list": (list[Twin | Other], [Twin(x=1), Other(x=1)]),
    "union of twin dataclasses": (Page | TwinPage, TwinPage("a")),
    "subclass of the model": (Problem, HardProblem(text="a")),
    "subclass of the dataclass": (Page, LongPage("a")),
    "subclass inside": (list[Problem], [HardProblem(text="a")]),
    "model written under another name": (WrittenOtherwise, WrittenOtherwise.model_construct(x=1)),
    "excluded field that is set": (Forgetful, Forgetful(text="a", note="b")),
    "excluded field behind items": (Shelf, Shelf(books=["a"], note="b")),
    "private attribute that is set": (Private, noted("a", "b")),
    "int over 64 bits where a float may be": (float | None, 2**70),
    "int where float is said, over 64 bits": (float, 2**70),
    "names that look like tags": (dict[str, Any], {"$tuple": (1,), "$$x": 1, "$": None}),
    "set in anything": (dict[str, Any], {"a": {1}, "b": frozenset({"c"}), "c": bytearray(b"\xff")}),
    "date in anything": (dict[str, Any], {"a": DAY, "b": [NOON], "c": decimal.Decimal("1.00")}),
    "tuple as a name": (dict, {(1, "a"): DAY}),
    "model in anything": (Holder, Holder(content=Holder(content=1))),
    "dataclass in anything": (Page | dict[str, Any], {"a": Page("b")}),
    "enum of tuples": (Corner, Corner.LOW),
    "enums of tuples in a list": (list[Corner], [Corner.HIGH, Corner.LOW]),
    "named tuple in anything": (Point | list[Any], [Point(1, 2.0), (1, 2.0)]),
    "generic dataclass": (Pair[int], Pair(1, 2)),
    "dataclass with slots": (Slotted, Slotted(1)),
    "root model": (Words_, Words_(["a"])),
    "root model with more than it says": (Words_, Words_.model_construct(("a",))),
    "model whose names are written otherwise only when it is read": (Read, Read(A=1)),
    "model that masks what it is given": (Masked, Masked(number="4111")),
    "TypedDict of typing": (Plain, {"easy": 1}),
    "TypedDict of typing in a list": (list[Plain] | None, [{"easy": 1, "hard": 2}]),
    "TypedDict with a whole number": (Weights, {"easy": 1}),
}
REFUSED = {
    "str where int is said": (int, "1"),
    "bool where int is said": (int, True),
    "bool in a list of int": (list[int], [True]),
    "bool in a set of int": (set[int], {True}),
    "bool in a deque of int": (collections.deque[int], collections.deque([True])),
    "untyped str subclass": (Any, [Tagged("a")]),
    "untyped tuple": (Any, (1, 2)),
    "untyped int names": (Any, {1: "a"}),
    "untyped set": (Any, {1, 2}),
    "untyped dataclass": (Any, Page("a")),
    "untyped model": (Any, Problem(text="a")),
    "untyped date": (Any, DAY),
    "untyped enum": (Any, Level.HARD),
    "untyped bytes": (Any, b"a"),
    "untyped object": (Any, object()),
    "surrogates that make a pair": (str, "\ud83d\ude00"),
    "surrogate where pydantic writes": (list[str], ["\ud800"]),
    "int of 5000 digits": (int, 10**4999),
    "number-like str": (int | str | None, Tagged("1")),
    "date where datetime is said": (dt.datetime, DAY),
    "twin dataclass": (Page, TwinPage("a")),
    "dict where a model is said": (Problem, {"text": "a"}),
    "dict where a dataclass is said": (Page, {"title": "a"}),
    "dataclass of wrong types": (Page, Page(7, ["a"])),  # type: ignore[arg-type]
    "model of wrong types": (Twin, Twin.model_construct(x="1")),
    "model that lacks a field": (Twin, Twin.model_construct()),
    "secret in a model": (Account, Account(token="hunter2")),
    "secret by itself": (pydantic.SecretStr, pydantic.SecretStr("hunter2")),
    "against its own annotation": (Annotated[int, pydantic.Field(gt=0)], 0),
    "unknown name": ("NoSuchClass", 1),
    "class": (type, int),
    "function": (Any, len),
}


def encoded(returned, value) -> Encoded:
    """`value` as a store keeps it for a function that returns `returned`."""
    match codec_for(returned).encode(value):
        case Encoded() as it:
            return it
        case NotStorable(reason):
            pytest.fail(reason)


@pytest.mark.parametrize(("returned", "value"), ROUND_TRIPS.values(), ids=ROUND_TRIPS)
def test_a_value_comes_back_as_it_was(returned, value):
    """Type and value, all the way down, are what the function returned."""
    kept = encoded(returned, value)
    came_back = codec_for(returned).decode(kept.body, kept.encoding)
    assert type(came_back) is type(value)
    assert repr(came_back) == repr(value)
    assert is_same(came_back, value)


@pytest.mark.parametrize(("returned", "value"), REFUSED.values(), ids=REFUSED)
def test_what_would_come_back_otherwise_is_refused(returned, value):
    """A value that JSON or the annotation would change is not stored, and the reason says why."""
    refusal = codec_for(returned).encode(value)
    assert isinstance(refusal, NotStorable)
    assert refusal.reason


def test_an_int_of_any_length_comes_back_in_a_list():
    """Though Python refuses to write its digits."""
    kept = encoded(list[int], [10**4999])
    assert codec_for(list[int]).decode(kept.body, kept.encoding) == [10**4999]


def test_a_str_subclass_comes_back_as_the_str_that_the_annotation_promises():
    """A text of a library's own class is kept as its text, for its first caller as for all."""
    kept = encoded(str, Tagged("a"))
    came_back = codec_for(str).decode(kept.body, kept.encoding)
    assert type(came_back) is str
    assert came_back == "a"


@pytest.mark.parametrize("members", [{}, {"__slots__": ("language",)}], ids=["dict", "slots"])
def test_a_str_subclass_with_state_of_its_own_is_refused(members):
    """What is more than its text would be lost."""
    text = type("Rich", (str,), members)("a")
    text.language = "de"
    assert isinstance(codec_for(str).encode(text), NotStorable)


def zoned(zone) -> dt.datetime:
    """A summer noon in `zone`."""
    return dt.datetime(2026, 7, 1, 12, tzinfo=zone)


def test_a_datetime_in_utc_comes_back_in_utc():
    """A datetime with an offset comes back as the same instant with the same offset."""
    for zone in (dt.UTC, dt.timezone(dt.timedelta(hours=5, minutes=30))):
        kept = encoded(dt.datetime, zoned(zone))
        came_back = codec_for(dt.datetime).decode(kept.body, kept.encoding)
        assert came_back.isoformat() == zoned(zone).isoformat()


def comes_back_or_is_refused(returned, value) -> bool:
    """Whether `value` has the same form after a round trip, if it makes one."""
    match codec_for(returned).encode(value):
        case Encoded(body, encoding):
            return repr(codec_for(returned).decode(body, encoding)) == repr(value)
        case NotStorable():
            return True


def test_a_datetime_in_a_zone_keeps_its_zone_or_is_refused():
    """JSON holds an offset and no zone, and tomorrow the offset of a zone may be another."""
    try:
        value = zoned(zoneinfo.ZoneInfo("Europe/Berlin"))
    except zoneinfo.ZoneInfoNotFoundError:
        pytest.skip("this machine has no tz database")
    assert comes_back_or_is_refused(dt.datetime, value)
    assert comes_back_or_is_refused(list[dt.datetime], [value])


@pytest.mark.parametrize("value", [NOON, NOON.time()], ids=["datetime", "time"])
def test_the_second_of_two_equal_clock_times_is_not_taken_for_the_first(value):
    """ISO has no form for `fold`: it comes back another way or not at all."""
    assert comes_back_or_is_refused(type(value), value.replace(fold=1))


@pytest.mark.parametrize(
    "returned",
    [Any, list[int], Iterable[int], collections.abc.Generator[int, None, None]],
    ids=["untyped", "list", "iterable", "generator"],
)
def test_an_iterator_is_refused_untouched(returned):
    """Who returns a generator finds all of it there, though none of it can be stored."""
    value = (n for n in range(3))
    assert isinstance(codec_for(returned).encode(value), NotStorable)
    assert list(value) == [0, 1, 2]


def test_an_iterator_inside_a_value_is_refused_untouched():
    """A generator in a dict, a list or a dataclass is found there by its caller, too."""
    for returned, wrap in (
        (dict[str, Any], lambda it: {"words": it}),
        (list, lambda it: [1, it]),
        (Page, lambda it: Page("a", it)),
    ):
        value = (n for n in range(3))
        assert isinstance(codec_for(returned).encode(wrap(value)), NotStorable)
        assert list(value) == [0, 1, 2]


@pytest.mark.parametrize(
    ("returned", "value"),
    [
        (collections.deque[int], collections.deque([1], maxlen=5)),
        (collections.defaultdict[str, int], collections.defaultdict(lambda: 7, a=1)),
    ],
    ids=["deque", "defaultdict"],
)
def test_a_collection_keeps_its_rules_or_is_refused(returned, value):
    """What a collection does with the next item is a part of it."""
    assert comes_back_or_is_refused(returned, value)


def test_a_union_in_another_order_is_another_type():
    """`A | B` equals `B | A` to Python; which of two twins comes back must not depend on that."""
    for returned, value in ((Twin | Other, Twin(x=1)), (Other | Twin, Other(x=1))):
        kept = encoded(returned, value)
        assert type(codec_for(returned).decode(kept.body, kept.encoding)) is type(value)


class Unequal:
    """A value whose `==` fails, of a type that pydantic can read and write."""

    def __eq__(self, other):
        raise KeyError

    __hash__ = None

    @classmethod
    def __get_pydantic_core_schema__(cls, source, handler):
        """Writes 1, and reads anything as one of these."""
        written = core_schema.plain_serializer_function_ser_schema(lambda _: 1)
        return core_schema.no_info_plain_validator_function(lambda _: cls(), serialization=written)


@pytest.mark.parametrize(
    ("returned", "value"),
    [(Unequal, Unequal()), (list[Unequal], [Unequal()]), (Any, Unequal())],
    ids=["typed", "list", "untyped"],
)
def test_a_value_that_cannot_be_compared_is_refused(returned, value):
    """Whatever the user's own code raises while a value is checked, encoding never raises."""
    assert isinstance(codec_for(returned).encode(value), NotStorable)


@pytest.mark.parametrize("layers", [300, 900, 100_000])
@pytest.mark.parametrize("returned", [Any, list], ids=["untyped", "list"])
def test_deep_nesting_is_no_crash(returned, layers):
    """A deep value comes back or is refused; encoding never raises."""
    value: list[object] = []
    for _ in range(layers):
        value = [value]
    match codec_for(returned).encode(value):
        case Encoded(body, encoding):
            assert is_same(codec_for(returned).decode(body, encoding), value)
        case NotStorable(reason):
            assert reason


def test_a_value_that_contains_itself_is_refused():
    """A cycle is a refusal, whatever the annotation."""
    value: list[object] = []
    value.append(value)
    for returned in (Any, list, list[Any]):
        assert isinstance(codec_for(returned).encode(value), NotStorable)


def test_a_deprecated_field_is_read_without_a_warning():
    """Storing is not using a deprecated field: warnings are errors here."""
    assert isinstance(codec_for(Old).encode(Old(text="a")), Encoded)


def test_a_refused_secret_is_not_in_the_reason():
    """The reason is logged, so no secret is in it."""
    for returned, value in (
        (Account, Account(token="canary-7")),
        (list[Account], [Account(token="canary-7")]),
        (Any, {"a": pydantic.SecretStr("canary-7")}),
    ):
        refusal = codec_for(returned).encode(value)
        assert isinstance(refusal, NotStorable)
        assert "canary" not in refusal.reason


@pytest.mark.parametrize(
    ("returned", "value"),
    [(list[str], ["a"]), (Any, {"a": []}), (Page, Page("a")), (Problem, Problem(text="a"))],
    ids=["list", "untyped", "dataclass", "model"],
)
def test_each_decoding_gives_a_copy_of_its_own(returned, value):
    """What one caller changes in a mutable value, no other sees."""
    assert not is_immutable(value)
    kept = encoded(returned, value)
    one, other = (codec_for(returned).decode(kept.body, kept.encoding) for _ in range(2))
    assert one is not other
    if isinstance(one, Page):
        one.parts.append("changed")
    elif isinstance(one, Problem):
        one.text = "changed"
    else:
        one.clear()
    assert other == value


def test_only_plain_scalars_are_handed_out_without_a_copy():
    """Immutable is what nobody can change, and not a subclass of it."""
    assert all(is_immutable(value) for value in ("a", 1, 1.5, True, None))
    assert not any(is_immutable(value) for value in ([], {}, (1, []), Tagged("a"), Page("a")))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
@example([-0.0, 1e16, 5e-324, float("inf"), 2**64, -(2**64), "\0\u2028", {"": {}}])
def test_any_json_value_comes_back_exactly(value):
    """Without an annotation, all that JSON knows comes back with its types."""
    kept = encoded(Any, value)
    came_back = UNTYPED.decode(kept.body, kept.encoding)
    assert repr(came_back) == repr(value)
    assert kept.value_bytes >= len(kept.body)


@given(st.text() | st.text(st.characters(min_codepoint=0xD700, max_codepoint=0xE000)))
def test_any_str_comes_back_or_is_refused(text):
    """A str comes back character for character, lone surrogates too, or it is refused."""
    match codec_for(str).encode(text):
        case Encoded(body, encoding):
            assert codec_for(str).decode(body, encoding) == text
        case NotStorable():
            assert text.encode("utf-16", "surrogatepass").decode("utf-16", "replace") != text


@given(st.builds(Problem, text=st.text(), page=st.none() | st.builds(Page, st.text())))
def test_any_model_comes_back_equal(problem):
    """A model of any content comes back as that model."""
    kept = encoded(Problem, problem)
    assert codec_for(Problem).decode(kept.body, kept.encoding) == problem


def test_small_values_are_left_readable():
    """A short value is stored as the JSON that it is."""
    assert encoded(str, "½").body == '"½"'.encode()
    assert encoded(Page, Page("a")).encoding == "json"


def test_large_values_are_compressed():
    """A long text takes less room than it has bytes; noise is left as it is."""
    kept = encoded(str, "word " * 10_000)
    assert (kept.encoding, kept.value_bytes) == ("json+zlib", 50_002)
    assert len(kept.body) < 1000
    noise = uuid.uuid5(uuid.NAMESPACE_OID, "x").hex * 60
    assert encoded(str, noise).value_bytes == len(noise) + 2


VALID = {
    "str": (str, b'"a"'),
    "int": (int, b"1"),
    "float": (float, b"1.0"),
    "None": (None, b"null"),
    "untyped": (Any, b"{}"),
    "list": (list[int], b"[1]"),
    "dataclass": (Page, b'{"title":"a"}'),
    "model": (Problem, b'{"text":"a"}'),
    "union": (Twin | str, b'{"x":1}'),
    "date": (dt.date, b'"2026-11-22"'),
}
TYPES = [returned for returned, _ in VALID.values()]


@pytest.mark.parametrize(
    ("returned", "body"),
    [
        (str, b"1"),
        (int, b"1.0"),
        (int, b"true"),
        (float, b"1"),
        (bool, b"0"),
        (None, b"0"),
        (list[int], b'["a"]'),
        (Page, b'{"name":"a"}'),
        (Problem, b"[]"),
        (dt.date, b'"tomorrow"'),
    ],
    ids=range(10),
)
def test_a_value_of_another_type_is_not_returned(returned, body):
    """What was stored before the annotation changed is a DecodeError, not an answer."""
    with pytest.raises(DecodeError):
        codec_for(returned).decode(body, "json")


@pytest.mark.parametrize(("returned", "body"), VALID.values(), ids=VALID)
def test_an_encoding_of_a_newer_release_is_not_guessed_at(returned, body):
    """Whatever encoding is not known is a DecodeError, even where the bytes look right."""
    assert codec_for(returned).decode(body, "json") == codec_for(returned).decode(body, "json-wide")
    for encoding in ("json-new", "json-wide2", "wide", "", "JSON", "json+zstd"):
        with pytest.raises(DecodeError, match="encoding"):
            codec_for(returned).decode(body, encoding)


DAMAGED = {
    "empty": b"",
    "half": b'{"title": "a',
    "two values": b"1 2",
    "no UTF-8": b'"\xff"',
    "NUL": b"\0",
    "comma": b"[1,]",
    "long number": b"9" * 5000,
    "deep lists": b"[" * 100_000,
    "deep lists, closed": b"[" * 100_000 + b"]" * 100_000,
    "deep dicts": b'{"a":' * 100_000,
    "UTF-16 mark": b"\xff\xfe[",
}
ENCODINGS = ["json", "json-wide", "json+zlib", "json-wide+zlib"]


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("body", DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_body_is_never_another_exception(body, encoding):
    """Every kind of damage, as such and inside the compression, is a DecodeError."""
    packed = zlib.compress(body) if encoding.endswith("zlib") else body
    for returned in TYPES:
        with pytest.raises(DecodeError):
            codec_for(returned).decode(packed, encoding)


@given(st.binary(), st.sampled_from([*ENCODINGS, "pickle", ""]), st.sampled_from(TYPES))
def test_any_bytes_are_a_value_or_a_decode_error(body, encoding, returned):
    """Random bytes never raise anything else."""
    with contextlib.suppress(DecodeError):
        codec_for(returned).decode(body, encoding)


@given(st.data(), st.sampled_from(["word " * 600, ["a", {"b": [1.5, None]}], 2**70, "\ud800"]))
def test_a_changed_body_is_a_value_or_a_decode_error(data, value):
    """A byte changed, lost or added anywhere never raises anything else."""
    kept = encoded(Any, value)
    body = bytearray(kept.body)
    at = data.draw(st.integers(0, len(body) - 1))
    match data.draw(st.sampled_from(["change", "lose", "add", "cut"])):
        case "change":
            body[at] ^= data.draw(st.integers(1, 255))
        case "lose":
            del body[at]
        case "add":
            body.insert(at, data.draw(st.integers(0, 255)))
        case _:
            del body[at:]
    for returned in (Any, Problem, list[str]):
        with contextlib.suppress(DecodeError):
            codec_for(returned).decode(bytes(body), kept.encoding)


def test_a_cut_off_compressed_body_is_damaged():
    """A compressed value without its end is not taken for a shorter one."""
    kept = encoded(str, "word " * 10_000)
    for end in (len(kept.body) - 1, len(kept.body) // 2, 2, 0):
        with pytest.raises(DecodeError):
            UNTYPED.decode(kept.body[:end], kept.encoding)


@pytest.mark.parametrize("returned", [Any, list[int]], ids=["untyped", "typed"])
def test_a_compressed_bomb_is_not_unpacked(returned):
    """A small body cannot fill the memory: unpacking ends at a limit."""
    packer = zlib.compressobj(1)
    megabyte = b" " * 1024 * 1024
    megabytes = codec.LARGEST_VALUE_BYTES // len(megabyte) + 1
    bomb = b"".join(packer.compress(megabyte) for _ in range(megabytes)) + packer.flush()
    with pytest.raises(DecodeError, match="over"):
        codec_for(returned).decode(bomb, "json+zlib")


class Trap:
    """Raises as soon as somebody unpickles it."""

    def __reduce__(self):
        return (pytest.fail, ("a stored body was executed",))


@pytest.mark.parametrize("encoding", [*ENCODINGS, "pickle"])
def test_nothing_stored_is_ever_executed(encoding):
    """A pickle in place of a value is damage."""
    body = pickle.dumps(Trap())
    packed = zlib.compress(body) if encoding.endswith("zlib") else body
    for returned in (Any, str, Problem):
        with pytest.raises(DecodeError):
            codec_for(returned).decode(packed, encoding)


def test_stored_json_needs_no_library_to_read():
    """The body of a typed value is JSON for whoever looks into the store, whole and by name."""
    plain = {"text": "a", "page": {"title": "b", "parts": []}, "price": "1.0"}
    all_set = Problem(text="a", page=Page("b"), price=decimal.Decimal("1.0"))
    assert json.loads(encoded(Problem, all_set).body) == plain
    _, beside, whole = json.loads(encoded(Problem, Problem(text="a", page=Page("b"))).body)
    assert whole == plain
    assert beside == [[[], {"unset": ["price"]}]]
