"""A file of this release turned back into one of an older release, by what each migration did."""

import re
from typing import Final

from llm_cache.core.policy_resolution import Remembered
from llm_cache.store.sqlite._schema import MIGRATIONS

_FIRST_LEASES: Final = re.search(r"CREATE TABLE leases.*?WITHOUT ROWID;", MIGRATIONS[0], re.DOTALL)
_UNDONE: Final = {
    2: "DROP TABLE leases; DROP TABLE waits;"
    "DELETE FROM meta WHERE name IN ('fence', 'invalidations');" + _FIRST_LEASES.group(),
    3: "DROP TABLE refusals; DROP TABLE notes; ALTER TABLE usage DROP COLUMN unpriced;"
    "ALTER TABLE usage DROP COLUMN saved_unpriced;",
    4: "DROP INDEX entries_by_jitter;"
    + "".join(
        f"ALTER TABLE {table} DROP COLUMN {column};"
        for table in ("entries", "trash")
        for column in Remembered._fields
    ),
    5: "UPDATE totals SET size_bytes = (SELECT sum(size_bytes) FROM entries AS e"
    " WHERE e.tenant = totals.tenant AND e.prefix = totals.prefix);",
    6: "UPDATE entries SET param_digests = x'00'; UPDATE trash SET param_digests = x'00';"
    "PRAGMA writable_schema = ON;"
    "UPDATE sqlite_schema SET sql ="
    " replace(sql, 'param_digests BLOB', 'param_digests BLOB NOT NULL')"
    " WHERE name IN ('entries', 'trash'); PRAGMA writable_schema = RESET;"
    "CREATE INDEX entries_by_params ON entries (tenant, prefix, version, param_digests);",
}
"""By the version that it takes back."""


def back_to(version: int) -> str:
    """The statements that make a file of this release one of an older `version`."""
    assert len(MIGRATIONS) == max(_UNDONE), "say here how the newest migration is undone"
    undone = "".join(_UNDONE[number] for number in range(len(MIGRATIONS), version, -1))
    return f"{undone} PRAGMA user_version = {version};"
