"""Processes that all come to a directory that is not there yet."""

import json

import pytest

PROCESSES = 8
ROUNDS = 2

MAKES = """
own = hear()
say("ready"); hear()
with LLMCache(directory) as cache:
    cache.put("p", "of " + own, own=own)
    value = cache.get_or_generate_sync("q", lambda: "made")
    say(json.dumps([cache.peek("p", own=own).value, value]))
    hear()
"""


@pytest.mark.slow
@pytest.mark.parametrize("number", range(ROUNDS))
def test_eight_processes_make_the_store_at_once(start, place, cache, number):
    """None fails, none is warned, and what each put is there."""
    children = [start(MAKES) for _ in range(PROCESSES)]
    for own, child in enumerate(children):
        child.tell(str(own))
    for child in children:
        assert child.says() == "ready"
    for child in children:
        child.tell()
    for own, child in enumerate(children):
        assert json.loads(child.says() or "null") == [f"of {own}", "made"], child.ends()
    for child in children:
        child.tell()
        assert child.ends() == (0, "")
    for own in range(PROCESSES):
        assert cache.peek("p", own=str(own)).value == f"of {own}"
    names = {path.name for path in place.iterdir()}
    assert not [name for name in names if ".new" in name or ".corrupt-" in name]
