"""Management calls that look at what a cache holds and has counted."""

from datetime import UTC, date, datetime, timedelta

import pytest

from llm_cache import ConfigError


@pytest.fixture
def filled(make_cache):
    """Two entries of acme's under `page`, one of globex's under `note`; each was asked for."""
    cache = make_cache()
    for tenant, prefix, text in (
        ("acme", "page", "one"),
        ("acme", "page", "three"),
        ("globex", "note", "four"),
    ):
        with cache.tenant(tenant):
            cache.get_or_generate_sync(prefix, lambda text=text: text, text=text)
    return cache


def test_tenant_in_force_is_that_of_the_block(make_cache):
    """None means that calls are about all tenants."""
    cache = make_cache()
    assert cache.tenant_in_force is None
    with cache.tenant("acme"):
        assert cache.tenant_in_force == "acme"
    assert make_cache(tenant="globex").tenant_in_force == "globex"


def test_get_finds_the_entry_of_a_key(filled):
    """With its value, also long after its ttl."""
    info = next(filled.entries("note"))
    entry = filled.get(info.key)
    assert (entry.prefix, entry.value) == ("note", "four")
    assert filled.get(bytes(32)) is None


def test_get_finds_nothing_of_other_tenants(filled):
    """A key that leaked opens nothing."""
    key = next(filled.entries("note")).key
    with filled.tenant("acme"):
        assert filled.get(key) is None
    with filled.tenant("globex"):
        assert filled.get(key).value == "four"


@pytest.mark.parametrize("key", ["9f2c", None, 5])
def test_get_wants_bytes(filled, key):
    """Digits of an id are for `find`."""
    with pytest.raises(ConfigError, match="write bytes"):
        filled.get(key)


def test_totals_are_of_each_prefix(filled):
    """Their bytes are those that the entries tell of."""
    sizes = {info.params["text"]: info.size_bytes for info in filled.entries()}
    assert filled.totals() == {
        "note": (1, sizes["four"]),
        "page": (2, sizes["one"] + sizes["three"]),
    }
    assert list(filled.totals()) == ["note", "page"]
    assert filled.totals(tenant="globex") == {"note": (1, sizes["four"])}
    with filled.tenant("acme"):
        assert list(filled.totals()) == ["page"]


def test_totals_of_the_trash_are_apart(filled):
    """What was invalidated with `keep` is counted there, and is the tenant's alone."""
    kept = filled.totals()["page"]
    filled.invalidate_prefix("page", keep=True)
    assert filled.trash.totals() == {"page": kept}
    assert list(filled.totals()) == ["note"]
    with filled.tenant("globex"):
        assert filled.trash.totals() == {}


def test_breakdown_has_prefixes_models_and_days(filled, clock):
    """Each with its counts; a tenant narrows all of them."""
    counted = filled.breakdown()
    assert {name: part["misses"] for name, part in counted["prefixes"].items()} == {
        "note": 1,
        "page": 2,
    }
    today = datetime.fromtimestamp(clock(), UTC).date()
    assert list(counted["days"]) == [today.isoformat()]
    assert counted["total"]["hit_rate"] == 0.0
    assert filled.breakdown(tenant="globex")["total"]["misses"] == 1
    with filled.tenant("acme"):
        assert list(filled.breakdown()["prefixes"]) == ["page"]


def test_breakdown_leaves_out_the_days_before(filled, clock):
    """Sizes stay, since they are those of now."""
    today = datetime.fromtimestamp(clock(), UTC).date()
    assert filled.breakdown(since=today)["total"]["misses"] == 3
    tomorrow = filled.breakdown(since=today + timedelta(days=1))
    assert (tomorrow["total"]["misses"], tomorrow["total"]["entries"]) == (0, 3)
    assert filled.breakdown(since=date(1999, 1, 1))["since"] == today.isoformat()


def test_upkeep_tells_what_could_be_removed(filled):
    """What is expired is told of all tenants together only."""
    filled.invalidate_prefix("note", keep=True)
    found = filled.upkeep()
    assert (found.expired.entries, found.trash.entries) == (0, 1)
    assert filled.upkeep(tenant="acme").trash.entries == 0
    with filled.tenant("globex"):
        assert (filled.upkeep().expired, filled.upkeep().trash.entries) == (None, 1)


def test_policy_of_is_what_the_settings_say(make_cache):
    """Of a prefix they do not name it is the default."""
    cache = make_cache(prefixes={"page": {"version": "v2"}})
    assert cache.policy_of("page").version == "v2"
    assert cache.policy_of("note").version == ""
    assert cache.policy_of("what an older file\nmay hold").version == ""


async def test_they_can_be_awaited(filled):
    """On `aio`, as the other management calls."""
    key = next(filled.entries("note")).key
    assert (await filled.aio.get(key)).value == "four"
    assert await filled.aio.totals() == filled.totals()
    assert await filled.aio.breakdown() == filled.breakdown()
    assert await filled.aio.upkeep() == filled.upkeep()
