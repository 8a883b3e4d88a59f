"""`cache.why` says whether a request would hit, and if not, why: in words, and in fields."""

import asyncio
import dataclasses
import datetime as dt
import enum

import apsw
import pytest
from pydantic import SecretStr

from llm_cache import (
    CachePolicy,
    Outcome,
    ReplayMissError,
    StoreError,
    cached_llm_call,
)
from llm_cache.engine.explain import SHOWN_CHARS, SHOWN_DIFFERENCES, Difference

MINUTE_S, HOUR_S, DAY_S = 60.0, 3600.0, 86_400.0
LESSON = {"subject": "math", "topic": "fractions", "grade": 5}


@pytest.fixture
def lesson(cache, clock):
    """A page that was made two hours ago under a ttl of a day; its entry."""
    cache.put("lesson_page", "text", params=LESSON)
    clock.now += 2 * HOUR_S
    return cache.peek("lesson_page", params=LESSON)


def made():
    """What a generator makes."""
    return "text"


def asked(cache, *, policy=None, **changes):
    """Why a request for the lesson, with changes, would miss."""
    return cache.why("lesson_page", policy=policy, params={**LESSON, **changes})


# What is there.


def test_a_fresh_entry_is_a_hit(cache, lesson):
    """With its age, and what is left of its ttl."""
    why = asked(cache)
    assert str(why) == "hit: fresh; expires in 22h; made 2h ago"
    assert (why.outcome, why.entry, why.nearest) == (Outcome.HIT, lesson, None)
    assert (why.prefix, why.tenant, why.key) == ("lesson_page", "", lesson.key.hex())


def test_an_entry_that_never_expires_is_a_hit(cache, lesson):
    """It says that it does not."""
    why = asked(cache, policy=CachePolicy(ttl="forever"))
    assert str(why) == "hit: fresh; never expires; made 2h ago"


def test_an_expired_entry_is_a_miss(cache, lesson, clock):
    """It says since when."""
    clock.now += 25 * HOUR_S
    why = asked(cache)
    assert str(why) == "miss: expired 3h ago; made 1d ago"
    assert (why.outcome, why.entry) == (Outcome.MISS, lesson)


def test_what_expires_this_moment_is_expired(cache, lesson, clock):
    """As a lookup judges it."""
    clock.now = lesson.created_at + DAY_S - 1
    assert str(asked(cache)) == "hit: fresh; expires in 1s; made 23h ago"
    clock.now += 1
    assert str(asked(cache)) == "miss: expired just now; made 1d ago"


def test_an_entry_within_its_grace_is_stale(cache, lesson, clock):
    """It is given, and regenerated behind."""
    clock.now += 25 * HOUR_S
    why = asked(cache, policy=CachePolicy(grace="4h"))
    assert str(why) == "stale: expired 3h ago; is served while it is refreshed; made 1d ago"
    assert why.outcome is Outcome.STALE


def test_a_fallback_is_a_miss_that_has_one(cache, lesson, clock):
    """It is generated first: only if that fails the old one is given."""
    clock.now += 25 * HOUR_S
    why = asked(cache, policy=CachePolicy(stale_if_error="4h"))
    assert str(why) == "miss: expired 3h ago; is given if the generator fails; made 1d ago"
    assert why.outcome is Outcome.MISS


def test_what_was_made_later_than_now_is_a_miss(cache, lesson, clock):
    """The clock was set back, or another machine's is wrong."""
    clock.now = lesson.created_at - 3 * HOUR_S
    why = asked(cache)
    assert str(why) == "miss: made later than now; made 3h from now"
    assert (why.outcome, why.entry) == (Outcome.MISS, lesson)


def test_a_clock_that_is_a_little_off_is_no_trouble(cache, lesson, clock):
    """Those of machines differ."""
    clock.now = lesson.created_at - 4 * MINUTE_S
    assert asked(cache).outcome is Outcome.HIT


def test_an_entry_of_another_type_is_a_miss(cache):
    """The function returns what the stored value is not."""

    @cached_llm_call("page", cache=cache)
    def page(n: int) -> dict:
        return {}

    cache.put("page", "text", n=1)
    assert str(page.why(1)) == "miss: stored as another type; made just now"


