"""Taking entries out of the SQLite file, with the totals kept right in the same transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from llm_cache.stores.base import Group, Selection
from llm_cache.stores.connection import run
from llm_cache.stores.rows import STORED_COLUMNS

if TYPE_CHECKING:
    import apsw

    from llm_cache.policy import Policy
    from llm_cache.stores.connection import Read

Clause = tuple[str, tuple[Any, ...]]
"""A condition on `entries` and its bindings."""


def clause(which: Selection) -> Clause:
    """The condition that says what a selection says."""
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
    return " AND ".join(conditions) or "true", tuple(bindings)


def expired_clauses(prefix: str, policy: Policy, now: float) -> list[Clause]:
    """What is expired of `prefix`: a condition for each place a ttl can come from, each indexed.

    It is `judge(entry, policy, now)` in SQL: the ttl of the call that made the entry, else the
    file's, else that of the decorator, else the default.
    """
    cut = now - policy.kept_after_ttl
    conditions: list[Clause] = [
        ("prefix = ? AND call_ttl IS NOT NULL AND created_at + call_ttl <= ?", (prefix, cut))
    ]
    ttl, _ = policy.ttl()
    if policy.prefix_ttl is not None:
        own_age = "prefix = ? AND call_ttl IS NULL AND created_at <= ?"
        return [*conditions, (own_age, (prefix, cut - ttl))]
    return [
        *conditions,
        (
            (
                "prefix = ? AND call_ttl IS NULL AND decorator_ttl IS NOT NULL "
                "AND created_at + decorator_ttl <= ?"
            ),
            (prefix, cut),
        ),
        (
            "prefix = ? AND call_ttl IS NULL AND decorator_ttl IS NULL AND created_at <= ?",
            (prefix, cut - ttl),
        ),
    ]


def measure(read: Read, condition: Clause, why: str) -> Group:
    """How much a condition selects."""
    where, bindings = condition
    measures = "count(*), ifnull(sum(size_bytes), 0), ifnull(sum(generation_seconds), 0.0)"
    sql = f"SELECT {measures} FROM entries WHERE {where}"  # noqa: S608 - our own conditions, values are bound
    return Group(why, *read(sql, bindings)[0])


def remove(
    connection: apsw.Connection, condition: Clause, why: str, *, keep_at: float | None = None
) -> Group:
    """Drops what a condition selects; with `keep_at`, an instant, it goes to the trash."""
    where, bindings = condition
    if keep_at is not None:
        run(
            connection,
            f"INSERT INTO trash (removed_at, {STORED_COLUMNS}) "  # noqa: S608
            f"SELECT ?, {STORED_COLUMNS} FROM entries WHERE {where} "
            "ON CONFLICT (key) DO NOTHING",
            (keep_at, *bindings),
        )
    gone = run(
        connection,
        f"DELETE FROM entries WHERE {where} RETURNING "  # noqa: S608
        "tenant, prefix, size_bytes, value_bytes, ifnull(generation_seconds, 0.0)",
        bindings,
    )
    totals: dict[tuple[str, str], list[int]] = {}
    for tenant, prefix, size_bytes, value_bytes, _ in gone:
        total = totals.setdefault((tenant, prefix), [0, 0, 0])
        for place, amount in enumerate((1, size_bytes, value_bytes)):
            total[place] -= amount
    for (tenant, prefix), amounts in totals.items():
        add_to_totals(connection, tenant, prefix, *amounts)
    return Group(why, len(gone), sum(row[2] for row in gone), sum(row[4] for row in gone))


def add_to_totals(
    connection: apsw.Connection,
    tenant: str,
    prefix: str,
    entries: int,
    size_bytes: int,
    value_bytes: int,
) -> None:
    """Adds to what is held of a prefix; a prefix of which nothing is left has no total."""
    run(
        connection,
        "INSERT INTO totals (tenant, prefix, entries, size_bytes, value_bytes) "
        "VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET entries = entries + excluded.entries, "
        "size_bytes = size_bytes + excluded.size_bytes, "
        "value_bytes = value_bytes + excluded.value_bytes",
        (tenant, prefix, entries, size_bytes, value_bytes),
    )
    if entries < 0:
        run(
            connection,
            "DELETE FROM totals WHERE tenant = ? AND prefix = ? AND entries <= 0",
            (tenant, prefix),
        )
