"""Showing the settings in force: one by one with where each came from, as TOML."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from llm_cache.config._parts import FILE_FIELDS
from llm_cache.config._schema import CACHE_FIELDS, CacheConfig
from llm_cache.config.checks import is_array, is_table
from llm_cache.config.problems import Origin, dotted
from llm_cache.core.policy import POLICY_FIELDS, UNSET
from llm_cache.core.policy_resolution import BUILTIN_PREFIXES, PolicyTable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from llm_cache.config._fields import Settings
    from llm_cache.config._toml_lines import KeyPath
    from llm_cache.core.policy import CachePolicy


@dataclass(frozen=True, slots=True)
class ShownSetting:
    """One setting in force.

    Args:
        key: its name, as `CacheConfig.origin` takes it.
        value: its value as a TOML file has it.
        origin: where it came from.
    """

    key: str
    value: object
    origin: Origin

    @property
    def shown(self) -> str:
        """The value in one short piece of text."""
        value = self.value
        if isinstance(value, bool):
            return str(value).lower()
        if is_array(value):
            if all(isinstance(each, str) for each in value):
                return ", ".join(map(str, value)) or "none"
            return f"{len(value)} listed"
        if is_table(value):
            axes = ((name, axis) for name, axis in value.items() if is_array(axis))
            return " x ".join(f"{len(axis)} {name}" for name, axis in axes)
        return '""' if value == "" else str(value)


def settings_in_force(config: CacheConfig) -> Iterator[ShownSetting]:
    """Every setting in force, the built-in ones too, always in the same order."""
    for path, value in _values(config):
        key = dotted(path)
        yield ShownSetting(key, value, config.origin(key))


def settings_as_toml(config: CacheConfig) -> str:
    """The settings in force as TOML that means the same when read back.

    Built-in durations stand in comments: written out, those of a prefix would override what a
    decorator says.
    """
    import tomli_w

    document: dict[str, Any] = {
        "cache": _cache_table(config),
        "defaults": _said(config.defaults),
        "prefixes": {prefix: _said(said) for prefix, said in config.prefixes.items()},
        "prices": {model: _table(price) for model, price in config.prices.items()},
        "warm": [_table(warm) for warm in config.warm],
    }
    text = tomli_w.dumps({name: table for name, table in document.items() if table})
    tables = {name: table for name, table in _builtin(config).items() if table}
    builtin = tomli_w.dumps(tables).splitlines()
    comment = "".join(f"# {line}".rstrip() + "\n" for line in builtin if line)
    return f"{text}\n# Built-in, where neither a decorator nor this file says otherwise:\n{comment}"


def _values(config: CacheConfig) -> Iterator[tuple[KeyPath, Any]]:
    for name, value in _cache_table(config).items():
        yield ("cache", name), value
    builtin = _builtin(config)
    yield from _prefix_values(("defaults",), _said(config.defaults), builtin["defaults"])
    for prefix in sorted({*config.prefixes, *builtin["prefixes"]}):
        said = _said(config.prefixes.get(prefix, UNSET))
        otherwise = builtin["prefixes"].get(prefix, {})
        yield from _prefix_values(("prefixes", prefix), said, otherwise)
    for model, price in sorted(config.prices.items()):
        for name, value in _table(price).items():
            yield ("prices", model, name), value
    for index, warm in enumerate(config.warm):
        for name, value in _table(warm).items():
            yield ("warm", index, name), value


def _prefix_values(
    path: KeyPath, said: dict[str, Any], otherwise: dict[str, Any]
) -> Iterator[tuple[KeyPath, Any]]:
    values = {**otherwise, **said}
    for name in FILE_FIELDS:
        if name in values:
            yield (*path, name), values[name]


def _builtin(config: CacheConfig) -> dict[str, dict[str, Any]]:
    """The built-in values in force, by table."""
    said = _said(config.defaults)
    fields = {name: field for name, field in FILE_FIELDS.items() if name not in {"ttl", "mode"}}
    resolved = PolicyTable(defaults=config.defaults).resolve("")
    in_force = {"ttl": POLICY_FIELDS["ttl"].default}
    in_force |= {name: getattr(resolved, name) for name in fields}
    prefixes = {
        prefix: _said(policy)
        for prefix, policy in BUILTIN_PREFIXES.items()
        # A ttl under [defaults] overrides these.
        if "ttl" not in said and config.prefixes.get(prefix, UNSET).ttl is None
    }
    rest = {
        name: FILE_FIELDS[name].kind.plain(value)
        for name, value in in_force.items()
        if name not in said
    }
    return {"defaults": rest, "prefixes": prefixes}


def _cache_table(config: CacheConfig) -> dict[str, Any]:
    return {
        name: CacheConfig.fields[name].kind.plain(getattr(config, name)) for name in CACHE_FIELDS
    }


def _said(policy: CachePolicy) -> dict[str, Any]:
    return {name: FILE_FIELDS[name].kind.plain(value) for name, value in policy.said().items()}


def _table(settings: Settings) -> dict[str, Any]:
    values = {name: getattr(settings, name) for name in settings.fields}
    return {name: value for name, value in values.items() if value not in (None, [], {})}