# What leaves the cache alone, and modes.


@pytest.mark.parametrize(
    ("policy", "answer"),
    [
        ({"mode": "off"}, "bypass: the mode is off"),
        ({"ttl": 0}, "bypass: the ttl is 0"),
        ({"mode": "refresh"}, "miss: asked to be refreshed; made 2h ago"),
        ({"mode": "replay"}, "hit: recorded, and the mode is replay; made 2h ago"),
    ],
    ids=["off", "ttl 0", "refresh", "replay"],
)
def test_policies_that_decide_alone(cache, lesson, policy, answer):
    """Whatever is stored."""
    assert str(asked(cache, policy=CachePolicy(**policy))) == answer


def test_the_mode_of_a_block_counts(cache, lesson):
    """As it would for a request there."""
    with cache.mode("off"):
        assert asked(cache).outcome is Outcome.BYPASS
    assert asked(cache).outcome is Outcome.HIT


def test_age_does_not_count_in_replay(cache, lesson, clock):
    """A recording is one for ever."""
    clock.now += 400 * DAY_S
    why = asked(cache, policy=CachePolicy(mode="replay"))
    assert str(why) == "hit: recorded, and the mode is replay; made 400d ago"


def test_a_disabled_cache_is_left_alone(make_cache, lesson):
    """Nothing is looked up."""
    assert str(asked(make_cache(enabled=False))) == "bypass: the cache is disabled"


@pytest.mark.parametrize(
    ("settings", "more", "reason"),
    [
        ({"enabled": False}, {}, "the cache is disabled"),
        ({}, {"ttl": 0}, "the ttl is 0"),
        ({}, {}, "nothing is stored under this prefix"),
    ],
    ids=["disabled", "ttl 0", "nothing there"],
)
def test_replay_without_a_recording_is_a_miss(make_cache, settings, more, reason):
    """Never a bypass, since nothing may be generated; the error says the same."""
    cache = make_cache(**settings)
    policy = CachePolicy(mode="replay", **more)
    assert str(cache.why("page", policy=policy, n=1)) == f"miss: {reason}"
    with pytest.raises(ReplayMissError, match=rf"^page: .*: (miss: )?{reason}$"):
        cache.get_or_generate_sync("page", made, policy=policy, n=1)


def test_replay_tells_what_differs_in_its_error(cache, lesson):
    """All of the answer."""
    policy = CachePolicy(mode="replay")
    with pytest.raises(ReplayMissError) as error:
        cache.get_or_generate_sync(
            "lesson_page", made, policy=policy, params={**LESSON, "grade": 6}
        )
    assert str(asked(cache, policy=policy, grade=6)) in str(error.value)
    assert "grade = 6 here, 5 there" in str(error.value)


# What is not there.


def test_nothing_under_the_prefix(cache, lesson):
    """No entry at all can be compared."""
    why = cache.why("word_problem", params=LESSON)
    assert str(why) == "miss: nothing is stored under this prefix"
    assert (why.entry, why.nearest, why.differences) == (None, None, ())


def test_asking_makes_no_file(cache, directory):
    """What is not there is empty."""
    assert str(cache.why("page", n=1)) == "miss: nothing is stored under this prefix"
    assert not directory.exists()


def test_a_param_that_differs(cache, lesson):
    """The entry it was compared to, the param, and both values."""
    why = asked(cache, grade=6)
    assert str(why) == (
        f"miss: the nearest entry, {lesson.id}, differs in grade\n  grade = 6 here, 5 there"
    )
    assert (why.entry, why.nearest.key) == (None, lesson.key)
    assert why.differences == (Difference("grade", "6", "5"),)


class Grade(enum.Enum):
    """Something that reads like a text and is none."""

    FIVE = "5"


@dataclasses.dataclass
class Unit:
    """A table with a class."""

    n: int


