"""Live, refresh, replay and off: what a request does with the cache, and who decides that."""

import asyncio
import contextlib
import threading

import pytest

from llm_cache import (
    CachePolicy,
    ConfigError,
    Reason,
    ReplayMissError,
    cached_llm_call,
)
from llm_cache.core.policy import Mode

MODES = tuple(Mode)
YEAR_S = 365 * 86_400.0
LOOSER = ("live", "refresh", "off")


def never():
    """A generator that nobody may call."""
    raise AssertionError


@pytest.fixture(params=["config", "environment", "block", "call or decorator", "prefix"])
def in_mode(request, load_cache, way, asker):
    """Makes askers of caches that are in a mode because one source says so."""
    with contextlib.ExitStack() as blocks:

        def in_mode(mode):
            cache, policy = None, None
            match request.param:
                case "config":
                    cache = load_cache(f'[cache]\nmode = "{mode}"')
                case "environment":
                    cache = load_cache(LLM_CACHE_MODE=mode)
                case "block":
                    cache = load_cache()
                    blocks.enter_context(cache.mode(mode))
                case "call or decorator":
                    cache, policy = load_cache(), CachePolicy(mode=mode)
                case "prefix":
                    cache = load_cache(f'[prefixes.p]\nmode = "{mode}"')
            return asker(cache, way, policy)

        yield in_mode


@pytest.fixture
def stored(make_cache):
    """What is stored for a request, None if nothing is."""
    cache = make_cache()

    def stored(n=1):
        entry = cache.peek("p", n=n)
        return None if entry is None else entry.value

    return stored


def test_live_makes_what_is_missing_and_then_answers_from_it(in_mode, stored):
    """Whoever says so."""
    asker = in_mode("live")
    assert [asker.ask(), asker.ask()] == ["made 1", "made 1"]
    assert stored() == "made 1"


def test_refresh_makes_anew_and_replaces(make_cache, in_mode, stored):
    """Each time, also what is in memory."""
    make_cache().put("p", "old", n=1)
    asker = in_mode("refresh")
    assert [asker.ask(), asker.ask()] == ["made 1", "made 2"]
    assert stored() == "made 2"


def test_a_refresh_that_fails_leaves_what_was_there(make_cache, in_mode, stored):
    """Its caller gets the error, and the next live request the old entry."""
    make_cache().put("p", "old", n=1)
    asker = in_mode("refresh")
    asker.fails = True
    with pytest.raises(asker.error):
        asker.ask()
    assert stored() == "old"


def test_replay_answers_whatever_the_age(make_cache, in_mode, clock):
    """Twice: from the store, then from memory."""
    make_cache().put("p", "old", ttl="1h", n=1)
    clock.now += YEAR_S
    asker = in_mode("replay")
    assert [asker.ask(), asker.ask()] == ["old", "old"]
    assert asker.made == 0


def test_replay_never_generates(in_mode, stored):
    """What is missing is an error."""
    asker = in_mode("replay")
    for _ in range(2):
        with pytest.raises(ReplayMissError, match="nothing is stored under this prefix"):
            asker.ask()
    assert asker.made == 0
    assert stored() is None


def test_off_leaves_no_trace(make_cache, in_mode, stored):
    """Neither what was there, nor what is made, nor a count, nor a copy in memory."""
    cache = make_cache()
    cache.put("p", "old", n=1)
    before = cache.get_stats()
    asker = in_mode("off")
    assert [asker.ask(), asker.ask(), asker.ask(2)] == ["made 1", "made 2", "made 3"]
    assert (stored(), stored(2)) == ("old", None)
    assert asker.cache.get_stats()["memory_entries"] == 0
    assert cache.get_stats()["total"] == before["total"]


def test_off_makes_no_directory(load_cache, directory, way, asker):
    """An application that has it off needs no place to write."""
    assert asker(load_cache(LLM_CACHE_MODE="off"), way).ask() == "made 1"
    assert not directory.exists()


