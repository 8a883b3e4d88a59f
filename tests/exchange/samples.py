"""Entries and lines of all kinds, made without the code under test where that is what is tested."""

import datetime as dt
import decimal
import hashlib
import json
import math
import pathlib
from typing import Any

from hypothesis import strategies as st

from llm_cache.core.entry import Entry
from llm_cache.core.keys import Identity, canonical_params
from llm_cache.core.policy_resolution import NOTHING, Remembered
from llm_cache.core.values.codec import UNTYPED
from llm_cache.transfer.jsonl import to_line
from tests.keys.golden_inputs import Color, Grade, Level, Mode, Topic

NOW = 1_800_000_000.0
MAX_VALUE_BYTES = 16 * 1024**2

# Params of every kind, the odd ones often; values are JSON, since no function says their type.
ODD_PARAMS = st.sampled_from(
    [
        *(1, True, None, 1.0, -0.0, 1e16, 5e-324, "1", "", 2**63, -(2**200), b"a", Color.RED),
        *(Level.HARD, Mode.SHORT, dt.date(2026, 11, 22), decimal.Decimal("1.50"), Grade(5)),
        *(
            Topic(title="分数"),
            pathlib.PurePosixPath("a/b"),
            dt.timedelta(days=-1),
            "\x1b[31m\u202e",
        ),
        dt.datetime(2026, 11, 22, 19, 21, tzinfo=dt.UTC),
    ]
)
PARAM_NAMES = st.sampled_from(["a", "$", "$$", "$date", "$int", "", "分数"]) | st.text()
PARAMS = st.dictionaries(
    PARAM_NAMES,
    st.recursive(
        ODD_PARAMS
        | st.text()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.dates()
        | st.uuids(),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PARAM_NAMES, inner, max_size=3),
        max_leaves=6,
    ),
    max_size=4,
)
SURROGATES = st.characters(categories=["Cs"]).map(lambda half: f"a{half}")
JSON_SCALARS = st.one_of(
    st.sampled_from(["", "分数", "\x1b[31m\x9b\u202e", "\n", "\u2028", 1e16, -0.0, 1e-7, 5e-324]),
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**200), max_value=2**200),
    st.floats(),
    st.text(),
    SURROGATES,
)
VALUES = st.recursive(
    JSON_SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
) | st.text(min_size=1).map(lambda text: text * 3000)
TTLS = st.sampled_from([None, 0.0, 0.001, 86_400.0, math.inf])
JITTERS = st.sampled_from([None, 0.0, 0.1, 0.9])
INSTANTS = st.floats(min_value=0, max_value=NOW, allow_subnormal=False)
AMOUNTS = st.none() | st.floats(min_value=0, max_value=1e6)
TOKENS = st.none() | st.integers(min_value=0, max_value=10**9)
COUNTS = st.integers(min_value=0, max_value=2**53 - 1)
MEASURES = st.fixed_dictionaries(
    {
        "created_at": INSTANTS,
        "call_ttl": TTLS,
        "decorator_ttl": TTLS,
        "remembered": st.just(NOTHING) | st.builds(Remembered, JITTERS, JITTERS, *[TTLS] * 4),
        "generation_seconds": AMOUNTS,
        "cost_usd": AMOUNTS,
        "model": st.none() | st.sampled_from(["gpt-5-mini", "模型\x1b[2J"]),
        "input_tokens": TOKENS,
        "output_tokens": TOKENS,
        "hits": COUNTS,
        "used_at": st.floats(min_value=1, max_value=NOW),
    }
)
NAMES_OF = st.fixed_dictionaries(
    {
        "tenant": st.sampled_from(["", "acme", "Ünicode Ltd \x1b[2J"]),
        "version": st.sampled_from(["", "v2", "3\n"]),
        "variant": st.sampled_from([0, 1, 2**62]),
    }
)


def sample(
    params: Any = None,
    value: object = "# A page",
    *,
    prefix: str = "intro_page",
    tenant: str = "",
    version: str = "",
    variant: int = 0,
    **measures: Any,
) -> Entry:
    """An entry as a store gives it out."""
    params_json = canonical_params({"topic": "fractions"} if params is None else params)
    identity = Identity(prefix, params_json, version, tenant, variant)
    encoded = UNTYPED.encode(value)
    return Entry(
        key=identity.key,
        request=identity.request,
        params_json=params_json,
        prefix=prefix,
        encoding=encoded.encoding,
        size_bytes=len(encoded.body) + len(params_json),
        value_bytes=encoded.value_bytes,
        tenant=tenant,
        version=version,
        variant=variant,
        body=encoded.body,
        **{"created_at": NOW - 60, "used_at": NOW - 30, **measures},
    )


def signed(document: dict[str, Any]) -> bytes:
    """A line with the checksum that docs/exchange.md tells, whatever the line says."""
    rest = {name: value for name, value in document.items() if name != "checksum"}
    told = json.dumps(rest, sort_keys=True, separators=(",", ":"))
    return json.dumps({**rest, "checksum": hashlib.sha256(told.encode()).hexdigest()}).encode()


def forged(entry: Entry | None = None, **changes: object) -> bytes:
    """The line of an entry with other fields, and a checksum that is right all the same."""
    return signed({**json.loads(to_line(entry or sample())), **changes})