ALIKE = {
    "string and number": ("5", 5, '"5" here, 5 there'),
    "number and string": (5, "5", '5 here, "5" there'),
    "true or false and string": (True, "True", 'true here, "True" there'),
    "string and date": (
        "2026-11-22",
        dt.date(2026, 11, 22),
        '"2026-11-22" here, "2026-11-22" there',
    ),
    "enum Grade and string": (Grade.FIVE, "Grade.FIVE", '"Grade.FIVE" here, "Grade.FIVE" there'),
    "dataclass Unit and table": (Unit(1), {"n": 1}, '{"n":1} here, {"n":1} there'),
    "number and string ": (2**70, hex(2**70), f'"{hex(2**70)}" here, "{hex(2**70)}" there'),
}


@pytest.mark.parametrize(("hint", "case"), ALIKE.items(), ids=ALIKE)
def test_values_that_look_alike_are_told_apart(cache, hint, case):
    """By their kinds: it is the commonest mistake, and cannot be seen."""
    here, there, shown = case
    cache.put("page", "text", grade=there)
    why = cache.why("page", grade=here)
    assert str(why).splitlines()[1] == f"  grade = {shown}: {hint.strip()}"


@pytest.mark.parametrize(("here", "there"), [(6, "5"), (1, 1.0), (None, "null"), ([5], 5)])
def test_values_that_look_different_need_no_hint(cache, here, there):
    """Who sees them sees why."""
    cache.put("page", "text", grade=there)
    assert [each.hint for each in cache.why("page", grade=here).differences] == [""]


def test_params_that_only_one_of_them_has(cache, lesson):
    """Given here, or there."""
    here = cache.why("lesson_page", subject="math", topic="fractions", grade=5, level=None)
    assert str(here).splitlines()[1:] == ["  level = null here, not given there"]
    there = cache.why("lesson_page", subject="math", topic="fractions")
    assert str(there).splitlines()[1:] == ["  grade = 5 there, not given here"]


def test_the_nearest_entry_shares_most_params(cache, clock):
    """Not the newest, and not the first."""
    for params in (
        {"a": 1, "b": 1, "c": 1},
        {"a": 1, "b": 2, "c": 3},
        {"a": 9, "b": 9, "c": 9},
    ):
        clock.now += 1
        cache.put("page", "text", params=params)
    why = cache.why("page", a=1, b=2, c=4)
    assert why.nearest.params == {"a": 1, "b": 2, "c": 3}
    assert [each.param for each in why.differences] == ["c"]


def test_of_several_as_near_it_is_the_newest(cache, clock):
    """That is the one that was asked for last."""
    for n in (3, 1, 2):
        clock.now += 1
        cache.put("page", "text", n=n)
    assert cache.why("page", n=9).nearest.params == {"n": 2}


def test_a_version_that_differs(cache, lesson):
    """All params agree."""
    why = asked(cache, policy=CachePolicy(version="v2"))
    assert (
        str(why) == f"miss: version differs: v2 here, none there; the nearest entry is {lesson.id}"
    )


def test_a_version_and_a_param_that_differ(cache, lesson):
    """Both are said."""
    why = asked(cache, policy=CachePolicy(version="v2"), grade=6)
    assert str(why) == (
        f"miss: version differs: v2 here, none there; "
        f"the nearest entry, {lesson.id}, differs in grade\n  grade = 6 here, 5 there"
    )


def test_an_entry_of_the_same_version_is_nearer(cache, lesson, clock):
    """Where the params are as near."""
    clock.now += 1
    cache.put("lesson_page", "new", policy=CachePolicy(version="v2"), params=LESSON)
    assert asked(cache, grade=6).nearest.version == ""
    assert asked(cache, grade=6, policy=CachePolicy(version="v2")).nearest.version == "v2"


def test_another_tenant_is_never_the_nearest(cache, lesson):
    """Nor is it said that there is one."""
    with cache.tenant("acme"):
        why = asked(cache)
    assert str(why) == "miss: nothing is stored under this prefix for the tenant 'acme'"
    assert (why.tenant, why.nearest) == ("acme", None)


def test_within_a_tenant_its_own_are_compared(cache, lesson):
    """Though another's is nearer."""
    with cache.tenant("acme"):
        cache.put("lesson_page", "text", params={**LESSON, "topic": "decimals", "grade": 9})
        why = asked(cache, grade=6)
    assert [each.param for each in why.differences] == ["grade", "topic"]


