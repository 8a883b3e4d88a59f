"""Merging keeps of two entries the newer, all in one transaction."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llm_cache.core.keys import Identity, canonical_params
from llm_cache.errors import StoreError
from llm_cache.store.records import EVERYTHING
from tests.conformance.samples import PREFIX, T0, an_entry, held, keep


def lease_of(store, n: int):
    """The right to generate for the entry of a number."""
    identity = Identity(PREFIX, canonical_params({"n": n}))
    return store.acquire(identity, unfit=store.get(identity.key))


def test_what_is_not_there_is_kept(store):
    """As it comes, with its use."""
    entry = an_entry(1, hits=4, used_at=T0 + 9, tenant="t", model="m")
    assert store.merge([entry]) == [entry]
    assert store.get(entry.key) == entry


def test_merging_nothing_keeps_nothing(store):
    """No entries are no trouble."""
    assert store.merge([]) == []
    assert store.totals() == []


@pytest.mark.parametrize(("age", "stays"), [(-1, "here"), (0, "here"), (1, "coming")])
def test_newer_one_stays(store, age, stays):
    """By when they were made; of two of one instant the one that is there."""
    keep(store, an_entry(body=b'"here"'))
    coming = an_entry(body=b'"coming"', created_at=T0 + age)
    assert store.merge([coming]) == ([coming] if stays == "coming" else [])
    assert store.get(coming.key).value == stays
    assert store.totals() == list(held(store))


def test_merging_again_changes_nothing(store):
    """The second time everything is as new as what comes."""
    entries = [an_entry(n) for n in range(5)]
    assert store.merge(entries) == entries
    assert store.merge(entries) == []


def test_of_two_that_come_together_the_newer_stays(store):
    """Whichever comes first."""
    old, new = an_entry(body=b'"old"'), an_entry(body=b'"new"', created_at=T0 + 1)
    assert store.merge([new, old]) == [new]
    assert store.get(new.key).value == "new"


def test_kept_entry_voids_the_lease_of_its_key(store):
    """Who is generating will not replace what came."""
    lease = lease_of(store, 1)
    store.merge([an_entry(1)])
    assert not store.put(an_entry(1, body=b'"late"'), lease=lease)
    assert store.get(an_entry(1).key) == an_entry(1)


def test_lease_stands_where_nothing_was_kept(store):
    """Neither an entry that is not newer nor one of another key disturbs who generates."""
    keep(store, an_entry(1, created_at=T0 + 5))
    lease = lease_of(store, 1)
    store.merge([an_entry(1), an_entry(2)])
    made = an_entry(1, created_at=T0 + 9, body=b'"made"')
    assert store.put(made, lease=lease)
    assert store.get(made.key) == made


def test_merging_that_fails_keeps_nothing_at_all(store):
    """One transaction: an entry that no store can hold leaves the ones before it out, too."""
    wrong = an_entry(2, model="\ud800")
    lease = lease_of(store, 1)
    with pytest.raises((StoreError, UnicodeEncodeError)):
        store.merge([an_entry(1), wrong])
    assert list(store.select(EVERYTHING)) == []
    assert store.totals() == []
    assert store.put(an_entry(1), lease=lease)


NUMBERED = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), max_size=8)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(NUMBERED, max_size=3))
def test_merging_is_a_dict_of_the_newest(store, batches):
    """Whatever comes, in whatever order."""
    store.remove(EVERYTHING)
    newest: dict[int, int] = {}
    for batch in batches:
        entries = [an_entry(n, created_at=T0 + at) for n, at in batch]
        kept = []
        for (n, at), entry in zip(batch, entries, strict=True):
            if newest.get(n, -1) < at:
                newest[n] = at
                kept.append(entry)
        assert store.merge(entries) == kept
    there = {entry.params["n"]: entry.created_at - T0 for entry in store.select(EVERYTHING)}
    assert there == newest
    assert store.totals() == list(held(store))
