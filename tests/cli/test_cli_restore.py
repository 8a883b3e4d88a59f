"""`llm-cache restore`: what was invalidated comes back, once, and nobody serves anything else."""

import json
import re
import threading

import pytest
from terminal import Terminal

from llm_cache import CacheConfig
from llm_cache.api.cache import LLMCache

GUARD_S = 30.0
ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def thrown_away(cli, lessons):
    """The lessons without their intro pages, which are in the trash."""
    assert cli("invalidate", "-p", "intro_page", "--yes").code == 0
    return lessons


def trash_of(lessons) -> set[str]:
    """The ids in the trash."""
    with LLMCache(lessons.directory) as cache:
        return {trashed.entry.id for trashed in cache.trash.entries()}


def make_anew(lessons, entry_id: str, value: str = "newer") -> None:
    """Keeps another value for what an entry in the trash answers."""
    with LLMCache(lessons.directory) as cache:
        (trashed,) = cache.trash.find(entry_id)
        cache.put(trashed.entry.prefix, value, params=dict(trashed.entry.params))


def value_of(lessons, entry_id: str) -> object:
    """What is kept under an id now."""
    with LLMCache(lessons.directory) as cache:
        (entry,) = cache.find(entry_id)
        return entry.value


def test_ids_bring_exactly_those_back(cli, thrown_away):
    """What was named is as it was, hits and all; the rest stays in the trash."""
    lessons = thrown_away
    shown = cli("restore", lessons.page[:6], lessons.page)
    assert (shown.code, shown.out) == (0, "")
    assert re.fullmatch(r"Restored 1 entry \(\d+ B\)\.\n", shown.err)
    assert lessons.ids_there() == {lessons.page, lessons.sports, lessons.cooking}
    assert trash_of(lessons) == {lessons.other_page, lessons.old_page}
    (entry,) = json.loads(cli("inspect", lessons.page, "--json").out)["entries"]
    assert (entry["hits"], entry["generation_seconds"] is None) == (11, False)
    assert entry["value"].startswith("# Adding fractions")


def test_flags_bring_back_what_they_choose(cli, thrown_away):
    """The flags of ls, over the trash; states are those of now."""
    lessons = thrown_away
    assert cli("restore", "--expired", "-q").out.split() == [lessons.old_page]
    assert cli("restore", "-p", "intro*", "--param", "grade=5", "-q").code == 0
    assert lessons.ids_there() == lessons.all_ids
    assert trash_of(lessons) == set()


def test_restoring_is_done_once(cli, thrown_away):
    """The second time it is not in the trash, but in the cache: exit 3."""
    assert cli("restore", thrown_away.page).code == 0
    shown = cli("restore", thrown_away.page)
    assert (shown.code, shown.out) == (3, "")
    assert shown.err == (
        f"error: no entry in the trash has the id '{thrown_away.page}'\n"
        "hint: in the cache it is: there is nothing to restore\n"
    )


def test_unknown_id_restores_nothing_at_all(cli, thrown_away):
    """All or none: exit 3."""
    shown = cli("restore", thrown_away.page, "ffffffff")
    assert shown.code == 3
    assert shown.err.endswith("hint: llm-cache restore shows what is there\n")
    assert thrown_away.page not in thrown_away.ids_there()


@pytest.mark.parametrize("args", [["zz"], ["abc"], ["ID", "-p", "intro_page"], ["ID", "--stale"]])
def test_unclear_choice_is_refused(cli, thrown_away, args):
    """What is no id, and two ways at once: exit 2."""
    args = [thrown_away.page if word == "ID" else word for word in args]
    assert cli("restore", *args).code == 2
    assert thrown_away.page not in thrown_away.ids_there()


def test_purged_entries_do_not_come_back(cli, lessons):
    """For good means for good."""
    assert cli("invalidate", lessons.page, "--yes", "--purge").code == 0
    assert cli("restore", lessons.page).code == 3
    assert cli("restore", "-p", "*").code == 0
    assert lessons.page not in lessons.ids_there()


