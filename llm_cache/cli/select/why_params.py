"""Reads the params of `why` as what they may mean, and picks what comes nearest to what is there.

Params in canonical form are compared and put together here, so that a word stands for exactly the
value that `ls --param` finds by it: an enum, a date, a Decimal, a path.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import orjson

from llm_cache.api.requests import CanonicalRequest, CanonicalRequests
from llm_cache.core.keys import Identity, canonical_params
from llm_cache.core.policy import AUTO_VERSION
from llm_cache.core.redaction import REDACTED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from llm_cache.api.cache import LLMCache
    from llm_cache.cli.select.parse import TypedParam
    from llm_cache.core.entry import EntryInfo
    from llm_cache.engine.explain import Why

Canonical: TypeAlias = dict[str, Any]
"""Params as their canonical JSON reads: tagged, where JSON has no form for a value."""

READINGS_AT_MOST: Final = 64
_MARK: Final = b'{"$'
"""What the canonical JSON of params has in it that are not all plain."""
VERSIONS_AT_MOST: Final = 20


def best_reading(
    cache: LLMCache, prefix: str, params: list[TypedParam], version: str | None
) -> Why:
    """Explains the reading of the params that comes nearest to a stored entry."""
    asker = CanonicalRequests(cache, prefix)
    plain = plain_readings(params)
    only = _versions_asked_for(cache, prefix) if version is None else [version]
    versions = only or _versions_there(cache, prefix)
    requests = [
        CanonicalRequest(params_json(reading), each)
        for each, reading in itertools.product(versions, plain)
    ]
    for request in requests:
        if asker.is_there(request):
            return asker.why(request)
    stored = stored_readings(cache, prefix, params, asker.tenant, only)
    # What would be given goes before what is only there.
    for ttl, among in ((None, stored.requests), ("forever", [*requests, *stored.requests])):
        for request in among:
            if asker.is_there(request, ttl):
                return asker.why(request)
    return _nearest(asker, params, plain, versions[0], stored)


def _nearest(
    asker: CanonicalRequests,
    params: list[TypedParam],
    plain: list[Canonical],
    version: str,
    stored: StoredReadings,
) -> Why:
    """Of readings that nothing is stored for, the one that most is known of and that differs least.

    The first and the last plain ones are all JSON and all text; others have the words as entries
    have them, and one more as the nearest of these has them.
    """
    readings = plain[:1] + plain[1:][-1:]
    if stored.values:
        readings.append(nearest_reading(params, None, stored))
    found = {
        request: asker.why(request)  # each takes a look at all entries
        for request in (CanonicalRequest(params_json(reading), version) for reading in readings)
    }
    nearest = min(found.values(), key=lambda why: len(why.differences)).nearest
    if nearest is not None:
        request = CanonicalRequest(params_json(nearest_reading(params, nearest, stored)), version)
        found = {request: found.get(request) or asker.why(request), **found}
    return min(found.values(), key=lambda why: (-len(why.reasons), len(why.differences)))


def _versions_asked_for(cache: LLMCache, prefix: str) -> list[str]:
    """The version of the settings; none where they say none, or one that only code knows."""
    said = cache.policy_of(prefix).version
    return [] if said in ("", AUTO_VERSION) else [said]


def _versions_there(cache: LLMCache, prefix: str) -> list[str]:
    """No version, and those that are there."""
    there = (entry.version for entry in itertools.islice(cache.entries(prefix), 1000))
    return list(dict.fromkeys(["", *there]))[:VERSIONS_AT_MOST]


@dataclass(slots=True)
class StoredReadings:
    """What is stored under a prefix that the words may stand for, beside plain JSON.

    `requests` are those of entries that have exactly these params; `values` is, by param, the
    value that the newest entry has which shows it as the word.
    """

    requests: list[CanonicalRequest] = field(default_factory=list[CanonicalRequest])
    values: Canonical = field(default_factory=dict[str, Any])


def plain_readings(params: Collection[TypedParam]) -> list[Canonical]:
    """Every reading as JSON and as text: the first is all JSON, the last all text."""
    choices = itertools.product(*(map(_plain, param.values) for param in params))
    names = [_canonical_name(param.name) for param in params]
    return [
        dict(zip(names, values, strict=True))
        for values in itertools.islice(choices, READINGS_AT_MOST)
    ]


def stored_readings(
    cache: LLMCache,
    prefix: str,
    params: Collection[TypedParam],
    tenant: str,
    versions: Collection[str],
) -> StoredReadings:
    """What entries of a tenant are shown by these words; of any version if none is named."""
    found = StoredReadings()
    for info in cache.entries(prefix, tenant=tenant):
        if _MARK in info.params_json and not (versions and info.version not in versions):
            _look_at(info, params, found)
    return found


def _look_at(info: EntryInfo, params: Collection[TypedParam], found: StoredReadings) -> None:
    shown, there = _params_of(info)
    is_whole = len(shown) == len(params)
    choices: dict[str, list[Any]] = {}
    for param in params:
        name = _canonical_name(param.name)
        if _is_shown(param, shown):
            found.values.setdefault(name, there[name])
            choices[name] = [there[name]]
        elif shown.get(param.name) == REDACTED:
            choices[name] = [*map(_plain, param.values), *_secrets(param)]
        else:
            is_whole = False
    if is_whole:
        found.requests.extend(_of_entry(info, choices))


def _is_shown(param: TypedParam, shown: Mapping[str, object]) -> bool:
    return param.is_in(shown) and shown[param.name] != REDACTED


def _params_of(info: EntryInfo) -> tuple[dict[str, object], Canonical]:
    """An entry's params for a reader, and in canonical form; none of one that was tampered with."""
    try:
        return dict(info.params), orjson.loads(info.params_json)
    except (ValueError, TypeError, AttributeError):
        return {}, {}