def test_a_hit_in_memory_does_not_outlive_a_change_of_mode(cache, way, asker):
    """The same request, live and in blocks of the other modes, in turn."""
    asker = asker(cache, way)
    assert [asker.ask(), asker.ask()] == ["made 1", "made 1"]
    with cache.mode("off"):
        assert asker.ask() == "made 2"
    assert asker.ask() == "made 1"
    with cache.mode("refresh"):
        assert asker.ask() == "made 3"
    assert asker.ask() == "made 3"
    with cache.mode("replay"):
        assert asker.ask() == "made 3"


def test_replay_in_memory_disregards_the_age(cache, clock, way, asker):
    """What is expired for a live request is not for a replayed one, and the other way round."""
    asker = asker(cache, way, CachePolicy(ttl="1h"))
    assert asker.ask() == "made 1"
    clock.now += YEAR_S
    with cache.mode("replay"):
        assert [asker.ask(), asker.ask()] == ["made 1", "made 1"]
    assert asker.ask() == "made 2"


def test_replay_takes_a_recording_from_the_future(cache, clock, way, asker):
    """A recording made by a machine whose clock is ahead is one all the same."""
    clock.now += YEAR_S
    cache.put("p", "recorded", n=1)
    clock.now -= YEAR_S
    with cache.mode("replay"):
        assert asker(cache, way).ask() == "recorded"


def mode_of(cache, **kwargs):
    """The mode that a request for something fresh was answered in, by the reason it is told."""
    cache.put("p", "old", policy=CachePolicy(mode="live"))
    return {
        Reason.FRESH: "live",
        Reason.REFRESHED: "refresh",
        Reason.RECORDED: "replay",
        Reason.MODE_OFF: "off",
    }[cache.lookup_sync("p", lambda: "new", **kwargs).reason]


@pytest.mark.parametrize("other", MODES)
@pytest.mark.parametrize("mode", MODES)
def test_the_call_goes_before_the_block_and_that_before_the_rest(load_cache, mode, other):
    """Before the environment, too, unless that says replay."""
    environ = {} if other == "replay" else {"LLM_CACHE_MODE": other}
    cache = load_cache(f'[prefixes.p]\nmode = "{other}"\n[cache]\nmode = "{other}"', **environ)
    assert mode_of(cache) == other
    with cache.mode(other):
        assert mode_of(cache, policy=CachePolicy(mode=mode)) == mode
        with cache.mode(mode):
            assert mode_of(cache) == mode


def test_the_environment_goes_before_the_file_and_the_decorator(load_cache, way, asker):
    """An operator's variable decides for one run."""
    cache = load_cache('[prefixes.p]\nmode = "refresh"', LLM_CACHE_MODE="live")
    policy = CachePolicy(mode="refresh") if way.startswith("decorated") else None
    asker = asker(cache, way, policy)
    assert [asker.ask(), asker.ask()] == ["made 1", "made 1"]


def test_blocks_nest(cache, asker):
    """The inner one counts, and the outer one again after it."""
    asker = asker(cache, "get_or_generate_sync")
    with cache.mode("refresh"):
        asker.ask()
        with cache.mode("live"):
            assert asker.ask() == "made 1"
        assert asker.ask() == "made 2"
    assert asker.ask() == "made 2"


def test_a_block_ends_with_an_exception(cache, asker):
    """The mode of before is in force again."""
    asker = asker(cache, "get_or_generate_sync")
    asker.ask()
    with pytest.raises(KeyError), cache.mode("refresh"):
        raise KeyError
    assert asker.ask() == "made 1"


@pytest.mark.parametrize("mode", ["relive", "", "LIVE", None, 1])
def test_there_is_no_other_mode(cache, mode):
    """It is said which there are."""
    with (
        pytest.raises(ConfigError, match="'live' or 'refresh' or 'replay' or 'off'"),
        cache.mode(mode),
    ):
        pass


