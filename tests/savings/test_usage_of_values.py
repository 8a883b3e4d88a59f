"""What a value cost is told by `Generated`, else by its shape; nonsense counts as unknown."""

import asyncio
import dataclasses
import math
import types

import pytest

from llm_cache import CacheConfig, CachePolicy, Generated, LLMCache, Usage, cached_llm_call

PAGE = "Adding fractions"
USAGE = Usage(input_tokens=812, output_tokens=1204, cost_usd=0.0043, model="gpt-5-mini")
MEASURES = ("input_tokens", "output_tokens", "cost_usd", "model")


@dataclasses.dataclass
class Grade:
    """A type of the user's own."""

    name: str


def made():
    """A page with what it cost."""
    return Generated(PAGE, usage=USAGE)


async def made_async():
    """The same, awaited."""
    return made()


def never():
    """A generator that is not called."""
    raise AssertionError


def measures(entry):
    """What an entry tells of its making."""
    return tuple(getattr(entry, name) for name in MEASURES)


def _get(cache):
    return cache.get_or_generate_sync("page", made, n=1)


def _get_of_async(cache):
    return cache.get_or_generate_sync("page", made_async, n=1)


def _get_async(cache):
    return asyncio.run(cache.get_or_generate("page", made_async, n=1))


def _lookup(cache):
    return cache.lookup_sync("page", made, n=1).value


def _lookup_async(cache):
    return asyncio.run(cache.lookup("page", made_async, n=1)).value


def _decorated(cache):
    @cached_llm_call("page", cache=cache)
    def page(n: int) -> Generated[str]:
        return made()

    return page(1)


def _decorated_async(cache):
    @cached_llm_call("page", cache=cache)
    async def page(n: int) -> Generated[str]:
        return made()

    return asyncio.run(page(1))


def _refreshed(cache):
    @cached_llm_call("page", cache=cache)
    def page(n):
        return made()

    return page.refresh(1)


def _put(cache):
    cache.put("page", made(), n=1)
    return cache.peek("page", n=1).value


def _put_async(cache):
    asyncio.run(cache.aio.put("page", made(), n=1))
    return cache.peek("page", n=1).value


def _warmed(cache):
    @cached_llm_call("page", cache=cache)
    def page(n):
        return made()

    report = asyncio.run(cache.warm({page: [{"n": 1}]}))
    assert report.made == 1
    return page(1)


WAYS = [
    *(_get, _get_of_async, _get_async, _lookup, _lookup_async, _decorated, _decorated_async),
    *(_refreshed, _put, _put_async, _warmed),
]


@pytest.fixture(params=WAYS, ids=lambda way: way.__name__.removeprefix("_"))
def way(request):
    """A way for a value to come into a cache; gives what its caller gets."""
    return request.param


def test_callers_get_the_bare_value(cache, way):
    """Whichever way it comes, the first time and from the cache."""
    assert way(cache) == PAGE
    assert cache.get_or_generate_sync("page", never, n=1) == PAGE


def test_the_entry_tells_what_it_cost(make_cache, way):
    """In this cache and after a restart."""
    cache = make_cache()
    way(cache)
    cache.close()
    again = make_cache()
    assert measures(again.peek("page", n=1)) == (812, 1204, 0.0043, "gpt-5-mini")
    [listed] = again.entries("page")
    assert measures(listed) == (812, 1204, 0.0043, "gpt-5-mini")


def test_how_long_it_took_outlives_a_restart(make_cache):
    """To the bit; what was put took no time that anybody measured."""
    cache = make_cache()
    result = cache.lookup_sync("page", made, n=1)
    cache.put("page", made(), n=2)
    cache.close()
    again = make_cache()
    assert result.entry.generation_seconds > 0
    assert again.peek("page", n=1).generation_seconds == result.entry.generation_seconds
    assert again.peek("page", n=2).generation_seconds is None


@pytest.mark.parametrize("left_out", [{"ttl": 0}, {"mode": "off"}], ids=["ttl", "mode"])
@pytest.mark.parametrize("get", ["sync", "async"])
def test_a_bypass_unwraps_too(cache, left_out, get):
    """Also what the cache leaves alone is no business of the caller's."""
    policy = CachePolicy(**left_out)
    if get == "sync":
        assert cache.get_or_generate_sync("page", made, policy=policy, n=1) == PAGE
    else:
        got = asyncio.run(cache.get_or_generate("page", made_async, policy=policy, n=1))
        assert got == PAGE


