"""Each field of a policy is decided by the nearest source that says something."""

import dataclasses
import itertools
import math
from datetime import timedelta

import pytest

from llm_cache.core.policy import POLICY_FIELDS, UNSET, CachePolicy, Mode
from llm_cache.core.policy_resolution import Policy, PolicyTable, TtlSource
from llm_cache.errors import CacheError, ConfigError

DAY_S = 86_400.0


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ({"ttl": "7d"}, 7 * DAY_S),
        ({"ttl": timedelta(hours=1)}, 3600),
        ({"ttl": "forever"}, math.inf),
        ({"ttl": 0}, 0),
        ({"ttl": timedelta(0)}, 0),
        ({"ttl": "0s"}, 0),
        ({"ttl_hours": 168}, 7 * DAY_S),
        ({"ttl_hours": 0.5}, 1800),
        ({"ttl_hours": 0}, 0),
        ({}, None),
        ({"ttl": None, "ttl_hours": None}, None),
        ({"ttl": None, "ttl_hours": 1}, 3600),
    ],
    ids=str,
)
def test_a_ttl_may_be_written_in_many_forms(given, seconds):
    """A ttl is a text, a timedelta, a bare 0 or a number of hours; 0 is not "unset"."""
    assert CachePolicy(**given).ttl == seconds


BAD_DURATIONS = [5, -1, 1.5, True, "5", "", "-7d", "soon", "101y", math.nan, math.inf, b"7d", []]
BAD_DURATIONS += [timedelta(seconds=-1), timedelta.max, 10**400, "9" * 400 + "d"]


@pytest.mark.parametrize("value", BAD_DURATIONS, ids=range(len(BAD_DURATIONS)))
@pytest.mark.parametrize("field", ["ttl", "grace", "stale_if_error", "timeout", "lock_timeout"])
def test_a_wrong_duration_names_its_field(field, value):
    """A duration without a unit, below zero or over a century is a ConfigError."""
    with pytest.raises(ConfigError, match=f"^{field}: ") as raised:
        CachePolicy(**{field: value})
    assert isinstance(raised.value, CacheError)
    assert isinstance(raised.value, ValueError)


BAD_HOURS = [-1, math.nan, math.inf, True, "24", timedelta(hours=1), 876_601, 10**400, []]


@pytest.mark.parametrize("hours", BAD_HOURS, ids=range(len(BAD_HOURS)))
def test_wrong_hours_name_their_field(hours):
    """Hours are a plain number from 0 to those of a century."""
    with pytest.raises(ConfigError, match=r"^ttl_hours: "):
        CachePolicy(ttl_hours=hours)


@pytest.mark.parametrize("ttl", ["7d", 0], ids=str)
def test_a_ttl_is_given_once(ttl):
    """A ttl in hours beside a ttl is an error, even if they agree."""
    with pytest.raises(ConfigError, match="keep one"):
        CachePolicy(ttl=ttl, ttl_hours=168)


@pytest.mark.parametrize("version", [2, 1.0, True, b"2", ["2"]], ids=str)
def test_a_version_is_a_str(version):
    """A version of another type is an error, since 2 and "2" would be two keys."""
    with pytest.raises(ConfigError, match=r"^version: .*write"):
        CachePolicy(version=version)


def test_an_unknown_field_is_refused():
    """A misspelt field is an error and not ignored."""
    with pytest.raises(TypeError, match="tll"):
        CachePolicy(tll="7d")


def test_a_policy_cannot_be_changed():
    """A policy that is shared by functions stays what it is, and can be compared."""
    policy = CachePolicy(ttl="7d", version="2")
    with pytest.raises(AttributeError):
        policy.ttl = 1.0
    assert policy == CachePolicy(ttl_hours=168, version="2")
    assert hash(policy) == hash(CachePolicy(ttl_hours=168, version="2"))
    assert policy != CachePolicy(ttl="7d")


def test_a_policy_shows_only_what_it_says():
    """The repr is what one would write, without the fields that others decide."""
    assert repr(CachePolicy()) == "CachePolicy()"
    shown = repr(CachePolicy(ttl_hours=36, version="2", timeout="forever"))
    assert shown == "CachePolicy(ttl='36h', version='2', timeout='forever')"
    assert repr(CachePolicy(ttl=0)) == "CachePolicy(ttl='0s')"


SOURCES = ("call", "prefix", "decorator", "defaults")
PRESENT = list(itertools.product([True, False], repeat=4))


