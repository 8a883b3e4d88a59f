"""Finding, trusting and reading the file that holds the settings.

A `cache.toml` may name code to run, so one that was merely found is trusted like a Makefile: it
lies in the repository one works in, belongs to the user or root, and nobody else may write to it.
One that the user pointed at is trusted as it is.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from llm_cache.config.checks import is_array, is_table
from llm_cache.config.problems import Origin, OriginKind, Problem, WrongSettingsError, harmless

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from llm_cache.config._toml_lines import KeyPath

CONFIG_NAME: Final = "cache.toml"
PYPROJECT_NAME: Final = "pyproject.toml"
PYPROJECT_TABLE: Final = ("tool", "llm-cache")
LARGEST_BYTES: Final = 4 * 1024 * 1024

_NOT_THERE: Final = object()
_TOML_PLACE: Final = re.compile(r"\s*\(at (?:line (\d+), column (\d+)|end of document)\)$")
_OUR_HEADER: Final = re.compile(r"^\s*\[\s*tool\s*\.\s*[\"']?llm-cache", re.MULTILINE)


class SourceFile:
    """A file that was read: its settings, and where in it each stands.

    Args:
        path: where it is, absolute; relative paths in it start from its directory.
        shown: how to name it to the user.
        text: all of it.
        settings: its settings; of a `pyproject.toml`, what `[tool.llm-cache]` holds.
        table: the table that holds them, empty for the whole file.
    """

    def __init__(
        self, path: Path, shown: str, text: str, settings: dict[str, object], table: KeyPath = ()
    ) -> None:
        self.path = path
        self.shown = shown
        self.settings = settings
        self._text = text
        self._table = table

    @cached_property
    def _lines(self) -> dict[KeyPath, int]:
        # Only an error or a question for an origin needs them: a lookup should not pay for it.
        from llm_cache.config._toml_lines import key_lines

        return key_lines(self._text)

    def _line_of(self, key: KeyPath) -> int | None:
        from llm_cache.config._toml_lines import line_of

        return line_of(self._lines, (*self._table, *key))

    def locate(self, problem: Problem) -> Problem:
        """`problem` with the file and line of its key."""
        return replace(problem, file=self.shown, line=self._line_of(problem.key))

    def origin(self, key: KeyPath) -> Origin | None:
        """Where the file sets `key`; None if it does not."""
        value: object = self.settings
        for part in key:
            if is_table(value):
                value = value.get(str(part), _NOT_THERE)
            elif is_array(value) and isinstance(part, int):
                value = value[part] if part < len(value) else _NOT_THERE
            else:
                return None
        if value is _NOT_THERE:
            return None
        return Origin(OriginKind.FILE, self.shown, self.path, self._line_of(key))


def find_config_file(cwd: Path) -> Path | None:
    """The nearest settings file from `cwd` upward within the same repository.

    Without a repository only `cwd` itself is looked at. A `cache.toml` overrides a
    `pyproject.toml` beside it, which counts only if it has a `[tool.llm-cache]` table.
    """
    directories = [cwd, *cwd.parents]
    roots = (n for n, path in enumerate(directories) if os.path.lexists(path / ".git"))
    for directory in directories[: next(roots, 0) + 1]:
        if os.path.lexists(directory / CONFIG_NAME):
            return directory / CONFIG_NAME
        if _has_our_table(directory / PYPROJECT_NAME):
            return directory / PYPROJECT_NAME
    return None


def read_config_file(
    path: Path, *, cwd: Path, found: bool, named_by: str | None = None
) -> SourceFile:
    """Read the file at `path`; one that was `found`, not pointed at, has to be trustworthy.

    `named_by` is the variable that pointed at it, if one did: an error should mention it.

    Raises:
        ConfigError: it is not there, not trusted, not readable, or not TOML in UTF-8.
    """
    shown = _shown_path(path, cwd)
    try:
        data = _read(path, shown, found=found)
    except WrongSettingsError:
        raise
    except (OSError, ValueError) as error:
        blame = f" (named by {named_by})" if named_by else ""
        message = f"{_reading_trouble(path, error)}{blame}"
        raise WrongSettingsError([Problem((), message, shown)]) from None
    if len(data) > LARGEST_BYTES:
        message = f"is over {LARGEST_BYTES // 1024**2} MiB: that is no configuration"
        raise WrongSettingsError([Problem((), message, shown)])
    text = _decode(data, shown)
    settings = _parse(text, shown)
    if path.name == PYPROJECT_NAME:
        return SourceFile(path, shown, text, _our_table(settings, shown), PYPROJECT_TABLE)
    return SourceFile(path, shown, text, settings)


def distrust(
    facts: os.stat_result, name: str, *, uid: int, private_group: Callable[[int], int | None]
) -> str | None:
    """Why user `uid` should not trust the file `name`, and what to do; None for a trusted one.

    `private_group` returns the group of a user that nobody else is in, None where there is none.
    """
    mode = f"(mode {stat.S_IMODE(facts.st_mode):04o})"
    if not stat.S_ISREG(facts.st_mode):
        return "it is not a regular file: put one there"
    if facts.st_uid not in (uid, 0):
        return (
            f"it belongs to {_user_name(facts.st_uid)}, not to you: chown {_user_name(uid)} {name}"
        )
    if facts.st_mode & stat.S_IWOTH:
        return f"everybody may write to it {mode}: chmod o-w {name}"
    if facts.st_mode & stat.S_IWGRP and private_group(uid) != facts.st_gid:
        return f"its group may write to it {mode}: chmod g-w {name}"
    return None


def private_group(uid: int) -> int | None:
    """The id of the group that only user `uid` is in and that is named like the user."""
    import grp
    import pwd

    try:
        user = pwd.getpwuid(uid)
        group = grp.getgrgid(user.pw_gid)
    except KeyError:
        return None
    is_private = group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}
    return group.gr_gid if is_private else None


def _read(path: Path, shown: str, *, found: bool) -> bytes:
    # What was found may be a pipe that somebody left there: opening it must not wait. What was
    # pointed at may well be a pipe, `<(generate-config)` say.
    extra = os.O_NONBLOCK if found else 0

    def opener(name: str, flags: int) -> int:
        return os.open(name, flags | extra)

    with path.open("rb") if not found else open(path, "rb", opener=opener) as file:
        if found:
            # Judged by the open file, not by its name: nobody can swap it in between.
            facts = os.fstat(file.fileno())
            why = distrust(facts, shlex.quote(shown), uid=os.geteuid(), private_group=private_group)
            if why is not None:
                message = (
                    f"is not trusted, since {why}, "
                    "or point at it with --config or LLM_CACHE_CONFIG if you trust it"
                )
                raise WrongSettingsError([Problem((), message, shown)])
        return file.read(LARGEST_BYTES + 1)


def _reading_trouble(path: Path, error: OSError | ValueError) -> str:
    match error:
        case FileNotFoundError() if path.is_symlink():
            return "is a link to a file that does not exist"
        case FileNotFoundError():
            return "does not exist"
        case IsADirectoryError():
            return f"is a directory: name the {CONFIG_NAME} in it"
        case OSError():
            return f"cannot be read: {error.strerror or error}"
        case _:
            return "is not a path"


def _decode(data: bytes, shown: str) -> str:
    try:
        return data.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = (
            f"not UTF-8: byte 0x{data[error.start]:02x} at offset {error.start}; "
            "save the file as UTF-8"
        )
        raise WrongSettingsError([Problem((), message, shown, line)]) from None


def _parse(text: str, shown: str) -> dict[str, object]:
    import tomllib

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        what = str(error)
        line = text.count("\n") + 1
        place = _TOML_PLACE.search(what)
        if place is not None:
            what = what[: place.start()]
            if place[1] is None:
                what += " (at the end of the file)"
            else:
                line, what = int(place[1]), f"{what} (column {place[2]})"
        what = what[:1].lower() + what[1:]
        raise WrongSettingsError([Problem((), f"broken TOML: {what}", shown, line)]) from None
    except RecursionError:
        what = "broken TOML: nested too deeply"
    except ValueError:
        # The only other thing tomllib lets through: Python refuses to read such a number.
        what = "broken TOML: a number has thousands of digits"
    raise WrongSettingsError([Problem((), what, shown)])


def _our_table(settings: dict[str, object], shown: str) -> dict[str, object]:
    table: object = settings
    for name in PYPROJECT_TABLE:
        table = table.get(name) if is_table(table) else None
    if not is_table(table):
        raise WrongSettingsError([Problem((), "has no [tool.llm-cache] table", shown)])
    return table


def _has_our_table(path: Path) -> bool:
    """Whether this is a `pyproject.toml` with settings of ours."""
    try:
        if not path.is_file():
            return False
        text = path.read_bytes().decode("utf-8", errors="replace")
    except OSError:
        return False
    if PYPROJECT_TABLE[-1] not in text:
        return False
    import tomllib

    try:
        tool = tomllib.loads(text).get(PYPROJECT_TABLE[0])
    except (ValueError, RecursionError):
        # Somebody else's broken file is not ours to report, unless our table is in it.
        return _OUR_HEADER.search(text) is not None
    return is_table(tool) and PYPROJECT_TABLE[-1] in tool


def _shown_path(path: Path, cwd: Path) -> str:
    text = str(path.relative_to(cwd) if path.is_relative_to(cwd) else path)
    return text if text.isprintable() else harmless(text)


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
