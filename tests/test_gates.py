"""What is empty, cut off, filtered or refused is told by its shape, as object and as dict."""

import dataclasses
import types

import pytest

from llm_cache.core._responses import told_by
from llm_cache.core.gates import GATES, reason_not_to_keep


def chat(content="Hello.", finish="stop", **message):
    """An answer of OpenAI's chat completions."""
    return {
        "object": "chat.completion",
        "model": "gpt-4o-mini-2024-07-18",
        "choices": [{"finish_reason": finish, "message": {"content": content, **message}}],
        "usage": {
            "prompt_tokens": 20,
            "completion_tokens": 7,
            "total_tokens": 27,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
    }


def completion(text="Hello.", finish="stop"):
    """An answer of OpenAI's older completions."""
    return {"object": "text_completion", "choices": [{"finish_reason": finish, "text": text}]}


def response(text="Hello.", status="completed", reason=None, **part):
    """An answer of OpenAI's responses."""
    content = [{"type": "output_text", "text": text, **part}]
    return {
        "object": "response",
        "model": "gpt-5",
        "status": status,
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": [{"type": "message", "content": content}],
        "usage": {
            "input_tokens": 20,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 7,
        },
    }


def message(text="Hello.", stop="end_turn"):
    """An answer of Anthropic's messages."""
    return {
        "type": "message",
        "model": "claude-sonnet-4-5",
        "stop_reason": stop,
        "content": [{"type": "text", "text": text}],
        "usage": {
            "input_tokens": 8,
            "cache_read_input_tokens": 10,
            "cache_creation_input_tokens": 2,
            "output_tokens": 7,
        },
    }


def langchain(text="Hello.", finish="stop"):
    """A message of LangChain."""
    return {
        "type": "ai",
        "content": text,
        "tool_calls": [],
        "response_metadata": {"finish_reason": finish, "model_name": "gpt-4o-mini"},
        "usage_metadata": {"input_tokens": 20, "output_tokens": 7},
    }


def as_object(value):
    """The same with attributes in place of names."""
    match value:
        case dict():
            return types.SimpleNamespace(**{name: as_object(v) for name, v in value.items()})
        case list():
            return [as_object(item) for item in value]
        case _:
            return value


KEPT = [
    *("text", 0, False, 0.0, ["x"], {"a": None}),
    *(chat(), completion(), response(), message(), langchain()),
    chat(content=None, tool_calls=[{"id": "1"}], finish="tool_calls"),
    chat(content=None, function_call={"name": "f"}),
    {**message(), "stop_reason": "tool_use", "content": [{"type": "tool_use", "name": "f"}]},
    {**response(), "output": [{"type": "function_call", "name": "f"}]},
    {**langchain(text=""), "tool_calls": [{"name": "f"}]},
    {"question": "2 + 2?", "choices": ["3", "4"], "content": []},
    {"question": "2 + 2?", "choices": [{"text": ""}], "status": "incomplete"},
    {"content": [], "output": [], "finish_reason": None},
]
STOPPED = [
    *(("empty", value) for value in (None, "", " \n\t", [], {}, (), set())),
    *(("empty", make("")) for make in (chat, completion, response, message, langchain)),
    ("empty", chat(content=None)),
    ("empty", {**message(), "content": []}),
    ("truncated", chat(finish="length")),
    ("truncated", completion(finish="length")),
    ("truncated", response(status="incomplete", reason="max_output_tokens")),
    ("truncated", message(stop="max_tokens")),
    ("truncated", message(stop="model_context_window_exceeded")),
    ("truncated", langchain(finish="length")),
    ("truncated", {"text": "a plain record", "finish_reason": "length"}),
    ("filtered", chat(finish="content_filter")),
    ("filtered", response(status="incomplete", reason="content_filter")),
    ("refused", chat(content=None, refusal="I cannot.")),
    ("refused", response(refusal="I cannot.")),
    ("refused", message(stop="refusal")),
]


@pytest.mark.parametrize("shape", [lambda value: value, as_object], ids=["dict", "object"])
@pytest.mark.parametrize("value", KEPT, ids=range(len(KEPT)))
def test_good_answers_pass_every_gate(value, shape):
    """Text, data of the user's own, and whole answers of the clients are kept."""
    assert reason_not_to_keep(shape(value), GATES, None) is None


@pytest.mark.parametrize("shape", [lambda value: value, as_object], ids=["dict", "object"])
@pytest.mark.parametrize(("reason", "value"), STOPPED, ids=range(len(STOPPED)))
def test_bad_answers_are_stopped_with_the_reason(reason, value, shape):
    """Each is stopped by the gate of its kind, and by no other."""
    shaped = value if value == {} else shape(value)
    assert reason_not_to_keep(shaped, [f"not_{reason}"], None) == reason
    others = [name for name in GATES if name != f"not_{reason}"]
    assert reason_not_to_keep(shaped, others, None) is None


def test_a_gate_in_code_decides_after_the_named_ones():
    """It is asked about what passed the others, and its reason is its name."""
    asked = []

    def is_long(value):
        asked.append(value)
        return len(value) > 3

    assert reason_not_to_keep("", ["not_empty"], is_long) == "empty"
    assert reason_not_to_keep("abc", ["not_empty"], is_long) == "cache_if"
    assert reason_not_to_keep("abcd", ["not_empty"], is_long) is None
    assert asked == ["abc", "abcd"]


def test_a_gate_that_raises_keeps_nothing():
    """The value still goes to its callers; the reason names the error's type only."""
    assert reason_not_to_keep("x", [], lambda value: value["y"]) == "cache_if raised TypeError"


def test_properties_that_raise_tell_nothing():
    """A user's object may do anything when it is looked at."""

    class Odd:
        @property
        def choices(self):
            raise RuntimeError

        stop_reason = usage = model = choices

    assert reason_not_to_keep(Odd(), GATES, None) is None
    assert told_by(Odd()) == told_by("text")


@dataclasses.dataclass
class Record:
    """An answer of the user's own making."""

    text: str
    finish_reason: str


def test_records_of_ones_own_may_say_how_they_ended():
    """A `finish_reason` of one's own is understood as the clients' are."""
    assert reason_not_to_keep(Record("x", "length"), ["not_truncated"], None) == "truncated"
    assert reason_not_to_keep(Record("x", "stop"), ["not_truncated"], None) is None


@pytest.mark.parametrize("shape", [lambda value: value, as_object], ids=["dict", "object"])
@pytest.mark.parametrize(
    ("answer", "model", "cached"),
    [
        (chat(), "gpt-4o-mini-2024-07-18", 4),
        (response(), "gpt-5", 0),
        (message(), "claude-sonnet-4-5", 10),
        (langchain(), "gpt-4o-mini", 0),
    ],
    ids=["chat", "response", "message", "langchain"],
)
def test_answers_tell_their_model_and_tokens(answer, model, cached, shape):
    """All that went in is counted, also what the provider had in a cache of its own."""
    told = told_by(shape(answer))
    assert (told.model, told.input_tokens, told.output_tokens) == (model, 20, 7)
    assert told.cached_tokens == cached


@pytest.mark.parametrize(
    "value", ["text", {"usage": "metered"}, {"usage": {"input_tokens": "9", "output_tokens": True}}]
)
def test_what_tells_nothing_stays_unknown(value):
    """Unknown is None, never 0."""
    told = told_by(value)
    assert (told.model, told.input_tokens, told.output_tokens) == (None, None, None)
