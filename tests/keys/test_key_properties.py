"""What holds of the keys of all values, not only of those that somebody thought of."""

import datetime as dt
import decimal
import json
import pathlib
import random
import re
import types

from golden_inputs import Color, Count, Grade, Level, Mode, Point, Word, framed_digest
from hypothesis import example, given
from hypothesis import strategies as st

from llm_cache.core.keys import Identity, canonical_params, check_prefix

# What is easily confused, drawn often enough for equal values to meet.
TRAPS = st.sampled_from(
    [
        *(0, 1, True, False, None, 0.0, -0.0, 1.0, "", "0", "1", "null", "true", "a", b"", b"a"),
        *(2**53, 2.0**53, 2**63, 2**64, -(2**63) - 1, 1e22, 10**22, decimal.Decimal(1)),
        *(dt.date(2026, 1, 1), "2026-01-01", Color.RED, Level.HARD, 3, Mode.SHORT, "short"),
        *(Word("a"), Count(1), Point(1, 2.0), Grade(1), Grade(True), Grade(1, "$")),
    ]
)
SCALARS = TRAPS | st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**130), max_value=2**130),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(),
    st.binary(max_size=8),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.dates(),
    st.datetimes(timezones=st.none() | st.just(dt.UTC)),
    st.times(),
    st.timedeltas(),
    st.uuids(),
    st.text("ab/.", max_size=4).map(pathlib.PurePosixPath),
)
NAMES = st.sampled_from(["a", "b", "$", "$$", "$date", "$int", "$enum:Color", ""]) | st.text()
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(NAMES, inner, max_size=3)
    ),
    max_leaves=6,
)
PARAMS = st.dictionaries(NAMES, VALUES, max_size=4)


def exact(value: object) -> object:
    """`value` in a form whose `==` is exact, made without JSON: what the keys are held against."""
    if type(value) in (list, tuple):
        return [exact(item) for item in value]
    if type(value) is dict:
        return {name: exact(item) for name, item in value.items()}
    return (type(value).__name__, repr(value))


@given(PARAMS, PARAMS)
def test_two_params_share_their_canonical_json_if_and_only_if_they_are_the_same(one, other):
    """Canonical JSON is equal where type and value are, and nowhere else."""
    assert (canonical_params(one) == canonical_params(other)) == (exact(one) == exact(other))


@given(VALUES, VALUES)
@example(1, True)
@example([1], [1.0])
@example({"$date": "2026-01-01"}, dt.date(2026, 1, 1))
@example({"a": []}, {"a": {}})
def test_two_values_share_a_key_if_and_only_if_they_are_the_same(one, other):
    """As for params, so for values anywhere in them: alone, in a list and under a name."""
    same = exact(one) == exact(other)
    for wrap in (lambda v: {"p": v}, lambda v: {"p": [v]}, lambda v: {"p": {"n": v}}):
        keys = {Identity("p", canonical_params(wrap(value))).key for value in (one, other)}
        assert (len(keys) == 1) == same


@given(PARAMS, PARAMS, st.randoms())
def test_one_change_anywhere_changes_the_key(params, other, rng: random.Random):
    """Params with one param more, less or replaced are the same only if nothing was changed."""
    changed = dict(params)
    for name in rng.sample(sorted(other), min(len(other), 1)):
        changed[name] = other[name]
    assert (canonical_params(params) == canonical_params(changed)) == (
        exact(params) == exact(changed)
    )


def shuffled(value: object, rng: random.Random) -> object:
    """`value` with all its dicts in another order, its tuples as lists and its lists as tuples."""
    if isinstance(value, dict):
        items = [(name, shuffled(item, rng)) for name, item in value.items()]
        rng.shuffle(items)
        return dict(items)
    if type(value) in (list, tuple):
        items = [shuffled(item, rng) for item in value]
        return tuple(items) if type(value) is list else items
    return value


@given(PARAMS, st.randoms())
def test_neither_order_nor_kind_of_list_matters(params, rng):
    """Dicts in any order and lists for tuples leave the canonical JSON as it is."""
    assert canonical_params(params) == canonical_params(shuffled(params, rng))


PLAIN_SCALARS = st.none() | st.booleans() | st.integers(-(2**66), 2**66) | st.text()


@given(st.dictionaries(st.text(), PLAIN_SCALARS))
@example({"n": 2**63})
@example({"n": 2**64 - 1})
@example({"n": -(2**63)})
@example({"$": 1})
def test_the_fast_way_comes_to_the_same_as_the_slow(params):
    """A dict of scalars is written at once, any other mapping value by value: with one result."""
    slow = canonical_params(types.MappingProxyType(params))
    assert canonical_params(params) == slow
    assert b'{"p":' + slow + b"}" == canonical_params({"p": params})


def refuse_constant(constant: str) -> None:
    """NaN and Infinity are no JSON, though Python reads them."""
    raise AssertionError(constant)


@given(PARAMS)
def test_canonical_params_are_valid_json(params):
    """The canonical form is an object of JSON proper: in UTF-8, compact, with names in order."""
    text = canonical_params(params).decode("utf-8")

    def in_order(pairs):
        names = [name.encode() for name, _ in pairs]
        assert names == sorted(set(names))
        return dict(pairs)

    parsed = json.loads(text, object_pairs_hook=in_order, parse_constant=refuse_constant)
    assert len(parsed) == len(params)
    outside_strings = re.sub(r'"(?:[^"\\]|\\.)*"', "", text)
    assert not re.search(r"\s", outside_strings)


FIELDS = st.text(max_size=5)
IDENTITIES = st.tuples(FIELDS, FIELDS, FIELDS, st.binary(max_size=5), st.integers(0, 300))


def identified(tenant, prefix, version, params_json, variant) -> Identity:
    """The identity of these fields, in the order of their frames."""
    return Identity(prefix, params_json, version=version, tenant=tenant, variant=variant)


@given(IDENTITIES)
def test_keys_are_the_digest_of_their_frames(fields):
    """Key and request are SHA-256 over the frames, as the specification says."""
    *request, variant = ("llm-cache-key-1", *fields)
    identity = identified(*fields)
    assert identity.request.hex() == framed_digest(*request)
    assert identity.key.hex() == framed_digest(*request, str(variant) if variant else "")


@given(IDENTITIES, IDENTITIES)
@example(("a", "b", "", b"", 0), ("", "ab", "", b"", 0))
@example(("", "p", "1", b"", 0), ("", "p", "", b"1", 0))
@example(("", "p", "", b"", 1), ("", "p", "", b"1", 0))
@example(("", "p", "", b"", 0), ("", "p", "", b"", 1))
def test_two_identities_share_a_key_only_if_all_their_fields_agree(one, other):
    """No field can pass for a part of its neighbour; the variant alone is not in the request."""
    ours, theirs = identified(*one), identified(*other)
    assert (ours.key == theirs.key) == (one == other)
    assert (ours.request == theirs.request) == (one[:-1] == other[:-1])
    assert ours.key != ours.request


@given(st.text(st.characters(codec="ascii") | st.sampled_from("ab1_-./:"), max_size=130))
def test_prefixes_are_allowed_by_their_characters_alone(prefix):
    """A prefix is allowed if each character is a letter, a digit or one of `_ - . / :`."""
    allowed = all(c.isalnum() or c in "_-./:" for c in prefix) and 1 <= len(prefix) <= 128
    try:
        assert check_prefix(prefix) == prefix
    except ValueError:
        assert not allowed
    else:
        assert allowed
