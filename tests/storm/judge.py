"""Whether what the processes of a storm saw may have been."""

import bisect
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from llm_cache import LLMCache
from tests.storm.worker import began_at

Record = list


@dataclass
class Judge:
    """Counts what was done, and collects what should not have been."""

    counts: Counter[str] = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    _invalidated: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """By key: when invalidations had returned, and the latest beginning of those until then."""
    _put: dict[tuple[str, int], float] = field(default_factory=dict)
    """By key and instant of making: until when a value that was put may have come to be there."""

    def hear(self, logs: Iterable[Path]) -> None:
        """Judges all that was seen since it was last called, over all processes together."""
        records = [record for path in logs for record in _read(path)]
        self.counts.update(record[0] for record in records)
        of = {what: [facts for kind, *facts in records if kind == what] for what in self.counts}
        for facts in [*of.get("putting", ()), *of.get("put", ())]:
            self._note_put(*facts)
        self._note_invalidations(of.get("invalidated", ()))
        for key, begun, began in of.get("answered", ()):
            if self._put.get((key, began), began) < self._invalidated_before(key, begun):
                self.wrong.append(f"{key}: made before it was invalidated")
        self.wrong += [f"{key}: {value}" for key, value in of.get("wrong", ())]
        self.lost += [key for [key] in of.get("lost", ())]
        self.kept += [key for [key] in of.get("kept", ())]

    def look(self, cache: LLMCache, keys: Iterable[str]) -> None:
        """Looks for what was acknowledged."""
        for key in keys:
            entry = cache.peek("kept", key=key)
            self.counts["looked for"] += 1
            if entry is None:
                self.lost.append(key)
            elif began_at(key, entry.value) is None:
                self.wrong.append(f"{key}: {entry.value!r:.200}")

    def _note_put(self, key: str, began: int, returned: float = math.inf) -> None:
        self._put[key, began] = min(returned, self._put.get((key, began), math.inf))

    def _note_invalidations(self, records: Iterable[Record]) -> None:
        returned = sorted(
            (returned, begun, key) for keys, begun, returned in records for key in keys
        )
        for at, begun, key in returned:
            so_far = self._invalidated.setdefault(key, [])
            latest = max(begun, so_far[-1][1]) if so_far else begun
            so_far.append((at, latest))

    def _invalidated_before(self, key: str, instant: int) -> int:
        """When the last invalidation began of those that had returned by an instant."""
        so_far = self._invalidated.get(key, [])
        place = bisect.bisect_left(so_far, (instant, 0))
        return so_far[place - 1][1] if place else 0


def _read(path: Path) -> list[Record]:
    """The lines of a log; the last may be cut off by a kill, and all if it came early."""
    if not path.exists():
        return []
    return [orjson.loads(line) for line in path.read_bytes().split(b"\n")[:-1]]
