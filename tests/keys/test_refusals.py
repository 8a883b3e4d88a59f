"""A param without a stable value is refused with its name, the way to it, and what to do."""

import contextlib
import dataclasses
import datetime as dt
import decimal
import enum
import types
from collections import OrderedDict, defaultdict

import pydantic
import pytest
from golden_inputs import Color, Grade, Lesson, Topic

from llm_cache.core.keys import Identity, canonical_params
from llm_cache.errors import CacheError, KeyParamError


class Plain:
    """An object that has only an address."""


class Rich(str):
    """A str that carries something besides its characters."""

    __slots__ = ("language",)


class Marked(dt.date):
    """A date that can be told more."""


class Dated(dt.date):
    """A date with a place for more."""

    __slots__ = ("note",)


class Special(Grade):
    """No dataclass of its own, and yet more than its base's fields."""

    def __init__(self, level, teacher):
        super().__init__(level)
        self.teacher = teacher


def with_state(value, **state):
    """`value` with these attributes."""
    for name, content in state.items():
        setattr(value, name, content)
    return value


class Tagged(str):  # noqa: SLOT000 - the point of it
    """A str with a dict of attributes."""


UNSTABLE = {
    "NaN": float("nan"),
    "infinity": float("inf"),
    "negative infinity": float("-inf"),
    "Decimal NaN": decimal.Decimal("NaN"),
    "signalling Decimal NaN": decimal.Decimal("sNaN"),
    "Decimal infinity": decimal.Decimal("-Infinity"),
    "set": {1, 2},
    "empty set": set(),
    "frozenset": frozenset({"a"}),
    "object": object(),
    "plain object": Plain(),
    "class that its module does not know": type("Nameless", (), {}),
    "function": len,
    "lambda": lambda: None,
    "method": [].append,
    "module": types,
    "generator": (n for n in range(3)),
    "iterator": iter([1]),
    "range": range(3),
    "complex": 1j,
    "memoryview": memoryview(b"ab"),
    "exception": ValueError("x"),
    "Ellipsis": ...,
    "NotImplemented": NotImplemented,
    "mapping of another kind": types.MappingProxyType({}),
    "OrderedDict": OrderedDict(a=1),
    "defaultdict": defaultdict(list),
    "list subclass": type("Items", (list,), {})(),
    "tuple subclass": type("Pair", (tuple,), {})(),
    "bytes subclass": type("Blob", (bytes,), {})(),
    "Decimal subclass": type("Money", (decimal.Decimal,), {})(1),
    "dict with an int name": {1: "x"},
    "dict with a None name": {None: "x"},
    "dict with a bytes name": {b"a": "x"},
    "dict with an enum name": {Color.RED: "x"},
    "dict with a tuple name": {(1, 2): "x"},
    "dict with a huge int name": {10**5000: "x"},
    "dict with a name of a str subclass": {Tagged("a"): "x"},
    "str subclass with state": with_state(Tagged("a"), language="de"),
    "str subclass with state in slots": with_state(Rich("a"), language="de"),
    "int subclass with state": with_state(type("Id", (int,), {})(1), source="x"),
    "float subclass with state": with_state(type("Score", (float,), {})(1), source="x"),
    "date subclass with state": with_state(Marked(2026, 1, 1), note="x"),
    "date subclass with state in slots": with_state(Dated(2026, 1, 1), note="x"),
    "dataclass with more than its fields": Special(5, object()),
    "lone surrogate": "a\ud800",
    "lone surrogate in a name": {"\udfff": 1},
    "lone surrogate in a str subclass": Tagged("\ud800"),
}
every_unstable_value = pytest.mark.parametrize("value", UNSTABLE.values(), ids=UNSTABLE)


@every_unstable_value
def test_what_has_no_stable_value_is_refused(value):
    """The refusal is a TypeError of ours that names the param and the way out."""
    with pytest.raises(KeyParamError, match=r"^param 'lesson' .*exclude=\('lesson',\)") as raised:
        canonical_params({"other": 1, "lesson": value})
    assert isinstance(raised.value, CacheError)
    assert isinstance(raised.value, TypeError)


@every_unstable_value
def test_a_refusal_says_where_inside_a_param(value):
    """Deep inside a param, the refusal says the whole way to what it refuses."""
    with pytest.raises(KeyParamError) as raised:
        canonical_params({"lesson": {"pages": [1, {"it": value}]}})
    assert "param 'lesson' (at lesson['pages'][1]['it']" in str(raised.value)
    assert "exclude=('lesson',)" in str(raised.value)


def test_a_refusal_says_where_inside_an_object():
    """The way leads through dataclasses and models, too."""
    lesson = Lesson(Grade(5), topics=["a", {1, 2}])
    with pytest.raises(KeyParamError, match=r"param 'it' \(at it\['topics'\]\[1\]\) is a set"):
        canonical_params({"it": lesson})
    topic = Topic.model_construct(title="a", minutes=float("nan"))
    with pytest.raises(KeyParamError, match=r"\(at it\[0\]\['minutes'\]\) is nan"):
        canonical_params({"it": [topic]})


