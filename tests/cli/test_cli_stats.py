"""`llm-cache stats`: what is held, the hit rate, what was saved, and what could be done."""

import io
import json
import re
import time
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from rich.cells import cell_len

from llm_cache.api.cache import LLMCache
from llm_cache.api.stats import breakdown
from llm_cache.api.upkeep import LOOK_AT, Measured, Upkeep, upkeep
from llm_cache.cli.app import run
from llm_cache.cli.commands.stats import FIELDS
from llm_cache.cli.output.advice import advice, write_advice
from llm_cache.cli.output.screen import Screen, sparkline
from llm_cache.cli.output.stats import draw
from llm_cache.store.records import Counts, EntryUse, Refusals, UsageDay

DAY_S = 86_400.0
COLOURS = re.compile(r"\x1b\[[0-9;]*m")
NOTHING = Measured(0, 0, is_all=True)


def screen_of(columns: int = 80, *, encoding: str = "utf-8") -> Screen:
    """A terminal that keeps what is written."""
    return Screen(io.StringIO(), True, False, columns, False, encoding)


def shown_on(screen: Screen) -> str:
    """What was written."""
    assert isinstance(screen.stream, io.StringIO)
    return screen.stream.getvalue()


def ago(days: int) -> str:
    """The day so many days ago, in UTC."""
    return datetime.fromtimestamp(time.time() - days * DAY_S, UTC).date().isoformat()


def a_day(days_ago: int, *, prefix: str = "a", model: str = "m", **counts: float) -> UsageDay:
    """What was counted of a prefix and a model on one day."""
    return UsageDay(ago(days_ago), "", prefix, model, Counts(**counts))


@pytest.fixture
def cache(tmp_path):
    """A cache that nobody has used."""
    with LLMCache(tmp_path / "used") as cache:
        yield cache


def count(cache: LLMCache, *days: UsageDay) -> None:
    """Has a cache count so."""
    cache._engine.components.store.add_usage(days, [])


def picture(
    cache: LLMCache, *, by: str = "prefix", since: str = "", columns: int = 80, encoding="utf-8"
) -> str:
    """What a terminal shows of the figures of a cache."""
    screen = screen_of(columns, encoding=encoding)
    draw(screen, breakdown(cache._engine.components, cache.config, None, since=since), by=by)
    return shown_on(screen)


def advised(cache: LLMCache, **flags) -> list[tuple[str, str]]:
    """What is advised about a cache."""
    components = cache._engine.components
    stats = breakdown(components, cache.config, None)
    given = {"by": "prefix", "since": None, "has_sets": False, **flags}
    return [tuple(each) for each in advice(stats, upkeep(components, None), **given)]


# What a terminal shows.


def test_terminal_shows_a_picture(screen):
    """Entries, size, the hit rate with its bar, what was saved, each prefix, what to do."""
    shown = screen("stats")
    out = shown.out
    assert shown.code == 0
    assert out.startswith("5 entries   ")
    assert " of 1.0 GiB\n" in out
    assert "hit rate   █" in out
    assert "91.7%   11 hits   1 miss   0 coalesced" in out
    assert "PREFIX        ENTRIES" in out
    assert re.search(r"\n\n! 1 expired entry holds 60 B   +llm-cache prune\n", out)
    assert all(len(line) <= 80 for line in out.splitlines())


def test_what_is_not_known_is_never_zero(screen):
    """A prefix that nobody asked for has no hit rate and saved nothing that is known."""
    line = next(x for x in screen("stats").out.splitlines() if x.startswith("word_problem"))
    assert line.split()[-3:] == ["–", "0", "–"]
    assert "%" not in line


def test_saved_and_spent_are_told_in_money_and_time(cache):
    """Each apart, with its tokens."""
    count(
        cache,
        a_day(0, hits=2, misses=1, generations=1, saved_seconds=8, saved_usd=1.5,
              saved_input_tokens=1000, saved_output_tokens=2, generation_seconds=4, cost_usd=0.75,
              input_tokens=500, output_tokens=1),
    )  # fmt: skip
    out = picture(cache)
    assert "\nsaved      $1.50 and 8.0 s of waiting   1,000 tokens in, 2 out\n" in out
    assert "\nspent      $0.75 and 4.0 s to generate   500 tokens in, 1 out\n" in out


