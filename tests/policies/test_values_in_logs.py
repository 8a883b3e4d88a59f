"""No part of a value is in a log, a reason or a note, whatever goes wrong with it."""

import io
import json
import logging
import threading
from dataclasses import InitVar, dataclass
from pathlib import Path
from typing import Annotated, Any

import pydantic
import pytest
from pydantic_core import PydanticCustomError

from llm_cache import CachePolicy, KeyParamError
from llm_cache.core.values.codec import DecodeError, codec_for
from llm_cache.core.values.refusals import said_by_pydantic
from llm_cache.transfer.jsonl import LineError, from_line
from tests.exchange.samples import NOW, forged

CANARY = "canary-4111"


def fails(value):
    """A validator of the user's, which quotes what it was given."""
    raise ValueError(str(value))


def fails_with_a_kind(value):
    """One that makes up a kind of error of it."""
    raise PydanticCustomError(str(value), "{value}", {"value": value})


class Card(pydantic.BaseModel):
    """A model whose validator takes what it made of a number for a mistake."""

    number: str

    @pydantic.field_validator("number")
    @classmethod
    def _mask(cls, number):
        if number.startswith("#"):
            raise ValueError(number)
        return f"#{number}"


class Note(pydantic.BaseModel):
    """A model of a number."""

    text: int
    by_name: dict[str, int] = {}


class Loud(dict):  # type: ignore[type-arg]
    """A dict that says what it holds when it is looked into."""

    def items(self):
        """Fails."""
        raise RuntimeError(CANARY)

    __iter__ = items


class Sly(pydantic.BaseModel):
    """A model that cannot be written without saying what it holds."""

    text: str

    @pydantic.field_serializer("text")
    def _write(self, text):
        raise RuntimeError(text)


class Unequal:
    """What cannot be compared without saying what it holds."""

    def __eq__(self, other):
        raise KeyError(CANARY)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self):
        return CANARY


@dataclass
class Page:
    """A dataclass that fails when it is made of JSON."""

    text: str
    lang: InitVar[str]

    def __post_init__(self, lang):
        self.lock = threading.Lock()
        self.text = lang


CannotRead = Annotated[str, pydantic.AfterValidator(fails)]
CannotReadIt = Annotated[str, pydantic.AfterValidator(fails_with_a_kind)]
FAILING = {
    "value of another type": (Note, Note.model_construct(text=CANARY)),
    "value in a dict": (dict[str, Note], {CANARY: Note.model_construct(text=CANARY)}),
    "name of a dict": (Note, Note.model_construct(text=1, by_name={CANARY: CANARY})),
    "number as a name": (dict[int, int], {4111: CANARY}),
    "validator": (CannotRead, CANARY),
    "validator in a list": (list[CannotRead], [CANARY]),
    "validator that makes up a kind": (list[CannotReadIt], [CANARY]),
    "dict for a model": (Note, {"text": CANARY}),
    "text for a number": (int, CANARY),
    "serializer in anything": (dict[str, Any], {"a": Sly(text=CANARY)}),
    "collection": (Any, Loud(a=CANARY)),
    "comparison": (Any, [Unequal()]),
    "state": (Page, Page("", CANARY)),
    "exception": (Any, ValueError(CANARY)),
    "lone surrogate": (list[str], [CANARY + "\ud800"]),
    "bytes without a type": (Any, {"a": CANARY.encode()}),
}


@pytest.fixture
def log():
    """What the library logs, from DEBUG on."""
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    logger = logging.getLogger("llm_cache")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield written
    logger.removeHandler(handler)
    logger.setLevel(level)


def files_of(directory):
    """Everything in the cache's files."""
    return b"".join(path.read_bytes() for path in Path(directory).rglob("*") if path.is_file())