def test_a_disabled_cache_unwraps_too(tmp_path):
    """Code that says what things cost works without a cache."""
    with LLMCache(config=CacheConfig(cache_dir=tmp_path / "cache", enabled=False)) as cache:
        assert cache.get_or_generate_sync("page", made, n=1) == PAGE


def test_a_refused_value_is_unwrapped(cache):
    """The gate sees the bare value, and so does the caller."""
    seen = []

    def is_good(value):
        seen.append(value)
        return False

    policy = CachePolicy(cache_if=is_good)
    assert cache.get_or_generate_sync("page", made, policy=policy, n=1) == PAGE
    assert seen == [PAGE]


def test_a_typed_value_comes_back_as_its_type(cache):
    """The annotation may be that of the bare value, or of `Generated` of it."""

    def of_generated() -> Generated[Grade]:
        return Generated(Grade("5"))

    def of_value() -> Grade:
        return Generated(Grade("6"))

    for generator, grade in ((of_generated, Grade("5")), (of_value, Grade("6"))):
        for _ in range(2):
            got = cache.get_or_generate_sync("grade", generator, grade=grade.name)
            assert got == grade


# By its shape.


def chat(**more):
    """An answer of OpenAI's chat completions."""
    return {
        "object": "chat.completion",
        "model": "gpt-5-mini",
        "choices": [{"finish_reason": "stop", "message": {"content": "Hello."}}],
        "usage": {
            "prompt_tokens": 300,
            "completion_tokens": 70,
            "prompt_tokens_details": {"cached_tokens": 100},
        },
        **more,
    }


RESPONSES = {
    "object": "response",
    "model": "gpt-5-mini",
    "output": [],
    "usage": {
        "input_tokens": 300,
        "input_tokens_details": {"cached_tokens": 100},
        "output_tokens": 70,
    },
}
ANTHROPIC = {
    "type": "message",
    "model": "gpt-5-mini",
    "stop_reason": "end_turn",
    "content": [{"type": "text", "text": "Hello."}],
    "usage": {
        "input_tokens": 150,
        "cache_read_input_tokens": 100,
        "cache_creation_input_tokens": 50,
        "output_tokens": 70,
    },
}
SHAPES = {"chat": chat(), "responses": RESPONSES, "anthropic": ANTHROPIC}
PRICES = {"gpt-5-mini": {"input": 10.0, "output": 100.0, "cached_input": 1.0}}
COST = (200 * 10.0 + 100 * 1.0 + 70 * 100.0) / 1e6


def as_object(value):
    """The same with attributes in place of names."""
    match value:
        case dict():
            return types.SimpleNamespace(**{name: as_object(v) for name, v in value.items()})
        case list():
            return [as_object(item) for item in value]
        case _:
            return value


@pytest.mark.parametrize("answer", SHAPES.values(), ids=SHAPES)
def test_a_dict_in_the_shape_of_an_answer_tells_its_cost(make_cache, answer):
    """Tokens from the provider's cache, and those written to it, are among those that went in."""
    cache = make_cache(prices=PRICES)
    cache.get_or_generate_sync("page", lambda: answer, n=1)
    entry = cache.peek("page", n=1)
    assert measures(entry) == (300, 70, pytest.approx(COST), "gpt-5-mini")


@pytest.mark.parametrize("answer", SHAPES.values(), ids=SHAPES)
def test_an_object_in_the_shape_of_an_answer_is_counted(make_cache, answer):
    """Though a plain object cannot be kept, what it cost was spent."""
    cache = make_cache(prices=PRICES)
    cache.get_or_generate_sync("page", lambda: as_object(answer), n=1)
    total = cache.get_stats()["total"]
    spent = (total["input_tokens"], total["output_tokens"], total["cost_usd"])
    assert spent == (300, 70, pytest.approx(COST))
    assert total["not_stored_because"] == {"not the same": 1}


def test_what_is_said_goes_before_the_shape(make_cache):
    """Field by field: what is left out is taken from the value."""
    cache = make_cache(prices=PRICES)
    said = Usage(input_tokens=5, cost_usd=0.25)
    cache.put("page", Generated(chat(), usage=said), n=1)
    assert measures(cache.peek("page", n=1)) == (5, 70, 0.25, "gpt-5-mini")
    cache.put("page", Generated(chat(), usage=Usage(model="mine")), n=2)
    assert measures(cache.peek("page", n=2)) == (300, 70, None, "mine")


