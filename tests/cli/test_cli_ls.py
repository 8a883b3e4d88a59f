"""`llm-cache ls`: a table for a reader, values for a program, ids for a pipe."""

import json
import re

import pytest
from terminal import Terminal

from llm_cache.api.cache import LLMCache
from tests.conformance.samples import an_entry

ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
JSON_FIELDS = [
    "id", "key", "prefix", "params", "variant", "version", "tenant", "state", "created_at",
    "expires_at", "size_bytes", "value_bytes", "hits", "last_used_at", "generation_seconds",
    "model", "input_tokens", "output_tokens", "cost_usd",
]  # fmt: skip


def test_terminal_gets_a_fitted_table(screen, lessons):
    """Titles, one line an entry, relative times, nothing wider than the terminal."""
    shown = screen("ls", "--prefix", "intro_page")
    lines = shown.out.splitlines()
    assert shown.code == 0
    assert lines[0].split() == ["ID", "PREFIX", "PARAMS", "SIZE", "AGE", "EXPIRES", "HITS"]
    assert [line.split()[0] for line in lines[1:4]] == [
        lessons.other_page,
        lessons.page,
        lessons.old_page,
    ]
    assert re.search(r"adding-fractions.* 2h +in 6d +11$", lines[2])
    assert re.search(r"9d +\x1b\[33mexpired\x1b\[0m +0$", lines[3])
    assert all(len(line) <= 80 for line in lines if "\x1b" not in line)
    assert lines[4:] == ["", "3 of 5 entries · " + lines[5].split(" · ")[1] + " · 1 expired"]


def test_table_names_params_where_there_is_room(screen):
    """On a wide terminal every param has its name."""
    shown = screen("ls", "word_problem", columns=200)
    assert "context_type=sports operation=addition" in shown.out


@pytest.mark.parametrize("columns", [30, 40, 60, 80, 200])
def test_table_fits_the_terminal(screen, lessons, columns):
    """No line is wider than the terminal, and the ids are always whole."""
    shown = screen("ls", columns=columns, env={"NO_COLOR": "1"})
    table = shown.out.split("\n\n")[0].splitlines()
    assert all(len(line) <= columns for line in table)
    assert {line.split()[0] for line in table[1:]} == lessons.all_ids


def test_pipe_gets_full_values_without_titles(piped, lessons):
    """Tab-separated, ISO times, integer bytes, whole params; words go to stderr only."""
    shown = piped("ls", "intro_page")
    rows = [line.split("\t") for line in shown.out.splitlines()]
    assert (shown.code, shown.err, len(rows)) == (0, "", 3)
    entry_id, prefix, params, size, made, expires, hits, state = rows[1]
    assert (entry_id, prefix, hits, state) == (lessons.page, "intro_page", "11", "fresh")
    assert json.loads(params)["subtopic"] == "adding-fractions"
    assert int(size) > 0
    assert ISO.fullmatch(made)
    assert ISO.fullmatch(expires)
    assert rows[2][-1] == "expired"


def test_json_is_one_document_with_every_field(cli, lessons):
    """What a program gets needs no parsing of words."""
    document = json.loads(cli("ls", "--json").out)
    assert document["schema"] == 1
    assert [list(entry) for entry in document["entries"]] == [JSON_FIELDS] * 5
    entry = next(e for e in document["entries"] if e["id"] == lessons.page)
    assert entry["key"].startswith(lessons.page)
    assert len(entry["key"]) == 64
    assert entry["value_bytes"] > entry["size_bytes"]
    assert entry["hits"] == 11
    assert ISO.fullmatch(entry["expires_at"])
    assert entry["cost_usd"] is None


def test_json_of_nothing_is_still_a_document(cli):
    """An empty list is an answer, too."""
    assert json.loads(cli("ls", "nothing_here", "--json").out) == {"schema": 1, "entries": []}


def test_entry_that_lives_for_ever_expires_never(cli, lessons):
    """The end of time is null in JSON and `never` in words."""
    with LLMCache(lessons.directory) as cache:
        cache.put("fact", "42", ttl="forever", q=1)
    entry = json.loads(cli("ls", "fact", "--json").out)["entries"][0]
    assert (entry["expires_at"], entry["state"]) == (None, "fresh")
    assert cli("ls", "fact").out.split("\t")[5] == "never"


