"""Of many processes that want one value, one makes it."""

import json
from collections import Counter

import pytest

PROCESSES = 8

ONE_KEY = """
made = 0
async def generate():
    global made
    made += 1
    await asyncio.sleep(0.05)  # what a model takes
    return f"made by {os.getpid()}"
async def main():
    with LLMCache(directory) as cache:
        say("ready"); hear()
        return await asyncio.gather(*(cache.get_or_generate("p", generate, n=1) for _ in range(50)))
say(json.dumps([made_values := sorted(set(asyncio.run(main()))), made]))
"""

MANY_KEYS = """
made = []
def generator(n):
    async def generate():
        made.append(n)
        await asyncio.sleep(0.005)
        return f"value {n}"
    return generate
async def main():
    with LLMCache(directory) as cache:
        say("ready"); hear()
        tasks = (cache.get_or_generate("p", generator(n), n=n) for n in range(200))
        return await asyncio.gather(*tasks)
values = asyncio.run(main())
say(json.dumps([values == [f"value {n}" for n in range(200)], made]))
"""

SYNC = """
made = 0
def generate():
    global made
    made += 1
    return f"made by {os.getpid()}"
with LLMCache(directory) as cache:
    say("ready"); hear()
    say(json.dumps([[cache.get_or_generate_sync("p", generate, n=1)], made]))
"""


def run_together(start, script):
    """What processes say that begin at the same moment."""
    children = [start(script) for _ in range(PROCESSES)]
    for child in children:
        assert child.says() == "ready"
    for child in children:
        child.tell()
    said = [child.says() for child in children]
    for child in children:
        assert child.ends() == (0, "")
    return said


@pytest.mark.slow
@pytest.mark.parametrize("script", [ONE_KEY, SYNC], ids=["async", "sync"])
def test_one_cold_key_is_made_once(start, script):
    """8 processes, 50 tasks each: one generation, and everybody has its value."""
    said = [json.loads(line) for line in run_together(start, script)]
    assert sum(made for _, made in said) == 1
    assert len({value for values, _ in said for value in values}) == 1


@pytest.mark.slow
def test_many_cold_keys_are_made_once_each(start):
    """8 processes on 200 keys: 200 generations."""
    said = [json.loads(line) for line in run_together(start, MANY_KEYS)]
    assert all(is_right for is_right, _ in said)
    assert Counter(n for _, made in said for n in made) == dict.fromkeys(range(200), 1)
