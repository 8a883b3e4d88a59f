"""Why a request would hit or miss: what is there, what was, and what is nearest to it."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from llm_cache.core.freshness import Freshness, freshness_window, judge
from llm_cache.core.policy import Mode, StoreParams
from llm_cache.core.redaction import REDACTED, comparable_params, show_params, stored_params
from llm_cache.core.result import Outcome, Reason
from llm_cache.core.units import rough_duration
from llm_cache.core.values.codec import DecodeError
from llm_cache.engine._flights import Failed
from llm_cache.errors import ReplayMissError, StoreError
from llm_cache.store.records import Selection

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from llm_cache.core.entry import Entry, EntryInfo
    from llm_cache.engine.call import Call
    from llm_cache.engine.steps import Components
    from llm_cache.store.records import Note

SHOWN_CHARS: Final = 60
SHOWN_DIFFERENCES: Final = 5
NEWEST_COMPARED: Final = 1000
"""How many entries of a prefix a request that misses is compared with."""
_KINDS: Final[tuple[tuple[type | tuple[type, ...], str], ...]] = (
    (type(None), "null"),
    (bool, "true or false"),
    ((int, float), "number"),
    (str, "string"),
    (list, "list"),
    (dict, "table"),
)
_TAGS: Final = {"$int": "number"}
NO_PARAMS: Final = b"{}"


@dataclass(frozen=True, slots=True)
class Difference:
    """A param in which a request and an entry differ; None where one of them has it not.

    `here` and `there` are JSON: what is asked for, and what is stored.
    """

    param: str
    here: str | None
    there: str | None
    hint: str = ""

    @property
    def is_certain(self) -> bool:
        """Whether they differ for sure: of what is redacted nobody can tell."""
        return None in (self.here, self.there) or REDACTED not in (self.here, self.there)

    def __str__(self) -> str:
        """The param, and both values."""
        if not self.is_certain:
            return f"{self.param} (redacted) may differ"
        if self.there is None:
            return f"{self.param} = {self.here} here, not given there"
        if self.here is None:
            return f"{self.param} = {self.there} there, not given here"
        hint = f": {self.hint}" if self.hint else ""
        return f"{self.param} = {self.here} here, {self.there} there{hint}"


@dataclass(frozen=True, slots=True)
class Why:
    """Whether a request would hit, and why not; `str()` is that in words.

    `entry` is what is stored under the request's very key, of whatever age. On a miss `nearest` is
    the one that differs least among the newest 1,000 entries of the same tenant and prefix, and
    `differences` in what.
    """

    prefix: str
    tenant: str
    key: str
    outcome: Outcome
    reasons: tuple[str, ...]
    entry: EntryInfo | None = None
    nearest: EntryInfo | None = None
    differences: tuple[Difference, ...] = ()

    def __str__(self) -> str:
        """A line for what would happen and why, and one for each difference."""
        first = f"{self.outcome}: {'; '.join(self.reasons)}"
        shown = [f"  {each}" for each in self.differences[:SHOWN_DIFFERENCES]]
        more = len(self.differences) - len(shown)
        lines = [first, *shown, *([f"  and {more} more"] if more else [])]
        # A name or a version may have line breaks of its own.
        return "\n".join(line.replace("\n", r"\n") for line in lines)


def explain(components: Components, call: Call, *, is_enabled: bool = True) -> Why:
    """Why a request would hit or miss now. Raises StoreError where nobody can tell."""
    bypassed = bypass_reason(call, is_enabled=is_enabled)
    if bypassed is not None:
        is_replay = call.policy.mode is Mode.REPLAY  # which never generates
        return _why(call, Outcome.MISS if is_replay else Outcome.BYPASS, bypassed)
    entry = components.store.get(call.identity.key)
    if entry is not None:
        return _of_entry(components, call, entry)
    noted = [_of_note(note, components.clock()) for note in _notes(components, call)]
    nearest = _nearest(components, call)
    if nearest is None:
        whose = f" for the tenant {call.identity.tenant!r}" if call.identity.tenant else ""
        return _why(call, Outcome.MISS, *noted, f"nothing is stored under this prefix{whose}")
    reasons, differences = _compared(call, nearest)
    return _why(
        call, Outcome.MISS, *noted, *reasons, nearest=nearest, differences=tuple(differences)
    )


def bypass_reason(call: Call, *, is_enabled: bool) -> Reason | None:
    """Why a request leaves the cache alone; None if it does not."""
    if not is_enabled:
        return Reason.DISABLED
    if call.policy.mode is Mode.OFF:
        return Reason.MODE_OFF
    return Reason.TTL_0 if call.policy.ttl()[0] <= 0 else None


def missed_in_replay(components: Components, call: Call, reason: Reason) -> Failed:
    """What a request gets in the mode `replay` that nothing recorded answers."""
    prefix = call.identity.prefix
    components.usage.count(call.identity.tenant, prefix, misses=1)
    try:
        why = str(explain(components, call)) if reason is Reason.NOTHING_STORED else str(reason)
    except StoreError as error:
        why = str(error)
    return Failed(
        ReplayMissError(f"{prefix}: the mode is replay, and nothing answers: {why}"), None
    )


def _why(call: Call, outcome: Outcome, *reasons: str, **known: Any) -> Why:
    identity = call.identity
    return Why(
        identity.prefix, identity.tenant, identity.key.hex(), outcome, tuple(reasons), **known
    )


def _of_entry(components: Components, call: Call, entry: Entry) -> Why:
    """What becomes of a request whose very entry is stored."""
    policy, now = call.policy, components.clock()
    made = f"made {_ago(now - entry.created_at)}"
    if policy.mode is Mode.REFRESH:
        return _why(call, Outcome.MISS, Reason.REFRESHED, made, entry=entry)
    try:
        call.codec.decode(entry.body, entry.encoding)
    except DecodeError:
        return _why(call, Outcome.MISS, Reason.OF_ANOTHER_TYPE, made, entry=entry)
    if policy.mode is Mode.REPLAY:
        return _why(call, Outcome.HIT, Reason.RECORDED, made, entry=entry)
    _, until = freshness_window(entry, policy)
    outcome, reasons = _by_age(judge(entry, policy, now), until - now)
    return _why(call, outcome, *reasons, made, entry=entry)


def _by_age(freshness: Freshness, left_s: float) -> tuple[Outcome, tuple[str, ...]]:
    """How an entry is answered with that has so many seconds left before its ttl ends."""
    expired = f"expired {_ago(-left_s)}"
    match freshness:
        case Freshness.FRESH if math.isinf(left_s):
            return Outcome.HIT, (Reason.FRESH, "never expires")
        case Freshness.FRESH:
            return Outcome.HIT, (Reason.FRESH, f"expires in {rough_duration(left_s)}")
        case Freshness.STALE:
            return Outcome.STALE, (expired, "is served while it is refreshed")
        case Freshness.FALLBACK:
            return Outcome.MISS, (expired, "is given if the generator fails")
        case Freshness.MISSING:
            return Outcome.MISS, (expired if left_s <= 0 else Reason.FROM_THE_FUTURE,)


def _notes(components: Components, call: Call) -> Iterator[Note]:
    """What was noted last of the key, and of its prefix if that came later."""
    with suppress(StoreError):  # what this process has counted and noted in the last second
        components.usage.flush()
    for note in components.store.notes(
        call.identity.tenant, call.identity.prefix, call.identity.key
    ):
        yield note
        if note.key:
            return


def _of_note(note: Note, now: float) -> str:
    when = _ago(now - note.at)
    if note.what == "refused":
        return f"it was not stored {when}: {note.reason}"
    what = "it was" if note.key else "all of this prefix was"
    return f"{what} {note.what} {when}"


def _ago(seconds: float) -> str:
    if seconds <= -1:
        return f"{rough_duration(-seconds)} from now"
    return "just now" if seconds < 1 else f"{rough_duration(seconds)} ago"


def _wanted_params(call: Call) -> bytes:
    policy = call.policy
    # With their names, where not even those are stored: what is not shown is not "not given".
    how = StoreParams.REDACTED if policy.store_params is StoreParams.NONE else policy.store_params
    return stored_params(
        call.identity.params_json, how, secret=policy.secret_params, public=policy.public_params
    )[0]


def _nearest(components: Components, call: Call) -> EntryInfo | None:
    """Of the newest entries of the same tenant and prefix the one that shares most params."""
    identity = call.identity
    wanted = comparable_params(_wanted_params(call))
    nearest: EntryInfo | None = None
    least = (math.inf, True)
    which = Selection(tenant=identity.tenant, prefix=identity.prefix)
    for entry in components.store.select(which, limit=NEWEST_COMPARED):
        with suppress(ValueError, AttributeError):  # a damaged row may hold anything
            differing = len(wanted ^ comparable_params(entry.params_json))
            place = (differing, entry.version != identity.version)
            if place < least:  # of several as near the newest, which comes first
                nearest, least = entry, place
    return nearest


def _compared(call: Call, nearest: EntryInfo) -> tuple[list[str], list[Difference]]:
    here, there = _wanted_params(call), nearest.params_json
    hides_all = nearest.redacted and there == NO_PARAMS
    differences = [] if hides_all else list(_differences(here, there))
    reasons: list[str] = []
    if nearest.version != call.identity.version:
        ours, theirs = call.identity.version or "none", nearest.version or "none"
        reasons.append(f"version differs: {ours} here, {theirs} there")
    certain = [each for each in differences if each.is_certain]
    if reasons and not certain:
        return [*reasons, f"the nearest entry is {nearest.id}"], []
    if certain:
        names = ", ".join(each.param for each in certain[:SHOWN_DIFFERENCES])
        reasons.append(f"the nearest entry, {nearest.id}, differs in {names}")
        return reasons, certain
    if differences or nearest.redacted:
        return [f"a redacted param may differ from those of {nearest.id}"], differences
    return [f"the nearest entry is {nearest.id}"], []


def _differences(here: bytes, there: bytes) -> Iterator[Difference]:
    ours, theirs = _loaded(here), _loaded(there)
    shown_here, shown_there = show_params(here), show_params(there)
    for name in sorted({*ours, *theirs}):
        shown = name[1:] if name.startswith("$$") else name
        mine = _shown(shown_here, shown) if name in ours else None
        other = _shown(shown_there, shown) if name in theirs else None
        # As text, since 1 == 1.0 == True.
        if mine is None or other is None or orjson.dumps(ours[name]) != orjson.dumps(theirs[name]):
            looks_alike = mine == other or str(shown_here.get(shown)) == str(shown_there.get(shown))
            is_in_both = mine is not None and other is not None
            hint = _hint(ours[name], theirs[name]) if is_in_both and looks_alike else ""
            yield Difference(shown, mine, other, hint)
        elif mine == REDACTED:
            yield Difference(shown, mine, other)


def _loaded(params_json: bytes) -> dict[str, object]:
    return cast("dict[str, object]", orjson.loads(params_json))


def _shown(params: Mapping[str, object], name: str) -> str:
    value = params.get(name)
    if value == REDACTED:
        return REDACTED
    text = orjson.dumps(value).decode()
    return text if len(text) <= SHOWN_CHARS else text[: SHOWN_CHARS - 1] + "…"


def _hint(here: object, there: object) -> str:
    """Which kinds the two are of, where that is what makes them differ to the eye."""
    ours, theirs = _kind(here), _kind(there)
    return f"{ours} and {theirs}" if ours != theirs else ""


def _kind(value: object) -> str:
    """The kind of a param as it is stored: tagged, where JSON has no form for it."""
    if isinstance(value, dict):
        tag = next(iter(cast("dict[str, object]", value)), "")
        if tag.startswith("$") and not tag.startswith("$$"):
            return _TAGS.get(tag, tag[1:].replace(":", " "))
    return next((word for kinds, word in _KINDS if isinstance(value, kinds)), "value")
