"""A value comes back with all that its generator gave it, fields or not, or it is not stored."""

import datetime as dt
import functools
import threading
from dataclasses import InitVar, dataclass
from typing import Any

import pydantic
import pytest

from llm_cache.core.values._equality import is_same
from llm_cache.core.values.codec import DecodeError, Encoded, NotStorable, codec_for


@dataclass
class Page:
    """A page, with a footer that is no field."""

    text: str
    lang: InitVar[str] = "en"

    def __post_init__(self, lang):
        self.footer = f"written in {lang}"


@dataclass(frozen=True, slots=True)
class Frozen:
    """A dataclass that nobody can change."""

    text: str


class Message(pydantic.BaseModel):
    """A message as chat APIs have them: a null that was not sent must not be sent back."""

    role: str
    content: str | None = None
    tool_calls: list[dict[str, Any]] | None = None


class Chat(pydantic.BaseModel):
    """Messages within a model."""

    messages: list[Message]
    by_name: dict[str, Message] = {}
    when: dt.datetime | None = None


class Noted(pydantic.BaseModel):
    """A model with private attributes."""

    text: str = ""
    _note: Any = pydantic.PrivateAttr(None)
    _unset: int = pydantic.PrivateAttr()

    @functools.cached_property
    def length(self):
        """What is worked out of a field."""
        return len(self.text)


class Stamped(pydantic.BaseModel):
    """A model whose default differs each time."""

    at: float = pydantic.Field(default_factory=iter(range(100)).__next__)


class Old(pydantic.BaseModel):
    """A model with a model in a deprecated field."""

    inside: Message | None = pydantic.Field(None, deprecated="use another")


class Open(pydantic.BaseModel):
    """A model that takes any further field, and does not count them as set."""

    model_config = pydantic.ConfigDict(extra="allow")
    text: str


def given(value, **attributes):
    """`value` with attributes that its class does not declare."""
    for name, content in attributes.items():
        object.__setattr__(value, name, content)
    return value


def noted(note):
    """A model with something in its private attribute."""
    value = Noted(text="a")
    value._note = note
    return value


def extra_that_was_not_set():
    """As the constructors of SDKs make them."""
    value = Open(text="a", more=1)
    value.__pydantic_fields_set__.discard("more")
    return value


DAY = dt.date(2026, 1, 1)
VALUES = {
    "what an InitVar led to": (Page, Page("x", "de")),
    "an attribute that was set later": (Page, given(Page("x"), usage={"tokens": 3, 1: (2,)})),
    "such an attribute within": (dict[str, list[Page]], {"a": [Page("x"), Page("x", "de")]}),
    "fields that were not set": (Message, Message(role="user", content="Hi")),
    "fields that were set to their defaults": (Message, Message(role="user", tool_calls=None)),
    "fields that were not set, within": (
        Chat,
        Chat(messages=[Message(role="a"), Message(role="b", content=None)]),
    ),
    "models in dicts": (Chat, Chat(messages=[], by_name={"a": Message(role="a")})),
    "models in lists": (list[Message], [Message(role="a"), Message(role="b", content="c")]),
    "models in tuples": (tuple[Message, int], (Message(role="a"), 1)),
    "models in unions": (Message | str, Message(role="a")),
    "a default that differs each time": (Stamped, Stamped()),
    "a deprecated field": (Old, Old(inside=Message(role="a"))),
    "a private attribute": (Noted, noted("b")),
    "a private attribute of any type": (
        Noted,
        noted({"a": (1, b"\xff"), "b": dt.date(2026, 1, 1)}),
    ),
    "what an SDK attaches": (Message, given(Message(role="a"), _request_id="req_1")),
    "further fields that were not set": (Open, extra_that_was_not_set()),
    "models without a value for a private attribute": (list[Noted], [Noted(), noted(1)]),
    "the name of a fixed time zone": (
        dt.datetime,
        dt.datetime(2026, 7, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=2), "CEST")),
    ),
    "that name within a model": (
        Chat,
        Chat.model_construct(
            messages=[],
            when=dt.datetime(2026, 7, 1, tzinfo=dt.timezone(dt.timedelta(hours=-3), "BRT")),
        ),
    ),
}


