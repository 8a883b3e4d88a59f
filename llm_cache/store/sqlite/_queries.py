"""Builds SQL conditions for selections and expired entries, and measures what they select."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_cache.store.records import Group, Selection
from llm_cache.store.sqlite._rows import SIZE

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from llm_cache.core.policy_resolution import Policy, Said
    from llm_cache.store.sqlite._connection import ReadRows

_USED: Final = """
SELECT (page_count - freelist_count) * page_size
FROM pragma_page_count, pragma_freelist_count, pragma_page_size
"""
ALL: Final = "true"
"""The condition of an empty selection."""
_MEASURED: Final = f"{SIZE} AS size, generation_seconds, cost_usd"


def _measures(size: str) -> str:
    return f"""count(*), ifnull(sum({size}), 0),
    ifnull(sum(generation_seconds), 0.0), ifnull(sum(cost_usd), 0.0),
    count(*) - count(generation_seconds), count(*) - count(cost_usd)"""


MEASURES: Final = _measures(SIZE)
"""The fields of a `Group` but for its reason, of some rows."""
_OF_MEASURED: Final = _measures("size")
Clause = tuple[str, tuple[Any, ...]]
"""A condition on `entries`, or another expression, and its bindings."""


def clause(which: Selection) -> Clause:
    """The condition for a selection."""
    conditions: list[str] = []
    bindings: list[Any] = []
    if which.keys is not None:
        # As one binding: SQLite takes no more than 32,766.
        conditions.append("key IN (SELECT unhex(value) FROM json_each(?))")
        bindings.append(orjson.dumps([key.hex() for key in which.keys]).decode())
    if which.key_digits is not None:
        low = bytes.fromhex(which.key_digits.ljust(64, "0"))
        high = bytes.fromhex(which.key_digits.ljust(64, "f"))
        conditions.append("key BETWEEN ? AND ?")
        bindings += (low, high)
    if which.prefix is not None:
        conditions.append("prefix = ?")
        bindings.append(which.prefix)
    if which.tenant is not None:
        conditions.append("tenant = ?")
        bindings.append(which.tenant)
    return " AND ".join(conditions) or ALL, tuple(bindings)


def expired_clauses(prefix: str, policy: Policy, now: float) -> list[Clause]:
    """What is expired of `prefix`: conditions that exclude each other, each indexed.

    It is `judge(entry, policy, now)` in SQL: of ttl, jitter, grace and stale_if_error each what the
    call said that made the entry, else the file of the prefix, else the decorator, else the rest.
    """
    kept = _kept_after_ttl(policy)
    jittered = _jittered(prefix, policy, kept, now)
    if policy.ttl_jitter:
        return [jittered]
    where, bindings = jittered
    in_full = [
        (f"prefix = ? AND {place} AND NOT {_REMEMBERS_JITTER}", (prefix, *values))
        for place, values in _ended(policy, kept, now)
    ]
    return [*in_full, (f"{where} AND {_REMEMBERS_JITTER}", bindings)]


_REMEMBERS_JITTER: Final = "(call_ttl_jitter IS NOT NULL OR decorator_ttl_jitter IS NOT NULL)"
_ROUNDING_S: Final = 0.001


def _ended(policy: Policy, kept: Clause, now: float) -> Iterator[Clause]:
    """That the whole ttl and what comes after it are over: by each place a ttl can come from.

    The first half of each is what an index can seek to.
    """
    ttl, _ = policy.ttl()
    served, of_served = kept
    remembered = {"call_ttl": "call_ttl IS NOT NULL"}
    others = "call_ttl IS NULL"
    if policy.prefix_ttl is None:
        remembered["decorator_ttl"] = f"{others} AND decorator_ttl IS NOT NULL"
        others += " AND decorator_ttl IS NULL"
    for column, where in remembered.items():
        ends = f"created_at + {column}"
        is_over = f"{ends} <= ? AND {ends} + iif({column} > 0, {served}, 0) <= ?"
        yield f"{where} AND {is_over}", (now, *of_served, now)
    yield (
        f"{others} AND created_at <= ? AND created_at + ? + iif(? > 0, {served}, 0) <= ?",
        (now - ttl + _ROUNDING_S, ttl, ttl, *of_served, now),
    )


def _jittered(prefix: str, policy: Policy, kept: Clause, now: float) -> Clause:
    """That a ttl is over that may be shorter than was said; first without asking by how much."""
    of_ttl = "call_ttl" if policy.prefix_ttl is not None else "call_ttl, decorator_ttl"
    ttl, ttls = f"coalesce({of_ttl}, ?)", (policy.ttl()[0],)
    jitter, jitters = _nearest("ttl_jitter", policy.said_ttl_jitter, policy.ttl_jitter)
    served, of_served = kept

    def is_over(share: str) -> str:
        return f"created_at + {ttl} * (1 - {jitter} * {share}) + iif({ttl} > 0, {served}, 0) <= ?"

    return (
        f"prefix = ? AND created_at <= ? AND {is_over('1')} AND {is_over('share_of(key)')}",
        (prefix, now, *(*ttls, *jitters, *ttls, *of_served, now) * 2),
    )


def _kept_after_ttl(policy: Policy) -> Clause:
    """Seconds that an entry is served after its ttl, one way or the other."""
    grace, of_grace = _nearest("grace", policy.said_grace, policy.grace)
    fallback, of_fallback = _nearest(
        "stale_if_error", policy.said_stale_if_error, policy.stale_if_error
    )
    return f"max({grace}, {fallback})", (*of_grace, *of_fallback)


def _nearest(field: str, said: Said, otherwise: float) -> Clause:
    """`said.nearest`, of what an entry remembers."""
    if said.call is not None:
        return "?", (said.call,)
    nearest = said.prefix if said.prefix is not None else said.decorator
    if nearest is not None:
        return f"ifnull(call_{field}, ?)", (nearest,)
    return f"coalesce(call_{field}, decorator_{field}, ?)", (otherwise,)


def unless(condition: Clause, others: Iterable[Clause]) -> Clause:
    """What a condition selects and none of the others does."""
    parts = [condition, *others]
    where = " AND NOT ".join(f"({where})" for where, _ in parts)
    return where, tuple(value for _, bindings in parts for value in bindings)


def measure(
    read: ReadRows,
    condition: Clause,
    why: str,
    *,
    look_at: int | None = None,
    table: str = "entries",
) -> Group:
    """How much a condition selects; with `look_at`, of so many entries at most."""
    where, bindings = condition
    selected = f"SELECT {_MEASURED} FROM {table} WHERE {where} LIMIT ?"
    limit = -1 if look_at is None else look_at
    rows = read(f"SELECT {_OF_MEASURED} FROM ({selected})", (*bindings, limit))
    # None where the file is gone.
    return Group(why, *rows[0]) if rows else Group(why, 0, 0)


def used_bytes(read: ReadRows) -> int:
    """Bytes of the file that are in use; 0 where it is gone."""
    rows = read(_USED)
    return int(rows[0][0]) if rows else 0