def test_what_was_made_anew_stays_and_is_named(cli, thrown_away):
    """By its id it is partly done, exit 1; the others came back."""
    lessons = thrown_away
    make_anew(lessons, lessons.page)
    shown = cli("restore", lessons.page, lessons.old_page)
    assert shown.code == 1
    assert "Restored 1 entry (" in shown.err
    assert "1 was regenerated since and stays as it is; the older stays in the trash." in shown.err
    assert value_of(lessons, lessons.page) == "newer"
    assert trash_of(lessons) == {lessons.page, lessons.other_page}


def test_hint_on_how_to_have_the_older_one_works(cli, thrown_away):
    """The newer goes for good, then the older comes back."""
    lessons = thrown_away
    make_anew(lessons, lessons.page)
    assert f"invalidate --purge {lessons.page}, then restore" in cli("restore", lessons.page).err
    cli("invalidate", "--purge", lessons.page, "--yes")
    assert cli("restore", lessons.page).code == 0
    assert value_of(lessons, lessons.page) != "newer"


def test_flags_pass_over_what_was_made_anew(cli, thrown_away):
    """Whoever named no entry gets what can come back: exit 0, and it is said."""
    make_anew(thrown_away, thrown_away.page)
    shown = cli("restore", "-p", "intro_page")
    assert shown.code == 0
    assert "Restored 2 entries (" in shown.err
    assert "1 was regenerated" in shown.err


def test_alone_it_lists_what_there_is(cli, thrown_away):
    """In a pipe the fields of ls, when each was removed, and what happened since."""
    lessons = thrown_away
    make_anew(lessons, lessons.page)
    shown = cli("restore")
    rows = [line.split("\t") for line in shown.out.splitlines()]
    assert {row[0]: row[-1] for row in rows} == {
        lessons.page: "regenerated",
        lessons.other_page: "nothing",
        lessons.old_page: "nothing",
    }
    assert {row[0]: row[7] for row in rows}[lessons.old_page] == "expired"
    assert all(len(row) == 10 and ISO.fullmatch(row[8]) for row in rows)
    words, hint = shown.err.splitlines()
    assert words.startswith("3 entries in the trash · ")
    assert words.endswith(" · 1 expired · 1 regenerated")
    assert hint.startswith("hint: llm-cache restore ID takes one back")
    assert trash_of(lessons) == {lessons.page, lessons.other_page, lessons.old_page}


@pytest.mark.parametrize("args", [[], ["--dry-run"], ["--dry-run", "-p", "intro_page"]])
def test_listing_in_its_other_forms(cli, thrown_away, args):
    """One document, or ids; nothing comes back."""
    lessons = thrown_away
    make_anew(lessons, lessons.page)
    document = json.loads(cli("restore", *args, "--json").out)
    assert (document["schema"], document["dry_run"]) == (1, True)
    made_anew = {entry["id"]: entry["made_anew"] for entry in document["entries"]}
    assert made_anew == {lessons.page: True, lessons.other_page: False, lessons.old_page: False}
    assert all(ISO.fullmatch(entry["removed_at"]) for entry in document["entries"])
    assert set(cli("restore", *args, "-q").out.split()) == set(made_anew)
    assert trash_of(lessons) == set(made_anew)


def test_restored_in_json(cli, thrown_away):
    """What came back, and what did not, by ids."""
    lessons = thrown_away
    make_anew(lessons, lessons.page)
    shown = cli("restore", "-p", "intro_page", "--json")
    document = json.loads(shown.out)
    assert set(document.pop("ids")) == {lessons.other_page, lessons.old_page}
    assert document == {
        "schema": 1,
        "dry_run": False,
        "restored": 2,
        "made_anew": [lessons.page],
        "gone": [],
    }


@pytest.mark.parametrize("by_id", [True, False])
def test_dry_run_restores_nothing(cli, thrown_away, by_id):
    """The rows, the sum, and no more."""
    lessons = thrown_away
    make_anew(lessons, lessons.page)
    ids = [lessons.page, lessons.other_page, lessons.old_page]
    shown = cli("restore", "-n", *(ids if by_id else ["-p", "intro_page"]))
    assert shown.code == 0
    assert {line.split("\t")[0] for line in shown.out.splitlines()} == set(ids)
    assert shown.err == (
        "Would restore 2 entries; 1 was regenerated since and stays as it is. "
        "Nothing was restored.\n"
    )
    assert trash_of(lessons) == set(ids)


