"""Showing the settings in force: one by one with where each came from, as TOML, as a first file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

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
class Setting:
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


def settings_in_force(config: CacheConfig) -> Iterator[Setting]:
    """Every setting in force, the built-in ones too, always in the same order."""
    for path, value in _values(config):
        key = dotted(path)
        yield Setting(key, value, config.origin(key))


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


FIRST_FILE: Final = """\
# The settings of llm-cache. What is commented out shows the built-in value, or a sample.
# Check this file with `llm-cache config check`; see what is in force with `llm-cache config show`.

[cache]
enabled = true                 # false: every call generates
cache_dir = ".cache/llm"       # from the directory of this file
store = "sqlite"
max_memory_entries = 1000      # 0: keep nothing in memory
max_memory = "64MiB"
max_disk = "1GiB"              # beyond it, expired and then least recently used entries go
max_value = "16MiB"            # larger values are returned, but not kept
min_free = "64MiB"             # with less than this free on the disk, nothing more is kept
durability = "normal"          # "full": survive a power cut, too; slower to write
lease = "15s"                  # after this, another process takes over from one that hangs
allow_shared_dir = false       # true: cache_dir may be a link, another user's, or open to all
allow_network_fs = false       # true: cache_dir may lie on a network; one machine only
mode = "live"                  # "refresh", "replay" (never generate) or "off"
tenant = ""                    # on whose behalf, where code does not say; part of every key
tenant_required = false        # true: a request without a tenant is an error

# For every prefix whose decorator says nothing else.
[defaults]
# ttl = "24h"                  # "forever" for no end, 0 to keep nothing
# timeout = "10m"              # how long a generator may run; no limit if left out
# ttl_jitter = 0.1             # up to 10 % shorter, so that not all expires at once
# grace = "1d"                 # after its ttl an entry is given once more while it is made anew
# stale_if_error = "30d"       # and when generating fails
# store_if = ["not_empty", "not_truncated", "not_filtered"]   # what else is not kept
# store_params = "redacted"    # keep only the names of params; "none": not even these
# secret_params = ["student"]  # redacted as api_key, password and such are

# For one prefix, whatever its decorator says. ttl_hours = 168 is ttl = "7d".
# [prefixes.intro_page]
# ttl = "7d"
# version = "2"                # change it to start anew after a change of the prompt

# Dollars for a million tokens, where the answers do not say what they cost.
# [prices."my-model"]
# input = 0.15
# output = 0.60

# What `llm-cache warm` makes: the tables of params, and every combination of the matrix.
# [[warm]]
# prefix = "intro_page"
# generate = "app.lessons:generate_intro_page"   # imported from the directory of this file
# concurrency = 4
# retries = 3
# rate = "60/min"
# params = [{ subject = "math", topic = "fractions", grade = "5" }]
# matrix = { subject = ["math"], topic = ["algebra", "geometry"], grade = ["5", "6"] }
"""
"""What `llm-cache config init` writes: the built-in settings, and samples to go on from."""
