"""Taking entries out of the SQLite file, with the totals kept right in the same transaction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from llm_cache.stores.base import Group, Selection
from llm_cache.stores.connection import run
from llm_cache.stores.rows import STORED_COLUMNS

if TYPE_CHECKING:
    import apsw

    from llm_cache.policy_table import Policy
    from llm_cache.stores.connection import Read

_ALL: Final = "true"
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
    return " AND ".join(conditions) or _ALL, tuple(bindings)


def expired_clauses(prefix: str, policy: Policy, now: float) -> list[Clause]:
    """What is expired of `prefix`: a condition for each place a ttl can come from, each indexed.

    It is `judge(entry, policy, now)` in SQL: the ttl of the call that made the entry, else the
    file's, else that of the decorator, else the default.
    """
    cut = now - policy.kept_after_ttl
    ttl, _ = policy.ttl()
    by_call = _expired_by("call_ttl", policy, cut)
    by_decorator = _expired_by("decorator_ttl", policy, cut)
    of_call: Clause = (
        f"prefix = ? AND call_ttl IS NOT NULL AND {by_call[0]}",
        (prefix, *by_call[1]),
    )
    by_age: Clause = ("created_at <= ?", (cut - ttl * (1 - policy.ttl_jitter),))
    if policy.ttl_jitter:
        by_age = (
            "created_at <= ? AND created_at + ? * (1 - ? * share_of(key)) <= ?",
            (*by_age[1], ttl, policy.ttl_jitter, cut),
        )
    if policy.prefix_ttl is not None:
        own_age = f"prefix = ? AND call_ttl IS NULL AND {by_age[0]}"
        return [of_call, (own_age, (prefix, *by_age[1]))]
    return [
        of_call,
        (
            f"prefix = ? AND call_ttl IS NULL AND decorator_ttl IS NOT NULL AND {by_decorator[0]}",
            (prefix, *by_decorator[1]),
        ),
        (
            f"prefix = ? AND call_ttl IS NULL AND decorator_ttl IS NULL AND {by_age[0]}",
            (prefix, *by_age[1]),
        ),
    ]


def _expired_by(ttl: str, policy: Policy, cut: float) -> Clause:
    """The condition that the ttl in a column was over at `cut`, with the policy's jitter."""
    if not policy.ttl_jitter:
        return f"created_at + {ttl} <= ?", (cut,)
    return f"created_at + {ttl} * (1 - ? * share_of(key)) <= ?", (policy.ttl_jitter, cut)


def measure(read: Read, condition: Clause, why: str) -> Group:
    """How much a condition selects."""
    where, bindings = condition
    measures = "count(*), ifnull(sum(size_bytes), 0), ifnull(sum(generation_seconds), 0.0)"
    sql = f"SELECT {measures} FROM entries WHERE {where}"  # noqa: S608 - our own conditions, values are bound
    rows = read(sql, bindings)  # none where the file is gone
    return Group(why, *rows[0]) if rows else Group(why, 0, 0)


def remove(
    connection: apsw.Connection, condition: Clause, why: str, *, keep_at: float | None = None
) -> Group:
    """Drops what a condition selects; with `keep_at`, an instant, it goes to the trash."""
    where, bindings = condition
    if keep_at is not None:
        run(
            connection,
            f"INSERT OR REPLACE INTO trash (removed_at, {STORED_COLUMNS}) "  # noqa: S608
            f"SELECT ?, {STORED_COLUMNS} FROM entries WHERE {where}",
            (keep_at, *bindings),
        )
    counts = "count(*), ifnull(sum(size_bytes), 0), ifnull(sum(generation_seconds), 0.0)"
    gone = run(connection, f"SELECT {counts} FROM entries WHERE {where}", bindings)[0]  # noqa: S608
    # All inside SQLite: in a damaged row even a prefix may be no text.
    run(
        connection,
        f"{_ADD_TO_TOTALS} SELECT tenant, prefix, -count(*), -sum(size_bytes), -sum(value_bytes) "  # noqa: S608
        f"FROM entries WHERE {where} GROUP BY 1, 2 {_SUM_UP}",
        bindings,
    )
    if where == _ALL:
        run(connection, "DELETE FROM entries")  # without a condition SQLite need not read the rows
    else:
        run(connection, f"DELETE FROM entries WHERE {where}", bindings)  # noqa: S608
    run(connection, "DELETE FROM totals WHERE entries <= 0")
    return Group(why, *gone)


_ADD_TO_TOTALS: Final = "INSERT INTO totals (tenant, prefix, entries, size_bytes, value_bytes)"
_SUM_UP: Final = """
ON CONFLICT DO UPDATE SET entries = entries + excluded.entries,
size_bytes = size_bytes + excluded.size_bytes, value_bytes = value_bytes + excluded.value_bytes
"""


def add_to_totals(
    connection: apsw.Connection,
    tenant: str,
    prefix: str,
    entries: int,
    size_bytes: int,
    value_bytes: int,
) -> None:
    """Adds to what is held of a prefix."""
    amounts = (tenant, prefix, entries, size_bytes, value_bytes)
    run(connection, f"{_ADD_TO_TOTALS} VALUES (?, ?, ?, ?, ?) {_SUM_UP}", amounts)