@pytest.mark.parametrize("args", [[], ["-p", "intro_page"], ["--dry-run", "--stale"]])
def test_empty_trash_is_no_error(cli, lessons, args):
    """It is said, on stderr."""
    shown = cli("restore", *args)
    assert (shown.code, shown.out) == (0, "")
    assert "in the trash of" in shown.err
    assert cli("restore", *args, "-q").out == ""
    assert lessons.ids_there() == lessons.all_ids


def test_terminal_gets_a_table(lessons, screen):
    """When each was removed, and a word on what was regenerated, where anything was."""
    screen("invalidate", "-p", "intro_page", "--yes")
    plain = screen("restore")
    assert plain.code == 0
    titles = ["ID", "PREFIX", "PARAMS", "SIZE", "AGE", "EXPIRES", "REMOVED"]
    assert plain.out.splitlines()[0].split() == titles
    assert len(re.findall(r"\d+s ago$", plain.out, re.MULTILINE)) == 3
    make_anew(lessons, lessons.page)
    lines = screen("restore", env={"NO_COLOR": "1"}).out.splitlines()
    assert lines[0].split() == [*titles, "SINCE"]
    (marked,) = [line for line in lines if line.startswith(lessons.page)]
    assert marked.endswith("regenerated")
    assert all(len(line) <= 80 for line in lines)


def test_tenants_have_their_own_trash(cli, lessons):
    """One tenant neither sees nor restores what is another's."""
    with LLMCache(lessons.directory) as cache:
        for tenant in ("acme", "umbrella"):
            with cache.tenant(tenant):
                cache.put("page", tenant, n=1)
        cache.invalidate_prefix("page", keep=True)
        ids = {t.entry.tenant: t.entry.id for t in cache.trash.entries()}
    assert cli("--tenant", "acme", "restore", "-q").out.split() == [ids["acme"]]
    assert cli("--tenant", "acme", "restore", ids["umbrella"]).code == 3
    assert cli("--tenant", "acme", "restore", "-p", "*").code == 0
    assert trash_of(lessons) == {ids["umbrella"]}


def test_library_restores_within_one_tenant_only(lessons):
    """Keys of another tenant are passed over, also where they are known."""
    with LLMCache(lessons.directory) as cache:
        with cache.tenant("acme"):
            cache.put("page", "theirs", n=1)
        cache.invalidate_prefix("page", keep=True)
        (trashed,) = cache.trash.entries()
        with cache.tenant("umbrella"):
            assert cache.trash.restore([trashed.entry.key]) == []
        with cache.tenant("acme"):
            assert cache.trash.restore([trashed.entry.key]) == [trashed.entry.key]


def test_long_trash_comes_back_whole(cli, lessons):
    """More than is restored at once."""
    with LLMCache(lessons.directory) as cache:
        for n in range(1100):
            cache.put("many", "x", n=n)
        cache.invalidate_prefix("many", keep=True)
    shown = cli("restore", "-p", "many", "-q")
    assert len(set(shown.out.split())) == 1100
    assert cli("ls", "many", "-q").out.count("\n") == 1100
    assert trash_of(lessons) == set()


def test_other_cache_of_the_process_serves_the_restored_one(thrown_away, cli):
    """Two caches on one directory: what one of them restores, the other answers from."""
    lessons = thrown_away
    params = {"subtopic": "adding-fractions", "subject": "math", "topic": "fractions", "grade": "5"}

    def refuse() -> str:
        raise AssertionError

    with LLMCache(lessons.directory) as one, LLMCache(lessons.directory) as other:
        (trashed,) = one.trash.find(lessons.page)
        assert other.peek("intro_page", **params) is None
        assert one.trash.restore([trashed.entry.key]) == [trashed.entry.key]
        value = other.get_or_generate_sync("intro_page", refuse, **params)
    assert value.startswith("# Adding fractions")
    assert cli("restore", "-q").out.count("\n") == 2


def test_value_that_is_in_memory_only_gives_way(tmp_path):
    """A cache that could not store its own answer serves the restored one from then on."""
    full = CacheConfig(cache_dir=tmp_path / "c", min_free="1000TiB")
    with LLMCache(tmp_path / "c") as one, LLMCache(config=full) as other:
        one.put("page", "restored", n=1)
        one.invalidate_prefix("page", keep=True)
        before = [other.get_or_generate_sync("page", lambda v=v: v, n=1) for v in ("own", "again")]
        (trashed,) = one.trash.entries()
        assert one.trash.restore([trashed.entry.key]) == [trashed.entry.key]
        after = other.get_or_generate_sync("page", lambda: "again", n=1)
    assert (before, after) == (["own", "own"], "restored")