def test_many_differences_are_cut_short(cache):
    """In words; the fields have them all, by name."""
    names = [f"p{n}" for n in range(SHOWN_DIFFERENCES + 3)]
    cache.put("page", "text", params=dict.fromkeys(names, 1))
    why = cache.why("page", params=dict.fromkeys(names, 2))
    assert [each.param for each in why.differences] == names
    assert str(why).splitlines()[1:] == [
        *(f"  {name} = 2 here, 1 there" for name in names[:SHOWN_DIFFERENCES]),
        "  and 3 more",
    ]


def test_a_long_value_is_cut_short(cache):
    """A prompt fills no screen."""
    cache.put("page", "text", prompt="a" * 10_000)
    [difference] = cache.why("page", prompt="b").differences
    assert difference.here == '"b"'
    assert difference.there == '"' + "a" * (SHOWN_CHARS - 2) + "…"


def test_line_breaks_in_names_and_versions_make_no_lines(cache):
    """A line for the answer, and one for each difference, whatever is in them."""
    policy = CachePolicy(version="v1\nhit: fresh")
    cache.put("page", "text", policy=policy, params={"a\nhit: fresh": 1})
    told = str(cache.why("page", b="\nhit: fresh"))
    assert [line.split()[0] for line in told.splitlines()] == ["miss:", "a\\nhit:", "b"]


def test_names_that_begin_with_a_dollar_are_shown_as_given(cache):
    """The second one is of the storing only."""
    cache.put("page", "text", params={"$a": 1})
    why = cache.why("page", params={"$a": 2})
    assert str(why).splitlines()[1] == "  $a = 2 here, 1 there"


def test_a_miss_changes_nothing(cache, lesson):
    """Nothing is counted, generated or written."""
    before = cache.get_stats()
    for grade in (5, 6):
        asked(cache, grade=grade)
    assert cache.get_stats() == before


# What was there.


def test_an_invalidated_entry(cache, lesson, clock):
    """By its key: it says when."""
    cache.invalidate("lesson_page", params=LESSON)
    clock.now += HOUR_S
    assert str(asked(cache)) == (
        "miss: it was invalidated 1h ago; nothing is stored under this prefix"
    )


def test_an_invalidated_entry_beside_others(cache, lesson, clock):
    """And what is the nearest now."""
    cache.put("lesson_page", "text", params={**LESSON, "grade": 6})
    cache.invalidate_entries([lesson.key])
    clock.now += HOUR_S
    why = asked(cache)
    assert why.reasons[0] == "it was invalidated 1h ago"
    assert [each.param for each in why.differences] == ["grade"]


REMOVE_ALL = {
    "invalidate_prefix": lambda cache: cache.invalidate_prefix("lesson_page"),
    "to the trash": lambda cache: cache.invalidate_prefix("lesson_page", keep=True),
    "clear_all": lambda cache: cache.clear_all(),
}


@pytest.mark.parametrize("remove", REMOVE_ALL.values(), ids=REMOVE_ALL)
def test_an_invalidated_prefix(cache, lesson, clock, remove):
    """All of it went: it says when."""
    remove(cache)
    clock.now += HOUR_S
    assert str(asked(cache)) == (
        "miss: all of this prefix was invalidated 1h ago; nothing is stored under this prefix"
    )


def test_what_was_made_anew_since_is_there(cache, lesson, clock):
    """What was noted before is of no matter then."""
    cache.invalidate("lesson_page", params=LESSON)
    clock.now += HOUR_S
    cache.put("lesson_page", "text", params=LESSON)
    assert str(asked(cache)) == "hit: fresh; expires in 1d; made just now"


def test_an_older_removal_of_the_prefix_is_of_no_matter(cache, lesson, clock):
    """Only what came after the last that is known of the key."""
    cache.invalidate_prefix("lesson_page")
    clock.now += HOUR_S
    cache.put("lesson_page", "text", params=LESSON)
    cache.invalidate("lesson_page", params=LESSON)
    clock.now += HOUR_S
    assert asked(cache).reasons == (
        "it was invalidated 1h ago",
        "nothing is stored under this prefix",
    )


