"""Rows that do not hold any more what was once written."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from llm_cache.stores.connection import run
from llm_cache.stores.rows import ENTRY_COLUMNS, DamagedRowError, to_entry

if TYPE_CHECKING:
    import apsw

GET: Final = f"SELECT {ENTRY_COLUMNS} FROM entries WHERE key = ?"  # noqa: S608 - our own names
_COUNT_AGAIN: Final = """
DELETE FROM totals;
INSERT INTO totals (tenant, prefix, entries, size_bytes, value_bytes)
SELECT tenant, prefix, count(*), sum(size_bytes), sum(value_bytes) FROM entries GROUP BY 1, 2;
"""


def is_damage(error: BaseException | None) -> bool:
    """Whether an error tells of damage: apsw raises this one for a text that is none."""
    return isinstance(error, UnicodeDecodeError)


def drop_if_damaged(connection: apsw.Connection, key: bytes) -> None:
    """Drops the row of `key`, unless a sound one has taken its place; to be called in a write.

    The totals are counted anew: what the row says of itself cannot be believed.
    """
    try:
        for row in run(connection, GET, (key,)):
            to_entry(row)
    except (DamagedRowError, UnicodeDecodeError):
        run(connection, "DELETE FROM entries WHERE key = ?", (key,))
        run(connection, _COUNT_AGAIN)