def _of_entry(info: EntryInfo, choices: dict[str, list[Any]]) -> Iterator[CanonicalRequest]:
    """The request that the entry answers, if it is among the choices: of secrets it has none."""
    for values in itertools.islice(itertools.product(*choices.values()), READINGS_AT_MOST):
        reading = dict(zip(choices, values, strict=True))
        request = CanonicalRequest(params_json(reading), info.version)
        identity = Identity(info.prefix, request.params_json, info.version, info.tenant)
        if identity.key == info.key:
            yield request
            return


def nearest_reading(
    params: Iterable[TypedParam], nearest: EntryInfo | None, stored: StoredReadings
) -> Canonical:
    """The words as an entry has them: its own values, else stored ones, else its kinds."""
    shown, theirs = ({}, {}) if nearest is None else _params_of(nearest)
    reading: Canonical = {}
    for param in params:
        name = _canonical_name(param.name)
        if _is_shown(param, shown):
            reading[name] = theirs[name]
        elif name in stored.values:
            reading[name] = stored.values[name]
        else:
            reading[name] = _plain(param.nearest_to(shown))
    return reading


def params_json(reading: Canonical) -> bytes:
    """The canonical JSON again that a reading was read from."""
    return orjson.dumps(_dumpable(reading), option=orjson.OPT_SORT_KEYS)


def _plain(value: object) -> Any:
    return orjson.loads(canonical_params({"": value}))[""]


def _secrets(param: TypedParam) -> Iterator[Any]:
    """What was hidden as a secret may have been a `SecretStr`."""
    texts = (value for value in param.values if isinstance(value, str))
    yield from ({"$secret:SecretStr": text} for text in texts)


def _canonical_name(name: str) -> str:
    return f"${name}" if name.startswith("$") else name


def _dumpable(value: object) -> object:
    match value:
        case float():  # Python's own form, as keys have it
            return orjson.Fragment(float.__repr__(value))
        case dict():
            named = cast("Canonical", value)
            return {name: _dumpable(item) for name, item in named.items()}
        case list():
            return [_dumpable(item) for item in cast("list[object]", value)]
        case _:
            return value
