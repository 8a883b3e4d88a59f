"""An entry as a line of JSON, and back: the same or not at all."""

import contextlib
import json
import pathlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cache.core.entry import Entry
from llm_cache.core.keys import Identity
from llm_cache.core.policy_resolution import NOTHING, Remembered
from llm_cache.core.values.codec import is_same
from llm_cache.transfer.jsonl import LineError, UntrustedError, from_line, to_line
from tests.exchange.samples import (
    MAX_VALUE_BYTES,
    MEASURES,
    NAMES_OF,
    NOW,
    PARAMS,
    VALUES,
    forged,
    sample,
    signed,
)

GOLDEN = pathlib.Path(__file__).with_name("golden.jsonl")


def read(
    line: bytes | str, *, trust: bool = False, max_value_bytes: int = MAX_VALUE_BYTES
) -> Entry:
    """The entry of a line."""
    line = line.encode() if isinstance(line, str) else line
    return from_line(line, trust=trust, max_value_bytes=max_value_bytes, now=NOW)


@given(params=PARAMS, value=VALUES, names=NAMES_OF, measures=MEASURES)
def test_line_gives_the_entry_back(params, value, names, measures):
    """Key, params and value to the byte, and every field beside them."""
    entry = sample(params, value, **names, **measures)
    back = read(to_line(entry))
    assert back == entry
    assert back.key == Identity(back.prefix, back.params_json, **names).key
    assert is_same(back.value, value)


@given(params=PARAMS, value=VALUES)
def test_line_is_one_line(params, value):
    """Of UTF-8, whatever is in the entry."""
    assert to_line(sample(params, value)).encode().count(b"\n") == 0


@given(at=st.integers(min_value=0), bit=st.integers(min_value=0, max_value=7))
def test_flipped_bit_is_never_another_entry(at, bit):
    """It is told, but where it changes nothing, as in `1e+16` and `1E+16`."""
    entry = sample({"n": 1e16, "text": "分数"}, [1, "x"], cost_usd=1e-7, call_ttl=60.0)
    line = bytearray(to_line(entry).encode())
    line[at % len(line)] ^= 1 << bit
    with contextlib.suppress(LineError):
        assert read(bytes(line)) == entry


def test_layout_of_a_line_is_free():
    """Fields in another order, spaces and escapes change nothing: other tools may write it anew."""
    entry = sample({"text": "分数"}, 1e16, cost_usd=1e-7)
    rewritten = json.dumps(json.loads(to_line(entry)), sort_keys=True)
    assert read(f"  {rewritten}\r\n") == entry


@pytest.mark.parametrize("line", GOLDEN.read_text("utf-8").splitlines(), ids=lambda x: x[21:29])
def test_lines_of_older_releases_are_read_and_written_alike(line):
    """A committed export gives what it gave on the day it was made, and is written the same."""
    assert to_line(read(line, trust=True)) == line


def test_only_a_line_that_needs_it_is_of_the_newer_format():
    """What remembers no more than ttls is read by releases that know no more."""
    numbers = [
        json.loads(to_line(sample(remembered=said)))["llm_cache"]
        for said in (NOTHING, Remembered(call_grace=0.0))
    ]
    assert numbers == [1, 2]


def test_golden_lines_hold_what_they_were_made_of():
    """Values and params of several kinds; one line cannot be checked without trust."""
    lines = GOLDEN.read_text("utf-8").splitlines()
    entries = [read(line, trust=True) for line in lines]
    assert [entry.value for entry in entries] == [
        "# Adding fractions\n\n½ + ⅓ …\n",
        {"numbers": [1, 2], "big": 2**80},
        None,
        "x" * 5000,
        "kept",
    ]
    assert entries[0].params == {"grade": 5, "topic": "分数", "when": "2026-11-22"}
    assert [entry.redacted for entry in entries] == [False, False, True, False, False]
    assert [entry.call_ttl for entry in entries] == [None, float("inf"), None, 3600.0, None]
    said = Remembered(0.1, None, None, 86_400.0, float("inf"), 0.0)
    assert [entry.remembered for entry in entries] == [NOTHING] * 4 + [said]
    with pytest.raises(UntrustedError):
        read(lines[2])


NOT_ALLOWED = (
    r"prefix 'a\x1b' is not allowed: "
    "write 1 to 128 letters, digits or _ - . / :, like 'intro_page'"
)
DEEP = "[" * 100_000 + "]" * 100_000


