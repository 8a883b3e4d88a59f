"""What an operator does with a cache: look, take away, sweep, count.

Every call here raises StoreError when the store cannot do it: "done" means done.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from llm_cache.codec import UNTYPED, NotStorable
from llm_cache.entry import Freshness, judge
from llm_cache.errors import KeyParamError, StoreError
from llm_cache.keys import Identity, canonical_params, check_prefix
from llm_cache.lookup import new_entry
from llm_cache.policy import CachePolicy
from llm_cache.statistics import statistics
from llm_cache.steps import Call
from llm_cache.store_calls import make_room
from llm_cache.stores.base import EVERYTHING, Removed, Selection

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from llm_cache.codec import Codec
    from llm_cache.config import CacheConfig
    from llm_cache.engine import Engine
    from llm_cache.entry import Entry, EntryInfo
    from llm_cache.policy import TtlSource
    from llm_cache.steps import Parts
    from llm_cache.units import Duration

FOUND_AT_MOST: Final = 20
_RESERVED: Final = frozenset({"generator", "ttl"})


class Management:
    """The calls that never generate."""

    def __init__(self, engine: Engine) -> None:
        self.engine: Final = engine

    @property
    def _parts(self) -> Parts:
        return self.engine.parts  # others in a forked child

    @property
    def config(self) -> CacheConfig:
        """The settings in force."""
        return self.engine.config

    @property
    def cache_dir(self) -> Path:
        """Where everything is kept."""
        return self.engine.config.cache_dir

    def peek(
        self,
        /,
        prefix: str,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Entry | None:
        """The entry that a lookup would answer from, or None; never generates, counts nothing."""
        call = self._asked(prefix, policy, params, named)
        return self.peek_call(call)

    def put(
        self,
        /,
        prefix: str,
        value: object,
        ttl: Duration | None = None,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> None:
        """Keeps `value` for these params, in place of what was there.

        Raises StoreError, and keeps what was there, if the value would not come back the same or
        is larger than `max_value`. A ttl of 0 keeps nothing.
        """
        call = self._asked(prefix, with_ttl(policy, ttl), params, named, reserved=frozenset())
        if not self.engine.is_enabled or call.policy.ttl()[0] == 0:
            return
        made = new_entry(self._parts, call, value, generation_seconds=None)
        if isinstance(made, NotStorable):
            msg = f"{prefix}: the value was not kept: {made.reason}"
            raise StoreError(msg)
        self._parts.flights.void(lambda identity: identity.key == made.key)
        self._parts.store.put(made)
        self._parts.store.stamps.renew((made.key,))
        make_room(self._parts)

    def invalidate(
        self,
        /,
        prefix: str,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Removed:
        """Drops exactly the entry of these params; returns how many that were, 0 or 1.

        What is being generated for them goes to its callers and is not kept.
        """
        key = self._asked(prefix, policy, params, named).identity.key
        return self.invalidate_entries((key,))

    def invalidate_prefix(self, prefix: str, *, keep: bool = False) -> Removed:
        """Drops all of a prefix; returns how many. `keep` moves them to the trash."""
        check_prefix(prefix)
        self._parts.flights.void(lambda identity: identity.prefix == prefix)
        removed = self._parts.store.remove(Selection(prefix=prefix), keep=keep)
        self._parts.store.stamps.renew_all()
        return removed

    def invalidate_entries(self, keys: Iterable[bytes], *, keep: bool = False) -> Removed:
        """Drops the entries of these keys; returns how many. `keep` moves them to the trash."""
        unwanted = tuple(dict.fromkeys(keys))
        if not unwanted:
            return Removed()
        self._parts.flights.void(lambda identity: identity.key in unwanted)
        removed = self._parts.store.remove(Selection(keys=unwanted), keep=keep)
        self._parts.store.stamps.renew(unwanted)
        return removed

    def prune(self, *, dry_run: bool = False) -> Removed:
        """Sweeps what is expired, then what is over `max_disk`; returns how many, and why.

        A dry run says the same and removes nothing.
        """
        parts, now = self._parts, self._parts.clock()
        # Making room sweeps what is expired, too, so that nothing is left for the other to do.
        if dry_run:
            removed = parts.store.make_room(parts.policies.resolve, now, dry_run=True)
        else:
            removed = make_room(parts)
        return removed or parts.store.prune(parts.policies.resolve, now, dry_run=dry_run)

    def clear_all(self) -> Removed:
        """Drops everything, the trash too; returns how many. The counts of use stay."""
        self._parts.flights.void(lambda _: True)
        removed = self._parts.store.remove(EVERYTHING)
        self._parts.store.stamps.renew_all()
        self._parts.tier.clear()
        return removed

    def entries(
        self, prefix: str | None = None, *, tenant: str | None = None, limit: int | None = None
    ) -> Iterator[EntryInfo]:
        """What is stored, of whatever age, by prefix and newest first; read as it is taken."""
        return self._parts.store.select(Selection(prefix=prefix, tenant=tenant), limit=limit)

    def find(self, id_digits: str) -> list[Entry]:
        """The entries whose keys begin with these hex digits, 20 at most."""
        selection = Selection(key_digits=id_digits.lower())
        listed = self._parts.store.select(selection, limit=FOUND_AT_MOST)
        found = ((info, self._parts.store.get(info.key)) for info in list(listed))
        return [replace(entry, id_digits=info.id_digits) for info, entry in found if entry]

    def judge(self, entry: EntryInfo) -> Freshness:
        """What an entry is good for now, as a lookup without a ttl of its own sees it."""
        return judge(entry, self.engine.policy(entry.prefix), self._parts.clock())

    def ttl_of(self, entry: EntryInfo) -> tuple[float, TtlSource]:
        """The ttl in seconds that applies to an entry, and what decided it."""
        policy = self.engine.policy(entry.prefix)
        return policy.ttl(entry.call_ttl, entry.decorator_ttl)

    def expires_at(self, entry: EntryInfo) -> float:
        """The instant an entry stops being fresh; infinity for never."""
        return entry.created_at + self.ttl_of(entry)[0]

    def get_stats(self) -> dict[str, Any]:
        """Counts and sizes.

        Of this process: `hits`, `misses`, `coalesced`, `errors`, `memory_entries`. Over all
        processes: `file_entries`, `cache_dir`, `disk_bytes`, `max_disk`, `since`, and under
        `total` and `prefixes` the counts that are kept.
        """
        return statistics(self._parts, self.config)

    def close(self) -> None:
        """Lets what is under way land, for up to 5 s, and lets go of the store."""
        self.engine.close()

    def peek_call(self, call: Call) -> Entry | None:
        """As `peek`, for a call that is made up already."""
        if not self.engine.is_enabled:
            return None
        entry = self._parts.store.get(call.identity.key)
        if entry is None or judge(entry, call.policy, self._parts.clock()) is Freshness.MISSING:
            return None
        return replace(entry, codec=call.codec)

    def _asked(
        self,
        prefix: str,
        policy: CachePolicy | None,
        params: Mapping[str, object] | None,
        named: Mapping[str, object],
        reserved: frozenset[str] = _RESERVED,
    ) -> Call:
        taken = sorted(reserved & named.keys())
        if taken:
            msg = (
                f"{taken[0]!r} is an option of get_or_generate: "
                "a param of that name goes into params={...}"
            )
            raise KeyParamError(msg)
        return make_call(self.engine, prefix, _never, policy, params, named, UNTYPED)


def make_call(
    engine: Engine,
    prefix: str,
    generator: Callable[[], object],
    policy: CachePolicy | None,
    params: Mapping[str, object] | None,
    named: Mapping[str, object],
    codec: Codec,
) -> Call:
    """A request from what a caller wrote. Raises PrefixError and KeyParamError."""
    check_prefix(prefix)
    if params is not None and named:
        msg = (
            f"{prefix}: params= and {next(iter(named))}= are both given: "
            "put everything into params={...}"
        )
        raise KeyParamError(msg)
    merged = engine.policy(prefix, call=policy)
    canonical = canonical_params(named if params is None else dict(params))
    return Call(Identity(prefix, canonical, merged.version), generator, merged, codec)


def with_ttl(policy: CachePolicy | None, ttl: Duration | None) -> CachePolicy | None:
    """A call's policy with the call's ttl, which goes before it."""
    if ttl is None:
        return policy
    own = CachePolicy(ttl=ttl)
    return own.over(policy) if policy else own


def _never() -> object:
    raise AssertionError
