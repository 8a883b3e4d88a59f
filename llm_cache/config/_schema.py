"""All settings of a cache in one frozen object that knows where each came from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, cast

from llm_cache.config import checks as check
from llm_cache.config._fields import Settings, list_of, setting, table_of, under
from llm_cache.config._parts import FILE_FIELDS, POLICY, Price, WarmSet
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
from llm_cache.core.policy import MODE, CachePolicy, Mode
from llm_cache.core.policy_resolution import PolicyTable
from llm_cache.core.setting_types import Kind

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

    A prefix's ttl may be given in short: `intro_page_ttl_hours=168`, and so on for any prefix.

    Raises:
        ConfigError: a setting is unknown or wrong; the message names it.
    """

    enabled: bool = setting(
        "false: every call generates, and nothing is kept", check.SWITCH, default=True
    )
    cache_dir: Path = setting(
        "where the cache lies, from the directory of the file; made when first needed",
        check.PATH,
        default=Path(".cache/llm"),
    )
    store: str = setting("what keeps the entries", check.choice("sqlite"), default="sqlite")
    max_memory_entries: int = setting(
        "the most entries kept in memory; 0 keeps none there", check.count(0, 10**9), default=1000
    )
    max_memory: int = setting(
        "the most bytes kept in memory; 0 keeps none there", check.size(0), default=64 * 1024**2
    )
    max_disk: int = setting(
        "the most bytes kept on disk: beyond it, expired and then least recently used entries go",
        check.size(1024**2),
        default=1024**3,
    )
    max_value: int = setting(
        "the largest value that is kept; larger ones are returned all the same",
        check.size(1),
        default=16 * 1024**2,
    )
    min_free: int = setting(
        "bytes left free on the disk: with less, nothing more is kept",
        check.size(0),
        default=64 * 1024**2,
    )
    durability: str = setting(
        '"full" survives a power cut, too, and is slower to write',
        check.choice("normal", "full"),
        default="normal",
    )
    lease: float = setting(
        "after this, another process takes over from one that does not answer any more",
        check.duration(1.0, 3600.0),
        default=15.0,
    )
    allow_shared_dir: bool = setting(
        "whether cache_dir may be a link, another user's, or open to all",
        check.SWITCH,
        default=False,
    )
    allow_network_fs: bool = setting(
        "whether cache_dir may lie on a network; one machine only", check.SWITCH, default=False
    )
    mode: Mode = setting(
        '"live", "refresh", "replay" (never generates) or "off", where nothing else says',
        MODE,
        default=Mode.LIVE,
    )
    tenant: str = setting(
        "on whose behalf requests are, where code does not say; part of every key",
        check.TENANT,
        default="",
    )
    tenant_required: bool = setting(
        "whether a request without a tenant is an error", check.SWITCH, default=False
    )
    defaults: CachePolicy = setting("the policy of every prefix", POLICY, default=CachePolicy)
    prefixes: dict[str, CachePolicy] = setting(
        "the policy of a prefix, by its name", table_of(check.PREFIX, POLICY), default=dict
    )
    prices: dict[str, Price] = setting(
        "what models cost, by their names",
        table_of(check.NAME, Kind(Price.of, Price.schema())),
        default=dict,
    )
    warm: list[WarmSet] = setting(
        "what `llm-cache warm` generates", list_of(Kind(WarmSet.of, WarmSet.schema())), default=list
    )

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
            defaults: CachePolicy | Mapping[str, object] = ...,
            prefixes: Mapping[str, CachePolicy | Mapping[str, object]] = ...,
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
            match merged.get(prefix, {}):
                case CachePolicy(ttl=None) as beside:
                    with under(problems, "prefixes"), under(problems, prefix):
                        merged[prefix] = POLICY.check({"ttl_hours": value}).over(beside)
                case {"ttl_hours": _} | CachePolicy():
                    message = f"is given beside prefixes[{prefix!r}]: keep one of them"
                    problems.append(Problem((name,), message))
                case Mapping():
                    merged[prefix] = {**merged.get(prefix, {}), "ttl_hours": value}
                case _:
                    pass
        rest = {name: value for name, value in given.items() if name not in hours}
        return {**rest, "prefixes": merged}

    @property
    def source(self) -> Path | None:
        """The file that was read, if any."""
        read = self._provenance.source
        return None if read is None else read.path

    def policies(self) -> PolicyTable:
        """What this says about each prefix, for the policies of calls and decorators to meet."""
        by = self._provenance.overrides.get("cache.mode")
        return PolicyTable(
            prefixes=self.prefixes,
            defaults=self.defaults,
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
        part: Settings | CachePolicy | None = self
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
        given = part.said() if isinstance(part, CachePolicy) else part.given if part else ()
        return path[-1] in given

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
            return tuple(FILE_FIELDS)
        case ("prices", _, _):
            return tuple(Price.fields)
        case ("warm", int(), _):
            return tuple(WarmSet.fields)
        case _:
            return ()