@pytest.mark.parametrize(("returned", "value"), FAILING.values(), ids=FAILING)
def test_why_a_value_is_not_kept_tells_none_of_it(make_cache, directory, log, returned, value):
    """Not in the log, the result, the statistics, the note of it, or any file."""
    cache = make_cache()

    def generate():
        return value

    generate.__annotations__["return"] = returned
    result = cache.lookup_sync("p", generate, n=1)
    assert result.not_stored is not None
    stats = json.dumps(cache.get_stats(), default=str)
    why = str(cache.why("p", n=1))
    cache.close()
    told = [log.getvalue(), result.not_stored, stats, why]
    assert "a value is not kept" in told[0]
    assert [text for text in told if "canary" in text or "4111" in text] == []
    assert b"canary" not in files_of(directory)


def test_a_card_is_kept_and_not_shown(make_cache, log):
    """What a validator refuses the second time comes back without it."""
    cache = make_cache()

    def card() -> Card:
        return Card(number=CANARY)

    assert cache.lookup_sync("p", card).not_stored is None
    assert "canary" not in log.getvalue()


@pytest.mark.parametrize("returned", [Note, CannotRead, list[CannotRead], int, dict[str, int]])
def test_what_cannot_be_read_is_not_shown(make_cache, log, returned):
    """An entry of another type is generated anew; its value is in no message and no traceback."""
    cache = make_cache()

    def says_nothing():
        return {CANARY: CANARY}

    def typed():
        return None

    typed.__annotations__["return"] = returned
    cache.get_or_generate_sync("p", says_nothing)
    cache.get_or_generate_sync("p", typed)
    assert "regenerated" in log.getvalue()
    assert "canary" not in log.getvalue()
    with pytest.raises(DecodeError) as raised:
        codec_for(returned).decode(f'["{CANARY}"]'.encode(), "json")
    assert "canary" not in str(raised.value)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_a_callback_that_fails_tells_its_kind_only(make_cache, log):
    """What it says may be of the value."""

    def on_event(event):
        raise LookupError(CANARY)

    cache = make_cache(on_event=on_event)
    cache.get_or_generate_sync("p", lambda: "text")
    assert "on_event raised LookupError" in log.getvalue()
    assert "canary" not in log.getvalue()


def test_a_gate_that_fails_tells_its_kind_only(make_cache, log):
    """What it says may be of the value."""

    def gate(value):
        raise LookupError(value)

    policy = CachePolicy(cache_if=gate)
    make_cache().get_or_generate_sync("p", lambda: CANARY, policy=policy)
    assert "cache_if raised LookupError" in log.getvalue()
    assert "canary" not in log.getvalue()


@pytest.mark.parametrize("name", ["value_json", "params_json"])
def test_a_line_that_is_not_taken_shows_no_value(name):
    """A field of an export is quoted in what is wrong with it, but for these."""
    with pytest.raises(LineError, match=f"its {name} is no text") as raised:
        from_line(forged(**{name: 4111}), trust=False, max_value_bytes=1000, now=NOW)
    assert "4111" not in str(raised.value)


def test_a_param_that_does_not_fit_is_told_by_pydantic_not_by_a_validator():
    """What pydantic says has no value in it; what a validator says may have."""
    for kind, said in (
        (int, "valid integer"),
        (CannotRead, "its validator refuses it"),
        (CannotReadIt, "its validator refuses it"),
    ):
        with pytest.raises(pydantic.ValidationError) as raised:
            pydantic.TypeAdapter(kind).validate_python(CANARY)
        assert said in said_by_pydantic(raised.value)
        assert "canary" not in said_by_pydantic(raised.value)


def test_a_class_without_a_schema_tells_no_value(make_cache):
    """What its schema says goes wrong may quote a default."""

    class Odd(pydantic.BaseModel):
        """A model without a schema."""

        @classmethod
        def __get_pydantic_json_schema__(cls, core_schema, handler):
            """Fails."""
            raise RuntimeError(CANARY)

    with pytest.raises(KeyParamError, match="class Odd") as raised:
        make_cache().get_or_generate_sync("p", lambda: "text", model=Odd)
    assert "canary" not in str(raised.value)
