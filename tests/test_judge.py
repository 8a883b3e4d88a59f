"""One function says what an entry is good for, from its age, its ttl and who said which ttl."""

import hashlib
import itertools
import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cache.core.entry import EntryInfo
from llm_cache.core.freshness import Freshness, freshness_window, judge, share_of
from llm_cache.core.policy import CachePolicy
from llm_cache.core.policy_resolution import Policy, PolicyTable, TtlSource

T0 = 1_800_000_000.0
TTL = 3600.0
FRESH, STALE, FALLBACK, MISSING = Freshness
TICK = 0.001


def entry(**changes) -> EntryInfo:
    """An entry that was made at T0."""
    fields = {
        "key": bytes(32),
        "request": bytes(32),
        "params_json": b"{}",
        "prefix": "p",
        "encoding": "json",
        "size_bytes": 2,
        "value_bytes": 2,
        "created_at": T0,
    }
    return EntryInfo(**{**fields, **changes})


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (0, FRESH),
        (TTL - TICK, FRESH),
        (TTL, MISSING),
        (TTL + TICK, MISSING),
        (10 * TTL, MISSING),
    ],
)
def test_an_entry_is_fresh_until_its_ttl_ends(age, expected):
    """An entry is fresh as long as its age is less than the ttl, and not a tick longer."""
    assert judge(entry(), Policy(builtin_ttl=TTL), T0 + age) is expected


@pytest.mark.parametrize(
    ("age", "expected"),
    [
        (-300 - TICK, MISSING),
        (-300, FRESH),
        (-TICK, FRESH),
        (-86_400, MISSING),
        (-math.inf, MISSING),
    ],
)
def test_an_entry_from_up_to_five_minutes_ahead_is_new(age, expected):
    """The clocks of machines differ by up to 300 s; what is further ahead is not believed."""
    assert judge(entry(), Policy(builtin_ttl=TTL), T0 + age) is expected


@pytest.mark.parametrize(
    ("grace", "stale_if_error", "expected"),
    [
        (0, 0, [MISSING, MISSING, MISSING]),
        (10, 0, [STALE, MISSING, MISSING]),
        (20, 0, [STALE, STALE, MISSING]),
        (0, 10, [FALLBACK, MISSING, MISSING]),
        (10, 20, [STALE, FALLBACK, MISSING]),
        (20, 10, [STALE, STALE, MISSING]),
        (10, 10, [STALE, MISSING, MISSING]),
        (math.inf, 0, [STALE, STALE, STALE]),
        (10, math.inf, [STALE, FALLBACK, FALLBACK]),
    ],
)
def test_stale_comes_before_fallback(grace, stale_if_error, expected):
    """Both windows begin where the ttl ends; in both, an entry is stale."""
    policy = Policy(builtin_ttl=TTL, grace=grace, stale_if_error=stale_if_error)
    for start, end, state in zip((0, 10, 20), (10, 20, 1e6), expected, strict=True):
        assert judge(entry(), policy, T0 + TTL + start) is state
        assert judge(entry(), policy, T0 + TTL + end - TICK) is state


def test_forever_has_no_end():
    """With a ttl of forever an entry is fresh a million years on, but not from the future."""
    policy = Policy(builtin_ttl=math.inf)
    assert judge(entry(), policy, T0 + 1e6 * 365 * 86_400) is FRESH
    assert judge(entry(), policy, T0 - 301) is MISSING
    assert freshness_window(entry(), policy) == (T0 - 300, math.inf)


@pytest.mark.parametrize("age", [-300, -1, 0, 1])
def test_nothing_is_fresh_under_a_ttl_of_zero(age):
    """0 means "do not keep": what is there is not served, from whichever clock it came."""
    assert judge(entry(), Policy(prefix_ttl=0.0), T0 + age) is MISSING


def test_jitter_only_shortens_and_spreads():
    """Under a jitter of 0.1 ttls lie between 90 and 100 %, evenly, and each key keeps its own."""
    policy = Policy(builtin_ttl=TTL, ttl_jitter=0.1)
    keys = [hashlib.sha256(str(n).encode()).digest() for n in range(1000)]
    ttls = [freshness_window(entry(key=key), policy)[1] - T0 for key in keys]
    assert ttls == [freshness_window(entry(key=key), policy)[1] - T0 for key in keys]
    assert all(0.9 * TTL <= ttl <= TTL for ttl in ttls)
    tenths = Counter(int((TTL - ttl) / (0.01 * TTL)) for ttl in ttls)
    assert len(tenths) == 10
    assert min(tenths.values()) > 60
    for key, ttl in zip(keys[:9], ttls[:9], strict=True):
        assert judge(entry(key=key), policy, T0 + ttl - TICK) is FRESH
        assert judge(entry(key=key), policy, T0 + ttl + TICK) is MISSING


def test_jitter_is_the_same_in_every_process():
    """It comes from the key alone: the last 8 bytes, as a part of 2^64."""
    assert share_of(bytes(32)) == 0
    assert share_of(bytes(24) + bytes([0x80]) + bytes(7)) == 0.5
    assert share_of(b"\xff" * 32) <= 1


def test_jitter_leaves_forever_alone():
    """What never expires does not do so a little earlier."""
    policy = Policy(builtin_ttl=math.inf, ttl_jitter=0.9)
    assert freshness_window(entry(key=b"\x80" * 32), policy)[1] == math.inf


