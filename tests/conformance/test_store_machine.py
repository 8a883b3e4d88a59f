"""A store is held against a dict, step by random step, with a clock that the steps move."""

import tempfile
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from llm_cache.core.entry import Entry
from llm_cache.core.policy_resolution import Policy
from llm_cache.store.protocol import Store
from llm_cache.store.records import EVERYTHING, EntryUse, Selection
from tests.conformance.factories import FACTORIES, Factory
from tests.conformance.samples import Clock, an_entry, keys_of

PREFIXES = ("a", "b", "c")
TENANTS = ("", "t")
NUMBERS = st.integers(0, 3)
TTLS = st.none() | st.sampled_from([0.0, 1.0, 2.5, 10.0, float("inf")])
STEPS = st.sampled_from([-3.0, 0.0, 0.5, 1.0, 4.0, 20.0])


class StoreAgainstDict(RuleBasedStateMachine):
    """Does to a store what it does to a dict, and compares."""

    factory: Factory

    def __init__(self):
        super().__init__()
        self.ending = ExitStack()
        self.clock = Clock()
        self.place = Path(self.ending.enter_context(tempfile.TemporaryDirectory()))
        self.entries: dict[bytes, Entry] = {}
        self.policies = {prefix: Policy(defaults_ttl=5.0) for prefix in PREFIXES}
        self.puts = 0
        self.put_at: dict[bytes, int] = {}

    @initialize()
    def open(self):
        self.store: Store = type(self).factory(self.place, max_bytes=2**30, clock=self.clock)
        self.store.open()

    @rule(seconds=STEPS)
    def time_passes_or_is_set_back(self, seconds):
        self.clock.now += seconds

    @rule(
        prefix=st.sampled_from(PREFIXES),
        prefix_ttl=TTLS,
        default=TTLS,
        grace=st.sampled_from([0.0, 2.0]),
    )
    def the_file_is_edited(self, prefix, prefix_ttl, default, grace):
        self.policies[prefix] = Policy(prefix_ttl=prefix_ttl, defaults_ttl=default, grace=grace)

    @rule(
        n=NUMBERS,
        prefix=st.sampled_from(PREFIXES),
        tenant=st.sampled_from(TENANTS),
        call_ttl=TTLS,
        decorator_ttl=TTLS,
        body=st.binary(max_size=40),
    )
    def put(self, n, prefix, tenant, call_ttl, decorator_ttl, body):
        entry = an_entry(
            n,
            prefix=prefix,
            tenant=tenant,
            created_at=self.clock(),
            call_ttl=call_ttl,
            decorator_ttl=decorator_ttl,
            body=body,
        )
        assert self.store.put(entry) is True
        self.puts += 1
        self.put_at[entry.key] = self.puts
        self.entries[entry.key] = entry

    @rule(n=NUMBERS, prefix=st.sampled_from(PREFIXES), tenant=st.sampled_from(TENANTS))
    def get(self, n, prefix, tenant):
        key = an_entry(n, prefix=prefix, tenant=tenant).key
        assert self.store.get(key) == self.entries.get(key)

    @rule(
        prefix=st.none() | st.sampled_from(PREFIXES),
        tenant=st.none() | st.sampled_from(TENANTS),
        numbers=st.none() | st.lists(NUMBERS, max_size=4),
        keep=st.booleans(),
    )
    def remove(self, prefix, tenant, numbers, keep):
        keys = None
        if numbers is not None:
            keys = tuple(
                an_entry(n, prefix=prefix or "a", tenant=tenant or "").key for n in numbers
            )
        gone = [
            e
            for e in self.entries.values()
            if prefix in (None, e.prefix)
            and tenant in (None, e.tenant)
            and (keys is None or e.key in keys)
        ]
        removed = self.store.remove(Selection(keys=keys, prefix=prefix, tenant=tenant), keep=keep)
        assert removed.entries == len(gone)
        assert removed.freed_bytes == sum(e.size_bytes for e in gone)
        self.forget(gone)

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), digits=st.integers(1, 64), keep=st.booleans())
    def remove_by_digits(self, data, digits, keep):
        start = data.draw(st.sampled_from(sorted(self.entries))).hex()[:digits]
        gone = [e for e in self.entries.values() if e.key.hex().startswith(start)]
        assert self.store.remove(Selection(key_digits=start), keep=keep).entries == len(gone)
        self.forget(gone)

    @rule(dry_run=st.booleans())
    def prune(self, dry_run):
        now = self.clock()
        gone = []
        for e in self.entries.values():
            policy = self.policies[e.prefix]
            ttl, _ = policy.ttl(e.call_ttl, e.decorator_ttl)
            if now >= e.created_at + ttl + (policy.grace if ttl else 0):
                gone.append(e)
        found = self.store.expired(self.policies.__getitem__, now)
        assert sum(group.entries for group in found.values()) == len(gone)
        assert self.store.prune(self.policies.__getitem__, now, dry_run=dry_run).entries == len(
            gone
        )
        if not dry_run:
            self.forget(gone)

    @rule()
    def make_room(self):
        assert (
            self.store.make_room(self.policies.__getitem__, self.clock(), dry_run=False).entries
            == 0
        )

    @precondition(lambda self: self.entries)
    @rule(data=st.data(), hits=st.integers(1, 5), ago=st.sampled_from([0.0, 1.0]))
    def use(self, data, hits, ago):
        entry = self.entries[data.draw(st.sampled_from(sorted(self.entries)))]
        at = self.clock() - ago
        self.store.add_usage([], [EntryUse(entry.key, hits, at)])
        self.entries[entry.key] = replace(
            entry, hits=entry.hits + hits, used_at=max(entry.used_at, at)
        )

    @rule(
        prefix=st.none() | st.sampled_from(PREFIXES),
        tenant=st.none() | st.sampled_from(TENANTS),
        limit=st.none() | st.integers(0, 5),
    )
    def select(self, prefix, tenant, limit):
        expected = sorted(
            (
                e
                for e in self.entries.values()
                if prefix in (None, e.prefix) and tenant in (None, e.tenant)
            ),
            key=lambda e: (e.prefix, -e.created_at, -self.put_at[e.key]),
        )
        listed = list(self.store.select(Selection(prefix=prefix, tenant=tenant), limit=limit))
        assert keys_of(listed) == keys_of(expected[:limit])
        for info, entry in zip(listed, expected, strict=False):
            assert (info.hits, info.used_at) == (entry.hits, entry.used_at)

    @rule()
    def close_and_open_again(self):
        self.store.close()
        self.open()

    @invariant()
    def totals_are_what_is_there(self):
        sums: dict[tuple[str, str], list[int]] = {}
        for e in self.entries.values():
            total = sums.setdefault((e.prefix, e.tenant), [0, 0, 0])
            for place, amount in enumerate((1, e.size_bytes, e.value_bytes)):
                total[place] += amount
        told = [
            [t.prefix, t.tenant, t.entries, t.size_bytes, t.value_bytes]
            for t in self.store.totals()
        ]
        assert told == [[*group, *amounts] for group, amounts in sorted(sums.items())]

    def forget(self, gone):
        for entry in gone:
            del self.entries[entry.key]

    def teardown(self):
        assert sorted(keys_of(self.store.select(EVERYTHING))) == sorted(self.entries)
        self.store.close()
        self.ending.close()


@pytest.mark.parametrize("name", FACTORIES)
def test_a_store_does_what_a_dict_does(name):
    """No sequence of steps makes a store and a dict differ."""
    machine = type("Machine", (StoreAgainstDict,), {"factory": staticmethod(FACTORIES[name])})
    run_state_machine_as_test(
        machine, settings=settings(max_examples=40, stateful_step_count=40, deadline=None)
    )
