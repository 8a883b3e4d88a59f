"""Values as programs with models have them come back as they were, and need no care."""

import enum
from collections.abc import Sequence
from typing import Any, Generic, Literal, TypeVar

import pydantic
import pytest

from llm_cache.core.values._equality import is_same
from llm_cache.core.values.codec import DecodeError, Encoded, NotStorable, codec_for

T = TypeVar("T")


class SdkModel(pydantic.BaseModel):
    """A model as the SDKs of OpenAI and Anthropic have them: built of whatever a server sends."""

    model_config = pydantic.ConfigDict(extra="allow", defer_build=True)

    @classmethod
    def model_construct(cls, _fields_set=None, **values):
        """Builds without validating, models within models too."""
        built = cls.__new__(cls)
        fields = {}
        for name, field in cls.model_fields.items():
            value = values.pop(name, None)
            kind = field.annotation
            if isinstance(kind, type) and issubclass(kind, SdkModel) and isinstance(value, dict):
                value = kind.model_construct(**value)
            fields[name] = value
        object.__setattr__(built, "__dict__", fields)
        object.__setattr__(built, "__pydantic_fields_set__", _fields_set or set(fields))
        object.__setattr__(built, "__pydantic_extra__", values)
        object.__setattr__(built, "__pydantic_private__", None)
        return built


class Detail(SdkModel):
    """A part of a completion."""

    tier: Literal["auto", "default"] | None = None
    tokens: int = 0


class Completion(SdkModel):
    """A completion."""

    id: str
    created: int
    detail: Detail


class Parsed(SdkModel, Generic[T]):
    """A completion with what was parsed of it."""

    parsed: T | None = None
    raw: str = ""


class Me(pydantic.BaseModel):
    """What is parsed of a completion."""

    a: int
    b: str = ""


def odd_completion():
    """What a compatible server sends: an enum value, a type and a field that the SDK has not."""
    detail = {"tier": "on_demand", "tokens": "12"}
    completion = Completion.model_construct(
        _fields_set={"id", "created", "detail"}, id="1", created=1.5, detail=detail, x={"y": [1]}
    )
    object.__setattr__(completion, "_request_id", "req_1")
    return completion


class Shape(pydantic.BaseModel):
    """A base of shapes."""

    kind: str


class Circle(Shape):
    """One of them."""

    r: float = 1


class Ring(Circle):
    """One of those."""

    _inner: float = pydantic.PrivateAttr(0.5)


class Drawing(pydantic.BaseModel):
    """A model of shapes."""

    shapes: list[Shape]
    first: Shape | None = None
    by_name: dict[str, Shape] = {}
    more: Sequence[Any] = ()


class Corner(enum.Enum):
    """An enum whose values are tuples."""

    LOW = (0, 0)


class Mixed(pydantic.BaseModel):
    """An enum with tuples, in a model."""

    corner: Corner
    weights: dict[str, float] = {}


VALUES = {
    "completion of a compatible server": (Completion, odd_completion()),
    "such completions in a list": (list[Completion], [odd_completion()]),
    "parsed completion": (Parsed[Me], Parsed[Me](parsed=Me(a=1))),
    "parsed completion of a variable": (Parsed[Me], Parsed[T](parsed=Me(a=1))),
    "parsed completion of no type": (Parsed[Me], Parsed(parsed=Me(a=1))),
    "subclass": (Shape, Circle(kind="c")),
    "subclass of a subclass": (Shape, Ring(kind="r", r=2)),
    "subclasses in a list": (list[Shape], [Circle(kind="c"), Shape(kind="s"), Ring(kind="r")]),
    "subclasses in a model": (
        Drawing,
        Drawing(shapes=[Circle(kind="c")], first=Ring(kind="r"), by_name={"a": Shape(kind="")}),
    ),
    "subclass or nothing": (Shape | None, Circle(kind="c")),
    "models in anything": (Drawing, Drawing(shapes=[], more=[Ring(kind="r"), {"$x": (1,)}])),
    "whole numbers for floats": (Mixed, Mixed.model_construct(corner=Corner.LOW, weights={"a": 1})),
    "picture": (bytes, b"\x89PNG\xff"),
    "pictures": (dict[str, bytes], {"a": b"\x89PNG\xff", "b": b"text"}),
    "picture or nothing": (bytes | None, b"\xff"),
    "whole number from JSON": (dict[str, float], {"score": 1, "other": 0.5}),
}


@pytest.mark.parametrize(("returned", "value"), VALUES.values(), ids=VALUES)
def test_a_value_comes_back_as_it_was(delivered, returned, value):
    """For its first caller, from memory and from the store."""

    def generate():
        return value

    generate.__annotations__["return"] = returned
    for copy in delivered(generate):
        assert is_same(copy, value)
        assert repr(copy).replace("[~T]", "") == repr(value).replace("[~T]", "")


def test_a_completion_of_a_server_dumps_as_it_was_sent(delivered):
    """What goes back to the API is what came from it."""

    def generate() -> Completion:
        return odd_completion()

    for copy in delivered(generate):
        assert type(copy.detail) is Detail
        assert copy._request_id == "req_1"
        assert copy.model_dump(exclude_unset=True, warnings=False) == {
            "id": "1",
            "created": 1.5,
            "detail": {"tier": "on_demand", "tokens": "12"},
            "x": {"y": [1]},
        }


def test_a_model_that_validates_is_not_brought_back_otherwise():
    """Only what the class itself builds unchecked comes back unchecked."""
    wrong = Me.model_construct(a="canary", b="")
    assert isinstance(codec_for(Me).encode(wrong), NotStorable)
    assert isinstance(codec_for(Parsed[Me]).encode(Parsed(parsed=wrong)), NotStorable)


def test_a_class_that_is_not_there_yet_is_a_miss():
    """A process that has not imported a subclass generates anew: it gets no other class."""
    sub = pydantic.create_model("Triangle", __base__=Shape, __module__="shapes_of_others")
    kept = codec_for(Shape).encode(sub(kind="t"))
    assert isinstance(kept, Encoded)
    gone = kept.body.replace(b"Triangle", b"Pentagon")
    with pytest.raises(DecodeError, match="UnknownClassError"):
        codec_for(Shape).decode(gone, kept.encoding)


def test_no_class_but_those_of_the_return_type_is_built():
    """Whatever a file says, and though the process has such a class."""
    kept = codec_for(Shape).encode(Circle(kind="c"))
    assert isinstance(kept, Encoded)
    other = kept.body.replace(b":Circle", b":Me")
    with pytest.raises(DecodeError, match="UnknownClassError"):
        codec_for(Shape).decode(other, kept.encoding)


def test_a_class_that_the_return_type_does_not_name_is_the_reason():
    """Where it is, of which type, and what to do."""
    refusal = codec_for(Drawing).encode(Drawing(shapes=[], more=[Me(a=1)]))
    assert isinstance(refusal, NotStorable)
    assert "more[0] is a Me" in refusal.reason
    assert "name it there" in refusal.reason


def test_two_classes_of_one_name_are_told_apart_or_refused():
    """Which of them is meant has to be certain."""
    twins = [pydantic.create_model("Twin", __base__=Shape, __module__=__name__) for _ in range(2)]
    assert isinstance(codec_for(Shape).encode(twins[0](kind="t")), NotStorable)
