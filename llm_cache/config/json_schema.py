"""The JSON Schema of cache.toml, from the same tables as its checks, for editors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from llm_cache.config._parts import FILE_FIELDS
from llm_cache.config._schema import CACHE_FIELDS, TABLES, CacheConfig
from llm_cache.core.units import LONGEST_S

SCHEMA_FILE: Final = Path(__file__).with_name("cache.schema.json")
"""What `schema_text` returned when this release was made."""


def json_schema() -> dict[str, Any]:
    """The schema of a cache.toml, of draft 7; whatever the checks take is valid under it.

    Some of what they refuse is valid, too: a table without a needed combination, say.
    """
    settings = {name: setting.schema for name, setting in CacheConfig.fields.items()}
    cache = {name: settings[name] for name in CACHE_FIELDS}
    tables = {"cache": _table(cache)} | {name: settings[name] for name in TABLES if name != "cache"}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "The settings of llm-cache: cache.toml",
        **_table(tables),
        "definitions": {"policy": _policy()},
    }


def schema_text() -> str:
    """The schema as text."""
    return json.dumps(json_schema(), indent=2) + "\n"


def first_file() -> str:
    """What `llm-cache config init` writes: the built-in settings, and samples to go on from.

    Its first line names the installed schema, for editors that know taplo's directive.
    """
    template = Path(__file__).with_name("template.toml").read_text("utf-8")
    return f"#:schema {SCHEMA_FILE.as_uri()}\n{template}"


def _table(properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "additionalProperties": False, "properties": properties}


def _policy() -> dict[str, Any]:
    properties: dict[str, Any] = {}
    for name, field in FILE_FIELDS.items():
        properties[name] = {"description": field.words, **field.kind.schema}
        if field.default is not None:
            properties[name]["default"] = field.kind.plain(field.default)
    hours = {"type": "number", "minimum": 0, "maximum": LONGEST_S / 3600}
    properties["ttl_hours"] = {"description": "the ttl as a number of hours", **hours}
    return {**_table(properties), "not": {"required": ["ttl", "ttl_hours"]}}
