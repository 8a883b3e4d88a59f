"""Secrets are neither stored nor shown, and what is shown is readable."""

import dataclasses
import datetime as dt
import decimal
import enum
import hashlib
import json
import pathlib
import uuid
from typing import NamedTuple

import orjson
import pydantic
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cache.core.keys import canonical_params
from llm_cache.core.policy import StoreParams
from llm_cache.core.redaction import comparable_params, looks_secret, show_params, stored_params

CANARY = "canary-4711-sings"


def full(params_json):
    """The params as they are stored where nothing else is said."""
    return stored_params(params_json, StoreParams.FULL)


SECRET_NAMES = [
    *("api_key", "apikey", "apiKey", "API_KEY", "ApiKey", "APIKey", "X-API-Key", "api key"),
    *("openai_api_key", "OPENAI_API_KEY", "api.key", "token", "Token", "access_token"),
    *("accessToken", "X-Auth-Token", "authToken", "bearer_token", "refresh_token", "id_token"),
    *("password", "PASSWORD", "user_password", "dbPassword", "passwd", "passphrase", "secret"),
    *("secrets", "client_secret", "clientSecret", "secret_key", "aws_secret_access_key"),
    *("AWS_ACCESS_KEY_ID", "private_key", "privateKey", "Authorization", "proxy-authorization"),
    *("credential", "credentials", "dbCredentials", "$token", "$$api_key"),
]
PLAIN_NAMES = [
    *("subject", "topic", "grade", "key", "keys", "keyword", "monkey", "api", "max_tokens"),
    *("maxTokens", "max_completion_tokens", "tokenizer", "tokenize", "tokens", "n_tokens"),
    *("secretary", "secretly", "passage", "pass", "author", "authority", "", "$"),
    *("difficulty", "access", "private", "public_key_word", "turkey_api", "compass"),
]


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_params_named_like_secrets_are_taken_for_secrets(name):
    """However its words are joined, a name of a credential is seen."""
    assert looks_secret(name)


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_ordinary_params_are_not_taken_for_secrets(name):
    """Whole words count: `max_tokens` and `tokenizer` are no secrets."""
    assert not looks_secret(name)


class Account(pydantic.BaseModel):
    """A model with a secret by type and one by name."""

    user: str
    pin: pydantic.SecretStr
    password: str


@dataclasses.dataclass
class Login:
    """A dataclass with a secret by name."""

    user: str
    api_key: str


class Pair(NamedTuple):
    """A named tuple with a secret by name."""

    user: str
    token: str


@dataclasses.dataclass
class Password:
    """A dataclass whose own name is that of a secret."""

    text: str


class Credentials(pydantic.BaseModel):
    """A model whose own name is that of a secret."""

    text: str


class Secret(NamedTuple):
    """A named tuple whose own name is that of a secret."""

    text: str


class Token(enum.Enum):
    """An enum whose own name is that of a secret, and whose value is one."""

    MAIN = CANARY


ACCOUNT = Account(user="ann", pin=pydantic.SecretStr(CANARY), password=CANARY)
WITH_SECRETS = {
    "by name": {"api_key": CANARY},
    "by name, not a str": {"token": [CANARY, {"a": CANARY}]},
    "by name, as a dict": {"credentials": {"user": CANARY, CANARY: 1}},
    "by name, bytes": {"password": CANARY.encode()},
    "by name, in a dict": {"options": {"headers": {"Authorization": f"Bearer {CANARY}"}}},
    "by name, in a list": {"servers": [{"url": "x", "apiKey": CANARY}]},
    "by name, with a dollar": {"$token": CANARY, "x": {"$api_key": CANARY}},
    "by type": {"pin": pydantic.SecretStr(CANARY)},
    "by type, bytes": {"pin": pydantic.SecretBytes(CANARY.encode())},
    "by type, generic": {"pin": pydantic.Secret[list[str]]([CANARY])},
    "by type, deep": {"x": [{"y": (pydantic.SecretStr(CANARY),)}]},
    "in a model": {"account": ACCOUNT},
    "in a list of models": {"accounts": [ACCOUNT, ACCOUNT]},
    "in a dataclass": {"login": Login("ann", CANARY)},
    "in a named tuple": {"pair": Pair("ann", CANARY)},
    "in an enum": {"token": Token.MAIN},
    "in an enum of another param": {"which": Token.MAIN},
    "in a dataclass of that name": {"which": Password(CANARY)},
    "in a model of that name": {"which": Credentials(text=CANARY)},
    "in a named tuple of that name": {"which": Secret(CANARY)},
}
every_secret = pytest.mark.parametrize("params", WITH_SECRETS.values(), ids=WITH_SECRETS)


