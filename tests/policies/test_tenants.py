"""Tenants: who asks on whose behalf, and that no path shows one tenant what is another's."""

import asyncio
import contextlib
import contextvars
import json
import logging
import sys
import threading

import pytest

from llm_cache import (
    CachePolicy,
    ConfigError,
    LLMCache,
    Outcome,
    ReplayMissError,
    TenantRequiredError,
    cached_llm_call,
)
from llm_cache.cli.app import run

GUARD_S = 20.0
HOUR_S = 3600.0
SECRET = "what acme asked for"


def in_thread(function):
    """What a function returns or raises on a thread of its own."""
    ended = []

    def run():
        try:
            ended.append(function())
        except Exception as error:  # noqa: BLE001 - the test looks at it
            ended.append(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(GUARD_S)
    return ended[0]


# Whose a request is.


def test_the_same_request_of_two_tenants_is_two_entries(cache, way, asker):
    """And a third of nobody in particular; each hits its own again."""
    asker = asker(cache, way)
    made = {}
    for tenant in ("acme", "globex", ""):
        with cache.tenant(tenant):
            made[tenant] = asker.ask()
    assert set(made.values()) == {"made 1", "made 2", "made 3"}
    assert asker.ask() == made[""]
    for tenant, value in made.items():
        with cache.tenant(tenant):
            assert [asker.ask(), asker.ask()] == [value, value]
    assert asker.made == 3
    assert sorted(e.tenant for e in cache.entries()) == ["", "acme", "globex"]


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("", {}, ""),
        ('[cache]\ntenant = "acme"', {}, "acme"),
        ("", {"LLM_CACHE_TENANT": "globex"}, "globex"),
        ('[cache]\ntenant = "acme"', {"LLM_CACHE_TENANT": "globex"}, "globex"),
    ],
)
def test_who_says_nothing_asks_for_the_default_tenant(
    load_cache, make_cache, way, asker, text, environ, expected
):
    """The file's, or before that the environment's."""
    asker(load_cache(text, **environ), way).ask()
    assert [e.tenant for e in make_cache().entries()] == [expected]


def test_a_block_goes_before_the_default_tenant(load_cache, make_cache, way, asker):
    """Also a block of the tenant without a name."""
    cache = load_cache('[cache]\ntenant = "acme"')
    asker = asker(cache, way)
    with cache.tenant("globex"):
        asker.ask()
        with cache.tenant(""):
            asker.ask()
    assert sorted(e.tenant for e in make_cache().entries()) == ["", "globex"]


@pytest.mark.parametrize("tenant", [None, 5, "x" * 201, "a\0b", "\ud800", b"acme"])
def test_what_is_no_tenant_is_refused(cache, tenant):
    """Before anything is asked on its behalf."""
    with pytest.raises(ConfigError, match="tenant"), cache.tenant(tenant):
        pass


@pytest.mark.parametrize("tenant", ["a/../b", "' OR 1=1 --", "%", "学校", "x" * 200])
def test_any_text_is_a_tenant_of_its_own(cache, tenant):
    """None is a pattern, a path or a piece of SQL."""
    for name in ("acme", tenant):
        with cache.tenant(name):
            cache.put("p", name)
    with cache.tenant(tenant):
        assert [e.tenant for e in cache.entries()] == [tenant]
        assert cache.clear_all().entries == 1
    assert [e.tenant for e in cache.entries()] == ["acme"]


async def test_tasks_inherit_the_tenant(cache):
    """What a task begins in a block is asked on that tenant's behalf to its end."""

    async def ask():
        return await cache.get_or_generate("p", lambda: "acme's")

    with cache.tenant("acme"):
        tasks = [asyncio.create_task(ask()) for _ in range(3)]
    with cache.tenant("globex"):
        assert await asyncio.gather(*tasks) == ["acme's"] * 3
    assert [e.tenant for e in cache.entries()] == ["acme"]