def test_notes_of_another_tenant_are_not_told(cache, lesson, clock):
    """What happened to theirs is their affair."""
    cache.invalidate_prefix("lesson_page", tenant="")
    clock.now += HOUR_S
    with cache.tenant("acme"):
        assert "invalidated" not in str(asked(cache))


def test_notes_are_forgotten_after_a_week(cache, lesson, clock):
    """They would only pile up."""
    cache.invalidate("lesson_page", params=LESSON)
    clock.now += 6 * DAY_S
    cache.prune()
    assert asked(cache).reasons[0] == "it was invalidated 6d ago"
    clock.now += DAY_S
    cache.prune()
    assert asked(cache).reasons == ("nothing is stored under this prefix",)


CUT_OFF = {"finish_reason": "length", "text": "Adding fr"}
REFUSED = {
    "truncated": (CUT_OFF, {"store_if": ["not_truncated"]}),
    "empty": ("", {"store_if": ["not_empty"]}),
    "cache_if": ("text", {"cache_if": bool.__instancecheck__}),
    "not the same": ((1, 2), {}),
}


@pytest.mark.parametrize(("reason", "case"), REFUSED.items(), ids=REFUSED)
def test_what_was_not_stored(cache, clock, reason, case):
    """With the reason, at once and later, here and in another process."""
    value, fields = case
    policy = CachePolicy(**fields)
    cache.get_or_generate_sync("page", lambda: value, policy=policy, n=1)
    assert cache.why("page", n=1).reasons[0] == f"it was not stored just now: {reason}"
    clock.now += 3 * MINUTE_S
    assert cache.why("page", n=1).reasons[0] == f"it was not stored 3m ago: {reason}"
    assert "not stored" not in str(cache.why("page", n=2))


def test_what_was_not_stored_is_known_after_a_restart(make_cache, clock):
    """The note is in the store."""
    with make_cache() as cache:
        policy = CachePolicy(store_if=["not_truncated"])
        cache.get_or_generate_sync("page", lambda: CUT_OFF, policy=policy, n=1)
    clock.now += HOUR_S
    assert str(make_cache().why("page", n=1)) == (
        "miss: it was not stored 1h ago: truncated; nothing is stored under this prefix"
    )


# What may not be told.


@pytest.mark.parametrize("secret", ["key-1", SecretStr("key-1")], ids=["by its name", "SecretStr"])
def test_a_redacted_param_may_differ(cache, secret):
    """Nobody can tell: no digest of it is kept."""
    cache.put("page", "text", n=1, api_key="key-2")
    entry = cache.peek("page", n=1, api_key="key-2")
    why = cache.why("page", n=1, api_key=secret)
    assert str(why).splitlines() == [
        f"miss: a redacted param may differ from those of {entry.id}",
        "  api_key (redacted) may differ",
    ]


def test_a_secret_of_the_request_is_not_shown(cache):
    """Where the entry has none, or where other params differ."""
    cache.put("page", "text", n=1)
    for params in ({"n": 1}, {"n": 2}):
        told = cache.why("page", **params, api_key="hunter2")
        assert "hunter2" not in f"{told} {told!r}"
    assert "  api_key = <redacted> here, not given there" in str(told).splitlines()


def test_a_secret_of_the_entry_is_not_shown(cache):
    """It is not there."""
    cache.put("page", "text", n=1, api_key="hunter2")
    told = cache.why("page", n=1)
    assert str(told).splitlines()[1] == "  api_key = <redacted> there, not given here"
    assert "hunter2" not in repr(told)


def test_what_certainly_differs_goes_before_what_may(cache):
    """A redacted param is not worth a line then."""
    cache.put("page", "text", n=1, api_key="key-1")
    why = cache.why("page", n=2, api_key="key-2")
    assert [each.param for each in why.differences] == ["n"]


