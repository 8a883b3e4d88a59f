"""`llm-cache prune` and `stats`: what goes and why, what is held, what was saved."""

import json

import pytest

from llm_cache.cache import LLMCache


def test_prune_says_what_it_would_sweep(cli, lessons):
    """A dry run: the sum on stderr, the reasons on stdout, nothing gone."""
    shown = cli("prune", "--dry-run")
    assert shown.code == 0
    assert shown.err.startswith("Would remove 1 of 5 entries and free ")
    assert shown.err.endswith("Nothing was removed.\n")
    assert shown.out.split("\t")[:2] == ["expired", "1"]
    assert lessons.ids_there() == lessons.all_ids


def test_prune_sweeps_what_is_expired(cli, lessons):
    """Without a question; then there is nothing more."""
    assert cli("prune").err.startswith("Removed 1 of 5 entries and freed ")
    assert lessons.ids_there() == lessons.all_ids - {lessons.old_page}
    assert cli("prune").err == "There is nothing to sweep: 4 entries, none of them expired.\n"


def test_prune_on_a_terminal_is_a_table(screen):
    """Why, how many, how much, and what it would take again: not known here."""
    lines = screen("prune", "-n").out.splitlines()
    assert lines[1].split() == ["WHY", "ENTRIES", "SIZE", "TO", "REMAKE"]
    assert lines[2].split()[:2] == ["expired", "1"]
    assert lines[2].endswith("–")


def test_prune_in_json(cli):
    """One document; the same numbers."""
    document = json.loads(cli("prune", "-n", "--json").out)
    assert (document["schema"], document["dry_run"], document["removed"]) == (1, True, 1)
    assert document["groups"][0]["why"] == "expired"
    assert document["groups"][0]["generation_seconds"] is None
    assert document["freed_bytes"] == document["groups"][0]["size_bytes"]


def test_stats_on_a_terminal_is_a_picture(screen):
    """Entries, size, the hit rate with its bar, what was saved, each prefix, what to do."""
    shown = screen("stats")
    out = shown.out
    assert shown.code == 0
    assert out.startswith("5 entries   ")
    assert " of 1.0 GiB\n" in out
    assert "hit rate   █" in out
    assert "91.7%   11 hits   1 miss   0 coalesced" in out
    assert "PREFIX        ENTRIES" in out
    assert "\n! 1 expired entry holds 5 B: llm-cache prune\n" in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_stats_never_say_zero_for_what_is_not_known(screen):
    """A prefix that nobody asked for has no hit rate and saved nothing that is known."""
    line = next(x for x in screen("stats").out.splitlines() if x.startswith("word_problem"))
    assert line.split()[-3:] == ["–", "0", "–"]
    assert "%" not in line


def test_stats_of_an_empty_cache(screen, lessons, tmp_path):
    """Nothing held, nothing asked: it says so and divides by nothing."""
    empty = screen("--cache-dir", tmp_path / "empty", "stats")
    assert empty.code == 0
    assert empty.out.startswith("0 entries")
    assert "hit rate   –   nothing was asked for yet" in empty.out


def test_stats_in_json_has_every_number(cli):
    """Shares as fractions, seconds, bytes; null for no share."""
    document = json.loads(cli("stats", "--json").out)
    assert document["schema"] == 1
    assert document["total"]["entries"] == 5
    assert document["total"]["hit_rate"] == pytest.approx(11 / 12)
    assert document["prefixes"]["intro_page"]["hits"] == 11
    assert document["prefixes"]["word_problem"]["hit_rate"] is None
    assert document["sweepable"]["entries"] == 1
    assert document["max_disk"] == 1024**3
    assert document["disk_bytes"] > 0


def test_stats_in_a_pipe_are_fields(cli):
    """All in one line first, then every prefix; whole numbers, no titles."""
    rows = [line.split("\t") for line in cli("stats").out.splitlines()]
    assert [row[:2] for row in rows] == [["*", "5"], ["intro_page", "3"], ["word_problem", "2"]]
    assert [row[4:6] for row in rows] == [["11", "1"], ["11", "1"], ["0", "0"]]
    assert len({len(row) for row in rows}) == 1


def test_trouble_is_told(screen, lessons):
    """What could not be kept shows, in words and in red."""
    with LLMCache(lessons.directory) as cache:
        cache.get_or_generate_sync("odd", lambda: (1, 2), q=1)
    assert "\x1b[31mtrouble\x1b[0m    1 value not kept" in screen("stats").out