def resolved(field, values, present) -> Policy:
    """The policy of `p` where the sources that are present give these values to `field`."""
    call, prefix, decorator, defaults = (
        CachePolicy(**{field: value}) if there else None
        for value, there in zip(values, present, strict=True)
    )
    table = PolicyTable(
        prefixes={"other": CachePolicy(ttl="9y", version="9")} | ({"p": prefix} if prefix else {}),
        defaults=defaults or UNSET,
    )
    return table.resolve("p", call=call, decorator=decorator)


def nearest(values, present, otherwise):
    """The value of the first source that is present."""
    found = (value for value, there in zip(values, present, strict=True) if there)
    return next(found, otherwise)


@pytest.mark.parametrize("present", PRESENT, ids=str)
def test_the_nearest_source_decides_each_field(present):
    """The call, `[prefixes.X]`, the decorator, `[defaults]`, the built-in values: in this order."""
    hours = ("1h", "2h", "3h", "4h")
    seconds = (3600, 7200, 10_800, 14_400)
    version = resolved("version", ("c", "p", "d", "f"), present).version
    assert version == nearest(("c", "p", "d", "f"), present, "")
    assert resolved("timeout", hours, present).timeout == nearest(seconds, present, math.inf)
    assert resolved("lock_timeout", hours, present).lock_timeout == nearest(seconds, present, 300)
    for name in ("grace", "stale_if_error"):
        assert getattr(resolved(name, hours, present), name) == nearest(seconds, present, 0)
    ttl, source = resolved("ttl", hours, present).ttl()
    assert ttl == nearest(seconds, present, DAY_S)
    assert source == nearest(SOURCES, present, "built-in")


@pytest.mark.parametrize("present", PRESENT, ids=str)
def test_zero_and_empty_are_said_and_not_left_out(present):
    """A ttl of 0 or an empty version decides like any other."""
    said = any(present)
    assert resolved("ttl", (0, 0, 0, 0), present).ttl()[0] == (0 if said else DAY_S)
    if present[0]:
        assert resolved("version", ("", "p", "d", "f"), present).version == ""


def test_each_field_is_decided_by_itself():
    """A source that says one field leaves the others to those behind it."""
    table = PolicyTable(
        prefixes={"p": CachePolicy(timeout="2m")}, defaults=CachePolicy(ttl="4h", version="f")
    )
    policy = table.resolve("p", call=CachePolicy(ttl="1h"), decorator=CachePolicy(version="d"))
    assert policy.ttl() == (3600, TtlSource.CALL)
    assert policy.timeout == 120
    assert policy.version == "d"


def test_the_lock_timeout_follows_the_timeout():
    """Where nobody sets a lock_timeout it is the timeout, or 5 minutes where that has no end."""
    assert PolicyTable().resolve("p").lock_timeout == 300
    assert PolicyTable().resolve("p", call=CachePolicy(timeout="forever")).lock_timeout == 300
    assert PolicyTable().resolve("p", call=CachePolicy(timeout="5s")).lock_timeout == 5
    table = PolicyTable(defaults=CachePolicy(lock_timeout="7s"))
    assert table.resolve("p", call=CachePolicy(timeout="5s")).lock_timeout == 7


def test_the_built_in_values_are_those_of_the_example():
    """Without any file, intro pages live for 7 days and all else for a day."""
    table = PolicyTable()
    assert table.resolve("intro_page").ttl() == (7 * DAY_S, TtlSource.BUILTIN)
    assert table.resolve("word_problem").ttl() == (DAY_S, TtlSource.BUILTIN)
    assert table.resolve("anything").ttl() == (DAY_S, TtlSource.BUILTIN)


@pytest.mark.parametrize(
    ("table", "decorator", "expected"),
    [
        (PolicyTable(), CachePolicy(ttl="1h"), (3600, TtlSource.DECORATOR)),
        (PolicyTable(defaults=CachePolicy(ttl="2h")), None, (7200, TtlSource.DEFAULTS)),
        (
            PolicyTable(prefixes={"intro_page": CachePolicy(ttl="3h")}),
            CachePolicy(ttl="1h"),
            (10_800, TtlSource.PREFIX),
        ),
    ],
    ids=["decorator", "defaults", "prefix"],
)
def test_any_source_overrides_the_built_in_values(table, decorator, expected):
    """The built-in ttl of `intro_page` ranks last, behind `[defaults]` even."""
    assert table.resolve("intro_page", decorator=decorator).ttl() == expected


