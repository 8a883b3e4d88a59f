"""Processes that find the same entry past its ttl: all have it at once, and one makes it anew."""

import json

import pytest

from llm_cache import LLMCache

PROCESSES = 4

ASKS = """
from llm_cache import CachePolicy
policy = CachePolicy(ttl="1h", grace="1h")
made = 0
def generate():
    global made
    made += 1
    say("generating"); hear()
    return "new"
ahead_s = 5400
with LLMCache(directory, clock=lambda: time.time() + ahead_s) as cache:
    say("ready"); hear()
    say(cache.get_or_generate_sync("p", generate, policy=policy))
    # Whoever generates has said so, and waits for the word to go on.
    cache._engine.components.flights.wait_until_stored(30.0)
    say(json.dumps([cache.get_or_generate_sync("p", generate, policy=policy), made]))
"""


@pytest.mark.slow
def test_a_stale_entry_is_made_anew_once_over_processes(start, place):
    """Each of four has the old one without waiting, and in the end the new one."""
    with LLMCache(place) as cache:
        cache.put("p", "old")
    children = [start(ASKS) for _ in range(PROCESSES)]
    for child in children:
        assert child.says() == "ready"
    for child in children:
        child.tell()
    said = {child: [child.says()] for child in children}
    for child in children:
        child.tell()  # heard by who generates
    for child, lines in said.items():
        lines += list(iter(child.says, ""))
    heard = [line for lines in said.values() for line in lines]
    assert heard.count("generating") == 1
    assert heard.count("old") == PROCESSES
    ends = [json.loads(lines[-1]) for lines in said.values()]
    assert [value for value, _ in ends] == ["new"] * PROCESSES
    assert sum(made for _, made in ends) == 1
    for child in children:
        assert child.ends() == (0, "")
