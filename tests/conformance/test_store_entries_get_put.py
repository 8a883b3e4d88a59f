"""What is put is what every later `get` gives, byte for byte, until something else is put."""

import sys
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_cache.core.entry import Entry
from llm_cache.store.records import EVERYTHING
from tests.conformance.samples import T0, an_entry, keep, keys_of, sized

INT64 = st.integers(-(2**63), 2**63 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False).map(lambda x: x + 0.0)
"""Without -0.0: no duration, price or instant is that."""
COUNTS = st.integers(0, 2**53)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))

ENTRIES = st.builds(
    Entry,
    key=st.binary(min_size=32, max_size=32),
    request=st.binary(min_size=32, max_size=32),
    params_json=st.sampled_from([b"{}", b'{"n":1}', '{"n":"\u00fc\U0001f600"}'.encode()]),
    prefix=TEXT,
    encoding=TEXT,
    size_bytes=st.just(0),
    value_bytes=COUNTS,
    created_at=st.floats(1.0, 4e9),
    tenant=TEXT,
    version=TEXT,
    variant=INT64,
    redacted=st.booleans(),
    call_ttl=st.none() | st.floats(0.0, 4e9) | st.just(float("inf")),
    decorator_ttl=st.none() | st.floats(0.0, 4e9) | st.just(float("inf")),
    generation_seconds=st.none() | FINITE,
    model=st.none() | TEXT,
    input_tokens=st.none() | COUNTS,
    output_tokens=st.none() | COUNTS,
    cost_usd=st.none() | FINITE,
    hits=COUNTS,
    used_at=st.floats(1.0, 4e9),
    body=st.binary(),
)


def test_what_was_never_put_is_none(store):
    """A key that nobody put has no entry."""
    assert store.get(an_entry().key) is None


def test_what_is_put_comes_back(store):
    """`get` gives an entry that equals the one that was put."""
    entry = an_entry()
    assert store.put(entry) is True
    assert store.get(entry.key) == entry


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ENTRIES.map(sized))
def test_every_entry_comes_back_as_it_was(store, entry):
    """Every field comes back with its type and value, and `select` tells the same."""
    store.remove(EVERYTHING)
    keep(store, entry)
    came_back = store.get(entry.key)
    assert came_back == entry
    assert type(came_back.redacted) is bool
    [info] = store.select(EVERYTHING)
    for name in info.__dataclass_fields__:
        assert getattr(info, name) == getattr(entry, name), name


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00",
        bytes(range(256)),
        "\u00e4\U0001f600\u202e".encode(),
        b"\xff\xfe not utf-8 \x80",
        b"x" * 3_000_000,
    ],
    ids=["empty", "null byte", "all bytes", "unicode", "no text", "3 MB"],
)
def test_a_body_of_any_bytes_comes_back(store, body):
    """The store looks at no byte of a value."""
    entry = an_entry(body=body)
    keep(store, entry)
    assert store.get(entry.key).body == body


@pytest.mark.parametrize(
    "text", ["", "\x00", "a\x00b", "\u00fc\u0308", "\U0001f600", "'; --", "%_"]
)
def test_a_tenant_and_a_version_of_any_text_come_back(store, text):
    """Texts are neither cut off nor normalised nor read as SQL."""
    entry = an_entry(tenant=text, version=text, model=text)
    keep(store, entry)
    assert store.get(entry.key) == entry


@pytest.mark.parametrize("created_at", [T0, int(T0)], ids=["float", "int"])
def test_an_instant_may_be_an_int(store, created_at):
    """A clock that gives whole seconds as an int makes entries like any other."""
    entry = an_entry(created_at=created_at, used_at=created_at)
    keep(store, entry)
    assert store.get(entry.key) == entry


def test_a_ttl_may_be_an_int(store):
    """A ttl and a duration in whole seconds make an entry like any other."""
    entry = an_entry(call_ttl=3600, decorator_ttl=60, generation_seconds=2, cost_usd=0)
    keep(store, entry)
    assert store.get(entry.key) == entry


def test_a_second_put_takes_the_place_of_the_first(store):
    """There is one entry for a key: the last one that was put."""
    first = an_entry(body=b'"first"')
    second = replace(sized(replace(first, body=b'"the second"', value_bytes=0)), created_at=T0 + 1)
    keep(store, first, second)
    assert store.get(first.key) == second
    assert keys_of(store.select(EVERYTHING)) == [first.key]


def test_entries_with_different_keys_are_apart(store):
    """A key that differs in its last bit has an entry of its own."""
    one = an_entry(key=bytes(32), body=b"1")
    other = an_entry(key=bytes(31) + b"\x01", body=b"2")
    keep(store, one, other)
    assert store.get(one.key).body == b"1"
    assert store.get(other.key).body == b"2"


def test_reading_changes_nothing(store):
    """`get` counts no hit: that is told by `add_usage`."""
    entry = an_entry()
    keep(store, entry)
    for _ in range(3):
        store.get(entry.key)
    [info] = store.select(EVERYTHING)
    assert (info.hits, info.used_at) == (0, T0)


def test_a_size_beyond_32_bits_is_counted_exactly(store):
    """What a value takes before compression is not cut to 32 bits."""
    entry = replace(an_entry(), value_bytes=sys.maxsize // 2)
    keep(store, entry)
    [total] = store.totals()
    assert total.value_bytes == sys.maxsize // 2
