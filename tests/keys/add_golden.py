"""Completes new golden vectors: `python tests/keys/add_golden.py`.

Write the new ones as the last lines of `golden.json`, with a name, a prefix and params (and a
tenant, version or variant), and without canonical, key and request: those are filled in here.
Compare the canonical JSON that is printed with docs/decisions/008-exact-keys.md before you commit.

What is in the file already is never changed: every cache out there stands on it. Where one of the
old vectors does not hold any more, the code is wrong, not the vector, and nothing is written.
"""

from __future__ import annotations

import json
import sys

from golden_inputs import GOLDEN, construct, digests_of, read_vectors

from llm_cache.core.keys import canonical_params


def main() -> int:
    """Fills in what is missing; returns 1, having written nothing, if an old vector is broken."""
    vectors = read_vectors()
    for vector in vectors:
        canonical = canonical_params(construct(vector["params"])).decode()
        if "canonical" not in vector:
            vector["canonical"] = canonical
            vector["key"], vector["request"] = digests_of(vector)
            sys.stdout.write(f"{vector['name']}: {canonical}\n")
        elif (canonical, digests_of(vector)) != (
            vector["canonical"],
            (vector["key"], vector["request"]),
        ):
            sys.stderr.write(f"{vector['name']!r} does not hold: repair llm_cache/keys.py\n")
            return 1
    lines = ",\n".join(json.dumps(vector) for vector in vectors)
    GOLDEN.write_text(f"[\n{lines}\n]\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
