"""Looking a cache over: its settings, where it lies, and what is in it."""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING, Final

from llm_cache.config import CacheConfig, check_config, load_config
from llm_cache.config.files import distrust, private_group
from llm_cache.config.load import (
    DIR_VARIABLE,
    ENABLED_VARIABLE,
    FILE_VARIABLE,
    MODE_VARIABLE,
    TENANT_VARIABLE,
)
from llm_cache.core.freshness import wall_clock
from llm_cache.core.policy import Mode
from llm_cache.errors import ConfigError
from llm_cache.store.findings import Finding, Level
from llm_cache.store.sqlite.check_content import check_content, check_sqlite
from llm_cache.store.sqlite.check_files import (
    CacheLocation,
    check_directory,
    check_files,
    check_owners,
    check_room,
    is_usable,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path


SETTINGS: Final = "settings"
_VARIABLES: Final = (
    FILE_VARIABLE,
    DIR_VARIABLE,
    ENABLED_VARIABLE,
    MODE_VARIABLE,
    TENANT_VARIABLE,
)
_OURS: Final = "LLM_CACHE_"
_SHOWN_CHARS: Final = 80


def check_up(
    path: str | Path | None = None,
    *,
    cache_dir: str | Path | None = None,
    environ: Mapping[str, str] | None = None,
    is_quick: bool = False,
    clock: Callable[[], float] = wall_clock,
) -> Iterator[Finding]:
    """Looks everything over, one thing after the other.

    Whoever repairs what is found before taking the next gets that looked over as it is then.

    Args:
        path: the settings file, as `load_config` takes it.
        cache_dir: where the cache lies, whatever the settings say.
        environ: the environment; the process's own by default.
        is_quick: leaves out what reads every entry.
        clock: epoch seconds.
    """
    environ = os.environ if environ is None else environ
    config: CacheConfig | None
    try:
        config = load_config(path, cache_dir=cache_dir, environ=environ)
    except ConfigError as error:
        # Where the directory was named, it can be looked over all the same.
        config = None if cache_dir is None else _only_of_directory(cache_dir)
        yield from _check_file(path, environ, None, trouble=str(error))
    else:
        yield from _check_file(path, environ, config)
    yield from _check_environment(environ)
    if config is None:
        text = "the cache was not looked over: without its settings nobody knows where it is"
        yield Finding(SETTINGS, Level.WARN, text, "mend them, or say --cache-dir")
        return
    yield from check_sqlite()
    yield from check_place(_place(config, clock()), is_quick=is_quick)


def check_place(place: CacheLocation, *, is_quick: bool = False) -> Iterator[Finding]:
    """Looks over where a cache lies, and what is in it."""
    yield from check_directory(place)
    if not is_usable(place):
        return
    for check in (check_files, check_room, check_owners):
        try:
            yield from check(place)
        except OSError as error:
            text = f"{error.filename or place.directory} cannot be looked at: {error.strerror}"
            yield Finding("directory", Level.FAIL, text, "check its permissions")
    yield from check_content(place, is_quick=is_quick)


def _place(config: CacheConfig, now: float) -> CacheLocation:
    return CacheLocation(
        directory=config.cache_dir,
        now=now,
        allow_shared=config.allow_shared_dir,
        allow_network=config.allow_network_fs,
        min_free_bytes=config.min_free,
        max_bytes=config.max_disk,
    )


def _only_of_directory(cache_dir: str | Path) -> CacheConfig | None:
    """The built-in settings for a directory; None if it cannot be one."""
    try:
        directory = CacheConfig(cache_dir=cache_dir).cache_dir
    except ConfigError:
        return None
    return CacheConfig(cache_dir=directory.absolute())


def _check_file(
    path: str | Path | None,
    environ: Mapping[str, str],
    config: CacheConfig | None,
    *,
    trouble: str = "",
) -> Iterator[Finding]:
    """The settings file, whether it is right, and whether it is to be trusted.

    `trouble` is what is wrong where there is no `config`.
    """
    problems = check_config(path, environ=environ)
    for problem in problems:
        yield Finding(SETTINGS, Level.FAIL, str(problem), "llm-cache config check, once repaired")
    if config is None:
        if not problems:  # it is the directory that was given beside it
            yield Finding(SETTINGS, Level.FAIL, trouble, "name a directory")
        return
    if config.source is None:
        text = "no settings file was found: the built-in values hold"
        yield Finding(SETTINGS, Level.OK, text)
    else:
        yield _trusted(config.source)
    if not config.enabled or config.mode is Mode.OFF:
        name = "mode" if config.enabled else "enabled"
        text = f"the cache is switched off ({config.origin(f'cache.{name}')}): every call generates"
        yield Finding(SETTINGS, Level.WARN, text, "switch it on where it should keep anything")


def _trusted(source: Path) -> Finding:
    """What was pointed at is taken as it is; who else may write to it may have code run."""
    shown = shlex.quote(str(source))
    why = distrust(source.stat(), shown, uid=os.geteuid(), private_group=private_group)
    if why is not None and source.is_file():
        text, _, advice = why.partition(": ")
        text = f"{source}: {text}; it may name code that is run"
        return Finding(SETTINGS, Level.WARN, text, advice)
    return Finding(SETTINGS, Level.OK, f"{source} is all right")


def _check_environment(environ: Mapping[str, str]) -> Iterator[Finding]:
    for name in sorted(environ):
        if not name.startswith(_OURS) or not environ[name]:
            continue
        shown = environ[name][:_SHOWN_CHARS]
        if name in _VARIABLES:
            yield Finding(SETTINGS, Level.OK, f"{name}={shown} is in force")
        else:
            known = ", ".join(_VARIABLES)
            text = f"{name} is set, and means nothing"
            yield Finding(SETTINGS, Level.WARN, text, f"known are {known}")