def traces(text: str) -> list[bytes]:
    """What would give `text` away: itself, encoded, or any digest of it or of its JSON."""
    content = text.encode()
    quoted = orjson.dumps(text)
    digests = [
        getattr(hashlib, name)(data).hexdigest().encode()[:16]
        for name in ("md5", "sha1", "sha256", "blake2b")
        for data in (content, quoted)
    ]
    encoded = orjson.loads(canonical_params({"b": content}))["b"]["$bytes"]
    return [content, encoded.encode()[:20], *digests]


@every_secret
def test_no_secret_is_left_in_what_is_stored(params):
    """Neither the secret, nor an encoding, nor a digest of it is in the redacted params."""
    stored, redacted = full(canonical_params({"subject": "math", **params}))
    assert redacted
    assert not [trace for trace in traces(CANARY) if trace in stored]
    assert orjson.loads(stored)["subject"] == "math"


@every_secret
def test_no_secret_is_shown(params):
    """What a reader gets holds no secret, and the place where one was says so."""
    stored, _ = full(canonical_params({"subject": "math", **params}))
    shown = json.dumps(show_params(stored))
    assert CANARY not in shown
    assert '"<redacted>"' in shown
    assert "$redacted" not in shown


@every_secret
def test_redacting_twice_changes_nothing(params):
    """What is redacted stays as it is."""
    stored, _ = full(canonical_params(params))
    again, _ = full(stored)
    assert again == stored


def test_two_secrets_leave_the_same_behind():
    """Nobody can tell from stored params which secret it was, nor how long."""
    one, other = (
        full(canonical_params({"api_key": secret, "pin": pydantic.SecretStr(secret)}))
        for secret in ("a", "b" * 100)
    )
    assert one == other == (b'{"api_key":{"$redacted":true},"pin":{"$redacted":true}}', True)


def comparable(**params):
    """The params of a request that can be compared, as they are stored."""
    return comparable_params(full(canonical_params(params))[0])


def test_params_are_compared_one_by_one():
    """Two requests that differ in one param share all others."""
    one, other = comparable(a=1, b="x", c=[1.0]), comparable(c=[1.0], b="y", a=1)
    assert (one - other, other - one) == ({("b", b'"x"')}, {("b", b'"y"')})


def test_a_secret_is_not_compared():
    """Of what is redacted nobody can tell whether it differs."""
    assert comparable(a=1, api_key=CANARY, pin=pydantic.SecretStr(CANARY)) == comparable(a=1)
    one, other = (comparable(a={"token": secret}) for secret in ("x", "y"))
    assert one == other


def test_a_secret_type_is_not_shown_even_where_nothing_was_redacted():
    """A reader of params as they are in the key sees no SecretStr, either."""
    assert show_params(canonical_params({"pin": pydantic.SecretStr(CANARY)})) == {
        "pin": "<redacted>"
    }


def test_what_stands_beside_a_secret_is_kept():
    """Only the secret is taken out: the rest of a model and of a dict stays."""
    stored, _ = full(canonical_params({"account": ACCOUNT, "max_tokens": 5}))
    assert show_params(stored) == {
        "account": {"user": "ann", "pin": "<redacted>", "password": "<redacted>"},
        "max_tokens": 5,
    }


@pytest.mark.parametrize(
    "params",
    [{}, {"a": 1}, {"max_tokens": 1e16, "b": 2**70}, {"x": {"$redacted": True}}, {"$date": 1}],
    ids=["none", "one", "numbers", "like a redacted one", "like a tag"],
)
def test_params_without_a_secret_are_left_alone(params):
    """Nothing secret, nothing changed: the very bytes come back."""
    plain = canonical_params({"subject": "math", **params})
    assert full(plain) == (plain, False)


class Color(enum.Enum):
    """An enum as an application has them."""

    RED = 1


class Grade(enum.IntEnum):
    """An enum whose members are ints."""

    FIFTH = 5


class Word(str):
    """A str with another name."""

    __slots__ = ()