async def test_tasks_keep_their_own_mode(cache):
    """Four that run at once, each in a block of its own, in a mode of its own."""
    cache.put("p", "old", n="live")
    cache.put("p", "old", n="replay")
    cache.put("p", "old", n="off")
    cache.put("p", "old", n="refresh")
    all_are_in = asyncio.Barrier(len(MODES))

    async def ask(mode):
        with cache.mode(mode):
            await all_are_in.wait()
            first = await cache.get_or_generate("p", lambda: f"by {mode}", n=str(mode))
            await all_are_in.wait()
            return first, await cache.get_or_generate("p", lambda: f"by {mode}", n=str(mode))

    answers = dict(zip(MODES, await asyncio.gather(*map(ask, MODES)), strict=True))
    assert answers == {
        "live": ("old", "old"),
        "replay": ("old", "old"),
        "off": ("by off", "by off"),
        "refresh": ("by refresh", "by refresh"),
    }
    assert cache.peek("p", n="off").value == "old"
    assert cache.peek("p", n="refresh").value == "by refresh"


async def test_a_task_inherits_the_mode_it_was_begun_in(cache):
    """Also after the block has ended."""
    cache.put("p", "old")
    with cache.mode("off"):
        task = asyncio.create_task(cache.get_or_generate("p", lambda: "new"))
    assert await task == "new"
    assert await cache.get_or_generate("p", lambda: "new") == "old"


def test_a_thread_does_not_inherit_the_mode(cache):
    """Nor does a mode set in a thread reach others."""
    cache.put("p", "old")
    answers = []

    def ask():
        answers.append(cache.get_or_generate_sync("p", lambda: "new"))

    with cache.mode("off"):
        thread = threading.Thread(target=ask)
        thread.start()
        thread.join()
    assert answers == ["old"]


def test_a_generator_asks_in_the_mode_of_its_caller(cache):
    """What it asks for itself is asked in the same block, also on a thread of its own."""
    cache.put("inner", "old")

    def outer():
        return cache.get_or_generate_sync("inner", lambda: "new")

    with cache.mode("refresh"):
        assert cache.get_or_generate_sync("p", outer) == "new"


# What the environment sets to replay, no code loosens.


@pytest.fixture
def replaying(load_cache):
    """A cache that the environment replays, over a file that wants everything else."""
    return load_cache(
        '[cache]\nmode = "off"\n[defaults]\nmode = "refresh"\n[prefixes.p]\nmode = "live"',
        LLM_CACHE_MODE="replay",
    )


@pytest.mark.parametrize("mode", LOOSER)
def test_neither_file_nor_call_nor_decorator_loosens_it(replaying, way, asker, mode):
    """The nearest sources say otherwise, in vain."""
    asker = asker(replaying, way, CachePolicy(mode=mode))
    with replaying.mode(mode), pytest.raises(ReplayMissError):
        asker.ask()
    replaying.put("p", "recorded", n=1)
    with replaying.mode(mode):
        assert asker.ask() == "recorded"
    assert asker.made == 0


@pytest.mark.parametrize("way", ["decorated", "decorated_sync"])
@pytest.mark.parametrize("is_recorded", [False, True])
def test_refreshing_one_function_does_not_loosen_it(replaying, way, asker, is_recorded):
    """`function.refresh` gives what is recorded, or says that nothing is."""
    asker = asker(replaying, way)
    if is_recorded:
        replaying.put("p", "recorded", n=1)
        assert asker.refresh() == "recorded"
    else:
        with pytest.raises(ReplayMissError):
            asker.refresh()
    assert asker.made == 0


