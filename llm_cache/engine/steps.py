"""The steps of a lookup: each says what has to be done, and what the driver replies."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

from llm_cache.errors import GenerationTimeoutError

if TYPE_CHECKING:
    from concurrent.futures import Future

    from llm_cache.core.policy_resolution import PolicyTable
    from llm_cache.engine._circuit import CircuitBreaker, GeneratorBreakers
    from llm_cache.engine._counters import UsageCounter
    from llm_cache.engine._flights import Flight, Flights
    from llm_cache.engine._memory import MemoryTier
    from llm_cache.engine._prices import Prices
    from llm_cache.engine.events import Notices, Reporter
    from llm_cache.store.protocol import Store

T = TypeVar("T")

ACKNOWLEDGED_WITHIN_S: Final = 0.25
"""How long a caller waits for the store's acknowledgement of a value it already has, while nothing
that this process has to store is acknowledged."""
LOOK_EVERY_S: Final = 0.25
"""How often a waiter looks whether another thread's event loop still runs its flight."""


@dataclass(frozen=True, slots=True)
class Components:
    """What a lookup works with."""

    store: Store
    tier: MemoryTier
    flights: Flights
    usage: UsageCounter
    policies: PolicyTable
    notices: Notices
    reporter: Reporter
    reads: CircuitBreaker
    writes: CircuitBreaker
    generators: GeneratorBreakers
    prices: Prices
    max_value_bytes: int
    clock: Callable[[], float]
    monotonic: Callable[[], float] = time.monotonic


class Read(NamedTuple):
    """Read the store: whatever `read` returns."""

    read: Callable[[], object]


class Launch(NamedTuple):
    """Begin a flight: None.

    One that its caller `waits` for may run on the caller's thread, and be over by then.
    """

    flight: Flight
    steps: Steps[None]
    waits: bool = True


class Wait(NamedTuple):
    """Wait for a flight: its `Ending`, or `GaveUp`."""

    flight: Flight
    timeout_s: float


class Generate(NamedTuple):
    """Call the user's generator: `Made`, or `Failed` with what it raised."""

    prefix: str
    generator: Callable[[], object]
    timeout_s: float


class Made(NamedTuple):
    """What a generator returned."""

    value: Any


class Block(NamedTuple):
    """Call something that may block for a while: what it returns."""

    call: Callable[[], object]


class Pause(NamedTuple):
    """Do nothing for a moment: None."""

    seconds: float


class Publish(NamedTuple):
    """Have something written, and wait until it is `stored`: None.

    Not longer than 250 ms while nothing else gets written, either: the store is in trouble then.
    """

    write: Callable[[], object]
    stored: Future[None]


Step: TypeAlias = Read | Launch | Wait | Generate | Block | Pause | Publish
Steps: TypeAlias = Generator[Step, Any, T]


def timed_out(prefix: str, timeout_s: float) -> GenerationTimeoutError:
    """What a generator's callers get that ran longer than it may."""
    return GenerationTimeoutError(
        f"{prefix}: the generator ran longer than {timeout_s:g} s and nothing was stored: "
        f"raise `timeout` under [prefixes.{prefix}] or in its CachePolicy"
    )
