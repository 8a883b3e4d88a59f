"""How many calls warming may make, and for how much: asked before each, settled after it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Stopped(StrEnum):
    """Why no further call is made."""

    MAX_CALLS = "max_calls"
    MAX_COST = "max_cost"
    UNKNOWN_COST = "unknown_cost"
    """A call came back without its cost, so that nobody can tell what the next one adds up to."""
    INTERRUPTED = "interrupted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a run may not go over; None for no limit.

    Args:
        max_calls: how often generators may be called, retries included.
        max_cost_usd: what all calls may cost together.
        expected_usd: by prefix, about what a call costs; needed for each under `max_cost_usd`.
    """

    max_calls: int | None = None
    max_cost_usd: float | None = None
    expected_usd: Mapping[str, float] = field(default_factory=dict[str, float])


@dataclass(frozen=True, slots=True)
class Ticket:
    """A call that may be made; `usd` is set aside for it."""

    prefix: str
    usd: float


class Budget:
    """What is left of the limits of one run; all of its calls are on one event loop.

    A call counts as what it is expected to cost until it is over: what is known of the past, or the
    most that one has cost since.
    """

    def __init__(self, limits: Limits) -> None:
        self.stopped: Stopped | None = None
        self._limits: Final = limits
        self._expected_usd: Final = dict(limits.expected_usd)
        self._calls = 0
        self._spent_usd = 0.0
        self._under_way = 0
        self._set_aside_usd = 0.0
        self._changed: Final = asyncio.Condition()

    async def take(self, prefix: str) -> Ticket | None:
        """The right to make one call; None, for good, if it would go over a limit.

        Waits while calls are under way that may turn out to have been none, or cheaper.
        """
        async with self._changed:
            while self.stopped is None:
                usd = self._expected_usd.get(prefix, 0.0)
                over = self._over(usd)
                if over is None:
                    self._calls += 1
                    self._under_way += 1
                    self._set_aside_usd += usd
                    return Ticket(prefix, usd)
                if not self._under_way:
                    self.stopped = over
                    self._changed.notify_all()
                    break
                await self._changed.wait()
        return None

    async def found(self, ticket: Ticket) -> None:
        """No call was needed: another had made it."""
        async with self._changed:
            self._calls -= 1
            self._settle(ticket, 0.0)

    async def failed(self, ticket: Ticket) -> None:
        """The call failed; nobody knows what that has cost, so it counts as expected."""
        async with self._changed:
            self._settle(ticket, ticket.usd)

    async def made(self, ticket: Ticket, cost_usd: float | None) -> None:
        """The call is over, and what it has cost is known or not."""
        async with self._changed:
            if cost_usd is not None:
                expected = self._expected_usd.get(ticket.prefix, 0.0)
                self._expected_usd[ticket.prefix] = max(expected, cost_usd)
            elif self._limits.max_cost_usd is not None:
                self.stopped = self.stopped or Stopped.UNKNOWN_COST
            self._settle(ticket, ticket.usd if cost_usd is None else cost_usd)

    def _over(self, usd: float) -> Stopped | None:
        limits = self._limits
        if limits.max_calls is not None and self._calls >= limits.max_calls:
            return Stopped.MAX_CALLS
        total = self._spent_usd + self._set_aside_usd + usd
        if limits.max_cost_usd is not None and total > limits.max_cost_usd:
            return Stopped.MAX_COST
        return None

    def _settle(self, ticket: Ticket, spent_usd: float) -> None:
        self._under_way -= 1
        self._set_aside_usd -= ticket.usd
        self._spent_usd += spent_usd
        self._changed.notify_all()