@pytest.mark.parametrize("columns", [40, 60, 80, 200])
def test_picture_fits_the_terminal(cache, columns):
    """No line is wider, and nothing is missing but columns that can be spared."""
    cache.put("lesson", "x", n=1)
    for back in range(30):
        count(cache, a_day(back, prefix="lesson", hits=30 + back, stale_hits=1, misses=9, errors=1,
                           not_stored=3, saved_seconds=9e4, saved_usd=1e4, saved_unpriced=7,
                           generations=9, cost_usd=5.0, generation_seconds=99))  # fmt: skip
    for by in ("prefix", "model", "day"):
        out = picture(cache, by=by, columns=columns)
        assert max(map(cell_len, out.splitlines())) <= columns
        told = " ".join(out.split())
        for figure in ("1,335 hits", "30 stale", "270 misses", "210 of unknown cost", "30 errors"):
            assert figure in told


def test_bars_grow_with_the_terminal(cache):
    """The hit rate's, and those of the table."""
    count(cache, a_day(0, hits=3, misses=1))

    def lengths(columns):
        rows = re.findall("[█▉▊▋▌▍▎▏·]+", picture(cache, columns=columns))
        return [len(row) for row in rows]

    assert [lengths(columns)[0] for columns in (60, 66, 70, 200)] == [10, 16, 20, 40]
    assert [lengths(columns)[1] for columns in (40, 50, 60, 200)] == [4, 9, 19, 24]


def test_trouble_is_told(screen, lessons):
    """What could not be kept shows, in words and in red, with the reason."""
    with LLMCache(lessons.directory) as cache:
        cache.get_or_generate_sync("odd", lambda: (1, 2), q=1)
    assert "\x1b[31mtrouble\x1b[0m    1 value not kept: 1 not the same\n" in screen("stats").out


def test_ascii_terminal_gets_ascii(cache):
    """Bars, days and dashes."""
    for back in (0, 1, 4):
        count(cache, a_day(back, hits=5 - back, misses=1))
    out = picture(cache, encoding="ascii")
    assert out.isascii()
    assert "hit rate   ####" in out
    assert "5 days     _  *#  50% to 83%" in out


# Day by day.


def test_each_day_has_its_column(cache):
    """The lowest rate is lowest, the highest highest, and a day without requests is a gap."""
    for back, hits in ((0, 9), (1, 5), (3, 1)):
        count(cache, a_day(back, hits=hits, misses=10 - hits))
    assert f"\n4 days     ▁·▅█  10% to 90%   since {ago(3)}\n" in picture(cache)


def test_days_go_back_as_far_as_there_is_room(cache):
    """The latest are shown, and how many they are; since when is told all the same."""
    for back in range(60):
        count(cache, a_day(back, hits=1, misses=1))
    out = picture(cache, columns=60)
    shown = re.search(r"\n(\d+) days    (█+)  50%\n", out)
    assert shown is not None
    assert int(shown[1]) == len(shown[2])
    assert 30 <= len(shown[2]) < 60
    assert f"           since {ago(59)}\n" in out


def test_one_day_is_no_row_of_days(cache):
    """Then it is only told since when."""
    count(cache, a_day(0, hits=1))
    assert f"\nsince      {ago(0)}\n" in picture(cache)


def test_days_without_a_request_are_no_row_of_days(cache):
    """Nothing was asked for, though something was counted."""
    count(cache, a_day(2, bypassed=1), a_day(0, bypassed=1))
    assert f"\nsince      {ago(2)}\n" in picture(cache)


@pytest.mark.parametrize(
    ("shares", "drawn"),
    [
        ([0.0, 0.5, 1.0], "▁▅█"),
        ([0.9, None, 0.9], "█·█"),
        ([None, None], "··"),
        ([], ""),
    ],
)
def test_sparkline_is_scaled_to_its_range(shares, drawn):
    """From the lowest to the highest column; all high where all are the same."""
    assert sparkline(shares, screen=screen_of()) == drawn


# What is asked for.


def test_since_leaves_out_what_was_before(cli, lessons):
    """Counts of that day and later; what is held is that of now."""
    with LLMCache(lessons.directory) as cache:
        count(cache, a_day(20, prefix="old", hits=7), a_day(3, prefix="new", hits=5))
    document = json.loads(cli("stats", "--json", "--since", "5d").out)
    assert "old" not in document["prefixes"]
    assert document["prefixes"]["new"]["hits"] == 5
    assert document["total"]["hits"] == 16
    assert document["total"]["entries"] == 5
    assert document["since"] == ago(5)
    assert json.loads(cli("stats", "--json").out)["total"]["hits"] == 23