class Topic(pydantic.BaseModel):
    """A model as an application has them."""

    title: str
    due: dt.date


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("a", "a"),
        (1.5, 1.5),
        (None, None),
        (True, True),
        ([1, (2,)], [1, [2]]),
        ({"b": {"a": 1}}, {"b": {"a": 1}}),
        ({}, {}),
        (dt.date(2026, 11, 22), "2026-11-22"),
        (dt.datetime(2026, 11, 22, 10, tzinfo=dt.UTC), "2026-11-22T10:00:00+00:00"),
        (dt.time(10, 30), "10:30:00"),
        (dt.timedelta(days=1, seconds=5), "1 day, 0:00:05"),
        (decimal.Decimal("1.50"), "1.50"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a/b"), "/a/b"),
        (2**64, "0x10000000000000000"),
        (-(2**64), "-0x10000000000000000"),
        (Color.RED, "Color.RED"),
        (Grade.FIFTH, "Grade.FIFTH"),
        (Word("b"), "b"),
        (Topic(title="a", due=dt.date(2026, 1, 1)), {"title": "a", "due": "2026-01-01"}),
        ([Color.RED, {"c": Color.RED}], ["Color.RED", {"c": "Color.RED"}]),
        ({"$date": "a"}, {"$date": "a"}),
        ({"$$date": "a", "b": 1}, {"$$date": "a", "b": 1}),
        ({"$secret:x": "a"}, {"$secret:x": "a"}),
    ],
    ids=str,
)
def test_params_are_shown_as_a_reader_would_write_them(value, shown):
    """Tags are gone, names are the user's, and what is a value of a type is its text."""
    assert show_params(canonical_params({"p": value})) == {"p": shown}


def test_names_are_shown_as_the_user_wrote_them():
    """A dollar at the start of a param's name is neither doubled nor lost."""
    assert show_params(canonical_params({"$date": 1, "$$": 2})) == {"$date": 1, "$$": 2}


NAMES = st.sampled_from(["a", "$", "$date", "$secret:x", "$redacted", "api_key"]) | st.text()
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(NAMES, JSON, max_size=3))
def test_plain_params_are_shown_as_they_are(params):
    """Whatever JSON the params are, the reader sees that JSON, tricky names and all."""
    assert show_params(canonical_params(params)) == params


@given(st.dictionaries(NAMES, JSON, max_size=3), st.sampled_from(SECRET_NAMES))
def test_a_secret_among_any_params_is_found(params, name):
    """Wherever in the params a secret stands, it is gone after redaction and the rest is not."""
    hidden = {**params, "deep": [{name: CANARY}], name: {"x": CANARY}}
    stored, redacted = full(canonical_params(hidden))
    assert redacted
    assert CANARY.encode() not in stored
    shown = show_params(stored)
    assert set(shown) == set(hidden)


def test_what_a_policy_names_is_secret_too():
    """Names of one's own are redacted at any depth, and leave no digest."""
    params = canonical_params({"student": CANARY, "who": {"student": CANARY}, "grade": "5"})
    stored, redacted = stored_params(params, StoreParams.FULL, secret=("student",))
    assert redacted
    assert CANARY not in stored.decode()
    assert show_params(stored) == {
        "student": "<redacted>",
        "who": {"student": "<redacted>"},
        "grade": "5",
    }
    # Two left: the grade, and what holds the student; neither tells of the name.
    other = canonical_params({"student": "x", "who": {"student": "x"}, "grade": "5"})
    assert comparable_params(stored) == comparable_params(
        stored_params(other, StoreParams.FULL, secret=("student",))[0]
    )


def test_secrets_in_pairs_are_found():
    """Headers and such come as lists of name and value."""
    headers = [("Authorization", "Bearer 1234"), ("accept", "*/*"), ("token", "x", "y")]
    params, redacted = stored_params(canonical_params({"headers": headers}), StoreParams.FULL)
    assert redacted
    assert show_params(params)["headers"] == [
        ["Authorization", "<redacted>"],
        ["accept", "*/*"],
        ["token", "x", "y"],
    ]


def test_what_a_policy_names_is_public():
    """A name that is only taken for a secret may be kept; a secret type may not."""
    params = canonical_params({"token": "noun", "secret": pydantic.SecretStr(CANARY)})
    stored, _ = stored_params(params, StoreParams.FULL, public=("token", "secret"))
    assert show_params(stored) == {"token": "noun", "secret": "<redacted>"}


def test_only_names_are_kept():
    """Redacted params have their names and nothing else, none that can be compared."""
    params = canonical_params({"subject": CANARY, "deep": {"inside": CANARY}})
    stored, redacted = stored_params(params, StoreParams.REDACTED)
    assert (show_params(stored), redacted) == (
        {"deep": "<redacted>", "subject": "<redacted>"},
        True,
    )
    assert not comparable_params(stored)


def test_nothing_is_kept():
    """Without params there are not even names; that is a redaction only if there were any."""
    assert stored_params(canonical_params({"a": CANARY}), StoreParams.NONE) == (b"{}", True)
    assert stored_params(canonical_params({}), StoreParams.NONE) == (b"{}", False)
