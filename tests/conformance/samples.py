"""Entries to keep, whose keys, sizes and instants a test chooses, and a clock that it sets."""

import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace

from llm_cache.core.entry import Entry, EntryInfo
from llm_cache.core.keys import Identity, canonical_params
from llm_cache.core.policy import CachePolicy
from llm_cache.core.policy_resolution import Policy, PolicyTable
from llm_cache.store.protocol import Store
from llm_cache.store.records import EVERYTHING

T0 = 1_800_000_000.0
"""When the entries of a test begin, in epoch seconds."""
PREFIX = "intro_page"


class Clock:
    """Stands still until it is set."""

    def __init__(self, now: float = T0):
        self.now = now

    def __call__(self) -> float:
        return self.now


def an_entry(
    n: object = 0, *, prefix: str = PREFIX, tenant: str = "", version: str = "", **fields: object
) -> Entry:
    """The entry of the params `{"n": n}`, made at T0 unless `fields` say otherwise."""
    identity = Identity(prefix, canonical_params({"n": n}), version, tenant)
    entry = Entry(
        key=identity.key,
        request=identity.request,
        params_json=identity.params_json,
        prefix=prefix,
        encoding="json",
        size_bytes=0,
        value_bytes=0,
        created_at=T0,
        tenant=tenant,
        version=version,
        body=f'"text {n}"'.encode(),
    )
    return sized(replace(entry, **fields))


def sized(entry: Entry) -> Entry:
    """`entry` with the sizes and the instant of last use that belong to its body and age."""
    return replace(
        entry,
        size_bytes=len(entry.body) + len(entry.params_json),
        value_bytes=entry.value_bytes or len(entry.body),
        used_at=entry.used_at or entry.created_at,
    )


def big_entry(n: int, size_bytes: int, **fields: object) -> Entry:
    """An entry whose value cannot be compressed: `size_bytes` of a JSON string."""
    digits = random.Random(n).randbytes(size_bytes // 2).hex()
    return an_entry(n, body=f'"{digits}"'.encode(), **fields)


def keep(store: Store, *entries: Entry) -> None:
    """Puts entries one after the other; each has to be kept."""
    for entry in entries:
        assert store.put(entry)


def keys_of(entries: Iterable[EntryInfo]) -> list[bytes]:
    """The keys of a listing, in its order."""
    return [entry.key for entry in entries]


def policies(default: object = "1h", **prefixes: object) -> Callable[[str], Policy]:
    """What `prune` asks for a prefix's policy: a ttl for some prefixes, and one for the rest."""
    table = PolicyTable(
        prefixes={prefix: CachePolicy(ttl=ttl) for prefix, ttl in prefixes.items()},
        defaults=CachePolicy(ttl=default),
    )
    return table.resolve


def held(store: Store) -> Iterator[tuple[str, str, int, int, int]]:
    """What a listing finds, summed up as `totals` has it."""
    sums: dict[tuple[str, str], list[int]] = {}
    for info in store.select(which=EVERYTHING):
        total = sums.setdefault((info.prefix, info.tenant), [0, 0, 0])
        for place, amount in enumerate((1, info.size_bytes, info.value_bytes)):
            total[place] += amount
    for (prefix, tenant), amounts in sorted(sums.items()):
        yield (tenant, prefix, *amounts)
