"""What it would take to make entries again: money where it is known, else time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llm_cache.cli.output.formatting import UNKNOWN, duration, money

if TYPE_CHECKING:
    from llm_cache.store.records import Group


def seconds(group: Group) -> float | None:
    """What making them took, as far as it is known; None if it is not of any."""
    return None if group.untimed == group.entries else group.generation_seconds


def dollars(group: Group) -> float | None:
    """What making them cost, as far as it is known; None if it is not of any."""
    return None if group.unpriced == group.entries else group.cost_usd


def cell(group: Group) -> str:
    """`≈$0.06`, `≈20.0 s`, and `–` where neither is known; `at least` where it is not of all."""
    usd, took = dollars(group), seconds(group)
    if usd is not None:
        return about(money(usd), is_all=not group.unpriced)
    return UNKNOWN if took is None else about(duration(took), is_all=not group.untimed)


def about(shown: str, *, is_all: bool = True) -> str:
    """An amount that is about right, or at least so much."""
    if shown == UNKNOWN or shown.startswith("<"):
        return shown
    return f"≈{shown}" if is_all else f"at least {shown}"


def field(amount: float | None) -> object:
    """An amount for a pipe."""
    return UNKNOWN if amount is None else amount