SAID = {"llm_cache": 2, **Remembered(0.1, None, 60.0, None, None, 3600.0)._asdict()}
NO_SECONDS = "is no number from 0 to 3,155,760,000"
NO_TOKENS = "is no whole number from 0 to 1,000,000,000"
NO_HITS = "is no whole number from 0 to 9,007,199,254,740,991"
CANNOT_BE = [
    ({"llm_cache": 3}, "its format 3 is of a newer release: this release reads 1 and 2"),
    ({"llm_cache": 0}, "its format 0 is unknown: this release reads 1 and 2"),
    ({"llm_cache": "1"}, "its format '1' is unknown: this release reads 1 and 2"),
    ({"llm_cache": True}, "its format True is unknown: this release reads 1 and 2"),
    ({"llm_cache": 2}, "it has no field 'call_grace'"),
    ({"call_grace": 60.0}, "its field 'call_grace' is unknown"),
    (SAID | {"call_grace": -1}, "its call_grace, -1, is no number from 0 on"),
    (
        SAID | {"decorator_stale_if_error": 1e10},
        "its decorator_stale_if_error, 10000000000.0, is over 100 years: for ever is 'forever'",
    ),
    (
        SAID | {"call_ttl_jitter": 1.0},
        "its call_ttl_jitter, 1.0, is no part of a ttl, from 0 to 0.9",
    ),
    ({"more": 1}, "its field 'more' is unknown"),
    ({"key": "0" * 64}, "its key is not that of its params: it was tampered with"),
    ({"request": "0" * 64}, "its key is not that of its params: it was tampered with"),
    ({"key": "0" * 63}, f"its key, '{'0' * 40}', is not 64 hex digits"),
    ({"key": "A" * 64}, f"its key, '{'A' * 40}', is not 64 hex digits"),
    ({"tenant": "acme"}, "its key is not that of its params: it was tampered with"),
    ({"tenant": "x" * 201}, f"the tenant '{'x' * 40}' is not a text of at most 200 characters"),
    ({"tenant": None}, "the tenant 'None' is not a text of at most 200 characters"),
    ({"prefix": "other"}, "its key is not that of its params: it was tampered with"),
    ({"prefix": "a\x1b"}, NOT_ALLOWED),
    ({"prefix": 3}, "the prefix is a int: write it as a str, like 'intro_page'"),
    ({"version": "2"}, "its key is not that of its params: it was tampered with"),
    ({"version": None}, "its version, None, is no text"),
    ({"variant": 1}, "its key is not that of its params: it was tampered with"),
    ({"variant": -1}, "its variant, -1, is no whole number of 64 bits from 0 on"),
    ({"variant": 2**63}, f"its variant, {2**63}, is no whole number of 64 bits from 0 on"),
    ({"params_json": "{}"}, "its key is not that of its params: it was tampered with"),
    ({"params_json": "[1]"}, "its params_json holds no params"),
    ({"params_json": "{"}, "its params_json holds no params"),
    ({"params_json": '{"a":{"$enum:X":[]}}'}, "its params_json holds no params"),
    ({"params_json": '{"a":{"$timedelta":["x"]}}'}, "its params_json holds no params"),
    ({"params_json": '{"a":{"$timedelta":[1e300]}}'}, "its params_json holds no params"),
    ({"params_json": f'{{"a":{"[" * 500}{"]" * 500}}}'}, "its params_json holds no params"),
    ({"params_json": f'{{"a":{DEEP}}}'}, "its params_json holds no params"),
    ({"redacted": 1}, "its redacted, 1, is neither true nor false"),
    ({"encoding": "pickle"}, "its encoding, 'pickle', is unknown; a newer release may know it"),
    (
        {"encoding": "json+zlib"},
        "its encoding, 'json+zlib', is unknown; a newer release may know it",
    ),
    ({"encoding": None}, "its encoding, None, is unknown; a newer release may know it"),
    ({"value_json": None}, "its value_json is no text"),
    ({"value_json": ""}, "its value_json is no JSON, or too deep"),
    ({"value_json": "1" * 5000}, "its value_json is no JSON, or too deep"),
    ({"value_json": DEEP}, "its value_json is no JSON, or too deep"),
    ({"created_at": "2026"}, "its created_at, '2026', is no number from 0 on"),
    ({"created_at": True}, "its created_at, True, is no number from 0 on"),
    ({"created_at": -1}, "its created_at, -1, is no number from 0 on"),
    ({"created_at": NOW + 301}, "it was made 301 s after now: the clock here or there is wrong"),
    ({"call_ttl": -1}, "its call_ttl, -1, is no number from 0 on"),
    ({"call_ttl": "ever"}, "its call_ttl, 'ever', is no number from 0 on"),
    (
        {"decorator_ttl": 1e10},
        "its decorator_ttl, 10000000000.0, is over 100 years: for ever is 'forever'",
    ),
    ({"generation_seconds": -0.5}, f"its generation_seconds, -0.5, {NO_SECONDS}"),
    ({"generation_seconds": 1e308}, f"its generation_seconds, 1e+308, {NO_SECONDS}"),
    ({"model": ""}, "its model, '', is no text of 1 to 200 characters"),
    ({"model": 5}, "its model, 5, is no text of 1 to 200 characters"),
    ({"model": "a\0b"}, r"its model, 'a\x00b', is no text of 1 to 200 characters"),
    ({"input_tokens": 1.5}, f"its input_tokens, 1.5, {NO_TOKENS}"),
    ({"input_tokens": 2**63 - 1}, f"its input_tokens, {2**63 - 1}, {NO_TOKENS}"),
    ({"output_tokens": False}, f"its output_tokens, False, {NO_TOKENS}"),
    ({"output_tokens": 10**9 + 1}, f"its output_tokens, 1000000001, {NO_TOKENS}"),
    ({"cost_usd": "free"}, "its cost_usd, 'free', is no number from 0 to 1,000,000"),
    ({"cost_usd": 1e308}, "its cost_usd, 1e+308, is no number from 0 to 1,000,000"),
    ({"hits": None}, f"its hits, None, {NO_HITS}"),
    ({"hits": 2**53}, f"its hits, {2**53}, {NO_HITS}"),
    ({"used_at": None}, "its used_at, None, is no number from 0 on"),
    ({"model": ["a"]}, "a field holds a list or an object"),
    ({"prefix": {"a": 1}}, "a field holds a list or an object"),
]