@pytest.mark.parametrize(
    ("value", "way_out"),
    [
        ({1}, "sorted"),
        (OrderedDict(), r"dict\(\.\.\.\)"),
        (len, "name"),
        (Plain(), "dataclass"),
        (float("nan"), "None or a number"),
        ({1: "x"}, "str names"),
        ("\ud800", "surrogate"),
    ],
    ids=["set", "dict subclass", "function", "object", "NaN", "int name", "surrogate"],
)
def test_a_refusal_says_what_to_do(value, way_out):
    """The message holds the remedy for the very kind of value."""
    with pytest.raises(KeyParamError, match=way_out):
        canonical_params({"p": value})


@pytest.mark.parametrize("name", [1, None, b"p", Tagged("p"), 10**5000, ("p",)], ids=range(6))
def test_param_names_are_strs(name):
    """A param whose name is no plain str is refused."""
    with pytest.raises(KeyParamError, match="names are str"):
        canonical_params({name: 1})


@pytest.mark.parametrize("value", [1, 1.5, [1]], ids=["int", "float", "list"])
def test_a_lone_surrogate_in_a_param_name_is_refused(value):
    """A param name that no text can hold is refused as such, whatever its value."""
    with pytest.raises(KeyParamError, match="surrogate"):
        canonical_params({"\ud800": value})


def test_a_lone_surrogate_in_any_name_is_refused():
    """Names that come from the members of an enum are checked as well."""
    odd = enum.Enum("Odd", {"\ud800": 1})
    with pytest.raises(KeyParamError, match="surrogate"):
        canonical_params({"p": odd(1)})


@pytest.mark.parametrize("field", ["tenant", "version"])
def test_a_lone_surrogate_in_a_frame_is_refused(field):
    """Tenant and version are texts, too."""
    with pytest.raises(CacheError, match=f"{field}.*surrogate"):
        Identity("p", b"{}", **{field: "\ud800"})


def nested(layers, wrap):
    """A value of so many layers."""
    value = 1
    for _ in range(layers):
        value = wrap(value)
    return value


WRAPPERS = {
    "list": lambda v: [v],
    "tuple": lambda v: (v,),
    "dict": lambda v: {"n": v},
    "both": lambda v: [{"n": v}],
    "dataclass": Grade,
}
every_wrapper = pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS)


@every_wrapper
def test_100000_layers_are_refused(wrap):
    """Nesting without end is a clear error and no crash."""
    with pytest.raises(KeyParamError, match="param 'deep' is nested"):
        canonical_params({"deep": nested(100_000, wrap)})


@every_wrapper
def test_a_value_that_contains_itself_is_refused(wrap):
    """A cycle is a clear error and no crash."""
    loop = [None]
    loop[0] = wrap(loop)
    with pytest.raises(KeyParamError, match=r"param 'loop' is nested .*contains itself"):
        canonical_params({"loop": loop})


@every_wrapper
def test_what_people_nest_is_taken(wrap):
    """Forty layers are no trouble, and each counts."""
    assert canonical_params({"p": nested(40, wrap)}) != canonical_params({"p": nested(41, wrap)})


def test_a_refusal_does_not_depend_on_the_depth_of_the_call():
    """With little stack left, params have their usual key or a clear error, never another key."""
    params = {"p": nested(100, WRAPPERS["list"])}
    usual, outcomes = canonical_params(params), set()

    def dive():
        with contextlib.suppress(RecursionError):
            dive()
        try:
            outcomes.add(canonical_params(params))
        except (KeyParamError, RecursionError) as error:
            outcomes.add(type(error))

    dive()
    assert usual in outcomes
    assert outcomes <= {usual, KeyParamError, RecursionError}


def test_a_dataclass_that_lacks_a_field_is_refused():
    """A field that was never set is a refusal that names the param, no AttributeError."""

    @dataclasses.dataclass
    class Half:
        text: str = dataclasses.field(init=False)

    with pytest.raises(KeyParamError, match="param 'p'"):
        canonical_params({"p": Half()})


def test_a_model_that_lacks_a_field_is_refused():
    """As a dataclass, so a model."""
    with pytest.raises(KeyParamError, match="param 'p'"):
        canonical_params({"p": Topic.model_construct(minutes=1)})


def test_a_deprecated_field_is_read_without_a_warning():
    """Making a key is not using a deprecated field: warnings are errors here."""

    class Old(pydantic.BaseModel):
        text: str = pydantic.Field("x", deprecated="use another")

    assert canonical_params({"p": Old()}) == b'{"p":{"$model:Old":{"text":"x"}}}'


def test_subclasses_without_state_are_taken():
    """What is refused for its state alone is taken without it."""
    for value in (Tagged("a"), Marked(2026, 1, 1)):
        assert canonical_params({"p": value}) != canonical_params({"p": str(value)})


def test_a_refusal_is_safe_to_print():
    """A name from outside cannot move the cursor of whoever reads the error."""
    with pytest.raises(KeyParamError) as raised:
        canonical_params({"\x1b[2J": {"\x1b[31m": [{1}]}})
    assert str(raised.value).isprintable()
