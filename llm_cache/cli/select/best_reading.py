"""Of all that the words of `why` may mean: what comes nearest to what is there."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from llm_cache.api.requests import CanonicalRequest, CanonicalRequests
from llm_cache.cli.select.readings import (
    nearest_reading,
    params_json,
    plain_readings,
    stored_readings,
)
from llm_cache.core.policy import AUTO_VERSION

if TYPE_CHECKING:
    from llm_cache.api.cache import LLMCache
    from llm_cache.cli.select.params import TypedParam
    from llm_cache.cli.select.readings import Canonical, Stored
    from llm_cache.engine.explain import Why

VERSIONS_AT_MOST: Final = 20


def best_reading(
    cache: LLMCache, prefix: str, params: list[TypedParam], version: str | None
) -> Why:
    """What is true of the reading that comes nearest to what is there."""
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
    stored: Stored,
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
