"""Durations and sizes are read as people write them, and nothing is guessed."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_cache.core.units import (
    FOREVER,
    LONGEST_S,
    check_seconds,
    format_duration,
    format_size,
    hours_to_seconds,
    parse_duration,
    parse_instant,
    parse_size,
    rough_duration,
    to_seconds,
)

DAY_S = 86_400

DURATIONS = {
    "90s": 90,
    "5m": 300,
    "24h": DAY_S,
    "7d": 7 * DAY_S,
    "2w": 14 * DAY_S,
    "1mo": 30 * DAY_S,
    "1y": 365 * DAY_S,
    "250ms": 0.25,
    "0s": 0,
    "0d": 0,
    "1h30m": 5400,
    "1h 30m": 5400,
    "1 h 30 m": 5400,
    "1d12h30m15s": DAY_S * 1.5 + 1815,
    "1.5h": 5400,
    "0.5d": DAY_S / 2,
    "2 weeks": 14 * DAY_S,
    "1 week 2 days": 9 * DAY_S,
    "1 hour": 3600,
    "3 mins": 180,
    "7D": 7 * DAY_S,
    "  7d\n": 7 * DAY_S,
    "100 years": 36_500 * DAY_S,
}
NO_DURATIONS = [
    *("", " ", "7", "0", "1.5", "d", "7 x", "7dd", "d7", "-7d", "+7d", "- 7d", "7d-1h", "1,5h"),
    *("1e3s", "0x10s", "nan", "nans", "inf", "infs", "Infinity", "never", "7d forever", "1.h"),
    *(
        ".5h",
        "1h30",
        "30 1h",
        "1h, 30m",
        "1h\0",
        "P7D",
        "1:30",
        "７d",
        "7ｄ",
        "١d",
        "7µs",
        "\ud800",
    ),
]


@pytest.mark.parametrize(("text", "seconds"), DURATIONS.items(), ids=[repr(t) for t in DURATIONS])
def test_a_duration_is_numbers_with_units(text, seconds):
    """What people write as a duration is so many seconds."""
    assert parse_duration(text) == pytest.approx(seconds)
    assert to_seconds(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", NO_DURATIONS, ids=ascii)
def test_what_is_no_duration_is_quoted_in_the_error(text):
    """A text that is no duration is refused, with an example of what is."""
    with pytest.raises(ValueError, match="is not a duration: write a number and a unit, like"):
        parse_duration(text)
    with pytest.raises(ValueError, match="not a duration"):
        to_seconds(text)


@pytest.mark.parametrize("text", ["forever", "FOREVER", " Forever "])
def test_forever_is_a_duration(text):
    """Only the word says that there is no end."""
    assert parse_duration(text) == to_seconds(text) == FOREVER == math.inf


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (timedelta(0), 0),
        (timedelta(days=7), 7 * DAY_S),
        (timedelta(microseconds=1), 1e-6),
        (0, 0),
        (0.0, 0),
        (-0.0, 0),
    ],
    ids=["none", "days", "microsecond", "int 0", "0.0", "-0.0"],
)
def test_timedeltas_and_a_bare_zero_are_durations(value, seconds):
    """A timedelta says its unit; zero needs none."""
    assert to_seconds(value) == pytest.approx(seconds)
    assert math.copysign(1, to_seconds(value)) == 1


@pytest.mark.parametrize("value", [1, 24, 0.5, 10**9], ids=ascii)
def test_a_bare_number_is_refused(value):
    """Nobody can tell whether 24 means seconds or hours."""
    with pytest.raises(ValueError, match="has no unit"):
        to_seconds(value)


@pytest.mark.parametrize("value", [None, b"7d", (7,), object(), int], ids=range(5))
def test_what_is_no_duration_at_all_is_refused_by_its_type(value):
    """And never shown: it may be anything."""
    kind = type(value).__name__
    with pytest.raises(ValueError, match=f"^a {kind} is not a duration: write a text like '90s'"):
        to_seconds(value)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (True, "true"),
        (False, "false"),
        ([7], "an array"),
        ({}, "a table"),
        (date(2026, 1, 1), "2026"),
    ],
)
def test_what_a_file_may_hold_in_place_of_a_duration_is_shown_as_there(value, shown):
    """In the words of TOML."""
    with pytest.raises(ValueError, match=rf"^{shown}.* is not a duration: write a text like '90s'"):
        to_seconds(value)


@pytest.mark.parametrize(
    ("text", "minutes", "month"),
    [("1M", "1m", "30d"), ("6 M", "6m", "180d"), ("1.5M", "1.5m", "45d"), ("1h30M", "30m", "900d"),
     ("1M ", "1m", "30d")],
)  # fmt: skip
def test_a_capital_m_is_a_minute_to_some_and_a_month_to_others(text, minutes, month):
    """It is refused, and both are named."""
    for read in (parse_duration, to_seconds, lambda text: parse_instant(text, NOW)):
        with pytest.raises(ValueError, match=f"write '{minutes}' for minutes, '{month}' for mont"):
            read(text)
    with pytest.raises(ValueError, match=f"write '{minutes}' for minutes"):
        parse_instant(f"{text} ago", NOW)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("7D", 7 * DAY_S), ("1H", 3600), ("2W", 14 * DAY_S), ("1Y", 365 * DAY_S), ("30S", 30),
     ("1MIN", 60), ("1Mo", 30 * DAY_S), ("1MONTH", 30 * DAY_S), ("5MS", 0.005)],
)  # fmt: skip
def test_other_capitals_mean_what_small_letters_do(text, seconds):
    """Nobody takes them for something else."""
    assert parse_duration(text) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [None, b"7d", [], {}, object(), Decimal("NaN")], ids=range(6))
def test_what_is_nothing_like_a_duration_is_refused(value):
    """Every wrong type is the same kind of error as a wrong text."""
    with pytest.raises(ValueError, match=r"unit|duration"):
        to_seconds(value)


@pytest.mark.parametrize(
    "value",
    [
        timedelta(days=-1),
        timedelta(microseconds=-1),
        timedelta.max,
        timedelta.min,
        float("nan"),
        math.inf,
        -math.inf,
        "101 years",
        "36526d",
        "9" * 30 + "s",
        pytest.param("9" * 400 + "s", id="400 digits"),
        pytest.param("9" * 5000 + "ms", id="5000 digits"),
        pytest.param("1y" * 101, id="101 times 1y"),
    ],
    ids=str,
)
def test_a_duration_is_neither_negative_nor_over_a_century(value):
    """What is below zero, no number or over 100 years is refused, never taken for forever."""
    with pytest.raises(ValueError, match=r"negative|no unit|not a duration|over 100 years"):
        to_seconds(value)


def test_the_longest_duration_is_100_years():
    """A hundred years are allowed, with their leap days; a second more is not."""
    century = timedelta(days=36_525)
    assert to_seconds(century) == LONGEST_S
    with pytest.raises(ValueError, match="over 100 years: write 'forever'"):
        to_seconds(century + timedelta(seconds=1))


def test_hours_are_plain_numbers():
    """`ttl_hours` takes any number of hours that is a duration."""
    assert hours_to_seconds(168) == 7 * DAY_S
    assert hours_to_seconds(0.5) == 1800
    assert hours_to_seconds(0) == 0


@pytest.mark.parametrize(
    "hours",
    [
        *(-1, -0.1, math.nan, math.inf, -math.inf, 876_601, 1e300, True, False, "168", None, []),
        pytest.param(10**400, id="400 digits"),
    ],
    ids=ascii,
)
def test_wrong_hours_are_refused(hours):
    """Hours that are negative, endless, over a century or no number are refused."""
    with pytest.raises(ValueError, match=r"hours|duration|negative"):
        hours_to_seconds(hours)


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -math.inf, -1, -1e-9, LONGEST_S * 1.01])
def test_a_refused_duration_is_quoted(seconds):
    """The error quotes what the user wrote."""
    with pytest.raises(ValueError, match=r"^ttl of mine "):
        check_seconds(seconds, shown="ttl of mine")


MILLISECONDS = st.integers(0, int(LONGEST_S) * 1000)


@given(MILLISECONDS)
@example(0)
@example(1)
@example(999)
@example(5_400_000)
def test_a_printed_duration_can_be_read_back(milliseconds):
    """What `format_duration` writes, `parse_duration` reads, exactly."""
    assert parse_duration(format_duration(milliseconds / 1000)) == milliseconds / 1000


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=36_525)))
def test_any_timedelta_up_to_a_century_is_a_duration(span):
    """A timedelta is taken for exactly its seconds."""
    assert to_seconds(span) == span.total_seconds()


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text):
    """No text raises anything else, and none is negative."""
    try:
        seconds = to_seconds(text)
    except ValueError:
        return
    assert 0 <= seconds <= LONGEST_S or text.strip().lower() == "forever"


NOW = datetime(2026, 11, 22, 12, tzinfo=UTC).timestamp()
INSTANTS = {
    "7d": 7 * DAY_S,
    "1h30m": 5400,
    "2 weeks ago": 14 * DAY_S,
    "2 days  AGO ": 2 * DAY_S,
    "0s": 0,
    "2026-11-22T12:00:00Z": 0,
    "2026-11-22T13:00+02:00": 3600,
    "2026-11-21 12:00Z": DAY_S,
    "2026-W47-7T00:00Z": DAY_S / 2,
    "1969-12-31T00:00Z": NOW + DAY_S,
}
NO_INSTANTS = {
    "has no unit": ["7", "-7", "0", "1.5", "20261101", "1795300000"],
    "is neither a time ago nor a date": [
        *("", "ago", "soon", "yesterday", "7d later", "d", "2026-13-01", "2026-11-31", "10:00"),
        *("٧d", "2026-11-22T", "7d\0"),
    ],
    "is negative": ["-7d", "- 7d", "-2 days ago"],
    "is in the future": ["2026-11-22T12:00:01Z", "2027-01-01", "9999-12-31"],
    "is over 100 years ago": ["forever", "101 years", "1y" * 101],
}


@pytest.mark.parametrize(("text", "seconds"), INSTANTS.items(), ids=INSTANTS)
def test_an_instant_is_a_time_ago_or_a_date(text, seconds):
    """A duration before now, or an ISO 8601 date."""
    assert parse_instant(text, NOW) == NOW - seconds


def test_a_date_without_a_zone_is_local():
    """It begins at midnight, here."""
    midnight = datetime(2026, 11, 1).astimezone()
    assert parse_instant("2026-11-01", NOW) == midnight.timestamp()
    assert parse_instant("2026-11-01T10:30", NOW) == midnight.timestamp() + 37_800


@pytest.mark.parametrize(
    ("why", "text"),
    [(why, text) for why, texts in NO_INSTANTS.items() for text in texts],
    ids=lambda value: ascii(value)[:40],
)
def test_what_is_no_instant_is_quoted_in_the_error(why, text):
    """It says why, and shows what to write."""
    with pytest.raises(ValueError, match=f"{why}: write ") as caught:
        parse_instant(text, NOW)
    assert str(caught.value).startswith(repr(text.strip()))


@given(st.text() | st.from_regex(r"-?[0-9]{1,6}[-:T.]?[0-9dhm]{0,9}", fullmatch=True))
def test_any_text_is_an_instant_before_now_or_a_value_error(text):
    """No text raises anything else, and none is ahead."""
    try:
        assert parse_instant(text, NOW) <= NOW
    except ValueError as error:
        assert ": write " in str(error)  # noqa: PT017 - both ends are allowed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.0004, "0.0004s"),
        (0.25, "250ms"),
        (90, "1m30s"),
        (3600, "1h"),
        (5400, "1h30m"),
        (DAY_S, "24h"),
        (2 * DAY_S, "2d"),
        (7 * DAY_S + 3600.5, "7d1h500ms"),
        (59.9999, "59.9999s"),
        (math.inf, "forever"),
    ],
)
def test_durations_are_printed_in_the_largest_units(seconds, text):
    """A duration is printed in days, hours, minutes, seconds and milliseconds."""
    assert format_duration(seconds) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.9, "59s"), (60, "1m"), (7199, "1h"), (DAY_S, "1d"), (729 * DAY_S, "729d"),
     (730 * DAY_S, "2y"), (-5, "0s"), (math.inf, "forever")],
)  # fmt: skip
def test_a_rough_duration_is_one_unit(seconds, text):
    """Rounded down: what is 59.9 s old is not yet a minute old."""
    assert rough_duration(seconds) == text


SIZES = {
    "0B": 0,
    "512B": 512,
    "10KB": 10_000,
    "10 kb": 10_000,
    "64MiB": 64 * 1024**2,
    "64mib": 64 * 1024**2,
    "1GiB": 1024**3,
    "1.5 GiB": 3 * 1024**3 // 2,
    "2TB": 2 * 1000**4,
    "1TiB": 1024**4,
    " 1MB ": 1_000_000,
    "1.001KB": 1001,
    "0.29KB": 290,
    "9007199254740993B": 2**53 + 1,
}
NO_SIZES = ["", " ", "64", "MiB", "64 M", "64K", "64i", "64iB", "-1MB", "1e3B", "1,5MB", "1 PB"]
NO_SIZES += ["64MiBs", "64 MiB 1", "inf", "nanB", "６４MiB", "64\0MiB", "1..5MB", ".5MB"]


@pytest.mark.parametrize(("text", "size_bytes"), SIZES.items(), ids=[repr(t) for t in SIZES])
def test_a_size_is_a_number_with_a_unit(text, size_bytes):
    """KB is 1000 bytes and KiB 1024, in any case of letters, to the byte."""
    assert parse_size(text) == size_bytes


@pytest.mark.parametrize("text", NO_SIZES, ids=ascii)
def test_what_is_no_size_is_quoted_in_the_error(text):
    """A text that is no size is refused, with an example of what is."""
    with pytest.raises(ValueError, match="is not a size: write a number and a unit, like"):
        parse_size(text)


@pytest.mark.parametrize("value", [True, False, 1.5, None, b"1MB", []], ids=ascii)
def test_what_is_nothing_like_a_size_is_refused(value):
    """A size is an int of bytes or a text."""
    with pytest.raises(ValueError, match="is not a size"):
        parse_size(value)


def test_a_bare_int_is_bytes():
    """An int is so many bytes and never negative."""
    assert parse_size(0) == 0
    assert parse_size(2**40) == 2**40
    with pytest.raises(ValueError, match="negative"):
        parse_size(-1)


@given(st.text() | st.from_regex(r"[0-9]{1,400}(\.[0-9]+)? ?[kmgtKMGT]i?B", fullmatch=True))
@example("9" * 400 + "GB")
@example("9" * 5000 + "B")
def test_any_text_is_a_size_or_a_value_error(text):
    """No text raises anything else, and none is negative."""
    try:
        assert parse_size(text) >= 0
    except ValueError as error:
        assert str(error)  # noqa: PT017 - both ends are allowed


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (1023, "1023 B"),
        (1024, "1.0 KiB"),
        (4200, "4.1 KiB"),
        (317_440, "310 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (1024**2, "1.0 MiB"),
        (99 * 1024**2, "99.0 MiB"),
        (100 * 1024**2, "100 MiB"),
        (1024**3, "1.0 GiB"),
        (1024**4, "1.0 TiB"),
        (5000 * 1024**4, "5000 TiB"),
    ],
)
def test_sizes_are_printed_for_readers(size_bytes, text):
    """A size is printed with three digits at most, but for what is over a TiB."""
    assert format_size(size_bytes) == text


@given(st.integers(0, 2**60))
def test_a_printed_size_is_near_the_size(size_bytes):
    """What `format_size` writes, `parse_size` reads, to the digits that are printed."""
    assert parse_size(format_size(size_bytes)) == pytest.approx(size_bytes, rel=0.06, abs=0.5)