async def test_many_tasks_of_many_tenants_get_their_own(cache):
    """Each in a block of its own, all at once, each of them several times."""
    tenants = [f"tenant {n}" for n in range(20)]
    cache._engine.components.store.open()

    @cached_llm_call("q", cache=cache)
    async def decorated(whose):
        return await by(whose)

    async def by(whose):
        await asyncio.sleep(0)
        return whose[0]

    async def ask(tenant):
        with cache.tenant(tenant):
            await asyncio.sleep(0)
            one = await cache.get_or_generate("p", lambda: by([tenant]))
            hit = await cache.get_or_generate("p", lambda: by(["nobody"]))
            return one, hit

    answers = await asyncio.gather(*(ask(tenant) for tenant in tenants * 3))
    assert answers == [(tenant, tenant) for tenant in tenants * 3]
    assert cache.get_stats()["total"]["generations"] == len(tenants)


def test_threads_do_not_inherit_the_tenant(cache):
    """A thread that was begun in a block asks for nobody in particular."""
    with cache.tenant("acme"):
        in_thread(lambda: cache.get_or_generate_sync("p", lambda: "text"))
    assert [e.tenant for e in cache.entries()] == [""]


def test_a_generator_asks_for_the_tenant_of_its_caller(cache, way):
    """Though it runs on a thread of its own."""

    def outer():
        return cache.get_or_generate_sync("inner", lambda: "text")

    with cache.tenant("acme"):
        if way == "get_or_generate":
            asyncio.run(cache.get_or_generate("p", lambda: asyncio.to_thread(outer)))
        elif way == "get_or_generate_sync":
            cache.get_or_generate_sync("p", outer)
        elif way == "decorated":

            async def page():
                return await asyncio.to_thread(outer)

            asyncio.run(cached_llm_call("p", cache=cache)(page)())
        else:
            cached_llm_call("p", cache=cache)(outer)()
    assert {e.tenant for e in cache.entries()} == {"acme"}
    assert cache.get_stats()["file_entries"] == 2


def test_a_generator_function_may_be_closed_anywhere(cache):
    """Its block ends without an error on another thread, and changes nobody's tenant there."""

    def pages():
        with cache.tenant("acme"):
            yield 1

    def close():
        running.close()
        return cache._engine.scopes.current().tenant

    running = pages()
    contextvars.copy_context().run(next, running)
    assert in_thread(close) == ""
    cache.put("p", "text")
    assert [e.tenant for e in cache.entries()] == [""]


# Where there has to be a tenant.


@pytest.fixture
def strict(make_cache):
    """A cache that requires one."""
    return make_cache(tenant_required=True)


@pytest.fixture
def page(strict):
    """A plain function of it."""
    return cached_llm_call("page", cache=strict)(lambda n=1: SECRET)


@pytest.fixture
def async_page(strict):
    """An async function of it."""

    @cached_llm_call("async_page", cache=strict)
    async def async_page(n=1):
        return SECRET

    return async_page


def never():
    """A generator that nobody may call."""
    raise AssertionError


