"""What a model's answer tells of itself, by its shape: no client's package is imported for it.

Known are the answers of OpenAI's chat, completions and responses calls, of Anthropic's messages,
and messages of LangChain, as objects or as the same in dicts. Anything else tells nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_COLLECTIONS: Final = (Mapping, Sequence, set, frozenset)
_PLAIN: Final = (str, bytes, int, float, type(None))


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What an answer says of its making; None where it does not.

    `input_tokens` are all that went in, `cached_tokens` those of them that the provider had in a
    cache of its own, which are cheaper.
    """

    model: str | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    cached_tokens: int = 0


NOTHING_TOLD: Final = Told()


def told_by(answer: object) -> Told:
    """The model and the tokens that an answer names."""
    if isinstance(answer, _PLAIN):
        return NOTHING_TOLD
    usage = _field(answer, "usage")
    if usage is None:
        usage = _field(answer, "usage_metadata")
    model = _text(_field(answer, "model")) or _text(
        _field(_field(answer, "response_metadata"), "model_name")
    )
    used = _count(usage, "prompt_tokens", "input_tokens")
    details = _field(usage, "prompt_tokens_details") or _field(usage, "input_tokens_details")
    cached = _count(details, "cached_tokens") or 0
    # Anthropic's counts leave out what was read from the provider's cache and written to it.
    read = _count(usage, "cache_read_input_tokens") or 0
    written = _count(usage, "cache_creation_input_tokens") or 0
    return Told(
        model=model,
        input_tokens=None if used is None else used + read + written,
        output_tokens=_count(usage, "completion_tokens", "output_tokens"),
        cached_tokens=cached + read,
    )


def is_empty(answer: object) -> bool:
    """Whether there is nothing in it: None, blank text, an empty collection or answer."""
    if answer is None:
        return True
    if isinstance(answer, str):
        return not answer.strip()
    anything: object = answer
    if isinstance(anything, _COLLECTIONS) and not cast("Collection[object]", anything):
        return True
    parts = list(_parts(answer))
    return bool(parts) and all(map(_says_nothing, parts))


def ended_by(answer: object) -> frozenset[str]:
    """Why the model stopped, in the provider's words, like `stop` or `content_filter`."""
    if isinstance(answer, _PLAIN):
        return frozenset()
    metadata = _field(answer, "response_metadata")
    holders = [answer, metadata, *_items(_field(answer, "choices"))]
    reasons = [_field(each, name) for each in holders for name in ("finish_reason", "stop_reason")]
    if _field(answer, "status") == "incomplete":
        reasons.append(_field(_field(answer, "incomplete_details"), "reason"))
    if any(_text(_field(part, "refusal")) for part in _parts(answer)):
        reasons.append("refusal")
    return frozenset(reason for reason in reasons if isinstance(reason, str))


def _parts(answer: object) -> Iterator[object]:
    """What an answer of a model consists of: its messages or blocks; nothing for other values."""
    for choice in _items(_field(answer, "choices")):
        if _field(choice, "finish_reason") is not None:
            message = _field(choice, "message")
            yield choice if message is None else message
    if _field(answer, "stop_reason") is not None:
        blocks = _items(_field(answer, "content"))
        yield from blocks or [{"text": ""}]
    if _field(answer, "object") == "response":
        for item in _items(_field(answer, "output")):
            yield from _items(_field(item, "content")) or [item]
    if _field(answer, "response_metadata") is not None:
        yield answer


def _says_nothing(part: object) -> bool:
    """Whether a message or block has neither text nor anything else to give."""
    calls = (_field(part, name) for name in ("tool_calls", "function_call", "audio", "refusal"))
    if any(calls) or _text(_field(part, "type")) not in (None, "text", "output_text", "ai"):
        return False
    texts = (_field(part, name) for name in ("content", "text"))
    return all(text is None or is_empty(text) for text in texts)


def _field(holder: object, name: str) -> Any:
    if isinstance(holder, _PLAIN):
        return None
    if isinstance(holder, Mapping):
        return cast("Mapping[object, object]", holder).get(name)
    try:
        return getattr(holder, name, None)
    except Exception:  # noqa: BLE001 - a property is the user's code
        return None


def _items(value: object) -> list[object]:
    return list(cast("list[object]", value)) if isinstance(value, list | tuple) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _count(holder: object, *names: str) -> int | None:
    for name in names:
        value = _field(holder, name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None
