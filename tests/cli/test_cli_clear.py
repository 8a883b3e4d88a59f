"""`llm-cache clear`: how much there is, of whom, in the trash too; and then nothing."""

import json

import pytest
import terminal
from terminal import Terminal

from llm_cache.api.cache import LLMCache


@pytest.fixture
def tenants(lessons):
    """The lessons, and entries of a tenant: two kept, one in the trash."""
    with LLMCache(lessons.directory) as cache, cache.tenant("acme"):
        for n in range(3):
            cache.put("intro_page", "theirs", n=n)
        cache.invalidate_entries([next(cache.entries()).key], keep=True)
    return lessons


def left(lessons) -> tuple[int, int, int]:
    """How many entries there are: of acme, of others, in the trash."""
    with LLMCache(lessons.directory) as cache:
        of_acme = [entry.tenant == "acme" for entry in cache.entries()]
        return sum(of_acme), len(of_acme) - sum(of_acme), sum(1 for _ in cache.trash.entries())


def test_trash_is_counted_apart(cli, lessons):
    """Before, in every form, and after."""
    cli("invalidate", "-p", "word_problem", "--yes")
    dry = cli("clear", "--dry-run")
    page, problem = (line.split("\t") for line in dry.out.splitlines())
    assert (page[0], page[1], page[3], page[4]) == ("intro_page", "3", "0", "0")
    assert (problem[0], problem[1], problem[2], problem[3]) == ("word_problem", "0", "0", "2")
    assert dry.err.startswith("Would remove 3 entries (")
    assert " and 2 of the trash (" in dry.err
    document = json.loads(cli("clear", "-n", "--json").out)
    assert document["prefixes"]["word_problem"]["trash"]["entries"] == 2
    assert left(lessons) == (0, 3, 2)
    document = json.loads(cli("clear", "-y", "--json").out)
    assert (document["removed"], document["trash"]["entries"]) == (3, 2)
    assert document["trash"]["size_bytes"] == int(problem[4])
    assert left(lessons) == (0, 0, 0)


def test_trash_alone_is_worth_a_question(cli, piped, lessons):
    """What could still be taken back is not dropped unasked."""
    for prefix in ("word_problem", "intro_page"):
        cli("invalidate", "-p", prefix, "--yes")
    shown = piped("clear")
    assert shown.code == 2
    assert "5 of the trash" in shown.err
    assert cli("clear", "--yes").err.startswith("Removed 0 entries (0 B) and 5 of the trash (")
    assert left(lessons) == (0, 0, 0)


def test_terminal_has_columns_for_the_trash_where_it_holds_something(cli, screen, lessons):
    """And only then."""
    assert screen("clear", "-n").out.splitlines()[0].split() == ["PREFIX", "ENTRIES", "SIZE"]
    cli("invalidate", "-p", "word_problem", "--yes")
    titles, page, problem, *_ = screen("clear", "-n").out.splitlines()
    assert titles.split() == ["PREFIX", "ENTRIES", "SIZE", "IN", "TRASH", "SIZE"]
    assert page.split()[:2] == ["intro_page", "3"]
    assert problem.split()[:2] == ["word_problem", "0"]


def test_within_a_tenant_only_that_tenants(cli, tenants):
    """The trash too; everybody else's stays."""
    dry = cli("--tenant", "acme", "clear", "--dry-run")
    assert dry.err.startswith("Would remove 2 entries (")
    assert " and 1 of the trash (" in dry.err
    assert left(tenants) == (2, 5, 1)
    assert cli("--tenant", "acme", "clear", "--yes").err.startswith("Removed 2 entries (")
    assert left(tenants) == (0, 5, 0)
    again = cli("--tenant", "acme", "clear", "--yes")
    assert again.err.startswith("There is no entry of the tenant 'acme' in ")


def test_question_names_the_tenant(tenants, here):
    """So that nobody agrees to more, or less, than is meant."""
    session = Terminal("--cache-dir", tenants.directory, "--tenant", "acme", "clear", cwd=here)
    session.wait_for("[y/N]")
    assert b"of the tenant 'acme' in " in session.shown
    session.type("n\n")
    assert session.end().code == 1
    assert left(tenants) == (2, 5, 1)


def test_empty_cache_is_no_error(here):
    """Nothing is asked, and no cache comes into being."""
    shown = terminal.run("--cache-dir", "none", "clear", "--dry-run", cwd=here)
    assert (shown.code, shown.out) == (0, "")
    assert shown.err.startswith("Would remove 0 entries (0 B). Nothing was removed.\n")
    assert not (here / "none").exists()
