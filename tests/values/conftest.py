"""Values on their way through a cache: what the first caller gets, and what a hit gives."""

import pytest


@pytest.fixture
def delivered(make_cache):
    """What a generator's value is for its first caller, from memory and from the store."""

    def delivered(generator, **params):
        first = make_cache().lookup_sync("values", generator, **params)
        assert first.not_stored is None, first
        reader = make_cache()
        from_store = reader.lookup_sync("values", generator, **params)
        from_memory = reader.lookup_sync("values", generator, **params)
        assert [first.outcome, from_store.outcome, from_memory.outcome] == ["miss", "hit", "hit"]
        return first.value, from_store.value, from_memory.value

    return delivered


@pytest.fixture
def reason(make_cache, caplog):
    """Why a generator's value is not kept, as the one warning says it."""

    def reason(generator):
        cache = make_cache()
        with caplog.at_level("WARNING", "llm_cache"):
            assert cache.lookup_sync("values", generator).not_stored is not None
        (record,) = caplog.records
        caplog.clear()
        cache.close()
        return record.getMessage()

    return reason