@pytest.mark.parametrize(
    ("changes", "reason"),
    CANNOT_BE,
    ids=[f"{next(iter(changes))}-{number}" for number, (changes, _) in enumerate(CANNOT_BE)],
)
def test_line_that_says_what_cannot_be_is_refused(changes, reason):
    """Also with the right checksum, which anybody can work out; the field is named."""
    with pytest.raises(LineError) as refusal:
        read(forged(**changes))
    assert str(refusal.value) == reason


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"", "it is no JSON, or cut off"),
        (b"\xff\xfe", "it is no JSON, or cut off"),
        (b'{"llm_cache":1', "it is no JSON, or cut off"),
        (DEEP.encode(), "it is no JSON, or cut off"),
        (b"[1]", "it is no entry of an export: it has no field 'llm_cache'"),
        (b"{}", "it is no entry of an export: it has no field 'llm_cache'"),
        (b'{"llm_cache":1}', "it has no field 'call_ttl'"),
    ],
    ids=["empty", "bytes", "cut off", "deep", "list", "object", "fields"],
)
def test_line_that_is_no_entry_is_refused(line, reason):
    """Whatever somebody names by mistake."""
    with pytest.raises(LineError) as refusal:
        read(line)
    assert str(refusal.value) == reason


def test_changed_field_fails_the_checksum():
    """Each of them, the key and the value too."""
    document = json.loads(to_line(sample()))
    for name in document.keys() - {"llm_cache", "checksum"}:
        with pytest.raises(LineError, match="its checksum is wrong: it was damaged or changed"):
            read(json.dumps({**document, name: "changed"}))


def test_checksum_is_as_documented():
    """Another program can make and check it."""
    line = to_line(sample({"text": "分数\x7f"}, 1e16, cost_usd=1e-7))
    assert json.loads(signed(json.loads(line))) == json.loads(line)


def test_entry_without_full_params_takes_trust():
    """Then the key of the line is taken."""
    params_json = b'{"api_key":{"$redacted":true}}'
    whole = sample()
    size_bytes = len(whole.body) + len(params_json)
    entry = replace(whole, params_json=params_json, size_bytes=size_bytes, redacted=True)
    with pytest.raises(UntrustedError):
        read(to_line(entry))
    assert read(to_line(entry), trust=True) == entry


def test_trust_is_no_leave_to_tamper():
    """A key that can be checked is checked."""
    with pytest.raises(LineError, match="tampered"):
        read(forged(key="0" * 64), trust=True)


def test_clocks_may_differ_a_little():
    """What was made five minutes after now is taken, as a lookup would take it."""
    assert read(forged(created_at=NOW + 299)).created_at == NOW + 299


def test_use_in_the_future_is_use_now():
    """No entry can be kept from its eviction by a date."""
    assert read(forged(used_at=NOW * 2)).used_at == NOW


def test_value_over_max_value_is_refused():
    """Measured as JSON, before it is compressed."""
    line = to_line(sample(value="x" * 5000))
    assert read(line, max_value_bytes=5002).value_bytes == 5002
    with pytest.raises(LineError, match=r"its value has 5,002 bytes, over the max_value of 5,001"):
        read(line, max_value_bytes=5001)


@pytest.mark.parametrize(
    "changes",
    [{"encoding": "json3"}, {"encoding": "json+zlib"}, {"body": b'"\xff"'},
     {"params_json": b"\xff"}],
    ids=["encoding", "compression", "value", "params"],
)  # fmt: skip
def test_entry_that_cannot_be_read_is_not_written(changes):
    """A newer release's, or one of a tampered store: it is named."""
    entry = replace(sample(), **changes)
    with pytest.raises(LineError, match=f"intro_page: entry {entry.id} cannot be read: "):
        to_line(entry)
