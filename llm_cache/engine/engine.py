"""Wires a cache's components, serves memory hits, and has all other requests answered."""

from __future__ import annotations

import atexit
import importlib
import os
import time
import weakref
from dataclasses import replace
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any, Final, TypeVar

from llm_cache.core.freshness import Freshness, judge, wall_clock
from llm_cache.core.policy import Mode
from llm_cache.core.result import Outcome, Reason, Result
from llm_cache.core.values.codec import DecodeError
from llm_cache.engine._circuit import CircuitBreaker, GeneratorBreakers
from llm_cache.engine._counters import UsageCounter
from llm_cache.engine._flights import Failed, Flights, running_loop
from llm_cache.engine._memory import MemoryTier
from llm_cache.engine._prices import Prices
from llm_cache.engine._scope import Scopes
from llm_cache.engine.call import Call, make_call
from llm_cache.engine.events import Notices, Reporter
from llm_cache.engine.steps import Components
from llm_cache.engine.store_access import make_room
from llm_cache.engine.threads import DaemonPool
from llm_cache.errors import EventLoopError
from llm_cache.store.records import Selection
from llm_cache.store.sqlite.store import SqliteStore

if TYPE_CHECKING:
    from asyncio import AbstractEventLoop
    from collections.abc import Callable, Iterable, Mapping
    from types import ModuleType
    from typing import TypeGuard

    from llm_cache.config import CacheConfig
    from llm_cache.core.entry import Entry
    from llm_cache.core.keys import Identity
    from llm_cache.core.policy import CachePolicy
    from llm_cache.core.policy_resolution import Policy
    from llm_cache.core.values.codec import Codec
    from llm_cache.engine._memory import Slot
    from llm_cache.engine._sync_driver import SyncDriver
    from llm_cache.engine.async_driver import AsyncDriver
    from llm_cache.engine.events import Event
    from llm_cache.engine.explain import Why
    from llm_cache.engine.steps import Steps

T = TypeVar("T")

POOL_THREADS: Final = 8
LOOK_EVERY_S: Final = 0.25
LAND_WITHIN_S: Final = 5.0
NOT_IN_MEMORY: Final = object()
_LOADED_LATE: Final = (
    *(
        "llm_cache.engine._lookup",
        "llm_cache.engine._sync_driver",
        "llm_cache.engine.async_driver",
        "llm_cache.config._toml_lines",
    ),
    *("tomllib", "pwd", "grp", "decimal"),
)
"""What the first use of a cache imports, by name."""
POLICIES_REMEMBERED: Final = 4096