def test_since_takes_a_day_whole(cli, lessons):
    """A date is that day of UTC, wherever it is typed; refusals go by it, too."""
    with LLMCache(lessons.directory) as cache:
        count(cache, a_day(3, hits=5), a_day(4, hits=50))
        refused = [Refusals(ago(back), "", "a", "too large", 1 + back) for back in (3, 4)]
        cache._engine.components.store.add_usage([], [], refused)
    document = json.loads(cli("stats", "--json", "--since", ago(3)).out)
    assert document["prefixes"]["a"]["hits"] == 5
    assert document["total"]["not_stored_because"] == {"too large": 4}
    assert document["since"] == ago(3)


@pytest.fixture
def far_east(monkeypatch):
    """A day begins 14 hours earlier here."""
    monkeypatch.setenv("TZ", "XXX-14")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


def test_a_day_is_one_of_utc_wherever_it_is_typed(far_east, cli, lessons):
    """Counts are kept by those."""
    with LLMCache(lessons.directory) as cache:
        count(cache, a_day(3, hits=5), a_day(4, hits=50))
    document = json.loads(cli("stats", "--json", "--since", ago(3)).out)
    assert document["since"] == ago(3)


def test_since_when_is_never_before_the_first_count(cli, lessons):
    """Nothing is said to be counted before anything was."""
    assert json.loads(cli("stats", "--json", "--since", "90d").out)["since"] == lessons.day


@pytest.mark.parametrize("typed", ["soon", "7", "2999-01-01", "-3d", "", "forever", "9" * 30 + "d"])
def test_since_that_is_no_time_ago(cli, typed):
    """Neither a date nor a time ago, or one that is still to come: exit 2."""
    shown = cli("stats", "--since", typed)
    assert shown.code == 2
    assert shown.err.startswith("error: --since: ")
    assert shown.out == ""


def test_by_what_is_not_there(cli):
    """Exit 2, and what there is."""
    shown = cli("stats", "--by", "colour")
    assert shown.code == 2
    assert "'prefix', 'model', 'day'" in shown.err


def test_by_model(cache):
    """What each model made and what that saved; what answered nothing is left out."""
    count(
        cache,
        a_day(0, model="big", generations=2, cost_usd=3.0, input_tokens=10, output_tokens=2000),
        a_day(1, model="big", hits=4, saved_usd=9.0),
        a_day(0, model="", misses=2),
    )
    rows = picture(cache, by="model").partition("MODEL")[2].splitlines()
    assert rows[0].split() == [
        "GENERATED",
        "TOKENS",
        "IN",
        "/",
        "OUT",
        "TOOK",
        "SPENT",
        "HITS",
        "SAVED",
    ]
    assert rows[1].split() == ["big", "2", "10", "/", "2,000", "–", "$3.00", "4", "$9.00"]
    assert len(rows) == 2


def test_by_day(cache):
    """A line a day, the last at the end, with the trouble it had."""
    count(
        cache,
        a_day(1, hits=1, misses=1, errors=2, generations=1, cost_usd=0.5, saved_unpriced=1),
        a_day(0, hits=3, saved_seconds=6.0, saved_unpriced=3),
    )
    header, first, last = picture(cache, by="day").partition("DAY")[2].splitlines()
    assert header.split() == ["HIT", "RATE", "HITS", "MISSES", "ERRORS", "SPENT", "SAVED"]
    assert first.split()[:1] + first.split()[2:] == [ago(1), "50%", "1", "1", "2", "$0.50", "–"]
    assert last.split()[:1] + last.split()[2:] == [ago(0), "100%", "3", "0", "0", "–", "6.0", "s"]


def test_a_thousand_prefixes_are_all_shown(cache):
    """One line each; none is left out."""
    count(cache, *(a_day(0, prefix=f"p{n:03}", hits=1) for n in range(1000)))
    rows = picture(cache).partition("PREFIX")[2].splitlines()[1:]
    assert [row.split()[0] for row in rows] == [f"p{n:03}" for n in range(1000)]


# What could be done.


def test_expired_entries_can_be_pruned(cli, lessons):
    """How many, what they hold, and the command."""
    with LLMCache(lessons.directory) as cache:
        assert advised(cache)[0] == ("1 expired entry holds 60 B", "llm-cache prune")
        cache.prune()
        assert "llm-cache prune" not in dict(advised(cache)).values()