def state(value):
    """All that a value holds, in text."""
    match value:
        case list() | tuple():
            return [state(item) for item in value]
        case dict():
            return {name: state(item) for name, item in value.items()}
        case pydantic.BaseModel():
            private = value.__pydantic_private__
            return [
                type(value),
                state(value.__dict__),
                sorted(value.model_fields_set),
                value.model_extra,
                private,
            ]
        case Page():
            return [type(value), state(value.__dict__)]
        case dt.datetime():
            return [str(value), value.tzname(), type(value.tzinfo)]
        case _:
            return value


@pytest.mark.parametrize(("returned", "value"), VALUES.values(), ids=VALUES)
def test_a_value_keeps_its_state(delivered, returned, value):
    """For its first caller, too, who gets a copy as all others do."""

    def generate():
        return value

    generate.__annotations__["return"] = returned
    for copy in delivered(generate):
        assert state(copy) == state(value)
        assert is_same(copy, value)
        assert copy is not value


def test_what_was_not_set_is_not_sent_back(delivered):
    """A message that came from the cache dumps as the one that the API sent."""

    def generate() -> Message:
        return Message(role="assistant", content="Hi")

    sent = {"role": "assistant", "content": "Hi"}
    assert [copy.model_dump(exclude_unset=True) for copy in delivered(generate)] == [sent] * 3


def test_what_is_worked_out_is_no_state():
    """A cached property is worked out again, whether it was before or not."""
    value = noted("b")
    assert value.length == 1
    kept = codec_for(Noted).encode(value)
    assert isinstance(kept, Encoded)
    came_back = codec_for(Noted).decode(kept.body, kept.encoding)
    assert "length" not in vars(came_back)
    assert came_back.length == 1


@pytest.mark.parametrize(
    ("returned", "value", "name"),
    [
        (Page, given(Page("x"), client=threading.Lock()), "client"),
        (Noted, noted(threading.Lock()), "_note"),
        (list[Page], [given(Page("x"), client=threading.Lock())], r"[0].client"),
    ],
    ids=["dataclass", "model", "within"],
)
def test_state_that_cannot_come_back_is_not_stored(returned, value, name):
    """The reason names it."""
    refusal = codec_for(returned).encode(value)
    assert isinstance(refusal, NotStorable)
    assert f"{name} is a lock" in refusal.reason


def test_a_dataclass_with_slots_comes_back_by_its_fields():
    """Frozen or not, it has nothing beside them."""
    kept = codec_for(list[Frozen | Page]).encode([Frozen("a"), Page("b", "de")])
    assert isinstance(kept, Encoded)
    came_back = codec_for(list[Frozen | Page]).decode(kept.body, kept.encoding)
    assert came_back[0] == Frozen("a")
    assert came_back[1].footer == "written in de"


BEFORE = {
    "json": b'{"role":"user","content":"Hi","tool_calls":null}',
    "json-wide": b'{"role": "user", "content": "Hi", "tool_calls": null}',
}


@pytest.mark.parametrize("encoding", BEFORE)
def test_what_an_earlier_release_stored_is_read(encoding):
    """As it was read then: what was set nobody noted."""
    value = codec_for(Message).decode(BEFORE[encoding], encoding)
    assert value == Message(role="user", content="Hi")
    assert value.model_fields_set == {"role", "content", "tool_calls"}


def test_a_field_that_the_class_has_got_since_is_at_its_default():
    """It counts as not set, like all others that nobody set."""
    before = pydantic.create_model("Answer", text=(str, ...), note=(str, ""))
    now = pydantic.create_model("Answer", text=(str, ...), note=(str, ""), tone=(str, "warm"))
    kept = codec_for(before).encode(before(text="a"))
    assert isinstance(kept, Encoded)
    value = codec_for(now).decode(kept.body, kept.encoding)
    assert value.model_fields_set == {"text"}
    assert value.tone == "warm"


