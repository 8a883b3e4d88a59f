"""State of one run of `llm-cache`: global flags, output streams, settings, cache."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Final, TextIO

import click

from llm_cache.cli.errors import ExitCode, Failure
from llm_cache.cli.output.screen import ColourChoice, Screen, screen_for

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.api.cache import LLMCache
    from llm_cache.config import CacheConfig

FILE_NAME: Final = "cache.db"
"""As store.sqlite has it; importing that takes a while."""


@dataclass
class Session:
    """One run of `llm-cache`: what its global flags say, and what they lead to.

    Nothing is opened before a command asks for it.
    """

    config_path: str | None = None
    cache_dir: str | None = None
    tenant: str | None = None
    colour: ColourChoice = ColourChoice.AUTO
    debug: bool = False
    _opened: LLMCache | None = field(default=None, init=False)
    _blocks: ExitStack = field(default_factory=ExitStack, init=False)
    _stop_warnings: Callable[[], None] | None = field(default=None, init=False)

    @cached_property
    def out(self) -> Screen:
        """Where data goes."""
        return screen_for(sys.stdout or _nowhere(), choice=self.colour)

    @cached_property
    def err(self) -> Screen:
        """Where words go: counts, hints, questions, progress, errors."""
        return screen_for(sys.stderr or _nowhere(), choice=self.colour)

    @cached_property
    def config(self) -> CacheConfig:
        """The settings in force.

        Raises:
            ConfigError: one of them is wrong.
        """
        from llm_cache.config import load_config

        return load_config(self.config_path, cache_dir=self.cache_dir)

    @property
    def cache(self) -> LLMCache:
        """The cache the settings lead to."""
        if self._opened is None:
            from llm_cache.api.cache import LLMCache
            from llm_cache.cli.output.log_lines import show_warnings

            place = self.config.cache_dir
            if place.exists() and not place.is_dir():
                raise Failure(
                    message=f"{place} is no directory",
                    hint="name the directory that the cache is in",
                    code=ExitCode.USAGE,
                )
            self._stop_warnings = show_warnings(self.err)
            self._opened = LLMCache(config=self.config)
            if self.tenant is not None:
                # To the end of the run: every command is about that tenant then.
                self._blocks.enter_context(self._opened.tenant(self.tenant))
        return self._opened

    @property
    def is_nowhere(self) -> bool:
        """Whether there is no cache file yet in the directory of the settings."""
        try:
            (self.cache.cache_dir / FILE_NAME).stat()
        except (FileNotFoundError, NotADirectoryError):
            return True
        except OSError:
            pass  # what it is, whoever opens it is told
        return False

    @property
    def hint_if_nowhere(self) -> str | None:
        """A hint if there is no cache file: the directory may be the wrong one."""
        if not self.is_nowhere:
            return None
        return (
            f"there is no cache in {self.cache.cache_dir}; "
            "llm-cache config show tells what says that it is this directory"
        )

    def close(self) -> None:
        """Closes the cache."""
        self._blocks.close()
        if self._opened is not None:
            self._opened.close()
            self._opened = None
        if self._stop_warnings is not None:
            self._stop_warnings()

    def hint(self, text: str | None) -> None:
        """Writes a hint to stderr, if there is one."""
        if text is not None:
            self.tell(f"hint: {text}")

    def tell(self, text: str) -> None:
        """Writes a line to stderr."""
        self.err.line(text)


pass_session: Final = click.make_pass_decorator(Session, ensure=True)


def _nowhere() -> TextIO:
    """A null stream, in place of one that is closed (`>&-`)."""
    return open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123 - open to the end