KEYED = {
    "get_or_generate": lambda c, p, a: asyncio.run(c.get_or_generate("p", never, n=1)),
    "get_or_generate_sync": lambda c, p, a: c.get_or_generate_sync("p", never, n=1),
    "lookup": lambda c, p, a: asyncio.run(c.lookup("p", never, n=1)),
    "lookup_sync": lambda c, p, a: c.lookup_sync("p", never, n=1),
    "ttl 0": lambda c, p, a: c.get_or_generate_sync("p", never, ttl=0, n=1),
    "mode off": lambda c, p, a: c.get_or_generate_sync("p", never, policy=CachePolicy(mode="off")),
    "peek": lambda c, p, a: c.peek("p", n=1),
    "why": lambda c, p, a: c.why("p", n=1),
    "put": lambda c, p, a: c.put("p", "text", n=1),
    "invalidate": lambda c, p, a: c.invalidate("p", n=1),
    "aio.peek": lambda c, p, a: asyncio.run(c.aio.peek("p", n=1)),
    "aio.why": lambda c, p, a: asyncio.run(c.aio.why("p", n=1)),
    "aio.put": lambda c, p, a: asyncio.run(c.aio.put("p", "text", n=1)),
    "aio.invalidate": lambda c, p, a: asyncio.run(c.aio.invalidate("p", n=1)),
    "warm": lambda c, p, a: asyncio.run(c.warm({p: [{"n": 1}]})),
    "warm_plan": lambda c, p, a: c.warm_plan({p: [{"n": 1}]}),
    "function": lambda c, p, a: p(),
    "function.key": lambda c, p, a: p.key(),
    "function.peek": lambda c, p, a: p.peek(),
    "function.why": lambda c, p, a: p.why(),
    "function.invalidate": lambda c, p, a: p.invalidate(),
    "function.refresh": lambda c, p, a: p.refresh(),
    "async function": lambda c, p, a: asyncio.run(a()),
    "async function.key": lambda c, p, a: a.key(),
    "async function.peek": lambda c, p, a: asyncio.run(a.peek()),
    "async function.why": lambda c, p, a: asyncio.run(a.why()),
    "async function.invalidate": lambda c, p, a: asyncio.run(a.invalidate()),
    "async function.refresh": lambda c, p, a: asyncio.run(a.refresh()),
}


@pytest.mark.parametrize("call", KEYED.values(), ids=KEYED)
def test_no_key_is_made_without_a_tenant(strict, page, async_page, call):
    """A thread that did not inherit the block is told so, also after others have asked."""
    with strict.tenant("acme"):
        strict.put("p", SECRET, n=1)
        page()
        asyncio.run(async_page())
        ended = in_thread(lambda: call(strict, page, async_page))
    assert isinstance(ended, TenantRequiredError)
    assert "a thread does not inherit" in str(ended)
    with pytest.raises(TenantRequiredError):
        call(strict, page, async_page)
    assert {e.tenant for e in strict.entries()} == {"acme"}


@pytest.mark.parametrize("call", KEYED.values(), ids=KEYED)
def test_the_tenant_without_a_name_is_none(strict, page, async_page, call):
    """A block of "" does not get around it."""
    with strict.tenant(""), pytest.raises(TenantRequiredError):
        call(strict, page, async_page)


def test_a_default_tenant_will_do(make_cache):
    """Where the settings say whose, a thread needs no block."""
    cache = make_cache(tenant_required=True, tenant="acme")
    assert in_thread(lambda: cache.get_or_generate_sync("p", lambda: "text")) == "text"


def test_another_cache_that_requires_none_opens_no_door(strict, make_cache, monkeypatch):
    """A function that goes from one cache to another asks anew whether it needs a tenant."""
    lax = make_cache()
    page = cached_llm_call("page")(lambda: "text")
    monkeypatch.setattr("llm_cache.api.default._shared.cache", lax)
    assert [page(), page()] == ["text", "text"]
    monkeypatch.setattr("llm_cache.api.default._shared.cache", strict)
    with pytest.raises(TenantRequiredError):
        page()


# No path shows one tenant what is another's. Acme has asked; globex looks.


@pytest.fixture
def acmes(cache):
    """A cache in which acme has an entry under `p`, in the store and in memory."""
    with cache.tenant("acme"):
        cache.get_or_generate_sync("p", lambda: SECRET, subject=SECRET, n=1)
        cache.get_or_generate_sync("p", lambda: SECRET, subject=SECRET, n=1)
    return cache


def test_not_the_memory_tier_and_not_the_store(acmes):
    """The same request of globex is made for globex."""
    ask = {"subject": SECRET, "n": 1}
    with acmes.tenant("globex"):
        assert acmes.peek("p", **ask) is None
        assert acmes.get_or_generate_sync("p", lambda: "globex's", **ask) == "globex's"
        acmes._engine.components.tier.clear()
        assert acmes.get_or_generate_sync("p", never, **ask) == "globex's"
    with acmes.tenant("acme"):
        assert acmes.get_or_generate_sync("p", never, **ask) == SECRET