def test_jsonl_is_one_line_an_entry(cli, lessons):
    """Every line is a document."""
    lines = cli("ls", "--jsonl").out.splitlines()
    assert {json.loads(line)["id"] for line in lines} == lessons.all_ids


def test_quiet_is_ids_only(cli, lessons):
    """What `xargs llm-cache inspect` wants."""
    assert set(cli("ls", "-q").out.splitlines()) == lessons.all_ids


def test_limit_ends_the_list(cli, lessons):
    """The first by prefix, newest first."""
    assert cli("ls", "-q", "--limit", "2").out.splitlines() == [lessons.other_page, lessons.page]


def test_prefix_is_exact(cli):
    """A prefix is no beginning."""
    assert cli("ls", "intro").out == ""


def test_nothing_there_is_said_on_stderr(cli):
    """An empty list is no error; a name that was mistyped is guessed."""
    shown = cli("ls", "intro_pag")
    assert (shown.code, shown.out) == (0, "")
    assert "There is no entry of prefix 'intro_pag'" in shown.err
    assert "hint: did you mean 'intro_page'?" in shown.err


def test_two_prefixes_are_refused(cli):
    """A flag and an argument that differ: one must have been meant."""
    shown = cli("ls", "intro_page", "-p", "word_problem")
    assert (shown.code, shown.out) == (2, "")
    assert "two prefixes" in shown.err


def test_prefix_that_cannot_be_is_refused(cli):
    """What is no prefix is a mistake, not an empty list."""
    shown = cli("ls", "a b")
    assert shown.code == 2
    assert shown.err.startswith("error: prefix 'a b' is not allowed")


def test_alias_lists_too(cli, lessons):
    """`list` is `ls`."""
    assert cli("list", "-q").out == cli("ls", "-q").out


def test_versions_have_a_column_of_their_own(screen, lessons):
    """Two entries that differ by version only can be told apart."""
    from llm_cache.core.policy import CachePolicy

    with LLMCache(lessons.directory) as cache:
        cache.put("haiku", "old", policy=CachePolicy(version="1"), topic="moon")
        cache.put("haiku", "new", policy=CachePolicy(version="2"), topic="moon")
    lines = screen("ls", "haiku").out.splitlines()
    assert lines[0].split()[:4] == ["ID", "PREFIX", "VERSION", "PARAMS"]
    assert [line.split()[2] for line in lines[1:3]] == ["2", "1"]


def test_empty_cache_tells_how_it_was_found(cli, lessons):
    """Perhaps it is the wrong directory."""
    with LLMCache(lessons.directory) as cache:
        cache.clear_all()
    shown = cli("ls")
    assert (shown.code, shown.out) == (0, "")
    assert shown.err == (
        f"There is no entry in {lessons.directory}.\n"
        "hint: llm-cache config show tells what says that it is this directory\n"
    )


def test_directory_that_is_not_there_is_empty(cli, lessons, here):
    """Looking makes nothing."""
    shown = cli("ls", "--cache-dir", here / "none")
    assert (shown.code, shown.out) == (0, "")
    assert "There is no entry in" in shown.err
    assert not (here / "none").exists()


def test_choice_of_nothing_is_said_in_words(cli):
    """What was asked for, as it was understood."""
    shown = cli("ls", "intro*", "--param", "grade=5", "--fresh", "--expired", "--older-than", "3d")
    assert shown.err.startswith(
        "There is no entry of prefix 'intro*', with grade=5, that is fresh or expired, "
        "older than 3d in "
    )


def test_footer_is_of_what_was_chosen(screen):
    """How many of how many, whatever narrowed it."""
    assert "\n\n1 of 5 entries · " in screen("ls", "--param", "subtopic=adding-fractions").out
    assert "\n\n2 of 5 entries · " in screen("ls", "--limit", "2").out
    assert "\n\n5 entries · " in screen("ls").out


def test_interrupted_list_ends_at_once(lessons, here):
    """Ctrl-C in the middle of a long list: 130, one word, no traceback."""
    with LLMCache(lessons.directory) as cache:
        cache._engine.merge([an_entry(n, prefix="many") for n in range(1500)])  # at once: quick
    session = Terminal("--cache-dir", lessons.directory, "ls", cwd=here)
    session.wait_for("many")
    session.interrupt()
    shown = session.end()
    assert shown.code == 130
    assert shown.out.endswith("interrupted\n")
    assert "Traceback" not in shown.out
    assert shown.out.count("many") < 1500
