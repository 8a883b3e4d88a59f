"""What an operator does with a cache: look, take away, sweep, count.

Every call here raises StoreError when the store cannot do it: "done" means done.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from llm_cache.api.stats import Amount, amounts_by_prefix, breakdown, statistics
from llm_cache.api.trash import Trash
from llm_cache.core.arguments import check_amount, check_id, check_keys, refuse_argument
from llm_cache.core.freshness import Freshness, freshness_window, judge
from llm_cache.core.keys import check_prefix, check_tenant
from llm_cache.core.values.codec import SHOWN
from llm_cache.core.values.refusals import NotStorable
from llm_cache.engine.call import with_ttl
from llm_cache.engine.engine import LAND_WITHIN_S
from llm_cache.engine.store_access import make_room, note_evictions, remove
from llm_cache.errors import ConfigError, KeyParamError, StoreError
from llm_cache.store.records import EVERYTHING, Removed, Selection, Sweep

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from contextlib import AbstractContextManager
    from datetime import date
    from pathlib import Path

    from llm_cache.api.stats import Breakdown, Stats
    from llm_cache.api.upkeep import Upkeep
    from llm_cache.config import CacheConfig
    from llm_cache.core.entry import Entry, EntryInfo
    from llm_cache.core.policy import CachePolicy
    from llm_cache.core.policy_resolution import Policy, TtlSource
    from llm_cache.core.units import Duration
    from llm_cache.engine.call import Call
    from llm_cache.engine.engine import Engine
    from llm_cache.engine.explain import Why
    from llm_cache.engine.steps import Components
    from llm_cache.store.records import Group

FOUND_AT_MOST: Final = 20
_RESERVED: Final = frozenset({"generator", "ttl"})


def engine_of(cache: Management) -> Engine:
    """The engine of a cache, for the modules of this package."""
    return cache._engine  # noqa: SLF001  # pyright: ignore[reportPrivateUsage]


class Management:
    """The calls that never generate."""

    def __init__(self, engine: Engine) -> None:
        self._engine: Final = engine

    @property
    def _components(self) -> Components:
        return self._engine.components  # others in a forked child

    @property
    def config(self) -> CacheConfig:
        """The settings in force."""
        return self._engine.config

    @property
    def cache_dir(self) -> Path:
        """Where everything is kept."""
        return self._engine.config.cache_dir

    @property
    def tenant_in_force(self) -> str | None:
        """The one tenant that calls here are about: of a block, or the default; None for all."""
        return self._whose(None)

    def peek(
        self,
        /,
        prefix: str,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Entry | None:
        """The entry that a lookup would answer from, or None; never generates, counts nothing."""
        return self._engine.peek(self._asked(prefix, policy, params, named))

    def why(
        self,
        /,
        prefix: str,
        policy: CachePolicy | None = None,
        params: Mapping[str, object] | None = None,
        **named: object,
    ) -> Why:
        """Whether such a request would hit now, and if not, why: `print(cache.why(...))`.

        Never generates, counts nothing. Raises StoreError where the store cannot tell.
        """
        return self._engine.why(self._asked(prefix, policy, params, named))

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

        It may be a `Generated` that says what it cost; the policy's gates are not asked. Raises
        StoreError, and keeps what was there, if the value would not come back the same or is larger
        than `max_value`. Under a ttl of 0, or in the mode `off`, nothing is kept.
        """
        from llm_cache.core.usage import Paid, unwrapped
        from llm_cache.engine.generation import new_entry

        call = self._asked(prefix, with_ttl(policy, ttl), params, named, reserved=frozenset())
        if not (call.policy.keeps and self._engine.is_enabled):
            return
        value, usage = unwrapped(value)
        paid = Paid(value, self._components.prices.priced(usage), None)
        made = new_entry(self._components, call, paid)
        if isinstance(made, NotStorable):
            msg = f"{prefix}: the value was not kept: {made.reason}"
            raise StoreError(msg)
        self._components.flights.void(Selection(keys=(made.key,)).covers)
        self._components.store.put(made)
        self._components.store.stamps.renew((made.key,))
        make_room(self._components)

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

    def invalidate_prefix(
        self, prefix: str, *, tenant: str | None = None, keep: bool = False
    ) -> Removed:
        """Drops all of a prefix; returns how many. `keep` moves them to the trash.

        `tenant` narrows that to one; within `with cache.tenant(...)` it is that one.
        """
        check_prefix(prefix)
        which = Selection(prefix=prefix, tenant=self._whose(tenant))
        return remove(self._components, which, keep=keep)

    def invalidate_entries(self, keys: Iterable[bytes], *, keep: bool = False) -> Removed:
        """Drops the entries of these keys; returns how many. `keep` moves them to the trash."""
        unwanted = check_keys(keys)
        if not unwanted:
            return Removed()
        which = Selection(keys=unwanted, tenant=self._whose(None))
        return remove(self._components, which, keep=keep)

    def prune(
        self,
        *,
        dry_run: bool = False,
        orphaned: bool = False,
        max_bytes: int | None = None,
        on_swept: Callable[[Group], object] | None = None,
    ) -> Removed:
        """Sweeps what is expired, then the least used above `max_disk`; how many, and why.

        It is about all tenants. The trash goes first where the cache is over that limit, for which
        `max_bytes` is another. `orphaned` sweeps entries whose version is not current, too: not the
        one that the file says for the prefix, else none of the functions that this process has
        decorated for it. A prefix that neither tells of is left alone. `on_swept` is told of what
        went, part by part. A dry run says the same and removes nothing.
        """
        from llm_cache.api._versions import current_versions  # most commands need none of it

        components, policy_of = self._components, self._components.policies.resolve
        current = (
            current_versions(components.policies, components.store.totals()) if orphaned else None
        )
        limit = check_amount("max_bytes", max_bytes)
        sweep = Sweep(current=current, max_bytes=limit, on_swept=on_swept)
        removed = components.store.prune(
            policy_of, components.clock(), dry_run=dry_run, sweep=sweep
        )
        if not dry_run:
            note_evictions(components, removed)
        return removed

    def clear_all(self) -> Removed:
        """Drops everything, the trash too; returns how many. The counts of use stay.

        Within `with cache.tenant(...)` it is everything of that tenant.
        """
        tenant = self._whose(None)
        which = EVERYTHING if tenant is None else Selection(tenant=tenant)
        removed = remove(self._components, which)
        self._components.tier.clear()
        return removed

    @property
    def trash(self) -> Trash:
        """What was invalidated with `keep=True`, and can be taken back."""
        return Trash(self._components, self._whose(None))

    def entries(
        self,
        prefix: str | None = None,
        *,
        keys: Iterable[bytes] | None = None,
        tenant: str | None = None,
        limit: int | None = None,
    ) -> Iterator[EntryInfo]:
        """What is stored, of whatever age, by prefix and newest first; read as it is taken.

        `keys` narrows that to some, `tenant` to one; within `with cache.tenant(...)` it is that
        one.
        """
        wanted = None if keys is None else check_keys(keys)
        # Not whether it is allowed: what is stored is listed, whatever an older file holds.
        if prefix is not None and not isinstance(prefix, str):
            refuse_argument("prefix", prefix, "a str, like 'intro_page', or None for all")
        which = Selection(keys=wanted, prefix=prefix, tenant=self._whose(tenant))
        return self._components.store.select(which, limit=check_amount("limit", limit))

    def get(self, key: bytes) -> Entry | None:
        """The entry of a key, of whatever age; None if there is none. Counts nothing.

        Within `with cache.tenant(...)` entries of other tenants are not found.
        """
        (wanted,) = check_keys((key,))
        entry, tenant = self._components.store.get(wanted), self.tenant_in_force
        return entry if entry is None or tenant in (None, entry.tenant) else None

    def find(self, id_digits: str) -> list[Entry]:
        """The entries whose keys begin with these hex digits, 20 at most."""
        selection = Selection(key_digits=check_id(id_digits), tenant=self._whose(None))
        listed = self._components.store.select(selection, limit=FOUND_AT_MOST)
        found = ((info, self._components.store.get(info.key)) for info in list(listed))
        return [replace(entry, id_digits=info.id_digits) for info, entry in found if entry]

    def policy_of(self, prefix: str) -> Policy:
        """The policy in force for a prefix, as requests without a policy of their own have it."""
        return self._engine.policy(prefix)

    def judge(self, entry: EntryInfo) -> Freshness:
        """What an entry is good for now, as a lookup without a ttl of its own sees it."""
        return judge(entry, self._engine.policy(entry.prefix), self._components.clock())

    def ttl_of(self, entry: EntryInfo) -> tuple[float, TtlSource]:
        """The ttl in seconds that applies to an entry, and what decided it."""
        policy = self._engine.policy(entry.prefix)
        return policy.ttl(entry.call_ttl, entry.decorator_ttl)

    def expires_at(self, entry: EntryInfo) -> float:
        """The instant an entry stops being fresh; infinity for never."""
        _, until = freshness_window(entry, self._engine.policy(entry.prefix))
        return max(until, entry.created_at)

    def get_stats(self) -> Stats:
        """Counts and sizes.

        Of this process: `hits`, `misses`, `coalesced`, `errors`, `memory_entries`. Over all
        processes: `file_entries`, `cache_dir`, `disk_bytes`, `max_disk`, `since`, and under
        `total` and `prefixes` the counts that are kept: what was spent on generating
        (`generation_seconds`, `input_tokens`, `output_tokens`, `cost_usd`) and what answers from
        the cache saved (`saved_seconds` and so on), each apart. Within `with cache.tenant(...)`
        these are that tenant's.
        """
        return statistics(self._components, self.config, self._whose(None))

    def totals(self, *, tenant: str | None = None) -> dict[str, Amount]:
        """Entries and bytes by prefix, those of expired entries included; sorted by prefix.

        `tenant` narrows that to one; within `with cache.tenant(...)` it is that one. Those of the
        trash are `trash.totals()`.
        """
        return amounts_by_prefix(self._components.store.totals(), self._whose(tenant))

    def breakdown(self, *, tenant: str | None = None, since: date | None = None) -> Breakdown:
        """What is counted over all processes: in `total`, by `prefixes`, `models` and `days`.

        `since` leaves out the counts of days before it, in UTC; sizes are those of now, in `total`
        and by prefix only. `tenant` narrows all that to one; within `with cache.tenant(...)` it is
        that one. Each part has the counts of `get_stats` and a `hit_rate` from 0 to 1.
        """
        first = "" if since is None else since.isoformat()
        return breakdown(self._components, self.config, self._whose(tenant), since=first)

    def upkeep(self, *, tenant: str | None = None) -> Upkeep:
        """What could be removed: entries that are expired, in the trash, or were never hit.

        It looks at 10,000 entries at most and says whether there may be more. `tenant` narrows it
        to one; within `with cache.tenant(...)` it is that one.
        """
        from llm_cache.api.upkeep import upkeep  # most commands need none of it

        return upkeep(self._components, self._whose(tenant))

    def close(self, land_within_s: float = LAND_WITHIN_S) -> None:
        """Lets what is under way land, for up to 5 s if not told otherwise; closes the store."""
        self._engine.close(land_within_s)

    def tenant(self, tenant: str) -> AbstractContextManager[None]:
        """`with cache.tenant("acme"):` asks on behalf of a tenant, whose entries nobody else sees.

        Tasks that are begun in the block inherit it, threads do not. Raises ConfigError if it is no
        text of up to 200 characters.
        """
        return self._engine.scopes.tenant(tenant)

    def mode(self, mode: str) -> AbstractContextManager[None]:
        """`with cache.mode("refresh"):` treats requests so: `live`, `refresh`, `replay` or `off`.

        It overrides the modes of files and decorators; that of a call overrides it, and a `replay`
        of the environment overrides all. Raises ConfigError if there is no such mode.
        """
        return self._engine.scopes.mode(mode)

    def _whose(self, tenant: str | None) -> str | None:
        """The one tenant that a call is about, None for all."""
        scope = self._engine.scopes.current()
        if not scope.names_tenant:
            return None if tenant is None else check_tenant(tenant)
        if tenant not in (None, scope.tenant):
            msg = f"this is asked on behalf of the tenant {scope.tenant!r}, and about {tenant!r}"
            raise ConfigError(msg)
        return scope.tenant

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
        return self._engine.call(prefix, None, policy, params, named, SHOWN)
