"""Loads the settings from flags, environment and file.

Flags override the environment, the environment the file, the file the built-in values;
they are merged key by key, and each setting knows where it came from.
"""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from llm_cache.config import checks as check
from llm_cache.config._schema import CACHE_FIELDS, TABLES, CacheConfig
from llm_cache.config.files import SourceFile, find_config_file, read_config_file
from llm_cache.config.problems import (
    Origin,
    OriginKind,
    Problem,
    WrongSettingsError,
    harmless,
    unknown,
)
from llm_cache.core.policy import MODE
from llm_cache.core.setting_types import shown_value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


FILE_VARIABLE: Final = "LLM_CACHE_CONFIG"
DIR_VARIABLE: Final = "LLM_CACHE_DIR"
ENABLED_VARIABLE: Final = "LLM_CACHE_ENABLED"
MODE_VARIABLE: Final = "LLM_CACHE_MODE"
TENANT_VARIABLE: Final = "LLM_CACHE_TENANT"

_SWITCH: Final = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}


def load_config(
    path: str | Path | None = None,
    *,
    cache_dir: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
) -> CacheConfig:
    """The settings in force, each from the nearest source that says something.

    Args:
        path: the file to read. Without it, `LLM_CACHE_CONFIG` names it, else the nearest
            `cache.toml` from `cwd` upward within the same repository is taken, or the
            `[tool.llm-cache]` of a `pyproject.toml`; there may be none.
        cache_dir: where the cache lives, whatever the other sources say.
        environ: the environment; the process's own by default.
        cwd: where relative paths start that stand in no file; the working directory by default.

    Returns:
        A configuration whose `cache_dir` is absolute. Relative paths start from the directory of
        the file, if one was read.

    Raises:
        ConfigError: a file is missing, broken or not trusted, or a setting is wrong: file, line
            and key are named.
    """
    environ = os.environ if environ is None else environ
    start = _start(cwd)
    problems: list[Problem] = []
    overrides = _overrides(cache_dir, environ, start, problems)
    source = _source(path, environ, start)
    config = _read(source, environ, problems)
    if problems:
        raise WrongSettingsError(problems)
    base = start if source is None else source.path.parent
    update: dict[str, object] = {"cache_dir": base / config.cache_dir}
    update |= {name: value for name, (value, _) in overrides.items()}
    origins = {f"cache.{name}": origin for name, (_, origin) in overrides.items()}
    return config.with_values(**update).with_origins(source, origins)


def check_config(
    path: str | Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
) -> list[Problem]:
    """Everything that is wrong with what `load_config` would read; empty if nothing is."""
    try:
        load_config(path, environ=environ, cwd=cwd)
    except WrongSettingsError as error:
        return list(error.problems)
    return []


def config_path(
    path: str | Path | None = None,
    *,
    environ: Mapping[str, str] | None = None,
    cwd: str | Path | None = None,
) -> Path | None:
    """The file that `load_config` would read, absolute, whether or not it is there or any good."""
    environ = os.environ if environ is None else environ
    place = _locate(path, environ, _start(cwd))
    return None if place is None else place.path


class _Place(NamedTuple):
    """A settings file, and how we came to it."""

    path: Path
    found: bool = False
    named_by: str | None = None


def _start(cwd: str | Path | None) -> Path:
    try:
        return Path.cwd() if cwd is None else Path(cwd).absolute()
    except FileNotFoundError:
        problem = Problem((), "the working directory does not exist any more: change to another")
        raise WrongSettingsError([problem]) from None


def _locate(path: str | Path | None, environ: Mapping[str, str], start: Path) -> _Place | None:
    """The file that was pointed at, or else the one that is found."""
    name, value = ("--config", path) if path is not None else _variable(environ, FILE_VARIABLE)
    if value is None:
        found = find_config_file(start)
        return None if found is None else _Place(found, found=True)
    try:
        return _Place(start / check.path(value, environ), named_by=name if path is None else None)
    except ValueError as error:
        raise WrongSettingsError([Problem((), f"{name}: {error}")]) from None


def _source(path: str | Path | None, environ: Mapping[str, str], start: Path) -> SourceFile | None:
    place = _locate(path, environ, start)
    if place is None:
        return None
    return read_config_file(place.path, cwd=start, found=place.found, named_by=place.named_by)


