"""What was acknowledged is there, whenever the process that wrote it was killed."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.crash.conftest import WRITER, found

ROUNDS = 40
NAMES = ("first", "second")

pytestmark = pytest.mark.stress


def acknowledged_before_its_death(child, count):
    """Kills a writer after so many acknowledgements; gives how many it had sent by then."""
    for _ in range(count):
        assert child.says(), child.ends()
    child.kill()
    return count + sum(1 for line in child.process.stdout if line.endswith("\n"))


@pytest.mark.timeout(180)
def test_every_acknowledged_entry_is_there_and_whole(start, tmp_path):
    """40 rounds of two writers, each killed at a moment of its own, in one cache after another."""
    chance = random.Random(20261122)
    for number in range(ROUNDS):
        place = tmp_path / f"cache {number % 8}" / str(number)
        place.parent.mkdir(exist_ok=True)
        writers = [start(f"{WRITER}write({name!r}, 10**6)", directory=place) for name in NAMES]
        with ThreadPoolExecutor() as pool:
            counts = [chance.randrange(60) for _ in NAMES]
            acknowledged = list(pool.map(acknowledged_before_its_death, writers, counts))
        for name, count in zip(NAMES, acknowledged, strict=True):
            assert count <= found(place, name) <= count + 1
