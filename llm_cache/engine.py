"""The parts of one cache put together, and the quick way through them: a hit in memory."""

from __future__ import annotations

import atexit
import os
import time
import weakref
from dataclasses import replace
from functools import cached_property, lru_cache, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from llm_cache.circuit import Circuit
from llm_cache.codec import DecodeError
from llm_cache.events import Teller
from llm_cache.flights import Failed, Flights, running_loop
from llm_cache.generators import Generators
from llm_cache.lookup import look, lookup
from llm_cache.memory_tier import MemoryTier
from llm_cache.notices import Notices
from llm_cache.policy import Mode
from llm_cache.prices import Prices
from llm_cache.result import Outcome, Reason, Result
from llm_cache.savings import Paid, unwrapped
from llm_cache.scope import Scopes
from llm_cache.steps import Call, Parts
from llm_cache.stores.sqlite import SqliteStore
from llm_cache.sync_driver import SyncDriver, call_sync
from llm_cache.threads import DaemonPool
from llm_cache.usage import UsageCounter
from llm_cache.why import bypass_reason, missed_in_replay

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.async_driver import AsyncDriver
    from llm_cache.codec import Codec
    from llm_cache.config import CacheConfig
    from llm_cache.events import Event
    from llm_cache.keys import Identity
    from llm_cache.memory_tier import Slot
    from llm_cache.policy_table import Policy

T = TypeVar("T")