def test_entries_that_are_never_hit_are_told(lessons):
    """Of a prefix that is asked for, the command lists exactly those."""
    with LLMCache(lessons.directory) as cache:
        told = dict(advised(cache))
        assert told["intro_page: 2 entries never hit"] == "llm-cache ls intro_page --unused"
        assert not any(text.startswith("word_problem") for text in told)  # nobody asked for any


def test_the_prefixes_with_most_of_them_are_told():
    """Three of them: more would be a list."""
    prefixes = {name: {"entries": 9, "hit_rate": 0.5} for name in "abcde"}
    found = found_of(unused={"a": 2, "b": 5, "c": 3, "d": 1, "e": 3})
    told = advice(stats_of(prefixes=prefixes), found, by="prefix", since=None, has_sets=False)
    assert [each.text[0] for each in told] == ["b", "c", "e"]


def test_an_entry_that_was_hit_is_told_no_more(lessons):
    """Only those that never were are counted."""
    with LLMCache(lessons.directory) as cache:
        key = next(e.key for e in cache.entries("intro_page") if not e.hits)
        cache._engine.components.store.add_usage([], [EntryUse(key, 1, time.time())])
        assert "intro_page: 1 entry never hit" in dict(advised(cache))


def test_new_entries_had_no_time_to_be_hit(cache):
    """What was made within the hour is not said to be of no use."""
    cache.get_or_generate_sync("a", lambda: "text", n=1)
    assert advised(cache) == []


def test_few_entries_that_are_never_hit_are_no_matter(tmp_path):
    """Below a tenth of a prefix nothing is said."""
    begun = time.time()
    with LLMCache(tmp_path / "old", clock=lambda: begun - 7200) as cache:
        for n in range(11):
            cache.get_or_generate_sync("a", lambda: "text", n=n)
            if n:
                cache.get_or_generate_sync("a", lambda: "text", n=n)
    with LLMCache(tmp_path / "old") as cache:
        assert cache.get_stats()["total"]["hits"] == 10
        assert advised(cache) == []
        [unused] = [entry.key for entry in cache.entries() if not entry.hits]
        cache.invalidate_entries([next(e.key for e in cache.entries() if e.key != unused)])
        assert dict(advised(cache)) == {"a: 1 entry never hit": "llm-cache ls a --unused"}


@pytest.mark.parametrize(
    ("disk_bytes", "told"),
    [(949, None), (950, "95% of max_disk is taken"), (1040, "104% of max_disk is taken")],
)
def test_a_cache_near_its_limit_says_so(disk_bytes, told):
    """From 95% on, where making room is not far."""
    found = advice(stats_of(disk_bytes=disk_bytes), found_of(), by="prefix", since=None,
                   has_sets=False)  # fmt: skip
    assert found == ([] if told is None else [(told, "llm-cache prune --dry-run")])


def test_the_trash_can_be_taken_back(lessons):
    """What was invalidated, until it is gone for good."""
    with LLMCache(lessons.directory) as cache:
        keys = [entry.key for entry in cache.entries("word_problem")]
        size = sum(entry.size_bytes for entry in cache.entries("word_problem"))
        cache.invalidate_entries(keys, keep=True)
        assert advised(cache)[-1] == (f"2 entries in the trash hold {size} B", "llm-cache restore")


@pytest.mark.parametrize("name", ["errors", "not_stored"])
def test_trouble_can_be_looked_at_day_by_day(cache, name):
    """Unless that is what is looked at; within the days that were asked for."""
    cache.put("a", "x", n=1)
    count(cache, a_day(0, hits=1, **{name: 2}))
    assert advised(cache) == [("the trouble, day by day", "llm-cache stats --by day")]
    within = dict(advised(cache, since="2 weeks"))
    assert within == {"the trouble, day by day": "llm-cache stats --by day --since '2 weeks'"}
    assert advised(cache, by="day") == []


def test_an_empty_cache_may_be_the_wrong_one(screen, tmp_path):
    """Nothing held, nothing asked: where it looked, and what could be warmed. Exit 0."""
    empty = screen("--cache-dir", tmp_path / "empty", "stats")
    assert empty.code == 0
    assert empty.out.startswith("0 entries")
    assert "hit rate   –   nothing was asked for yet\n\n" in empty.out
    assert "! nothing is kept here; is it the right place?   llm-cache config show\n" in empty.out