def test_the_window_is_what_judge_goes_by():
    """The fresh window begins 300 s before the entry was made, and ends with its ttl."""
    start, end = freshness_window(entry(), Policy(builtin_ttl=TTL))
    assert (start, end) == (T0 - 300, T0 + TTL)


SOURCES = ["call", "made_with_call", "prefix", "decorator", "made_with_decorator", "defaults"]
WHO_DECIDED = [
    *(TtlSource.CALL, TtlSource.CALL, TtlSource.PREFIX),
    *(TtlSource.DECORATOR, TtlSource.DECORATOR, TtlSource.DEFAULTS),
]


@pytest.mark.parametrize("zero", [False, True], ids=["seconds", "zeros"])
def test_the_nearest_source_decides_in_every_combination(zero):
    """Of 64 combinations of sources, the first that says something decides: a 0, too."""
    for present in itertools.product([True, False], repeat=6):
        values = [0.0 if zero else 10.0 * n for n in range(1, 7)]
        said = [value if there else None for value, there in zip(values, present, strict=True)]
        given_ttl = dict(zip(SOURCES, said, strict=True))
        policy = Policy(
            call_ttl=given_ttl["call"],
            prefix_ttl=given_ttl["prefix"],
            decorator_ttl=given_ttl["decorator"],
            defaults_ttl=given_ttl["defaults"],
            builtin_ttl=99.0,
        )
        first = present.index(True) if any(present) else None
        expected = (
            (99.0, TtlSource.BUILTIN) if first is None else (values[first], WHO_DECIDED[first])
        )
        made_with = given_ttl["made_with_call"], given_ttl["made_with_decorator"]
        assert policy.ttl(*made_with) == expected
        made = entry(call_ttl=made_with[0], decorator_ttl=made_with[1])
        last_tick = judge(made, policy, T0 + expected[0] - TICK)
        assert last_tick is (FRESH if expected[0] else MISSING)
        assert judge(made, policy, T0 + expected[0]) is MISSING


def test_the_command_line_judges_as_the_application_does():
    """Who knows only the file and the entry comes to the ttl that the decorated call came to."""
    call = CachePolicy(ttl="1h", grace="1h", stale_if_error="3h", ttl_jitter=0.5)
    decorator = CachePolicy(ttl="2h", grace="2h", stale_if_error="1h", ttl_jitter=0.25)
    file = CachePolicy(ttl="4h", grace="0s", stale_if_error="0s", ttl_jitter=0.0)
    files = [
        PolicyTable(),
        PolicyTable(defaults=CachePolicy(ttl="3h", grace="30m", ttl_jitter=0.125)),
        PolicyTable(prefixes={"p": file}),
        PolicyTable(prefixes={"p": CachePolicy(grace="6h")}, defaults=file),
    ]
    for table, by_call, by_decorator in itertools.product(files, (None, call), (None, decorator)):
        ours = table.resolve("p", call=by_call, decorator=by_decorator)
        made = entry(
            key=b"\x80" * 32,
            call_ttl=by_call.ttl if by_call else None,
            decorator_ttl=by_decorator.ttl if by_decorator else None,
            remembered=ours.remembered,
        )
        theirs = table.resolve("p")
        assert theirs.ttl(made.call_ttl, made.decorator_ttl) == ours.ttl()
        assert theirs.grace_of(made.remembered) == ours.grace_of(made.remembered)
        assert theirs.stale_if_error_of(made.remembered) == ours.stale_if_error_of(made.remembered)
        for age in range(0, 86_401, 600):
            assert judge(made, theirs, T0 + age) is judge(made, ours, T0 + age)


def test_a_changed_file_counts_for_what_is_already_stored():
    """A shorter ttl in the file ends entries at once; a longer one revives them."""
    made = entry(decorator_ttl=TTL)
    shorter = PolicyTable(prefixes={"p": CachePolicy(ttl="1m")}).resolve("p")
    longer = PolicyTable(prefixes={"p": CachePolicy(ttl="7d")}).resolve("p")
    assert judge(made, shorter, T0 + 61) is MISSING
    assert judge(made, longer, T0 + TTL + 1) is FRESH


SECONDS = st.integers(0, 10**7).map(float) | st.just(math.inf)


@given(st.integers(-1000, 3 * 10**7), SECONDS, SECONDS, SECONDS)
def test_an_entry_is_judged_by_its_age_alone(age, ttl, grace, stale_if_error):
    """The judgement is that of the rules in words, for every age and policy."""
    policy = Policy(builtin_ttl=ttl, grace=grace, stale_if_error=stale_if_error)
    counted = max(age, 0)  # up to five minutes ahead is new
    if age < -300 or ttl == 0:
        expected = MISSING
    elif counted < ttl:
        expected = FRESH
    elif counted < ttl + grace:
        expected = STALE
    else:
        expected = FALLBACK if counted < ttl + stale_if_error else MISSING
    assert judge(entry(), policy, T0 + age) is expected


@given(st.integers(0, 10**6), st.integers(0, 10**6), SECONDS, SECONDS, SECONDS)
def test_an_entry_never_becomes_fresher(age, later, ttl, grace, stale_if_error):
    """With time an entry goes from fresh to stale to fallback to missing, and never back."""
    policy = Policy(builtin_ttl=ttl, grace=grace, stale_if_error=stale_if_error)
    order = list(Freshness)
    before = order.index(judge(entry(), policy, T0 + age))
    after = order.index(judge(entry(), policy, T0 + age + later))
    assert before <= after