@pytest.mark.parametrize("is_async", [False, True])
def test_not_the_memory_of_a_decorated_function(cache, is_async):
    """Which goes from the arguments straight to a slot."""
    whose = []
    if is_async:

        @cached_llm_call("page", cache=cache, exclude=("whose",))
        async def page(n):
            return whose[-1]

        def ask():
            return asyncio.run(page(1))
    else:

        @cached_llm_call("page", cache=cache, exclude=("whose",))
        def page(n):
            return whose[-1]

        def ask():
            return page(1)

    for _ in range(3):
        for tenant in ("acme", "globex", ""):
            whose.append(tenant)
            with cache.tenant(tenant):
                assert [ask(), ask()] == [tenant, tenant]
    assert cache.get_stats()["total"]["generations"] == 3


def test_not_when_more_tenants_come_than_are_remembered(cache, monkeypatch):
    """Scopes are remembered for speed, a bounded number of them."""
    monkeypatch.setattr("llm_cache.engine.fast_path.SCOPES_AT_MOST", 2)
    page = cached_llm_call("page", cache=cache)(
        lambda: cache._engine.scopes.current().tenant,
    )
    tenants = [f"tenant {n}" for n in range(10)]
    for tenant in tenants * 2:
        with cache.tenant(tenant):
            assert page() == tenant


async def test_not_a_flight_that_is_under_way(cache):
    """Two tenants that ask for the same at once are two generations."""
    cache._engine.components.store.open()
    both_generate = asyncio.Barrier(2)

    async def ask(tenant):
        async def generate():
            await both_generate.wait()
            return tenant

        with cache.tenant(tenant):
            return await cache.lookup("p", generate, n=1)

    async with asyncio.timeout(GUARD_S):
        results = await asyncio.gather(ask("acme"), ask("globex"))
    assert [result.value for result in results] == ["acme", "globex"]
    assert {result.outcome for result in results} == {Outcome.MISS}