class Engine:
    """Answers calls for one configuration."""

    def __init__(
        self,
        config: CacheConfig,
        clock: Callable[[], float],
        on_event: Callable[[Event], object] | None = None,
    ) -> None:
        self.config: Final = config
        self.is_enabled: Final = config.enabled
        self.policies: Final = config.policies()
        self.policy: Final = lru_cache(maxsize=POLICIES_REMEMBERED)(self.policies.resolve)
        self.scopes: Final = Scopes(config.tenant, tenant_required=config.tenant_required)
        self.scope: Final = self.scopes.current
        self._clock: Final = clock
        self._goes_by_wall: Final = clock is wall_clock
        self._notices: Final = Notices()
        self.reporter: Final = Reporter(on_event, self._notices)
        self._is_closed = self._is_heard = False
        self._looked_at = self._look_again_at = 0.0
        self.begin_anew()
        _open_engines.add(self)

    def begin_anew(self) -> None:
        """Takes new components: a forked child must not use those of its parent."""
        config, clock = self.config, self._clock
        store = SqliteStore(
            config.cache_dir,
            max_bytes=config.max_disk,
            full_durability=config.durability == "full",
            min_free_bytes=config.min_free,
            lease_s=config.lease,
            allow_shared_dir=config.allow_shared_dir,
            allow_network_fs=config.allow_network_fs,
            clock=clock,
        )
        self.components: Components = Components(
            store=store,
            tier=MemoryTier(
                store,
                max_entries=config.max_memory_entries if config.enabled else 0,
                max_bytes=config.max_memory,
            ),
            flights=Flights(),
            usage=UsageCounter(store, clock),
            policies=self.policies,
            notices=self._notices,
            reporter=self.reporter,
            reads=CircuitBreaker("the store works again: it can be read", time.monotonic),
            writes=CircuitBreaker("the store works again: it can be written to", time.monotonic),
            generators=GeneratorBreakers(time.monotonic),
            prices=Prices(config.prices),
            max_value_bytes=config.max_value,
            clock=clock,
        )
        self._tier = self.components.tier
        self.slot: Callable[[bytes], Slot | None] = self._tier.slot
        self._usage = self.components.usage
        self._note_use = self._usage.hits.append
        self._pool = DaemonPool("llm-cache store", POOL_THREADS)
        # Of its own: what waits for a locked file must not keep others from finding that out.
        self._publishing = DaemonPool("llm-cache publisher", POOL_THREADS)
        self._sync_driver: SyncDriver | None = None
        self._async_driver: AsyncDriver | None = None

    def from_memory(self, identity: Identity, policy: Policy, codec: Codec) -> Any:
        """The value, if it is fresh in memory; `NOT_IN_MEMORY` if not."""
        slot = self.slot(identity.key)
        return NOT_IN_MEMORY if slot is None else self.from_slot(slot, policy, codec)

    def from_slot(self, slot: Slot, policy: Policy, codec: Codec) -> Any:
        """The value, if the slot's entry is fresh and still there; `NOT_IN_MEMORY` if not."""
        # As `wall_clock`, in place: this is the way of every hit.
        now = time.time() if self._goes_by_wall else self._clock()
        judged_by, answers_from, answers_until = slot.judged
        if (
            not answers_from <= now < answers_until or judged_by is not policy
        ) and not self._may_answer(slot, policy, now):
            return NOT_IN_MEMORY
        try:
            if slot.read_stamp() != slot.stamp:
                self._tier.drop(slot.entry.key)
                return NOT_IN_MEMORY
            value = slot.known_value if slot.codec is codec else slot.value(codec)
        except (OSError, DecodeError):
            return NOT_IN_MEMORY
        slot.was_hit = True
        use, usage = slot.use, self._usage
        use.last_used_at = now
        self._note_use(use)
        if usage.is_asleep:
            usage.wake()
        if self._is_heard:
            self.reporter.answered(slot.entry, Result(value, Outcome.HIT, None, _reason(policy)))
        return value

    def _may_answer(self, slot: Slot, policy: Policy, now: float) -> bool:
        """Whether the slot's entry may answer now; until it is time to look again, that stands."""
        self._look_if_due(now)
        answers_from, answers_until = slot.window(policy)
        # In one: another thread may be judging it by another policy.
        slot.judged = (
            policy,
            max(answers_from, self._looked_at),
            min(answers_until, self._look_again_at),
        )
        return answers_from <= now < answers_until

    def result_from_memory(self, call: Call) -> Result[Any] | None:
        """As `from_memory`, with the entry."""
        slot = self.slot(call.identity.key)
        if slot is None:
            return None
        value = self.from_slot(slot, call.policy, call.codec)
        if value is NOT_IN_MEMORY:
            return None
        return Result(value, Outcome.HIT, slot.entry, _reason(call.policy))

    def call(
        self,
        prefix: str,
        generator: Callable[[], object] | None,
        policy: CachePolicy | None,
        params: Mapping[str, object] | None,
        named: Mapping[str, object],
        codec: Codec,
    ) -> Call:
        """The request that a caller wrote, in the scope of the running code; see `make_call`."""
        find_scope = self.scopes.identified
        return make_call(find_scope, self.policy, prefix, generator, policy, params, named, codec)

    async def answer(self, call: Call) -> Result[Any]:
        """Answers on the running event loop; raises what the generator raises."""
        found = self._look_inline(call)
        if _is_hit(found):
            return self._reported(call, found)
        return _raised(await self._async.run(self._steps(call, _asyncio_loop, found)))

    def answer_sync(self, call: Call) -> Result[Any]:
        """Answers by blocking this thread; raises what the generator raises."""
        found = self._look_inline(call)
        if _is_hit(found):
            return self._reported(call, found)
        return _raised(self._sync.run(self._steps(call, _no_loop, found)))

    def peek(self, call: Call) -> Entry | None:
        """The entry that a request would be answered from, or None; counts nothing."""
        entry = self.components.store.get(call.identity.key) if self.is_enabled else None
        if entry is None:
            return None
        if call.policy.mode is not Mode.REPLAY:
            freshness = judge(entry, call.policy, self.components.clock())
            if freshness is Freshness.MISSING:
                return None
        return replace(entry, codec=call.codec)

    def why(self, call: Call) -> Why:
        """Whether a request would hit now, and if not, why. Raises StoreError."""
        from llm_cache.engine.explain import explain  # most commands need none of it

        return explain(self.components, call, is_enabled=self.is_enabled)

    def merge(self, entries: Iterable[Entry]) -> list[Entry]:
        """Stores entries of another cache where there is none that is as new; which those are."""
        kept = self.components.store.merge(tuple(entries))
        keys = tuple(entry.key for entry in kept)
        self.components.flights.void(Selection(keys=keys).covers)
        self.components.store.stamps.renew(keys)
        make_room(self.components)
        return kept

    async def off_loop(self, call: Callable[[], T]) -> T:
        """Calls something that blocks on a thread, and awaits what it returns."""
        _asyncio_loop()
        return await self._async.off_loop(call)

    def _look_inline(self, call: Call) -> Result[Any] | Reason | None:
        """What the store has, where looking needs no driver: a local one is that quick."""
        if not (self.is_enabled and call.policy.keeps):
            return None
        self._look_if_due(self._clock())
        store = self.components.store
        if call.refresh or not (store.is_local and store.is_open):
            return None
        found: Result[Any] | Reason = _lookup().look(self.components, call)
        return found

    def _reported(self, call: Call, result: Result[Any]) -> Result[Any]:
        self.reporter.answered(call.identity, result)
        return result

    def _steps(
        self,
        call: Call,
        find_loop: Callable[[], AbstractEventLoop | None],
        found: Result[Any] | Reason | None,
    ) -> Steps[Result[Any] | Failed]:
        steps: Steps[Result[Any] | Failed] = _lookup().respond(
            self.components, call, find_loop, found, is_enabled=self.is_enabled
        )
        return steps

    @property
    def _sync(self) -> SyncDriver:
        # No cached_property: its lock may be held by another thread when this process forks.
        driver = self._sync_driver
        if driver is None:
            from llm_cache.engine._sync_driver import SyncDriver

            driver = self._sync_driver = SyncDriver(self.components, self._publishing)
        return driver

    @property
    def _async(self) -> AsyncDriver:
        driver = self._async_driver
        if driver is None:
            from llm_cache.engine.async_driver import AsyncDriver  # asyncio is slow to import

            driver = self._async_driver = AsyncDriver(self.components, self._pool, self._publishing)
        return driver

    def close(self, land_within_s: float = LAND_WITHIN_S) -> None:
        """Lets flights land for a while, tells the counts, and lets go of the store."""
        if self._is_closed:
            return
        self._is_closed = True
        _open_engines.discard(self)
        self.components.flights.wait_until_stored(land_within_s)
        self._publishing.close(land_within_s)
        self._pool.close(land_within_s)
        self.components.usage.close()
        self.components.tier.clear()
        self.components.store.close()

    def _look_if_due(self, now: float) -> None:
        """Notices that the store was removed or replaced; 4 times a second, clocks permitting."""
        if self._looked_at <= now < self._look_again_at:
            return
        self._looked_at, self._look_again_at = now, now + LOOK_EVERY_S
        self._is_heard = self.reporter.is_heard()
        self.components.store.look()