@pytest.mark.parametrize("is_async", [False, True])
@pytest.mark.parametrize("refresh", [False, True])
async def test_warming_does_not_loosen_it(replaying, is_async, refresh):
    """What is missing fails, without a second try, and is not made."""
    calls = []
    if is_async:

        @cached_llm_call("p", cache=replaying)
        async def page(n):
            calls.append(n)
    else:

        @cached_llm_call("p", cache=replaying)
        def page(n):
            calls.append(n)

    replaying.put("p", None, n=1)
    report = await replaying.warm({page: [{"n": 1}, {"n": 2}]}, refresh=refresh)
    assert calls == []
    assert [type(error) for _, error in report.failed] == [ReplayMissError]


@pytest.mark.parametrize("text", ["", "[cache]\nenabled = false", '[prefixes.p]\nttl = "0s"'])
def test_a_cache_that_keeps_nothing_does_not_generate_either(load_cache, way, asker, text):
    """Under replay neither a ttl of 0 nor `enabled = false` lets a model be called."""
    asker = asker(load_cache(text, LLM_CACHE_MODE="replay"), way)
    with pytest.raises(ReplayMissError):
        asker.ask()
    assert asker.made == 0


def test_a_ttl_of_0_in_a_call_does_not_loosen_it(replaying):
    """The same from code."""
    made = []
    with pytest.raises(ReplayMissError, match="ttl is 0"):
        replaying.get_or_generate_sync("p", lambda: made.append(1), ttl=0)
    assert made == []


def test_a_store_in_trouble_does_not_loosen_it(replaying, directory, way, asker):
    """What cannot be read is no reason to call a model."""
    directory.write_text("a file where a directory should be")
    asker = asker(replaying, way)
    with pytest.raises(ReplayMissError):
        asker.ask()
    assert asker.made == 0


# What a miss in replay says.


@pytest.fixture
def miss(cache, get):
    """Asks in replay, sync or async; gives the message of the error."""

    def miss(**params):
        with cache.mode("replay"), pytest.raises(ReplayMissError) as raised:
            get(cache, "p", never, **params)
        return str(raised.value)

    return miss


def test_a_miss_names_the_nearest_entry_and_what_differs(cache, miss):
    """Of several it is the one that shares most."""
    cache.put("p", "far", subject="chemistry", grade="9")
    cache.put("p", "near", subject="math", grade="4")
    cache.put("q", "other", subject="math", grade="5")
    near = next(e for e in cache.entries("p") if e.params["subject"] == "math")
    assert miss(subject="math", grade="5") == (
        "p: the mode is replay, and nothing answers: "
        f"miss: the nearest entry, {near.id}, differs in grade\n"
        '  grade = "5" here, "4" there'
    )


def test_a_miss_tells_kinds_apart(cache, miss):
    """A text that looks like a number is not the number."""
    cache.put("p", "near", grade=5)
    assert '  grade = "5" here, 5 there: string and number' in miss(grade="5")


def test_a_miss_by_its_version_says_so(cache, miss):
    """The params agree, the revision does not."""
    cache.put("p", "near", policy=CachePolicy(version="1"), n=1)
    message = miss(policy=CachePolicy(version="2"), params={"n": 1})
    assert "version differs: 2 here, 1 there" in message


def test_a_miss_is_counted_and_generates_nothing(cache, miss):
    """As one that was asked for and was not there."""
    miss(n=1)
    miss(n=2)
    total = cache.get_stats()["total"]
    assert (total["misses"], total["generations"], total["entries"]) == (2, 0, 0)


def test_what_is_recorded_as_another_type_does_not_answer(cache):
    """It is told as such, and nothing is made."""
    cache.put("p", "text")

    def number() -> int:
        raise AssertionError

    with cache.mode("replay"), pytest.raises(ReplayMissError, match=Reason.OF_ANOTHER_TYPE):
        cache.get_or_generate_sync("p", number)


def test_a_hit_in_replay_says_so(cache):
    """From the store and from memory alike."""
    cache.put("p", "text")
    with cache.mode("replay"):
        told = [cache.lookup_sync("p", lambda: "new").reason for _ in range(2)]
    assert told == [Reason.RECORDED, Reason.RECORDED]