POOL_THREADS: Final = 8
LOOK_EVERY_S: Final = 0.25
LAND_WITHIN_S: Final = 5.0
NOT_IN_MEMORY: Final = object()
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
        self._notices: Final = Notices()
        self._teller: Final = Teller(on_event, self._notices)
        self._is_closed = self._is_heard = False
        self._looked_at = self._look_again_at = 0.0
        self.begin_anew()
        _open_engines.add(self)

    def begin_anew(self) -> None:
        """Takes new parts: a forked child must not use those of its parent."""
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
        self.parts = Parts(
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
            reads=Circuit("the store works again: it can be read", time.monotonic),
            writes=Circuit("the store works again: it can be written to", time.monotonic),
            generators=Generators(time.monotonic),
            prices=Prices(config.prices),
            max_value_bytes=config.max_value,
            clock=clock,
        )
        self._tier = self.parts.tier
        self.slot = self._tier.slot
        self._usage = self.parts.usage
        self._note_use = self._usage.hits.append
        self.pool = DaemonPool("llm-cache store", POOL_THREADS)
        # Of its own: what waits for a locked file must not keep others from finding that out.
        self._publishing = DaemonPool("llm-cache publisher", POOL_THREADS)
        self._sync_driver = SyncDriver(self.parts, self._publishing)
        self.__dict__.pop("_async_driver", None)

    def from_memory(self, identity: Identity, policy: Policy, codec: Codec) -> Any:  # noqa: ANN401
        """The value, if it is fresh in memory; `NOT_IN_MEMORY` if not."""
        slot = self.slot(identity.key)
        return NOT_IN_MEMORY if slot is None else self.from_slot(slot, policy, codec)

    def from_slot(self, slot: Slot, policy: Policy, codec: Codec) -> Any:  # noqa: ANN401
        """The value, if the slot's entry is fresh and still there; `NOT_IN_MEMORY` if not."""
        now = self._clock()
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
            self._teller.answered(slot.entry, Result(value, Outcome.HIT, None, _reason(policy)))
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

    @cached_property
    def _async_driver(self) -> AsyncDriver:
        from llm_cache.async_driver import AsyncDriver  # asyncio is slow to import

        return AsyncDriver(self.parts, self.pool, self._publishing)

    async def off_loop(self, call: Callable[[], T]) -> T:
        """Calls something that blocks on a thread, and awaits what it returns."""
        return await self._async_driver.off_loop(call)

    async def answer(self, call: Call) -> Result[Any]:
        """Answers on the running event loop; raises what the generator raises."""
        try:
            if not call.policy.keeps or not self.is_enabled:
                result = await self._bypass(call)
            else:
                found = look(self.parts, call) if self._looks_inline(call) else None
                if isinstance(found, Result) and found.outcome is Outcome.HIT:
                    result = found
                else:
                    steps = lookup(self.parts, call, running_loop(), found)
                    result = _raised(await self._async_driver.run(steps))
        except Exception as error:
            self._failed(call, error)
            raise
        if self._teller.is_heard():
            self._teller.answered(call.identity, result)
        return result

    def answer_sync(self, call: Call) -> Result[Any]:
        """Answers by blocking this thread; raises what the generator raises."""
        try:
            if not call.policy.keeps or not self.is_enabled:
                result = self._bypass_sync(call)
            else:
                found = look(self.parts, call) if self._looks_inline(call) else None
                if isinstance(found, Result) and found.outcome is Outcome.HIT:
                    result = found
                else:
                    steps = lookup(self.parts, call, None, found)
                    result = _raised(self._sync_driver.run(steps))
        except Exception as error:
            self._failed(call, error)
            raise
        if self._teller.is_heard():
            self._teller.answered(call.identity, result)
        return result

    async def _bypass(self, call: Call) -> Result[Any]:
        """Generates, and leaves the cache alone."""
        reason = self._reason_to_bypass(call)
        begun = time.monotonic()
        made = await self._async_driver.call(call.generator)
        paid = Paid(*unwrapped(made), time.monotonic() - begun)
        if reason is Reason.TTL_0 and not self.parts.prices.knows_at_once(paid.usage):
            paid = await self.off_loop(partial(self._priced, paid))
        return self._bypassed(call, reason, paid)

    def _bypass_sync(self, call: Call) -> Result[Any]:
        reason = self._reason_to_bypass(call)
        begun = time.monotonic()
        made = call_sync(call.generator)
        return self._bypassed(call, reason, Paid(*unwrapped(made), time.monotonic() - begun))

    def _reason_to_bypass(self, call: Call) -> Reason:
        """Why the cache is left alone. ReplayMissError where nothing may be generated."""
        reason = bypass_reason(call, is_enabled=self.is_enabled) or Reason.DISABLED
        if call.policy.mode is Mode.REPLAY:
            raise missed_in_replay(self.parts, call, reason).error
        return reason

    def _priced(self, paid: Paid) -> Paid:
        return replace(paid, usage=self.parts.prices.priced(paid.usage))

    def _bypassed(self, call: Call, reason: Reason, paid: Paid) -> Result[Any]:
        if reason is Reason.TTL_0:  # the others leave no trace, not even a count
            usage, identity = self.parts.usage, call.identity
            paid = self._priced(paid)
            usage.count(identity.tenant, identity.prefix, paid.usage.model, bypassed=1)
            usage.generated(identity, paid.usage, paid.seconds or 0.0)
        return Result(paid.value, Outcome.BYPASS, None, reason)

    def _failed(self, call: Call, error: Exception) -> None:
        if self._teller.is_heard():
            self._teller.failed(call.identity, error)

    def close(self, land_within_s: float = LAND_WITHIN_S) -> None:
        """Lets flights land for a while, tells the counts, and lets go of the store."""
        if self._is_closed:
            return
        self._is_closed = True
        _open_engines.discard(self)
        self.parts.flights.wait_until_stored(land_within_s)
        self.parts.usage.close()
        self.parts.tier.clear()
        self.parts.store.close()

    def _look_if_due(self, now: float) -> None:
        """Notices that the store was removed or replaced; 4 times a second, clocks permitting."""
        if self._looked_at <= now < self._look_again_at:
            return
        self._looked_at, self._look_again_at = now, now + LOOK_EVERY_S
        self._is_heard = self._teller.is_heard()
        self.parts.store.look()

    def _looks_inline(self, call: Call) -> bool:
        """Whether the store is looked at before anything is driven: a local one is that quick."""
        self._look_if_due(self._clock())
        store = self.parts.store
        return store.is_local and store.is_open and not call.refresh


def _reason(policy: Policy) -> Reason:
    return Reason.RECORDED if policy.mode is Mode.REPLAY else Reason.FRESH


def _raised(result: Result[Any] | Failed) -> Result[Any]:
    if isinstance(result, Failed):
        # With the traceback as it was: raised in every waiter, it would grow with each of them.
        raise result.error.with_traceback(result.traceback)
    return result


_open_engines: Final[weakref.WeakSet[Engine]] = weakref.WeakSet()


@atexit.register
def _close_at_exit() -> None:
    """Tells the last counts; flights under way are not waited for."""
    for engine in list(_open_engines):
        engine.close(land_within_s=0.0)


def _begin_anew_after_fork() -> None:
    for engine in list(_open_engines):
        engine.begin_anew()


os.register_at_fork(after_in_child=_begin_anew_after_fork)