def test_another_prefix_of_the_file_says_nothing():
    """`[prefixes.X]` is for X alone, not for what begins like it."""
    table = PolicyTable(prefixes={"intro": CachePolicy(ttl="1h")})
    assert table.resolve("intro_page").ttl()[1] is TtlSource.BUILTIN
    assert table.resolve("intro").ttl()[1] is TtlSource.PREFIX


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("ttl_jitter", 1.0),
        ("ttl_jitter", -0.1),
        ("ttl_jitter", True),
        ("ttl_jitter", "0.1"),
        ("ttl_jitter", math.nan),
        ("mode", "relive"),
        ("mode", 1),
        ("cache_if", "len"),
        ("store_if", "not_empty"),
        ("store_if", ["not_emtpy"]),
        ("store_if", [1]),
        ("store_params", "some"),
        ("secret_params", "student"),
        ("public_params", [None]),
    ],
    ids=str,
)
def test_a_wrong_field_is_named(field, value):
    """What a field cannot be is a ConfigError that names the field and says what to write."""
    with pytest.raises(ConfigError, match=f"^{field}.*write"):
        CachePolicy(**{field: value})


def test_a_gate_is_no_coroutine():
    """An async gate would let everything through: what it returns is true until it is awaited."""

    async def good(value):
        return False

    with pytest.raises(ConfigError, match="async"):
        CachePolicy(cache_if=good)


def is_long(value):
    """A gate."""
    return len(value) > 10


EVERYTHING_SAID = {
    "ttl": 60.0,
    "ttl_jitter": 0.1,
    "grace": 1.0,
    "stale_if_error": 2.0,
    "version": "3",
    "timeout": 4.0,
    "lock_timeout": 5.0,
    "mode": "refresh",
    "cache_if": is_long,
    "store_if": ("not_empty", "not_refused"),
    "store_params": "redacted",
    "secret_params": ("student",),
    "public_params": ("token",),
}


def test_no_field_is_left_out_here():
    """A new field is tested by one more line above, and what is resolved has a place for it."""
    assert EVERYTHING_SAID.keys() == POLICY_FIELDS.keys()
    assert POLICY_FIELDS.keys() - {"ttl"} <= {each.name for each in dataclasses.fields(Policy)}


def of(**fields):
    """A policy of bare values, durations in seconds."""
    durations = {"ttl", "grace", "stale_if_error", "timeout", "lock_timeout"}
    return CachePolicy(
        **{name: f"{value}s" if name in durations else value for name, value in fields.items()}
    )


@pytest.mark.parametrize("field", EVERYTHING_SAID)
def test_each_field_is_decided_by_the_nearest_source(field):
    """Call, file, decorator and defaults, in this order, each field on its own."""
    value = EVERYTHING_SAID[field]
    said = of(**{field: value})
    for far, source in enumerate(["call", "file", "decorator", "defaults"]):
        sources = dict.fromkeys(["call", "file", "decorator", "defaults"][:far], UNSET)
        sources[source] = said
        table = PolicyTable(
            prefixes={"p": sources.get("file", UNSET)}, defaults=sources.get("defaults", UNSET)
        )
        policy = table.resolve("p", call=sources.get("call"), decorator=sources.get("decorator"))
        assert (policy.ttl()[0] if field == "ttl" else getattr(policy, field)) == value
    assert said.over(CachePolicy()) == CachePolicy().over(said) == said
    assert eval(repr(said), {"CachePolicy": CachePolicy}) == said if field != "cache_if" else True  # noqa: S307


@pytest.mark.parametrize("mode", ["live", "refresh", "off"])
def test_the_nearest_mode_counts(mode):
    """Call, block, environment, prefix, decorator, defaults and `[cache]`, in this order."""
    other = Mode.OFF if mode == "live" else Mode.LIVE
    here, there = CachePolicy(mode=mode), CachePolicy(mode=other)
    table = PolicyTable({"p": there}, there, other, other)
    assert table.resolve("p", call=here, mode_in_block=other).mode == mode
    assert table.resolve("p", decorator=there, mode_in_block=Mode(mode)).mode == mode
    table = PolicyTable({"p": there}, there, other, Mode(mode))
    assert table.resolve("p", decorator=there).mode == mode
    table = PolicyTable({"p": here}, there, other)
    assert table.resolve("p", decorator=there).mode == mode
    table = PolicyTable({}, there, other)
    assert table.resolve("p", decorator=here).mode == mode
    table = PolicyTable({}, here, other)
    assert table.resolve("p").mode == mode
    assert PolicyTable({}, UNSET, Mode(mode)).resolve("p").mode == mode


@pytest.mark.parametrize("mode", ["live", "refresh", "off"])
def test_nothing_loosens_the_replay_of_the_environment(mode):
    """What the environment sets to replay stays so, whatever call, block and file say."""
    loose = CachePolicy(mode=mode)
    table = PolicyTable({"p": loose}, loose, Mode(mode), Mode.REPLAY)
    policy = table.resolve("p", call=loose, decorator=loose, mode_in_block=Mode(mode))
    assert policy.mode is Mode.REPLAY
