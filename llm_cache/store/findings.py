"""Findings of a check: what was looked at, how bad it is, what to do, and the repair."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARN = "warn"
    """It works, and something is not as it should be."""
    FAIL = "fail"
    """Something does not work, or is not safe."""


@dataclass(frozen=True, slots=True)
class Repair:
    """A repair that loses nothing sound: what it is for, and its doing, which says what was done.

    It may raise StoreError or OSError.
    """

    purpose: str
    run: Callable[[], str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Args:
        about: what it is: `settings`, `directory`, `entries` ...
        level: how bad it is.
        text: how it is.
        advice: what to do about it; empty where there is nothing to do.
        repair: what would repair it; None where nothing safe would.
    """

    about: str
    level: Level
    text: str
    advice: str = ""
    repair: Repair | None = None
