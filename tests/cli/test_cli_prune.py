"""`llm-cache prune`: what goes and why, what it would cost again, and how it ends."""

import json
import random
import signal
import subprocess
import time
from dataclasses import replace

import pytest
import terminal

from llm_cache import Generated, Usage
from llm_cache.api.cache import LLMCache
from llm_cache.cli.commands.prune import to_remake
from llm_cache.cli.output.formatting import UNKNOWN
from llm_cache.core.entry import Entry
from llm_cache.core.keys import Identity, canonical_params
from llm_cache.core.values.codec import UNTYPED
from llm_cache.store.records import Group
from llm_cache.store.sqlite._entries import add_to_totals
from llm_cache.store.sqlite._rows import INSERT, to_row

MIB = 1024**2
DAY_S = 86_400.0
MANY = 20_000


def text(n: int, size_bytes: int) -> str:
    """A text that cannot be compressed below its half."""
    return random.Random(n).randbytes(size_bytes).hex()


@pytest.fixture
def paid(lessons):
    """The lessons and three expired pages that cost something, in time and money."""
    then = time.time() - 9 * DAY_S
    usage = Usage(model="m", cost_usd=0.02)
    with LLMCache(lessons.directory, clock=lambda: then) as cache:
        for n in range(3):
            cache.put("intro_page", Generated(f"page {n}", usage), n=n)
    return lessons


@pytest.fixture
def full(lessons):
    """The lessons and 4 MiB of values, none of them expired."""
    with LLMCache(lessons.directory) as cache:
        for n in range(40):
            cache.put("big", text(n, 100_000), n=n)
    return lessons


@pytest.fixture
def many(lessons):
    """The lessons and very many entries that are expired."""
    now = time.time()
    body = UNTYPED.encode("text")
    some = Entry(
        key=b"", request=b"", params_json=b"", prefix="many", encoding=body.encoding,
        size_bytes=len(body.body), value_bytes=body.value_bytes, created_at=now - 99 * DAY_S,
        body=body.body,
    )  # fmt: skip

    identities = [Identity("many", canonical_params({"n": n})) for n in range(MANY)]

    def rows():
        for one in identities:
            yield to_row(
                replace(some, key=one.key, request=one.request, params_json=one.params_json)
            )

    def fill(connection):
        connection.executemany(INSERT, rows())
        size = sum(len(body.body) + len(one.params_json) for one in identities)
        add_to_totals(connection, "", "many", MANY, size, some.value_bytes * MANY)

    with LLMCache(lessons.directory) as cache:
        cache._engine.components.store._writer.submit(fill).result(60)
    return lessons


def test_dry_run_says_what_would_go(cli, lessons):
    """The sum on stderr, the reasons on stdout, nothing gone."""
    shown = cli("prune", "--dry-run")
    assert shown.code == 0
    assert shown.err.startswith("Would remove 1 of 5 entries and free ")
    assert shown.err.endswith("Nothing was removed.\n")
    assert shown.out.split("\t")[:2] == ["expired", "1"]
    assert lessons.ids_there() == lessons.all_ids


def test_expired_are_swept(cli, lessons):
    """Without a question; then there is nothing more."""
    assert cli("prune").err.startswith("Removed 1 of 5 entries and freed ")
    assert lessons.ids_there() == lessons.all_ids - {lessons.old_page}
    assert cli("prune").err == "There is nothing to sweep: 4 entries, none of them expired.\n"


def test_empty_cache_has_nothing_to_sweep(here):
    """It is said, and it is no error; no cache comes into being."""
    shown = terminal.run("--cache-dir", "none", "prune", "-n", cwd=here)
    assert (shown.code, shown.out) == (0, "")
    said = f"There is nothing to sweep: there is no cache in {here / 'none'}.\n"
    assert shown.err.startswith(said)
    assert not (here / "none").exists()


def test_terminal_gets_a_table(screen):
    """Why, how many, how much, and what it would take again: not known here."""
    lines = screen("prune", "-n").out.splitlines()
    assert lines[1].split() == ["WHY", "ENTRIES", "SIZE", "TO", "REMAKE"]
    assert lines[2].split()[:2] == ["expired", "1"]
    assert lines[2].endswith("–")


def test_table_says_what_it_cost(screen, paid):
    """As far as it is known: of three of four."""
    assert screen("prune", "-n").out.splitlines()[2].endswith("  at least $0.06")


def test_pipe_gets_values(cli, paid):
    """Reason, entries, bytes, seconds, dollars; a dash where nothing is known."""
    (line,) = cli("prune", "-n").out.splitlines()
    why, number, size, seconds, dollars = line.split("\t")
    assert (why, number, seconds, dollars) == ("expired", "4", UNKNOWN, "0.06")
    assert int(size) > 0


def test_json_has_every_number(cli, paid):
    """One document; what is not known is null, and of how many it is not."""
    document = json.loads(cli("prune", "-n", "--json").out)
    assert (document["schema"], document["dry_run"], document["removed"]) == (1, True, 4)
    (group,) = document["groups"]
    assert document["freed_bytes"] == group.pop("size_bytes")
    assert group == {
        "why": "expired", "entries": 4, "generation_seconds": None, "untimed": 4,
        "cost_usd": pytest.approx(0.06), "unpriced": 1,
    }  # fmt: skip
    assert document["trash"] == {"entries": 0, "size_bytes": 0}


