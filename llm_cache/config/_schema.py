"""All settings of a cache in one frozen object that knows where each came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, cast

from llm_cache.config import checks as check
from llm_cache.config._fields import Settings, list_of, made_anew, setting, table_of
from llm_cache.config._parts import PrefixConfig, Price, WarmSet, prefix_config, settings_of_policy
from llm_cache.config.problems import (
    BUILTIN,
    IN_CODE,
    Origin,
    Problem,
    WrongSettingsError,
    dotted,
    split_key,
    unknown,
)
from llm_cache.core.policy import CachePolicy, Mode
from llm_cache.core.policy_resolution import PolicyTable

if TYPE_CHECKING:
    from llm_cache.config._toml_lines import KeyPath
    from llm_cache.config.files import SourceFile
    from llm_cache.core.units import Duration

TABLES: Final = ("cache", "defaults", "prefixes", "prices", "warm")
"""The tables of a file, in the order we write them."""

_PREFIX_TTL: Final = "_ttl_hours"


@dataclass(frozen=True, slots=True)
class _Provenance:
    """Where a configuration was read from; of no account when two are compared."""

    loaded: bool = field(default=False, compare=False)
    source: SourceFile | None = field(default=None, compare=False)
    overrides: Mapping[str, Origin] = field(default_factory=dict[str, Origin], compare=False)


class CacheConfig(Settings):
    """The settings of a cache. Sizes are in bytes, and may be given as text: `"64MiB"`.

    Args:
        enabled: whether anything is kept at all; if not, every call generates.
        cache_dir: where the cache lives; made when first needed.
        store: what keeps the entries; `"sqlite"`.
        max_memory_entries: the most entries kept in memory; 0 keeps none there.
        max_memory: the most bytes kept in memory; 0 keeps none there.
        max_disk: the most bytes kept on disk.
        max_value: the largest value that is kept.
        min_free: bytes that are left free on the disk: with less, nothing more is kept.
        durability: `"normal"`, or `"full"` to survive a power cut, too.
        lease: seconds after which another process may generate if one does not answer any more.
        allow_shared_dir: whether `cache_dir` may be a link, another user's, or open to all.
        allow_network_fs: whether `cache_dir` may lie on a network.
        mode: `"live"`, `"refresh"`, `"replay"` or `"off"`, where nothing else says.
        tenant: on whose behalf requests are, where code does not say.
        tenant_required: whether a request without a tenant is an error.
        defaults: what holds for every prefix.
        prefixes: what holds for one prefix, by its name.
        prices: what models cost, by their names.
        warm: what `warm` makes.
        prefix_ttl_hours: `intro_page_ttl_hours=168` is the ttl of the prefix `intro_page`, and
            so on for any prefix.

    Raises:
        ConfigError: a setting is unknown or wrong; the message names it.
    """

    enabled: bool = setting(check.switch, default=True)
    cache_dir: Path = setting(check.path, default=Path(".cache/llm"))
    store: str = setting(check.one_of("sqlite"), default="sqlite")
    max_memory_entries: int = setting(check.count(0, 10**9), default=1000)
    max_memory: int = setting(check.size(0), default=64 * 1024**2)
    max_disk: int = setting(check.size(1024**2), default=1024**3)
    max_value: int = setting(check.size(1), default=16 * 1024**2)
    min_free: int = setting(check.size(0), default=64 * 1024**2)
    durability: str = setting(check.one_of("normal", "full"), default="normal")
    lease: float = setting(check.seconds_between(1.0, 3600.0), default=15.0)
    allow_shared_dir: bool = setting(check.switch, default=False)
    allow_network_fs: bool = setting(check.switch, default=False)
    mode: Mode = setting(check.policy_field("mode"), default=Mode.LIVE)
    tenant: str = setting(check.tenant, default="")
    tenant_required: bool = setting(check.switch, default=False)
    defaults: PrefixConfig = made_anew(prefix_config, PrefixConfig)
    prefixes: dict[str, PrefixConfig] = made_anew(table_of(check.prefix_name, prefix_config), dict)
    prices: dict[str, Price] = made_anew(table_of(check.name, Price.of), dict)
    warm: list[WarmSet] = made_anew(list_of(WarmSet.of), list)

    _provenance: _Provenance = _Provenance()

    if TYPE_CHECKING:

        def __init__(  # noqa: PLR0913 - a settings object has as many as there are settings
            self,
            *,
            enabled: bool = ...,
            cache_dir: str | Path = ...,
            store: str = ...,
            max_memory_entries: int = ...,
            max_memory: int | str = ...,
            max_disk: int | str = ...,
            max_value: int | str = ...,
            min_free: int | str = ...,
            durability: str = ...,
            lease: Duration = ...,
            allow_shared_dir: bool = ...,
            allow_network_fs: bool = ...,
            mode: str = ...,
            tenant: str = ...,
            tenant_required: bool = ...,
            defaults: PrefixConfig | CachePolicy | Mapping[str, object] = ...,
            prefixes: Mapping[str, PrefixConfig | CachePolicy | Mapping[str, object]] = ...,
            prices: Mapping[str, Price | Mapping[str, float]] = ...,
            warm: list[WarmSet | dict[str, Any]] = ...,
            **prefix_ttl_hours: float,
        ) -> None: ...

    @classmethod
    def _understand(cls, given: dict[str, Any], problems: list[Problem]) -> dict[str, Any]:
        """Turn `<prefix>_ttl_hours` into `prefixes[<prefix>]`."""
        prefixes = given.get("prefixes", {})
        hours = {name: value for name, value in given.items() if name[1:].endswith(_PREFIX_TTL)}
        if not hours or not isinstance(prefixes, Mapping):
            return given
        merged = dict(cast("Mapping[str, Any]", prefixes))
        for name, value in hours.items():
            prefix = name.removesuffix(_PREFIX_TTL)
            beside = settings_of_policy(merged.get(prefix, {}))
            if check.is_table(beside) and "ttl_hours" not in beside:
                merged[prefix] = {**beside, "ttl_hours": value}
            else:
                message = f"is given beside prefixes[{prefix!r}]: keep one of them"
                problems.append(Problem((name,), message))
        rest = {name: value for name, value in given.items() if name not in hours}
        return {**rest, "prefixes": merged}

    @property
    def source(self) -> Path | None:
        """The file that was read, if any."""
        read = self._provenance.source
        return None if read is None else read.path

    def policies(self) -> PolicyTable:
        """What this says about each prefix, for the policies of calls and decorators to meet."""
        prefixes = {prefix: said.policy() for prefix, said in self.prefixes.items()}
        by = self._provenance.overrides.get("cache.mode")
        return PolicyTable(
            prefixes=prefixes,
            defaults=self.defaults.policy(),
            mode=self.mode,
            mode_of_environment=self.mode if by is not None else None,
        )

    def origin(self, key: str) -> Origin:
        """Where the setting `key` came from: `"cache.max_memory"`, `"prefixes.intro_page.ttl"`.

        Raises:
            ConfigError: there is no such setting.
        """
        path = split_key(key)
        known = _names_beside(path)
        if str(path[-1]) not in known:
            raise WrongSettingsError([Problem(path, unknown(str(path[-1]), known))])
        if dotted(path) in self._provenance.overrides:
            return self._provenance.overrides[dotted(path)]
        source = self._provenance.source
        names = (path[-1], "ttl_hours") if path[-1] == "ttl" else (path[-1],)
        if source is not None:
            in_file = (source.origin((*path[:-1], name)) for name in names)
            return next((origin for origin in in_file if origin is not None), BUILTIN)
        return IN_CODE if not self._provenance.loaded and self._says(path) else BUILTIN

    def _says(self, path: KeyPath) -> bool:
        """Whether the setting was given to the constructor."""
        part: Settings | None = self
        match path:
            case ("defaults", _):
                part = self.defaults
            case ("prefixes", str(prefix), _):
                part = self.prefixes.get(prefix)
            case ("prices", str(model), _):
                part = self.prices.get(model)
            case ("warm", int(index), _):
                part = self.warm[index] if index < len(self.warm) else None
            case _:
                pass
        return part is not None and path[-1] in part.said

    def with_origins(self, source: SourceFile | None, overrides: Mapping[str, Origin]) -> Self:
        """The same settings, read from `source` but for the keys that `overrides` names."""
        provenance = _Provenance(loaded=True, source=source, overrides=overrides)
        return self.with_values(_provenance=provenance)


CACHE_FIELDS: Final = tuple(name for name in CacheConfig.fields if name not in TABLES)
"""The settings of the `[cache]` table, in the order we write them."""


def _names_beside(path: KeyPath) -> tuple[str, ...]:
    """The settings that may stand where `path` does."""
    match path:
        case ("cache", _):
            return CACHE_FIELDS
        case ("defaults", _) | ("prefixes", _, _):
            return tuple(PrefixConfig.fields)
        case ("prices", _, _):
            return tuple(Price.fields)
        case ("warm", int(), _):
            return tuple(WarmSet.fields)
        case _:
            return ()