CHANGED = {
    "a field of another type": {"text": (int, ...), "note": (Any, None)},
    "a field that is gone": {"note": (Any, None)},
    "a new field without a default": {
        "text": (str, ...),
        "note": (Any, None),
        "tone": (str, ...),
    },
}


@pytest.mark.parametrize("fields", CHANGED.values(), ids=CHANGED)
def test_a_tree_is_not_taken_for_a_class_that_has_changed(fields):
    """What was stored before the class changed is generated anew."""
    before = pydantic.create_model("Answer", text=(str, ...), note=(Any, None))
    kept = codec_for(before).encode(before(text="a", note=(1, 2)))
    assert isinstance(kept, Encoded)
    assert kept.encoding == "json-tree"
    now = pydantic.create_model("Answer", **fields)
    with pytest.raises(DecodeError):
        codec_for(now).decode(kept.body, kept.encoding)


TREES = {
    "another class": '{"$object":{"class":"threading:Thread","fields":{}}}',
    "no class": '{"$object":{}}',
    "a function": '{"$value":["os:system","true"]}',
    "a builtin": '{"$value":["builtins:eval","1"]}',
    "unknown tag": '{"$eval":"1"}',
    "method as a tag": '{"$write":"1"}',
    "two tags": '{"$tuple":[],"$set":[]}',
    "no base64": '{"$bytes":"%"}',
    "no number": '{"$int":"x"}',
    "no member": '{"$enum":["test_state:Message","role"]}',
    "not its type": '{"role":"user"}',
    "deep": "[" * 100_000 + "]" * 100_000,
}


@pytest.mark.parametrize("body", TREES.values(), ids=TREES)
def test_a_tree_that_was_never_written_is_no_value(body):
    """Whatever it says: it names classes of the return type, and nothing is run."""
    for returned in (Message, Any, str, list[Message]):
        with pytest.raises(DecodeError):
            codec_for(returned).decode(body.encode(), "json-tree")


BESIDE = [
    b"",
    b"[",
    b"[,]",
    b"[5,[[]],{}]",
    b"[-1,[],{}]",
    b'[2,[],{"role":1}]',
    b"[9999999999999,[],{}]",
    b'[18,[[["x"],{"more":1}]],{"role":"a"}]',
    b'[10,[[[],[]]],{"role":"a"}]',
    b'{"role":"a"}',
]


@pytest.mark.parametrize("body", BESIDE, ids=range(len(BESIDE)))
def test_a_damaged_state_is_no_value(body):
    """It is a DecodeError, whatever is wrong with it."""
    for returned in (Message, Any, str):
        with pytest.raises(DecodeError):
            codec_for(returned).decode(body, "json-beside")


def test_what_has_a_type_is_not_read_without_one(make_cache):
    """A function that says no type does not get JSON in place of what another has stored."""

    def typed() -> Message:
        return Message(role="user")

    def says_nothing():
        return {"role": "new"}

    cache = make_cache()
    cache.get_or_generate_sync("values", typed)
    assert cache.get_or_generate_sync("values", says_nothing) == {"role": "new"}


def test_whoever_looks_sees_plain_json(make_cache):
    """In listings and `peek` of a cache that knows no types, names of classes are left out."""
    cache = make_cache()

    def beside() -> Message:
        return Message(role="user")

    def tree() -> Noted:
        return noted((b"\xff", dt.date(2026, 1, 1)))

    cache.get_or_generate_sync("beside", beside)
    cache.get_or_generate_sync("tree", tree)
    shown = {entry.prefix: cache.find(entry.id)[0].value for entry in cache.entries()}
    assert shown["beside"] == {"role": "user", "content": None, "tool_calls": None}
    assert shown["tree"] == {"text": "a"}
    peeked = cache.peek("beside")
    assert peeked is not None
    assert peeked.value == shown["beside"]
