"""The JSON Schema of cache.toml says what the checks say, as far as a schema can."""

import re
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cache.config import check_config
from llm_cache.config.json_schema import SCHEMA_FILE, first_file, json_schema, schema_text

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = {
    f"{page.name}-{number}": text
    for page in PAGES
    for number, text in enumerate(re.findall(r"(?s)```toml\n(.*?)```", page.read_text("utf-8")))
}
EXAMPLES |= {
    "example": (ROOT / "cache.toml.example").read_text("utf-8"),
    "first": first_file(),
    "samples": re.sub(r"^# (?=[\[\w]+( =|\]|\.))", "", first_file(), flags=re.MULTILINE),
}
VALIDATOR = jsonschema.Draft7Validator(json_schema())


def test_the_shipped_file_is_what_the_code_says():
    """If not: `llm-cache config schema > llm_cache/config/cache.schema.json`."""
    assert SCHEMA_FILE.read_text("utf-8") == schema_text()


def test_it_is_a_schema():
    """Of the draft that it names."""
    jsonschema.Draft7Validator.check_schema(json_schema())


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_every_example_is_valid(text: str):
    """What we show to users is not underlined in their editors."""
    document = tomllib.loads(text)
    VALIDATOR.validate(document.get("tool", {}).get("llm-cache", document))


WRONG = {
    "unknown table": "[cach]",
    "unknown setting": "[cache]\nmax_memry = 1",
    "setting of a prefix": '[prefixes.x]\ntll = "7d"',
    "code": '[defaults]\ncache_if = "len"',
    "bare ttl": "[defaults]\nttl = 30",
    "no unit": '[defaults]\nttl = "30"',
    "minute or month": '[defaults]\nttl = "1M"',
    "two ttls": '[defaults]\nttl = "1h"\nttl_hours = 1',
    "negative hours": "[defaults]\nttl_hours = -1",
    "no size": '[cache]\nmax_disk = "64 potatoes"',
    "too little disk": "[cache]\nmax_disk = 1",
    "mode": '[cache]\nmode = "relive"',
    "jitter": "[defaults]\nttl_jitter = 1",
    "gate": '[defaults]\nstore_if = ["not_emtpy"]',
    "prefix with a space": '[prefixes."a b"]',
    "price without an output": '[prices."m"]\ninput = 1',
    "function without a module": '[[warm]]\nprefix = "p"\ngenerate = "make"\nparams = [{}]',
    "no such rate": '[[warm]]\nprefix = "p"\ngenerate = "a:b"\nparams = [{}]\nrate = "often"',
}


@pytest.mark.parametrize("text", WRONG.values(), ids=WRONG)
def test_what_the_checks_refuse_is_underlined(text: str, tmp_path: Path):
    """The mistakes one makes are not valid."""
    path = tmp_path / "cache.toml"
    path.write_text(text)
    assert check_config(path)
    assert not VALIDATOR.is_valid(tomllib.loads(text))


VALUES = st.recursive(
    st.booleans()
    | st.sampled_from([0, 1, 4, 2**21, 0.0, 0.5, -1, 168])
    | st.sampled_from(["", "7d", " 1h 30m", "Forever", "1.5 GiB", "64mib", "10", "live", "off"])
    | st.sampled_from(["none", "sqlite", "full", "not_empty", "10/s", " 1.5 / Min", "a.b:c"])
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["a", "x.y/z:é", "ttl", "input", "output"]), inner)
    ),
    max_leaves=5,
)
POLICY_NAMES = [*json_schema()["definitions"]["policy"]["properties"]]
POLICIES = st.dictionaries(st.sampled_from(POLICY_NAMES), VALUES, max_size=2)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "cache": st.dictionaries(
                st.sampled_from([*json_schema()["properties"]["cache"]["properties"]]), VALUES
            ),
            "defaults": POLICIES,
            "prefixes": st.dictionaries(st.sampled_from(["p", "x.y/z:é", "分"]), POLICIES),
            "prices": st.dictionaries(st.text(max_size=5), VALUES, max_size=2),
        },
    )
)
def test_whatever_is_accepted_is_valid(document: dict[str, Any]):
    """No good file is underlined."""
    from llm_cache import CacheConfig, ConfigError

    tables = {name: table for name, table in document.items() if name != "cache"}
    try:
        CacheConfig(**document.get("cache", {}), **tables)
    except ConfigError:
        return
    VALIDATOR.validate(document)


def test_a_first_file_names_the_installed_schema():
    """By taplo's directive, as a URL that is right wherever the file lies."""
    directive, _, url = first_file().splitlines()[0].partition(" ")
    assert directive == "#:schema"
    assert Path(unquote(urlsplit(url).path)) == SCHEMA_FILE


def test_the_example_names_the_schema_beside_it():
    """By a path from its own directory."""
    first = EXAMPLES["example"].splitlines()[0]
    assert (ROOT / first.removeprefix("#:schema ")).samefile(SCHEMA_FILE)
