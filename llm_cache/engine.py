"""The parts of one cache put together, and the quick way through them: a hit in memory."""

from __future__ import annotations

import atexit
import weakref
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

from llm_cache.codec import DecodeError
from llm_cache.drivers import AsyncDriver, SyncDriver, call_async, call_sync
from llm_cache.flights import Failed, Flights
from llm_cache.lookup import Answer, Call, Outcome, Parts, lookup
from llm_cache.memory_tier import MemoryTier
from llm_cache.notices import Notices
from llm_cache.stores.sqlite import SqliteStore
from llm_cache.threads import DaemonPool
from llm_cache.usage import UsageCounter

if TYPE_CHECKING:
    from collections.abc import Callable

    from llm_cache.codec import Codec
    from llm_cache.config import CacheConfig
    from llm_cache.keys import Identity
    from llm_cache.policy import Policy

POOL_THREADS: Final = 4
LAND_WITHIN_S: Final = 5.0
NOT_IN_MEMORY: Final = object()
_POLICIES_REMEMBERED: Final = 4096


class Engine:
    """Answers calls for one configuration."""

    def __init__(self, config: CacheConfig, clock: Callable[[], float]) -> None:
        self.config: Final = config
        store = SqliteStore(
            config.cache_dir,
            max_bytes=config.max_disk,
            full_durability=config.durability == "full",
            clock=clock,
        )
        policies = config.policies()
        self.parts: Final = Parts(
            store=store,
            tier=MemoryTier(
                store, max_entries=config.max_memory_entries, max_bytes=config.max_memory
            ),
            flights=Flights(),
            usage=UsageCounter(store, clock),
            policies=policies,
            notices=Notices(),
            max_value_bytes=config.max_value,
            clock=clock,
        )
        self.pool: Final = DaemonPool("llm-cache store", POOL_THREADS)
        self.is_enabled: Final = config.enabled
        self.policy: Final = lru_cache(maxsize=_POLICIES_REMEMBERED)(policies.resolve)
        self._async_driver: Final = AsyncDriver(self.parts, self.pool)
        self.off_loop: Final = self._async_driver.off_loop
        self._sync_driver: Final = SyncDriver(self.parts, self.pool)
        self._is_closed = False
        _open_engines.add(self)

    def from_memory(self, identity: Identity, policy: Policy, codec: Codec) -> Any:  # noqa: ANN401
        """The value, if it is fresh in memory; `NOT_IN_MEMORY` if not."""
        parts = self.parts
        now = parts.clock()
        slot = parts.tier.fresh(identity.key, policy, now)
        if slot is None or not self.is_enabled:
            return NOT_IN_MEMORY
        try:
            value = slot.value(codec)
        except DecodeError:
            return NOT_IN_MEMORY
        parts.usage.hit(slot.entry, now)
        return value

    async def answer(self, call: Call) -> Answer:
        """Answers on the running event loop; raises what the generator raises."""
        if self._is_bypassed(call):
            return Answer(await call_async(call.generator), Outcome.BYPASS)
        return _raised(await self._async_driver.run(lookup(self.parts, call)))

    def answer_sync(self, call: Call) -> Answer:
        """Answers by blocking this thread; raises what the generator raises."""
        if self._is_bypassed(call):
            return Answer(call_sync(call.generator), Outcome.BYPASS)
        return _raised(self._sync_driver.run(lookup(self.parts, call)))

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

    def _is_bypassed(self, call: Call) -> bool:
        if self.is_enabled and call.policy.ttl()[0] > 0:
            return False
        self.parts.usage.count(call.identity.tenant, call.identity.prefix, bypassed=1)
        return True


def _raised(result: Answer | Failed) -> Answer:
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