REMAKE = {
    "all of it costs": (Group("x", 2, 0, 9.0, 0.06), "≈$0.06"),
    "some of it costs": (Group("x", 2, 0, 9.0, 0.06, 0, 1), "at least $0.06"),
    "all of it took time": (Group("x", 2, 0, 20.0, 0.0, 0, 2), "≈20.0 s"),
    "some of it took time": (Group("x", 2, 0, 20.0, 0.0, 1, 2), "at least 20.0 s"),
    "it took no time": (Group("x", 2, 0, 0.0001, 0.0, 0, 2), "<1 ms"),
    "it costs nothing": (Group("x", 2, 0, 9.0, 0.0), "≈$0"),
    "nothing is known": (Group("x", 2, 0, 0.0, 0.0, 2, 2), "–"),
}


@pytest.mark.parametrize(("group", "shown"), REMAKE.values(), ids=REMAKE)
def test_to_remake_is_money_else_time(group, shown):
    """What is not known is never 0."""
    assert to_remake(group) == shown


@pytest.mark.parametrize("dry_run", [True, False])
def test_max_size_goes_before_max_disk(cli, full, dry_run):
    """What was used longest ago goes; the reason names the size."""
    flags = ["--max-size", "2MiB", *(["-n"] if dry_run else [])]
    shown = cli("prune", *flags)
    assert shown.code == 0
    whys = [line.split("\t")[0] for line in shown.out.splitlines()]
    assert whys == ["expired", "evicted"]
    with LLMCache(full.directory) as cache:
        kept = sum(entry.size_bytes for entry in cache.entries())
    assert (kept < 2 * MIB) is not dry_run


def test_max_size_is_named_as_the_reason(screen, full):
    """With the unit a reader wants."""
    assert "over 2.0 MiB, least used" in screen("prune", "-n", "--max-size", "2MiB").out


def test_dry_run_agrees_with_the_run(cli, full):
    """The same lines."""
    dry = cli("prune", "--max-size", "2MiB", "-n").out
    assert cli("prune", "--max-size", "2MiB").out == dry


BAD_SIZES = {
    "no size": ("much", "hint: write a number and a unit"),
    "bytes, by mistake": ("500", "hint: write a number and a unit"),
    "next to nothing": ("500KiB", "is too little: at least 1.0 MiB"),
}


@pytest.mark.parametrize(("size", "told"), BAD_SIZES.values(), ids=BAD_SIZES)
def test_size_that_cannot_be_meant(cli, lessons, size, told):
    """Exit 2, and nothing goes: without a question it would be gone."""
    shown = cli("prune", "--max-size", size)
    assert (shown.code, shown.out) == (2, "")
    assert "error: --max-size: " in shown.err
    assert told in shown.err
    assert lessons.ids_there() == lessons.all_ids


def test_tenant_is_refused(cli, lessons):
    """All tenants share one limit: exit 2 rather than sweeping those of others."""
    shown = cli("--tenant", "acme", "prune")
    assert (shown.code, shown.out) == (2, "")
    assert "prune is about all tenants" in shown.err
    assert lessons.ids_there() == lessons.all_ids


def test_trash_that_goes_is_told_apart(cli, lessons, tmp_path):
    """Its entries were gone before; where the cache is over its limit they go first."""
    cli("invalidate", "-p", "word_problem", "--yes")
    with LLMCache(lessons.directory) as cache:
        cache.put("big", text(1, 2 * MIB), n=1)
    settings = tmp_path / "small.toml"
    settings.write_text('[cache]\nmax_disk = "1MiB"\n')
    dry = cli("--config", settings, "prune", "-n")
    assert dry.err.startswith("Would remove 2 entries (")
    assert " from the trash.\nWould remove 4 of 4 entries" in dry.err
    document = json.loads(cli("--config", settings, "prune", "--json").out)
    assert (document["removed"], document["trash"]["entries"]) == (4, 2)


def test_interrupt_keeps_what_was_swept(many, here):
    """Ctrl-C: 130, the totals are right, and the same command goes on."""
    command = [*terminal.COMMAND, "--cache-dir", str(many.directory), "prune"]
    process = subprocess.Popen(
        command, cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=terminal.clean_environment(),
    )  # fmt: skip
    with LLMCache(many.directory) as cache:

        def left() -> int:
            return cache.get_stats()["prefixes"]["many"]["entries"]

        gives_up_at = time.monotonic() + terminal.HANGS_AFTER_S
        while left() == MANY:
            assert time.monotonic() < gives_up_at
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=terminal.HANGS_AFTER_S)
        assert (process.returncode, out) == (130, b"")
        assert err.startswith(b"error: interrupted: ")
        assert b"the same command goes on" in err
        assert 0 < left() < MANY
        assert left() == sum(1 for _ in cache.entries("many"))
    shown = terminal.run("--cache-dir", many.directory, "prune", cwd=here)
    assert shown.code == 0
    assert f"of {MANY + 5:,}" not in shown.err
    with LLMCache(many.directory) as cache:
        assert list(cache.entries("many")) == []