def test_nothing_that_went_in_is_something_else_than_unknown(cache):
    """A count of 0 is said, and stands before the shape."""
    cache.put("page", Generated(chat(), usage=Usage(input_tokens=0, output_tokens=0)), n=1)
    assert measures(cache.peek("page", n=1))[:2] == (0, 0)


def test_text_alone_tells_nothing(cache):
    """Unknown is None, never 0."""
    cache.get_or_generate_sync("page", lambda: PAGE, n=1)
    cache.put("page", Generated(PAGE), n=2)
    for n in (1, 2):
        assert measures(cache.peek("page", n=n)) == (None, None, None, None)


# Nonsense.

NO_COUNTS = {
    "negative": -1,
    "a bool": True,
    "a float": 3.0,
    "NaN": math.nan,
    "a text": "812",
    "more than fits": 2**63,
    "more than anybody sells": 2**62,
    "huge": 10**400,
}
NO_DOLLARS = {
    "negative": -0.01,
    "a bool": True,
    "NaN": math.nan,
    "infinite": math.inf,
    "a text": "0.25",
    "huge": 10**400,
    "more than anybody pays": 1e300,
}
NO_MODELS = {"a number": 5, "bytes": b"gpt", "empty": "", "a list": ["gpt"]}
NONSENSE = [
    *(
        pytest.param({name: value}, name, id=f"{name}, {what}")
        for name in ("input_tokens", "output_tokens", "cached_tokens")
        for what, value in NO_COUNTS.items()
    ),
    *(
        pytest.param({"cost_usd": v}, "cost_usd", id=f"cost_usd, {w}")
        for w, v in NO_DOLLARS.items()
    ),
    *(pytest.param({"model": v}, "model", id=f"model, {w}") for w, v in NO_MODELS.items()),
]


@pytest.mark.parametrize(("said", "name"), NONSENSE)
def test_nonsense_counts_as_unknown(cache, said, name):
    """The value is kept, given again and again, and its figures add up."""
    generated = Generated(PAGE, usage=Usage(**said))
    for _ in range(4):
        assert cache.get_or_generate_sync("page", lambda: generated, n=1) == PAGE
    assert getattr(cache.peek("page", n=1), name, None) is None
    total = cache.get_stats()["total"]
    assert (total["misses"], total["hits"], total["input_tokens"]) == (1, 3, 0)
    assert total["saved_usd"] == total["cost_usd"] == 0


@pytest.mark.parametrize("usage", [None, 5, {"input_tokens": 5}], ids=repr)
def test_a_usage_that_is_none_is_unknown(cache, usage):
    """A dataclass checks nothing, so anything may be there."""
    assert cache.get_or_generate_sync("page", lambda: Generated(PAGE, usage), n=1) == PAGE
    assert measures(cache.peek("page", n=1)) == (None, None, None, None)


@pytest.mark.parametrize("tokens", NO_COUNTS.values(), ids=NO_COUNTS)
def test_nonsense_in_an_answer_is_unknown(cache, tokens):
    """As if the provider had said nothing."""
    answer = {**ANTHROPIC, "usage": {"input_tokens": tokens, "output_tokens": tokens}}
    for _ in range(4):
        cache.get_or_generate_sync("page", lambda: as_object(answer), n=1)
    total = cache.get_stats()["total"]
    assert (total["generations"], total["input_tokens"], total["output_tokens"]) == (4, 0, 0)


def test_the_longest_model_is_cut_off(make_cache):
    """What is no name any more is kept as far as one is read; odd letters do no harm."""
    cache = make_cache()
    cache.put("page", Generated(PAGE, usage=Usage(model="m" * 10_000)), n=1)
    cache.put("page", Generated(PAGE, usage=Usage(model="gpt\0\ud800-5")), n=2)
    cache.close()
    again = make_cache()
    assert again.peek("page", n=1).model == "m" * 200
    assert again.peek("page", n=2).model == "gpt??-5"


@pytest.mark.parametrize("tokens", [10**9, 0])
def test_the_largest_counts_add_up(cache, tokens):
    """Hits of what is just believed are all counted."""
    generated = Generated(PAGE, usage=Usage(input_tokens=tokens, output_tokens=tokens))
    for _ in range(11):
        cache.get_or_generate_sync("page", lambda: generated, n=1)
    total = cache.get_stats()["total"]
    assert total["saved_input_tokens"] == total["saved_output_tokens"] == 10 * tokens