def _read(
    source: SourceFile | None, environ: Mapping[str, str], problems: list[Problem]
) -> CacheConfig:
    """The settings of `source`; what is wrong with them goes into `problems`."""
    if source is None:
        return CacheConfig()
    found: list[Problem] = []
    settings = _flat(source.settings, found)
    if "cache_dir" in settings:  # its variables are those of `environ`
        try:
            directory = check.path(settings.pop("cache_dir"), environ)
            settings["cache_dir"] = source.path.parent / directory
        except ValueError as error:
            found.append(Problem(("cache", "cache_dir"), str(error)))
    config = CacheConfig()
    try:
        config = CacheConfig(**settings)
    except WrongSettingsError as error:
        found += (
            problem.under("cache") if problem.key[0] in CACHE_FIELDS else problem
            for problem in error.problems
        )
    problems += map(source.locate, _with_dots(source.settings, found))
    return config


def _with_dots(settings: Mapping[str, object], found: list[Problem]) -> list[Problem]:
    """Says of a table within a prefix, or a price, that a name with dots stands in quotes."""
    told = [_of_dots(settings, problem) for problem in found]
    split = {problem.key[:2] for problem, before in zip(told, found, strict=True)
             if problem is not before}  # fmt: skip
    return [
        problem
        for problem, before in zip(told, found, strict=True)
        # What the first part of such a name lacks is no news.
        if before.key[:2] not in split or not before.message.startswith("is missing")
    ]


def _of_dots(settings: Mapping[str, object], problem: Problem) -> Problem:
    match problem.key:
        case ("prefixes" | "prices" as table, str(first), str(second), *_):
            names, value = [first, second], _below(settings, (table, first, second))
        case _:
            return problem
    if not check.is_table(value):
        return problem
    while check.is_table(value) and value and all(map(check.is_table, value.values())):
        name, value = next(iter(value.items()))
        names.append(name)
    name = harmless(".".join(names))
    message = f'is a table: a name with dots stands in quotes, [{table}."{name}"]'
    return replace(problem, key=(table, first, second), message=message)


def _below(settings: Mapping[str, object], names: tuple[str, ...]) -> object:
    value: object = settings
    for name in names:
        value = value.get(name) if check.is_table(value) else None
    return value


def _flat(document: Mapping[str, object], problems: list[Problem]) -> dict[str, Any]:
    """A file's settings as `CacheConfig` takes them: `[cache]` has no name of its own there."""
    settings: dict[str, Any] = {}
    for name, value in document.items():
        if name in TABLES:
            settings[name] = value
        elif name in CACHE_FIELDS:
            problems.append(Problem((name,), "is out of place: write it under [cache]"))
        else:
            problems.append(Problem((name,), unknown(name, TABLES)))
    cache: object = settings.pop("cache", {})
    if not check.is_table(cache):
        problems.append(Problem(("cache",), f"is not a table: {shown_value(cache)}"))
        return settings
    for name, value in cache.items():
        if name in CACHE_FIELDS:
            settings[name] = value
        else:
            problems.append(Problem(("cache", name), _unknown_in_cache(name)))
    return settings


def _unknown_in_cache(name: str) -> str:
    prefix = name.removesuffix("_ttl_hours")
    if prefix and prefix != name:
        return f"is out of place: write ttl_hours under [prefixes.{prefix}]"
    return unknown(name, CACHE_FIELDS)


def _overrides(
    cache_dir: str | Path | None, environ: Mapping[str, str], start: Path, problems: list[Problem]
) -> dict[str, tuple[object, Origin]]:
    """What flags and environment set, by field; what is wrong goes into `problems`."""
    result: dict[str, tuple[object, Origin]] = {}
    kind, name, directory = OriginKind.FLAG, "--cache-dir", cache_dir
    if directory is None:
        kind = OriginKind.ENVIRONMENT
        name, directory = _variable(environ, DIR_VARIABLE)
    if directory is not None:
        try:
            result["cache_dir"] = start / check.path(directory, environ), Origin(kind, name)
        except ValueError as error:
            problems.append(Problem((), f"{name}: {error}"))
    for field, variable, understand in _VARIABLES:
        name, text = _variable(environ, variable)
        if text is None:
            continue
        try:
            result[field] = understand(text), Origin(OriginKind.ENVIRONMENT, name)
        except ValueError as error:
            problems.append(Problem((), f"{name}: {error}"))
    return result


def _switch(text: str) -> bool:
    enabled = _SWITCH.get(text.strip().lower())
    if enabled is None:
        msg = f"{shown_value(text)} is neither on nor off: write {', '.join(_SWITCH)}"
        raise ValueError(msg)
    return enabled


_VARIABLES: Final[tuple[tuple[str, str, Callable[[str], object]], ...]] = (
    ("enabled", ENABLED_VARIABLE, _switch),
    ("mode", MODE_VARIABLE, MODE.check),
    ("tenant", TENANT_VARIABLE, check.tenant),
)


def _variable(environ: Mapping[str, str], name: str) -> tuple[str, str | None]:
    """A variable's name and value; an empty one counts as not set, as scripts expect."""
    return name, environ.get(name) or None