def test_not_the_flights_of_other_threads(cache):
    """The same for threads that block."""
    both_generate = threading.Barrier(2)

    def ask(tenant):
        def generate():
            both_generate.wait(GUARD_S)
            return tenant

        with cache.tenant(tenant):
            return cache.get_or_generate_sync("p", generate, n=1)

    answers = {}
    threads = [
        threading.Thread(target=lambda t=t: answers.update({t: ask(t)}), daemon=True)
        for t in ("acme", "globex")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(GUARD_S)
    assert answers == {"acme": "acme", "globex": "globex"}


def test_not_the_nearest_entry(acmes):
    """To globex the prefix is empty."""
    with acmes.tenant("globex"):
        why = acmes.why("p", subject=SECRET, n=2)
    assert str(why) == "miss: nothing is stored under this prefix for the tenant 'globex'"
    assert (why.entry, why.nearest, why.differences) == (None, None, ())


def test_not_what_was_invalidated_or_refused(acmes):
    """What was noted of acme's key and prefix is told to acme alone."""
    with acmes.tenant("acme"):
        acmes.invalidate_prefix("p")
        policy = CachePolicy(store_if=["not_empty"])
        acmes.get_or_generate_sync("p", lambda: "", policy=policy, subject=SECRET, n=1)
        acmes.get_stats()
        told = str(acmes.why("p", subject=SECRET, n=1))
        assert "not stored just now: empty" in told
    for whose in (acmes.tenant("globex"), contextlib.nullcontext()):
        with whose:
            assert "stored just now" not in str(acmes.why("p", subject=SECRET, n=1))
            assert "invalidated" not in str(acmes.why("p", subject=SECRET, n=1))


def test_not_the_message_of_a_miss_in_replay(acmes, get):
    """It names the nearest entry: of the same tenant."""
    whose = "nothing is stored under this prefix for the tenant 'globex'"
    with acmes.tenant("globex"), acmes.mode("replay"), pytest.raises(ReplayMissError, match=whose):
        get(acmes, "p", never, subject="x", n=1)


def test_not_a_listing(acmes):
    """By prefix, by key, by the digits of its id, in the trash: not there."""
    entry = next(acmes.entries())
    with acmes.tenant("globex"):
        assert list(acmes.entries()) == []
        assert list(acmes.entries("p")) == []
        assert list(acmes.entries(keys=[entry.key])) == []
        assert acmes.find(entry.id) == []
        assert acmes.find(entry.key.hex()) == []
    with acmes.tenant("acme"):
        assert [e.key for e in acmes.entries("p", keys=[entry.key])] == [entry.key]
        assert [e.key for e in acmes.find(entry.id)] == [entry.key]


@pytest.mark.parametrize("call", ["entries", "invalidate_prefix"])
def test_a_block_is_not_left_by_naming_another(acmes, call):
    """`tenant=` narrows all of them to one; in a block it may only be that one."""
    with acmes.tenant("globex"), pytest.raises(ConfigError, match=r"'globex'.*about 'acme'"):
        getattr(acmes, call)("p", tenant="acme")
    with acmes.tenant("acme"):
        assert len(list(acmes.entries("p", tenant="acme"))) == 1
        assert acmes.invalidate_prefix("p", tenant="acme").entries == 1


def test_not_the_statistics(acmes):
    """Counts, sizes, prefixes, models, reasons: globex's own, which are none."""
    policy = CachePolicy(store_if=["not_empty"])
    with acmes.tenant("acme"):
        acmes.get_or_generate_sync("acmes_own", lambda: "", policy=policy)
        theirs = acmes.get_stats()
    with acmes.tenant("globex"):
        stats = acmes.get_stats()
    assert (theirs["total"]["entries"], theirs["total"]["hits"]) == (1, 1)
    assert theirs["total"]["not_stored_because"] == {"empty": 1}
    assert (stats["prefixes"], stats["file_entries"], stats["since"]) == ({}, 0, None)
    assert stats["total"]["not_stored_because"] == {}
    assert {v for v in stats["total"].values() if not isinstance(v, dict)} <= {0, None}
    of_process = ("hits", "misses", "coalesced", "errors", "memory_entries")
    assert [theirs[name] for name in of_process] == [1, 2, 0, 0, 1]
    assert {stats[name] for name in of_process} == {0}


@pytest.mark.parametrize(
    "drop",
    [
        lambda c, key: c.invalidate("p", subject=SECRET, n=1),
        lambda c, key: c.invalidate_prefix("p"),
        lambda c, key: c.invalidate_prefix("p", keep=True),
        lambda c, key: c.invalidate_entries([key]),
        lambda c, key: c.clear_all(),
    ],
    ids=["params", "prefix", "to the trash", "key", "all"],
)
def test_nothing_of_another_is_dropped(acmes, drop):
    """Globex drops everything it can name; acme's stays, in the store and in memory."""
    key = next(acmes.entries()).key
    with acmes.tenant("globex"):
        assert drop(acmes, key).entries == 0
    with acmes.tenant("acme"):
        assert acmes.get_or_generate_sync("p", never, subject=SECRET, n=1) == SECRET
        assert drop(acmes, key).entries == 1
        assert list(acmes.entries()) == []


@pytest.mark.parametrize(
    "drop",
    [
        lambda c, key: c.invalidate_prefix("p"),
        lambda c, key: c.invalidate_entries([key]),
        lambda c, key: c.clear_all(),
    ],
    ids=["prefix", "key", "all"],
)
async def test_no_generation_of_another_is_voided(cache, drop):
    """What acme has under way is kept, and generated once, whatever globex drops meanwhile."""
    cache._engine.components.store.open()
    begun, go = asyncio.Event(), asyncio.Event()

    async def generate():
        begun.set()
        await go.wait()
        return SECRET

    async with asyncio.timeout(GUARD_S):
        with cache.tenant("acme"):
            first = asyncio.create_task(cache.lookup("p", generate))
        await begun.wait()
        key = cache._engine.components.flights.under_way()[0].identity.key
        with cache.tenant("globex"):
            drop(cache, key)
        with cache.tenant("acme"):
            second = asyncio.create_task(cache.lookup("p", never))
        await asyncio.sleep(0)
        go.set()
        outcomes = [(await task).outcome for task in (first, second)]
        # Joined; or, where its look-up took until the value was stored, found as it was kept.
        assert outcomes[0] is Outcome.MISS
        assert outcomes[1] in {Outcome.COALESCED, Outcome.HIT}
        assert cache._engine.components.flights.wait_until_stored(GUARD_S)
    assert [e.tenant for e in cache.entries()] == ["acme"]


def test_not_the_trash(acmes):
    """Globex neither sees nor restores what acme dropped."""
    with acmes.tenant("acme"):
        key = next(acmes.entries()).key
        assert acmes.invalidate_prefix("p", keep=True).entries == 1
    with acmes.tenant("globex"):
        assert list(acmes.trash.entries()) == []
        assert acmes.trash.find(key.hex()[:8]) == []
        assert acmes.trash.restore([key]) == []
    with acmes.tenant("acme"):
        assert acmes.trash.restore([key]) == [key]


def test_clearing_a_tenant_empties_its_trash(acmes):
    """For good, as without a tenant; another's trash stays."""
    for tenant in ("acme", "globex"):
        with acmes.tenant(tenant):
            acmes.put("p", SECRET, n=2)
            acmes.invalidate_prefix("p", keep=True)
    with acmes.tenant("acme"):
        acmes.clear_all()
        assert list(acmes.trash.entries()) == []
    with acmes.tenant("globex"):
        assert len(list(acmes.trash.entries())) == 1


async def test_not_the_awaitable_calls(acmes):
    """Which hop to a thread, and take the tenant along."""
    entry = next(acmes.entries())
    ask = {"subject": SECRET, "n": 1}
    with acmes.tenant("globex"):
        assert await acmes.aio.entries() == []
        assert await acmes.aio.find(entry.id) == []
        assert await acmes.aio.peek("p", **ask) is None
        assert "nothing is stored" in str(await acmes.aio.why("p", **ask))
        assert (await acmes.aio.get_stats())["prefixes"] == {}
        assert (await acmes.aio.invalidate("p", **ask)).entries == 0
        assert (await acmes.aio.invalidate_prefix("p")).entries == 0
        assert (await acmes.aio.invalidate_entries([entry.key])).entries == 0
        assert (await acmes.aio.clear_all()).entries == 0
        await acmes.aio.put("p", "globex's", **ask)
    with acmes.tenant("acme"):
        assert (await acmes.aio.peek("p", **ask)).value == SECRET
        assert (await acmes.aio.clear_all()).entries == 1


async def test_not_while_blocks_of_two_tenants_take_turns_on_the_threads(acmes):
    """The threads of the pool are the same; what they are asked on behalf of is not."""

    async def ask(tenant):
        with acmes.tenant(tenant):
            await acmes.aio.put("p", tenant, n=0)
            return (await acmes.aio.peek("p", n=0)).value

    tenants = [f"tenant {n}" for n in range(30)]
    assert await asyncio.gather(*map(ask, tenants)) == tenants


@pytest.mark.parametrize("way", ["get_or_generate", "get_or_generate_sync"])
def test_not_what_is_made_behind(cache, clock, way, asker):
    """A stale entry is regenerated on a thread or task of its own: for the same tenant."""
    policy = CachePolicy(ttl="1h", grace="1h")
    asker = asker(cache, way, policy)
    for tenant in ("acme", "globex"):
        with cache.tenant(tenant):
            asker.ask()
    clock.now += 1.5 * HOUR_S
    with cache.tenant("acme"):
        assert asker.ask() == "made 1"
        assert asker.ask() == "made 3"
    with cache.tenant("globex"):
        assert cache.peek("p", policy=policy, n=1).value == "made 2"


@pytest.mark.parametrize("way", ["get_or_generate", "get_or_generate_sync"])
def test_not_what_is_fallen_back_on(cache, clock, way, asker):
    """When the generator fails, nobody gets what was made for another."""
    policy = CachePolicy(ttl="1h", stale_if_error="2h")
    asker = asker(cache, way, policy)
    with cache.tenant("acme"):
        asker.ask()
    clock.now += 1.5 * HOUR_S
    asker.fails = True
    with cache.tenant("acme"):
        assert asker.ask() == "made 1"
    with cache.tenant("globex"), pytest.raises(asker.error):
        asker.ask()


def test_not_an_orphan_of_another_version(make_cache):
    """A version is swept by tenant and prefix: of each tenant what is not current."""
    old = make_cache(prefixes={"p": {"version": "1"}})
    for tenant in ("acme", "globex"):
        with old.tenant(tenant):
            old.put("p", "text")
    new = make_cache(prefixes={"p": {"version": "2"}})
    with new.tenant("acme"):
        new.put("p", "text")
    assert new.prune(orphaned=True).entries == 2
    assert [(e.tenant, e.version) for e in new.entries()] == [("acme", "2")]


def test_events_and_log_name_the_tenant(make_cache, caplog):
    """So that who reads the log of all of them can tell whose it was."""
    events = []
    cache = make_cache(on_event=events.append)
    with caplog.at_level(logging.DEBUG, "llm_cache"), cache.tenant("acme"):
        cache.get_or_generate_sync("p", lambda: "text")
        cache.get_or_generate_sync("p", lambda: "text")
    assert [event.tenant for event in events] == ["acme", "acme"]
    assert all(m.startswith("acme: p ") for m in caplog.messages)


# The command line.


@pytest.fixture
def cli(tmp_path, directory, monkeypatch, capfd):
    """Runs `llm-cache` on a cache in which acme has two entries and globex one."""
    monkeypatch.chdir(tmp_path)
    with LLMCache(directory) as cache:
        for tenant, n in (("acme", 1), ("acme", 2), ("globex", 1)):
            with cache.tenant(tenant):
                cache.put("p", f"{tenant}'s text {n}", subject=f"{tenant}'s", n=n)

    def cli(*args, **environ):
        with monkeypatch.context() as patched:
            for name, value in environ.items():
                patched.setenv(name, value)
            code = run(["--cache-dir", str(directory), *args])
        sys.stdout.flush()
        return code, *capfd.readouterr()

    return cli


@pytest.fixture(params=["flag", "environment", "file"])
def as_tenant(request, cli, tmp_path):
    """Runs `llm-cache` for a tenant that is said in one way."""

    def as_tenant(tenant, *args):
        match request.param:
            case "flag":
                return cli("--tenant", tenant, *args)
            case "environment":
                return cli(*args, LLM_CACHE_TENANT=tenant)
            case _:
                (tmp_path / "cache.toml").write_text(f'[cache]\ntenant = "{tenant}"\n')
                return cli(*args)

    return as_tenant


def tenants_in(directory):
    """Whose entries are left."""
    with LLMCache(directory) as cache:
        return sorted(e.tenant for e in cache.entries())


def test_the_command_line_lists_all_of_them(cli):
    """Unless it is told whose."""
    code, out, _ = cli("ls", "--json")
    assert code == 0
    assert sorted(e["tenant"] for e in json.loads(out)["entries"]) == ["acme", "acme", "globex"]


def test_ls_lists_a_tenant_alone(as_tenant):
    """In every form."""
    for form in ((), ("--json",), ("--jsonl",), ("--quiet",), ("p",), ("-p", "p*")):
        code, out, err = as_tenant("globex", "ls", *form)
        assert code == 0
        assert "acme" not in out + err
        assert out.count("\n") == 1 or json.loads(out)["entries"][0]["tenant"] == "globex"
    assert len(as_tenant("acme", "ls", "-q")[1].split()) == 2


def test_stats_count_a_tenant_alone(as_tenant):
    """Entries, and those of each prefix."""
    for tenant, entries in (("acme", 2), ("globex", 1), ("initech", 0)):
        document = json.loads(as_tenant(tenant, "stats", "--json")[1])
        counts = document["total"], *document["prefixes"].values()
        assert [count["entries"] for count in counts] == [entries] * len(counts)


def test_inspect_finds_no_entry_of_another(as_tenant, directory):
    """It is not there, exit code 3."""
    with LLMCache(directory) as cache, cache.tenant("acme"):
        ids = [e.id for e in cache.entries()]
    for form in ((), ("--json",), ("--raw",)):
        code, out, err = as_tenant("globex", "inspect", ids[0], *form)
        assert code == 3
        assert "acme" not in out + err
    assert as_tenant("acme", "inspect", ids[0])[0] == 0


def test_invalidate_drops_nothing_of_another(as_tenant, directory):
    """By id not there; by prefix its own only."""
    with LLMCache(directory) as cache, cache.tenant("acme"):
        first = next(cache.entries()).id
    assert as_tenant("globex", "invalidate", first, "--yes")[0] == 3
    code, out, err = as_tenant("globex", "invalidate", "-p", "p", "--dry-run")
    assert (code, "acme" in out + err) == (0, False)
    assert as_tenant("globex", "invalidate", "-p", "p", "--yes")[0] == 0
    assert tenants_in(directory) == ["acme", "acme"]
    assert as_tenant("acme", "invalidate", first, "--yes")[0] == 0
    assert tenants_in(directory) == ["acme"]


def test_clear_drops_a_tenant_alone(as_tenant, directory):
    """It says how much that is before, and does that."""
    _, out, err = as_tenant("globex", "clear", "--dry-run")
    assert "1 entry" in out + err
    assert as_tenant("globex", "clear", "--yes")[0] == 0
    assert tenants_in(directory) == ["acme", "acme"]


def test_why_asks_for_a_tenant(as_tenant):
    """The same request hits for one and misses for the other; the nearest one is its own."""
    assert as_tenant("acme", "why", "p", "subject=acme's", "n=2")[1].startswith("hit")
    _, out, err = as_tenant("globex", "why", "p", "subject=acme's", "n=2")
    assert out.startswith("miss")
    assert "globex's" in out
    assert '"acme\'s" there' not in out + err
    _, out, err = as_tenant("initech", "why", "p", "n=2")
    assert "nothing is stored under this prefix for the tenant 'initech'" in out
    assert "acme" not in out + err


def test_warm_makes_what_is_missing_for_a_tenant(cli, directory, tmp_path, monkeypatch):
    """What it says to go on with is for the same one."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    module = "def page(n):\n    if n == 13:\n        raise TypeError\n    return 'text'\n"
    (tmp_path / "tenants_lessons.py").write_text(module)
    (tmp_path / "cache.toml").write_text(
        '[[warm]]\nprefix = "page"\ngenerate = "tenants_lessons:page"\n'
        "params = [{ n = 1 }, { n = 13 }]\nretries = 0\n"
    )
    code, _, err = cli("--tenant", "initech", "warm")
    assert code == 1
    assert "--tenant initech warm" in err
    with LLMCache(directory) as cache:
        assert [e.tenant for e in cache.entries("page")] == ["initech"]
    assert "1 was fresh" in cli("--tenant", "initech", "warm")[2]
    assert "1 made" in cli("--tenant", "acme", "warm")[2]
    sys.modules.pop("tenants_lessons")


def test_the_flag_goes_before_the_environment(cli):
    """As everywhere on the command line."""
    _, out, _ = cli("--tenant", "globex", "ls", "--json", LLM_CACHE_TENANT="acme")
    assert [e["tenant"] for e in json.loads(out)["entries"]] == ["globex"]


def test_the_flag_may_name_the_tenant_without_a_name(cli, directory):
    """`--tenant ""` is what belongs to nobody in particular."""
    with LLMCache(directory) as cache:
        cache.put("p", "nobody's")
    _, out, _ = cli("--tenant", "", "ls", "--json")
    assert [e["tenant"] for e in json.loads(out)["entries"]] == [""]
