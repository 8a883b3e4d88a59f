"""Where there is no cache none comes into being, and who is in a wrong directory is told."""

import json

import pytest

from llm_cache.cli.app import run

SETTINGS = """
[[warm]]
prefix = "page"
generate = "made_up_pages:page"
params = [{ topic = "fractions" }]
"""
COMMANDS = [
    *("ls", "ls page", "ls --json", "ls --jsonl", "ls -q", "ls --expired --sort age"),
    *("inspect 9f2c4be1", "why page topic=fractions", "why page topic=fractions --json"),
    *("stats", "stats --json", "stats --by day", "doctor", "doctor --repair", "doctor --json"),
    *("prune", "prune -n", "prune --json", "prune --orphaned", "prune --max-size 500MiB"),
    *("invalidate -p page -y", "invalidate -p page -n", "invalidate -p page --purge -y"),
    *("invalidate -p pa* -y", "invalidate --expired -y", "invalidate 9f2c4be1 -y"),
    *("invalidate -p page -y --json", "invalidate -p page -y -q", "invalidate -p page"),
    *("clear -y", "clear -n", "clear -y --json", "clear", "--tenant acme clear -y"),
    *("restore", "restore -n -p page", "restore -p page", "restore 9f2c4be1"),
    *("export -", "warm -n", "warm -n --json", "config show", "config path", "config check"),
]
SAYING_WHERE = {
    "ls": "There is no entry in {}.",
    "inspect 9f2c4be1": "hint: there is no cache in {};",
    "why page topic=fractions": "hint: there is no cache in {};",
    "prune": "There is nothing to sweep: there is no cache in {}.",
    "prune --orphaned -n": "There is nothing to sweep: there is no cache in {}.",
    "invalidate -p page -y": "hint: there is no cache in {};",
    "invalidate -p page -n": "hint: there is no cache in {};",
    "invalidate 9f2c4be1 -y": "hint: there is no cache in {};",
    "clear -y": "There is no entry in {}: nothing was removed.",
    "clear -n": "hint: there is no cache in {};",
    "restore": "There is no entry in the trash of {}.",
    "restore 9f2c4be1": "hint: there is no cache in {};",
    "export -": "There is no entry in {}: nothing was written.",
}


@pytest.fixture
def nowhere(here):
    """A working directory with settings and without a cache."""
    (here / "cache.toml").write_text(SETTINGS)
    (here / "made_up_pages.py").write_text("def page(topic: str) -> str:\n    return topic\n")
    return here


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("is_made", [False, True], ids=["no directory", "an empty directory"])
def test_no_cache_comes_into_being(nowhere, command, is_made):
    """Only `warm` and `import` may make one."""
    directory = nowhere / ".cache" / "llm"
    if is_made:
        directory.mkdir(mode=0o700, parents=True)
    assert run(command.split()) in (0, 3)
    assert directory.is_dir() is is_made
    assert not is_made or list(directory.iterdir()) == []


@pytest.mark.parametrize(("command", "said"), SAYING_WHERE.items(), ids=SAYING_WHERE)
def test_it_is_said_where_the_cache_was_looked_for(nowhere, capfd, command, said):
    """On stderr: the directory is a wrong one, likely."""
    run(command.split())
    assert said.format(nowhere / ".cache" / "llm") in capfd.readouterr().err


@pytest.mark.parametrize("command", ["prune", "invalidate -p page -y", "clear -y"])
def test_a_program_gets_its_document(nowhere, capfd, command):
    """As of a cache in which there was nothing to remove."""
    assert run([*command.split(), "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert (document["dry_run"], document["removed"], document["freed_bytes"]) == (False, 0, 0)


def test_warm_makes_one(nowhere):
    """There is something to be kept."""
    assert run(["warm"]) == 0
    assert (nowhere / ".cache" / "llm" / "cache.db").is_file()