def test_an_empty_cache_can_be_warmed(cache):
    """Where the settings have sets; and where it was used, it is the right one."""
    count(cache, a_day(0, misses=1))
    [(_, command)] = advised(cache, has_sets=True)
    assert command == "llm-cache warm --dry-run"


def test_more_than_was_looked_at_is_told_as_that(lessons):
    """Without a size that would not be all of it."""
    found = found_of(
        expired=Measured(LOOK_AT, 5, is_all=False),
        trash=Measured(1000, 5, is_all=False),
        unused={"a": 7},
        unused_is_all=False,
    )
    stats = stats_of(prefixes={"a": {"entries": 50, "hit_rate": 0.5}})
    told = [each.text for each in advice(stats, found, by="prefix", since=None, has_sets=False)]
    assert told == [
        "10,000 or more expired entries",
        "a: 7 or more entries never hit",
        "1,000 or more entries in the trash",
    ]


def test_no_more_is_looked_at_than_is_quick(cache):
    """Ten thousand of the expired, and of those used longest ago."""
    asked = []

    class Looking:
        def __getattr__(self, name):
            def call(*args, look_at=None, **kwargs):
                asked.append((name, look_at if look_at is not None else args[-1:]))
                found = getattr(cache._engine.components.store, name)
                return found(*args, **kwargs) if look_at is None else found(*args, look_at=look_at)

            return call

    components = cache._engine.components
    upkeep(replace(components, store=Looking()), None)
    assert ("expired", LOOK_AT) in asked
    assert ("unused", (LOOK_AT,)) in asked


def test_what_is_of_all_is_not_told_of_a_tenant(lessons, cli):
    """What would be swept is everybody's; the rest is the tenant's own."""
    with LLMCache(lessons.directory) as cache, cache.tenant("acme"):
        cache.put("a", "text", n=1)
        cache.invalidate_prefix("a", keep=True)
    document = json.loads(cli("--tenant", "acme", "stats", "--json").out)
    assert document["sweepable"] is None
    assert document["trash"]["entries"] == 1
    assert document["never_hit"]["prefixes"] == {}
    other = json.loads(cli("--tenant", "other", "stats", "--json").out)
    assert other["trash"]["entries"] == 0


def test_commands_stand_below_each_other():
    """As far to the left as the longest text lets them."""
    screen = screen_of(60)
    write_advice(screen, advice(stats_of(disk_bytes=1000), found_of(expired=Measured(2, 9, True)),
                                by="prefix", since=None, has_sets=False))  # fmt: skip
    assert shown_on(screen) == (
        "! 2 expired entries hold 9 B   llm-cache prune\n"
        "! 100% of max_disk is taken    llm-cache prune --dry-run\n"
    )


def test_commands_have_lines_of_their_own_where_it_is_narrow():
    """So that each can be copied whole."""
    screen = screen_of(50)
    write_advice(screen, advice(stats_of(disk_bytes=1000), found_of(expired=Measured(2, 9, True)),
                                by="prefix", since=None, has_sets=False))  # fmt: skip
    assert shown_on(screen).splitlines() == [
        "! 2 expired entries hold 9 B",
        "  llm-cache prune",
        "! 100% of max_disk is taken",
        "  llm-cache prune --dry-run",
    ]


@pytest.mark.parametrize(
    ("prefix", "command"),
    [
        ("a", "llm-cache ls a --unused"),
        ("-a", "llm-cache ls --prefix=-a --unused"),
        ("a; rm -r x", "llm-cache ls 'a; rm -r x' --unused"),
    ],
)
def test_commands_can_be_typed_as_they_are(prefix, command):
    """Whatever the prefix is, a shell takes it for one."""
    stats = stats_of(prefixes={prefix: {"entries": 5, "hit_rate": 0.5}})
    found = found_of(unused={prefix: 5})
    [told] = advice(stats, found, by="prefix", since=None, has_sets=False)
    assert told.command == command


def stats_of(**given) -> dict:
    """Figures in which nothing is to be told but what is given."""
    total = {"entries": 50, "errors": 0, "not_stored": 0}
    return {"total": total, "prefixes": {}, "disk_bytes": 1, "max_disk": 1000, "since": None,
            **given}  # fmt: skip


def found_of(**given) -> Upkeep:
    """Nothing to be told but what is given."""
    found = {"expired": NOTHING, "trash": NOTHING, "unused": {}, "unused_is_all": True, **given}
    return Upkeep(**found)


# For programs.


