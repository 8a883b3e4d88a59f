"""Which values are not to be kept: what is empty, cut off, filtered or a refusal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llm_cache.core._responses import ended_by, is_empty

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_CUT_OFF: Final = frozenset(
    {"length", "max_tokens", "max_output_tokens", "model_context_window_exceeded"}
)
_FILTERED: Final = frozenset({"content_filter", "content_filtered"})
_REFUSED: Final = frozenset({"refusal"})


def _was_ended_by(reasons: frozenset[str]) -> Callable[[object], bool]:
    return lambda value: not reasons.isdisjoint(ended_by(value))


GATES: Final[Mapping[str, tuple[str, Callable[[object], bool]]]] = {
    "not_empty": ("empty", is_empty),
    "not_truncated": ("truncated", _was_ended_by(_CUT_OFF)),
    "not_filtered": ("filtered", _was_ended_by(_FILTERED)),
    "not_refused": ("refused", _was_ended_by(_REFUSED)),
}
"""By name: the reason of what does not pass, and the test for it."""


def reason_not_to_keep(
    value: object, store_if: Iterable[str], cache_if: Callable[[Any], bool] | None
) -> str | None:
    """Why the gates do not let a value through, in a word; None if they do.

    A test that raises lets nothing through: better to pay again than to keep what nobody wants.
    """
    for name in store_if:
        reason, stops = GATES[name]
        if stops(value):
            return reason
    if cache_if is None:
        return None
    try:
        return None if cache_if(value) else "cache_if"
    except Exception as error:  # noqa: BLE001 - the user's code
        return f"cache_if raised {type(error).__name__}"
