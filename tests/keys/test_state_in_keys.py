"""Two params that differ in anything that changes the answer have two keys, fields or not."""

import dataclasses
import enum
import functools
import json
import threading
from typing import Any, Generic, NamedTuple, TypeVar

import pydantic
import pytest
from golden_inputs import Grade
from typing_extensions import TypedDict

from llm_cache.core.keys import canonical_params
from llm_cache.core.redaction import show_params
from llm_cache.errors import KeyParamError

T = TypeVar("T")


@dataclasses.dataclass
class Prompt:
    """What it makes of its `lang` is no field."""

    text: str
    lang: dataclasses.InitVar[str] = "en"

    def __post_init__(self, lang):
        self.system = f"Answer in {lang}"


@dataclasses.dataclass
class Client:
    """A dataclass that may be given more than its field, and works something out."""

    model: str

    @functools.cached_property
    def name(self):
        """What is worked out of its field."""
        return self.model.upper()


@dataclasses.dataclass(slots=True)
class Slotted:
    """A dataclass without a dict."""

    model: str


class Warm(Slotted):
    """One with a place for more."""

    __slots__ = ("__secretly", "temperature")

    def __init__(self, model, temperature, secretly):
        super().__init__(model)
        self.temperature = temperature
        self.__secretly = secretly


@dataclasses.dataclass
class Box(Generic[T]):
    """A generic dataclass, which notes what it was made as."""

    content: T


class Spec(pydantic.BaseModel):
    """A model that keeps something to itself."""

    text: str = "hi"
    _system: str = pydantic.PrivateAttr("brief")
    _seed: int | None = pydantic.PrivateAttr(None)

    @functools.cached_property
    def length(self):
        """What is worked out of its field."""
        return len(self.text)


class Locked(pydantic.BaseModel):
    """A model that holds what has no stable value."""

    _lock: Any = pydantic.PrivateAttr(default_factory=threading.Lock)


class Answer(pydantic.BaseModel):
    """An answer."""

    text: str


def canonical(value) -> dict[str, Any]:
    """The canonical JSON of one param."""
    return json.loads(canonical_params({"p": value}))["p"]


def with_attributes(value, **attributes):
    """`value` with these attributes."""
    for name, content in attributes.items():
        setattr(value, name, content)
    return value


DIFFERENT = {
    "what an InitVar led to": (Prompt("hi", "en"), Prompt("hi", "de")),
    "an attribute that was set later": (
        Client("m"),
        with_attributes(Client("m"), temperature=1.0),
    ),
    "the value of such an attribute": (
        with_attributes(Client("m"), temperature=1),
        with_attributes(Client("m"), temperature=1.0),
    ),
    "slots": (Warm("m", 1, 1), Warm("m", 2, 1)),
    "a slot of the class's own": (Warm("m", 1, 1), Warm("m", 1, 2)),
    "a private attribute": (Spec(), with_attributes(Spec(), _system="long")),
    "the type of a private attribute": (
        with_attributes(Spec(), _seed=1),
        with_attributes(Spec(), _seed=True),
    ),
    "which private attribute": (
        with_attributes(Spec(), _system="1"),
        with_attributes(Spec(), _seed="1"),
    ),
    "inside a list": ([Spec()], [with_attributes(Spec(), _system="long")]),
}


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_what_differs_beside_the_fields_has_another_key(one, other):
    """State that no field declares counts, as it stands."""
    assert canonical_params({"p": one}) != canonical_params({"p": other})


SAME = {
    "dataclass": (Client("m"), {"$dataclass:Client": {"model": "m"}}),
    "dataclass that has worked something out": (
        Client("m"),
        {"$dataclass:Client": {"model": "m"}},
    ),
    "dataclass with slots": (Slotted("m"), {"$dataclass:Slotted": {"model": "m"}}),
    "generic dataclass": (Box[int](1), {"$dataclass:Box": {"content": 1}}),
    "model": (Spec(), {"$model:Spec": {"text": "hi"}}),
    "model with a field that was set": (Spec(text="hi"), {"$model:Spec": {"text": "hi"}}),
    "model with a private attribute at its default": (
        with_attributes(Spec(), _system="brief"),
        {"$model:Spec": {"text": "hi"}},
    ),
}


@pytest.mark.parametrize(("value", "written"), SAME.values(), ids=SAME)
def test_what_has_its_fields_only_keeps_its_key(value, written):
    """It is written as in every release, whatever it has worked out or was told by default."""
    for name in ("name", "length"):
        getattr(value, name, None)
    assert canonical(value) == written


def test_state_is_written_under_a_name_that_no_field_has():
    """And is shown with the fields."""
    params = canonical_params({"p": Prompt("hi", "de")})
    state = {"text": "hi", "$state": {"system": "Answer in de"}}
    assert json.loads(params)["p"] == {"$dataclass:Prompt": state}
    assert show_params(params)["p"] == state
    extra = pydantic.create_model("Extra", __config__={"extra": "allow"})
    assert canonical(extra(**{"$state": 1})) == {"$model:Extra": {"$$state": 1}}


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (with_attributes(Client("m"), client=object()), r"p\['client'\]"),
        (Locked(), r"p\['_lock'\]"),
    ],
    ids=["dataclass", "model"],
)
def test_state_without_a_stable_value_is_refused(value, where):
    """The error names it, and says what to do."""
    with pytest.raises(KeyParamError, match=rf"param 'p' \(at {where}\) is a .*exclude=\('p',\)"):
        canonical(value)


class Tone(enum.Enum):
    """An enum."""

    WARM = 1


class Point(NamedTuple):
    """A named tuple."""

    x: int


class Words(TypedDict):
    """A dict with known names."""

    easy: int


CLASSES = [Answer, Grade, Tone, Point, Words, int, list, threading.Thread]


@pytest.mark.parametrize("cls", CLASSES, ids=lambda cls: cls.__name__)
def test_a_class_is_a_param(cls):
    """A helper that is told in which type to answer has a key for each."""
    assert canonical(cls) == canonical(cls)
    assert [canonical(cls) == canonical(each) for each in CLASSES].count(True) == 1
    assert show_params(canonical_params({"p": cls}))["p"] == cls.__name__


def answers_with(**fields):
    """A model called `Answer`."""
    return pydantic.create_model("Answer", **fields)


def test_a_model_class_is_told_by_its_schema():
    """Names, types, defaults and descriptions count; where it stands does not."""
    classes = [
        answers_with(text=(str, ...)),
        answers_with(text=(int, ...)),
        answers_with(words=(str, ...)),
        answers_with(text=(str, "a")),
        answers_with(text=(str, "b")),
        answers_with(text=(str, pydantic.Field(description="Short."))),
    ]
    assert len({json.dumps(canonical(cls)) for cls in classes}) == len(classes)
    assert canonical(answers_with(text=(str, ...))) == canonical(classes[0])


def test_a_class_that_nobody_knows_by_name_is_refused():
    """Two that are made by one function may have one name."""
    with pytest.raises(KeyParamError, match="class Nameless"):
        canonical(type("Nameless", (), {}))


def test_a_class_without_a_schema_is_refused():
    """The error says so, and not what pydantic says."""
    config = {"arbitrary_types_allowed": True}
    odd = pydantic.create_model("Odd", call=(threading.Thread, ...), __config__=config)
    with pytest.raises(KeyParamError, match="class Odd, which has no JSON schema"):
        canonical(odd)