@cache
def _lookup() -> ModuleType:
    """Imported late: what only looks at entries needs none of it."""
    return importlib.import_module("llm_cache.engine._lookup")


def _is_hit(found: Result[Any] | Reason | None) -> TypeGuard[Result[Any]]:
    return isinstance(found, Result) and found.outcome is Outcome.HIT


def _asyncio_loop() -> AbstractEventLoop:
    loop = running_loop()
    if loop is None:
        msg = (
            "this call has to be run by asyncio, and no event loop of its runs here: under trio or "
            "without any, make the call with asyncio.run, or use its sync form on a thread"
        )
        raise EventLoopError(msg)
    return loop


def _no_loop() -> None:
    return None


def _raised(result: Result[Any] | Failed) -> Result[Any]:
    if isinstance(result, Failed):
        # With the traceback as it was: raised in every waiter, it would grow with each of them.
        raise result.error.with_traceback(result.traceback)
    return result


def _reason(policy: Policy) -> Reason:
    return Reason.RECORDED if policy.mode is Mode.REPLAY else Reason.FRESH


_open_engines: Final[weakref.WeakSet[Engine]] = weakref.WeakSet()


@atexit.register
def _close_at_exit() -> None:
    """Tells the last counts; flights under way are not waited for."""
    for engine in list(_open_engines):
        engine.close(land_within_s=0.0)


def _begin_anew_after_fork() -> None:
    for engine in list(_open_engines):
        engine.begin_anew()


def _load_what_is_loaded_late() -> None:
    """Before a fork: a module that another thread is just importing stays locked in the child."""
    for name in _LOADED_LATE:
        importlib.import_module(name)


os.register_at_fork(before=_load_what_is_loaded_late, after_in_child=_begin_anew_after_fork)