@pytest.mark.parametrize(
    ("then", "now", "lines"),
    [
        ("full", "none", ["  n (redacted) may differ"]),
        ("full", "redacted", ["  n (redacted) may differ"]),
        ("redacted", "full", ["  n (redacted) may differ"]),
        ("redacted", "redacted", ["  n (redacted) may differ"]),
        ("none", "full", []),
        ("none", "none", []),
    ],
)
def test_params_that_are_not_stored_may_differ(cache, then, now, lines):
    """Never "not given", and never "differs in", of what nobody can see."""
    cache.put("page", "text", policy=CachePolicy(store_params=then), n=1)
    entry = cache.peek("page", n=1)
    told = str(cache.why("page", policy=CachePolicy(store_params=now), n=2)).splitlines()
    assert told == [f"miss: a redacted param may differ from those of {entry.id}", *lines]


# Who may ask, and how.


def test_a_decorated_function_says_why(cache, clock):
    """By its arguments, positional or named, with its own ttl."""

    @cached_llm_call("lesson_page", cache=cache, ttl="1h")
    def intro_page(subject: str, grade: int = 5) -> str:
        return "text"

    intro_page("math")
    clock.now += 2 * HOUR_S
    assert str(intro_page.why("math", grade=5)) == "miss: expired 1h ago; made 2h ago"
    assert "grade = 6 here, 5 there" in str(intro_page.why("math", 6))


async def test_an_async_decorated_function_says_why(cache):
    """Awaited."""

    @cached_llm_call("lesson_page", cache=cache)
    async def intro_page(subject: str) -> str:
        return "text"

    await intro_page("math")
    assert (await intro_page.why("math")).outcome is Outcome.HIT
    assert (await intro_page.why("art")).outcome is Outcome.MISS


def test_a_method_says_why(cache):
    """Its object is no param."""

    class Lessons:
        @cached_llm_call("lesson_page", cache=cache, exclude=("self",))
        def page(self, subject: str) -> str:
            return "text"

    Lessons().page("math")
    assert Lessons().page.why("math").outcome is Outcome.HIT


def test_async_callers_ask_off_the_loop(cache, lesson):
    """The same answer."""
    answer = asyncio.run(cache.aio.why("lesson_page", params={**LESSON, "grade": 6}))
    assert answer == asked(cache, grade=6)


def test_answers_of_the_same_are_equal(cache, lesson):
    """They are values."""
    assert asked(cache, grade=6) == asked(cache, grade=6)
    assert asked(cache, grade=6) != asked(cache, grade=7)


def test_a_store_in_trouble_is_a_store_error(cache, directory):
    """Nobody can tell, so nothing is said."""
    directory.mkdir(mode=0o700)
    with apsw.Connection(str(directory / "cache.db")) as connection:
        connection.execute("CREATE TABLE theirs (a)").fetchall()
    with pytest.raises(StoreError):
        cache.why("page", n=1)


OUTCOMES = {
    Outcome.HIT: {"params": {"n": 1}},
    Outcome.MISS: {"params": {"n": 2}},
    Outcome.BYPASS: {"params": {"n": 1}, "policy": CachePolicy(ttl=0)},
}


@pytest.mark.parametrize(("outcome", "request_"), OUTCOMES.items(), ids=map(str, OUTCOMES))
def test_a_lookup_comes_to_what_was_said(cache, outcome, request_):
    """Right after."""
    cache.put("page", "text", n=1)
    assert cache.why("page", **request_).outcome is outcome
    assert cache.lookup_sync("page", made, **request_).outcome is outcome


def test_a_lookup_is_stale_as_was_said(cache, clock):
    """As above; the new one is made behind."""
    policy = CachePolicy(ttl="1h", grace="1h")
    cache.put("page", "text", policy=policy, n=1)
    clock.now += 1.5 * HOUR_S
    assert cache.why("page", policy=policy, n=1).outcome is Outcome.STALE
    assert cache.lookup_sync("page", made, policy=policy, n=1).outcome is Outcome.STALE


def test_settings_of_the_file_count(load_cache, clock):
    """Its ttl, and its version."""
    cache = load_cache('[prefixes.page]\nttl = "1h"\nversion = "v2"\n')
    cache.put("page", "text", n=1)
    clock.now += 2 * HOUR_S
    assert str(cache.why("page", n=1)) == "miss: expired 1h ago; made 2h ago"
    assert str(cache.why("page", policy=CachePolicy(version="v1"), n=1)).startswith(
        "miss: version differs: v1 here, v2 there"
    )