@pytest.mark.parametrize("where", ["the same cache", "another cache"])
def test_what_was_begun_before_is_not_served_after(tmp_path, where):
    """Who was generating meanwhile gets the answer, and nobody else does."""
    begun, may_end = threading.Event(), threading.Event()

    def generate() -> str:
        begun.set()
        assert may_end.wait(GUARD_S)
        return "late"

    with LLMCache(tmp_path / "c") as asker, LLMCache(tmp_path / "c") as another:
        restorer = asker if where == "the same cache" else another
        asker.put("page", "restored", n=1)
        asker.invalidate_prefix("page", keep=True)
        got: list[object] = []
        ask = lambda: got.append(asker.get_or_generate_sync("page", generate, n=1))  # noqa: E731
        thread = threading.Thread(target=ask)
        thread.start()
        assert begun.wait(GUARD_S)
        (trashed,) = restorer.trash.entries()
        assert restorer.trash.restore([trashed.entry.key]) == [trashed.entry.key]
        now = asker.get_or_generate_sync("page", lambda: "once more", n=1)
        may_end.set()
        thread.join(GUARD_S)
        after = [c.get_or_generate_sync("page", lambda: "again", n=1) for c in (asker, another)]
    assert (got, now, after) == (["late"], "restored", ["restored", "restored"])


CHILD = """
cache = LLMCache(directory)
params = dict(subtopic="adding-fractions", subject="math", topic="fractions", grade="5")
def generate():
    say("generating")
    hear()
    return "late"
say(cache.get_or_generate_sync("intro_page", generate, **params))
hear()
say(cache.get_or_generate_sync("intro_page", lambda: "again", **params)[:8])
cache.close()
"""


def test_other_process_serves_the_restored_one(thrown_away, cli, start):
    """Also one that was generating meanwhile, from its memory or not."""
    child = start(CHILD, directory=thrown_away.directory)
    assert child.says() == "generating"
    assert cli("restore", thrown_away.page).code == 0
    child.tell()
    assert child.says() == "late"
    child.tell()
    assert child.says() == "# Adding"
    assert child.ends()[0] == 0
    assert value_of(thrown_away, thrown_away.page).startswith("# Adding fractions")


def test_expired_one_is_restored_as_it_is(cli, thrown_away):
    """It is not made younger by that."""
    cli("restore", thrown_away.old_page)
    (row,) = [line.split("\t") for line in cli("ls", "--expired").out.splitlines()]
    assert (row[0], row[-1]) == (thrown_away.old_page, "expired")


def test_hostile_text_in_the_trash_is_harmless(screen, cli, lessons):
    """On a terminal and in a pipe."""
    with LLMCache(lessons.directory) as cache:
        cache.put("evil", "x", params={"a\x1b[31m": "\x1b]52;c;aGk=\x07\u202e\r"})
        cache.invalidate_prefix("evil", keep=True)
    for shown in (
        screen("restore", env={"NO_COLOR": "1"}),
        cli("restore"),
        cli("restore", "--json"),
    ):
        assert shown.code == 0
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", shown.out + shown.err)


def test_interrupted_listing_restores_nothing(lessons, here):
    """Ctrl-C in the middle of a long list: 130, no traceback."""
    with LLMCache(lessons.directory) as cache:
        for n in range(1500):
            cache.put("many", "x", params={"n": n, "text": "x" * 60})
        cache.invalidate_prefix("many", keep=True)
    session = Terminal("--cache-dir", lessons.directory, "restore", cwd=here)
    session.wait_for("many")
    session.interrupt()
    shown = session.end()
    assert (shown.code, "Traceback" in shown.out) == (130, False)
    assert len(trash_of(lessons)) == 1500


def test_age_in_the_trash_counts_from_when_it_was_made(cli, thrown_away):
    """`--older-than` means the entry, not its removal."""
    assert cli("restore", "-n", "-q", "--older-than", "3d").out.split() == [thrown_away.old_page]