def test_json_has_every_number(cli, lessons):
    """Shares as fractions, seconds, bytes; null for no share."""
    document = json.loads(cli("stats", "--json").out)
    assert document["schema"] == 1
    assert document["total"]["entries"] == 5
    assert document["total"]["hit_rate"] == pytest.approx(11 / 12)
    assert document["prefixes"]["intro_page"]["hits"] == 11
    assert document["prefixes"]["word_problem"]["hit_rate"] is None
    assert document["sweepable"] == {"entries": 1, "size_bytes": 60, "is_all": True}
    assert document["trash"] == {"entries": 0, "size_bytes": 0, "is_all": True}
    assert document["never_hit"] == {
        "prefixes": {"intro_page": 2, "word_problem": 2},
        "is_all": True,
    }
    assert document["max_disk"] == 1024**3
    assert document["disk_bytes"] > 0


def test_json_has_models_and_days(cli, lessons):
    """The same counts, but for sizes; a day is an ISO date."""
    with LLMCache(lessons.directory) as cache:
        count(cache, a_day(2, model="big", hits=3, misses=1, saved_usd=0.5))
        cache._engine.components.store.add_usage(
            [], [], [Refusals(ago(2), "", "a", "too large", 4)]
        )
    document = json.loads(cli("stats", "--json", "--by", "day").out)
    big, day = document["models"]["big"], document["days"][ago(2)]
    assert (big["hits"], big["saved_usd"], big["hit_rate"]) == (3, 0.5, 0.75)
    assert (day["misses"], day["not_stored_because"]) == (1, {"too large": 4})
    assert set(big) == {*FIELDS[3:], "hit_rate"}
    assert set(day) == {*FIELDS[3:], "hit_rate", "not_stored_because"}
    assert list(document["days"]) == [ago(2), lessons.day]


def test_pipe_gets_a_line_for_every_figure(cli):
    """Its name and its value, exactly as in JSON; what is not known is empty."""
    told = dict(line.split("\t") for line in cli("stats").out.splitlines())
    document = json.loads(cli("stats", "--json").out)
    expected = {name: document[name] for name in ("cache_dir", "disk_bytes", "max_disk", "since")}
    expected |= document["total"]
    assert set(told) == set(expected) - {"not_stored_because"}
    assert told == {name: str(expected[name]) for name in told}
    assert (told["entries"], told["hits"], told["misses"]) == ("5", "11", "1")


def test_pipe_says_nothing_for_what_is_not_known(tmp_path, capfd):
    """No requests have no rate, and no first day."""
    run(["--cache-dir", str(tmp_path / "none"), "stats"])
    told = dict(line.split("\t") for line in capfd.readouterr().out.splitlines())
    assert (told["hit_rate"], told["since"], told["entries"]) == ("", "", "0")


def test_pipe_gets_a_table_with_names_by_prefix(cli):
    """A line of names, then one for each; the names are those of JSON."""
    names, *rows = [line.split("\t") for line in cli("stats", "--by", "prefix").out.splitlines()]
    assert names == ["prefix", *FIELDS, "hit_rate"]
    told = {row[0]: dict(zip(names, row, strict=True)) for row in rows}
    assert list(told) == ["intro_page", "word_problem"]
    assert (told["intro_page"]["hits"], told["word_problem"]["entries"]) == ("11", "2")
    assert (told["intro_page"]["misses"], told["word_problem"]["hit_rate"]) == ("1", "")


@pytest.mark.parametrize("by", ["model", "day"])
def test_pipe_gets_a_table_by_model_and_day(cli, lessons, by):
    """Without sizes: they belong to no model or day."""
    with LLMCache(lessons.directory) as cache:
        count(cache, a_day(2, model="big", hits=3, misses=1))
    names, *rows = [line.split("\t") for line in cli("stats", "--by", by).out.splitlines()]
    assert names == [by, *FIELDS[3:], "hit_rate"]
    told = {row[0]: dict(zip(names, row, strict=True)) for row in rows}
    row = told["big" if by == "model" else ago(2)]
    assert (row["hits"], row["misses"], row["hit_rate"]) == ("3", "1", "0.75")


def test_pipe_gets_no_advice(cli):
    """A script has no use for it."""
    assert cli("stats").err == ""


def test_days_that_are_none_do_no_harm(cache):
    """A tampered store is shown all the same."""
    count(cache, UsageDay("\x1b[2J", "", "a", "m", Counts(hits=1)), a_day(0, hits=1))
    for by in ("prefix", "model", "day"):
        assert "\x1b" not in picture(cache, by=by)
