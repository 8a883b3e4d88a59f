"""An argument of a wrong type is one clear error, at once, that names it and what to write."""

import asyncio
import dataclasses

import pytest

from llm_cache import (
    CacheConfig,
    CachePolicy,
    ConfigError,
    KeyParamError,
    LLMCache,
    PrefixError,
    cached_llm_call,
    set_cache,
)
from llm_cache.core.policy import POLICY_FIELDS


class Unlike:
    """Neither hashed nor shown."""

    __hash__ = None

    def __repr__(self):
        """What must be in no message."""
        return "SECRET"


@pytest.fixture
def cache(make_cache):
    """An empty cache."""
    return make_cache()


def text():
    """A generator."""
    return "text"


CALLS = {
    "get_or_generate": lambda cache, **given: asyncio.run(
        cache.get_or_generate("p", text, **given)
    ),
    "get_or_generate_sync": lambda cache, **given: cache.get_or_generate_sync("p", text, **given),
    "lookup_sync": lambda cache, **given: cache.lookup_sync("p", text, **given),
    "put": lambda cache, **given: cache.put("p", "v", **given),
    "peek": lambda cache, **given: cache.peek("p", **given),
    "why": lambda cache, **given: cache.why("p", **given),
    "invalidate": lambda cache, **given: cache.invalidate("p", **given),
}
WITH_TTL = ["get_or_generate", "get_or_generate_sync", "lookup_sync", "put"]


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("wrong", [1, "7d", {"ttl": "7d"}, Unlike(), CachePolicy], ids=range(5))
def test_a_policy_is_a_policy(cache, call, wrong):
    """Nothing else is, whether it has a hash or not."""
    with pytest.raises(
        ConfigError, match=r"^policy is .*: write CachePolicy\(ttl='7d'\)"
    ) as caught:
        call(cache, policy=wrong)
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("name", WITH_TTL)
@pytest.mark.parametrize("wrong", [[7], {}, object(), Unlike(), True, b"7d", 7], ids=range(7))
def test_a_ttl_is_a_duration(cache, name, wrong):
    """Nothing else is, beside a policy or without one."""
    for policy in (None, CachePolicy(grace="1d")):
        with pytest.raises(ConfigError, match=r"^ttl: .* write ") as caught:
            CALLS[name](cache, ttl=wrong, policy=policy)
        assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("name", WITH_TTL)
def test_a_policy_beside_a_ttl_is_a_policy(cache, name):
    """It is looked at as well."""
    with pytest.raises(ConfigError, match=r"^policy is of the type int"):
        CALLS[name](cache, ttl="7d", policy=1)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize("wrong", [[1], [("a", 1)], "a=1", 5, Unlike()], ids=range(5))
def test_params_are_a_mapping(cache, call, wrong):
    """Pairs and texts are none."""
    with pytest.raises(ConfigError, match=r"^params is of the type .*: write a dict, params=\{"):
        call(cache, params=wrong)


def test_names_of_params_are_texts(cache):
    """As before: that is about a key."""
    with pytest.raises(KeyParamError, match="names are str"):
        cache.peek("p", params={1: 2})


@pytest.mark.parametrize("wrong", [None, 5, "text"], ids=repr)
def test_a_generator_can_be_called(cache, wrong):
    """A value, or what a call returned, cannot."""
    with pytest.raises(ConfigError, match=r"^generator is .*: write a function that makes the v"):
        cache.get_or_generate_sync("p", wrong)


async def test_a_coroutine_is_no_generator(cache):
    """Who called the function instead of handing it over is told."""

    async def ask():
        return "text"

    coroutine = ask()
    with pytest.raises(ConfigError, match=r"^generator is of the type coroutine: write a function"):
        await cache.get_or_generate("p", coroutine)
    assert await coroutine == "text"


@pytest.mark.parametrize(
    ("given", "said"),
    [({"config": 5}, "config is of the type int: write CacheConfig"),
     ({"config": {}}, "config is of the type dict: write CacheConfig"),
     ({"on_event": 5}, "on_event is of the type int: write a function"),
     ({"clock": 5.0}, "clock is of the type float: write a function"),
     ({"clock": None}, "clock is None: write a function")],
    ids=repr,
)  # fmt: skip
def test_what_a_cache_is_made_of(tmp_path, given, said):
    """It is looked at when the cache is made, not when it is first used."""
    with pytest.raises(ConfigError, match=f"^{said}"):
        LLMCache(tmp_path, **given)


def test_nobody_would_await_an_async_listener(tmp_path):
    """What it returns would be dropped."""

    async def on_event(event): ...

    with pytest.raises(ConfigError, match=r"^on_event is async"):
        LLMCache(tmp_path, on_event=on_event)


def test_the_process_wide_cache_is_a_cache():
    """Or None, for a new one."""
    with pytest.raises(ConfigError, match=r"^cache is of the type str: write an LLMCache, or None"):
        set_cache(".cache/llm")


@pytest.mark.parametrize(
    ("given", "said"),
    [({"policy": 1}, "policy is of the type int"), ({"policy": {}}, "policy is of the type dict"),
     ({"policy": 1, "ttl": "1d"}, "policy is of the type int"), ({"ttl": [1]}, "ttl: an array"),
     ({"ttl_hours": "x"}, "ttl_hours: 'x' is not a number of hours"),
     ({"exclude": 5}, r"exclude is of the type int: write a tuple of names, exclude=\("),
     ({"exclude": {"a": 1}}, "exclude is of the type dict"),
     ({"cache": ".cache/llm"}, "cache is of the type str: write an LLMCache")],
    ids=repr,
)  # fmt: skip
def test_what_a_decorator_is_given(given, said):
    """It is looked at before there is a function."""
    with pytest.raises(ConfigError, match=f"^{said}"):
        cached_llm_call("p", **given)


def test_a_decorator_without_its_prefix_says_so():
    """`@cached_llm_call` alone takes the function for the prefix."""
    with pytest.raises(PrefixError, match=r"^the prefix is a function: write it as a str"):

        @cached_llm_call
        def page(subject):
            return subject


@pytest.mark.parametrize(
    ("call", "said"),
    [(lambda cache: cache.entries(b"p"), "prefix is of the type bytes"),
     (lambda cache: cache.entries(5), "prefix is of the type int"),
     (lambda cache: cache.entries(keys=5), r"keys is of the type int: write a list of keys"),
     (lambda cache: cache.entries(keys=["ab"]), "a key is of the type str: write bytes"),
     (lambda cache: cache.entries(limit="x"), "limit is of the type str"),
     (lambda cache: cache.entries(limit=-1), "limit=-1 is negative"),
     (lambda cache: cache.entries(tenant=5), "the tenant '5' is not a text"),
     (lambda cache: cache.find(5), "the id is of the type int"),
     (lambda cache: cache.find("zz"), "the id has other characters than hex digits"),
     (lambda cache: cache.invalidate_prefix("p", tenant=5), "the tenant '5' is not a text"),
     (lambda cache: cache.invalidate_entries(b"ab"), "keys is of the type bytes"),
     (lambda cache: cache.invalidate_entries(["ab"]), "a key is of the type str"),
     (lambda cache: cache.prune(max_bytes="1MiB"), "max_bytes is of the type str"),
     (lambda cache: cache.prune(max_bytes=-1), "max_bytes=-1 is negative"),
     (lambda cache: cache.trash.find("zz"), "the id has other characters"),
     (lambda cache: cache.trash.restore(["ab"]), "a key is of the type str"),
     (lambda cache: cache.warm_plan(5), "calls is of the type int: write a dict"),
     (lambda cache: cache.warm_plan(prefix=5), "the prefix is a int"),
     (lambda cache: asyncio.run(cache.warm(5)), "calls is of the type int"),
     (lambda cache: asyncio.run(cache.warm({}, on_event=5)), "on_event is of the type int")],
    ids=range(20),
)  # fmt: skip
def test_what_management_is_given(cache, call, said):
    """A wrong argument never comes as far as the store, and removes nothing."""
    with pytest.raises((ConfigError, PrefixError), match=said):
        call(cache)


@pytest.mark.parametrize(
    ("listed", "said"),
    [(5, "what is listed for page is of the type int: write a list of dicts"),
     ({"subject": "math"}, "what is listed for page is of the type dict"),
     ([5], r"call 1 of page is of the type int: write a dict"),
     ([{"subject": "a"}, {"subjet": "a"}], "call 2 of page: missing a required argument: ")],
    ids=repr,
)  # fmt: skip
def test_what_is_listed_to_be_warm(cache, listed, said):
    """It is told of which function, and which of its calls."""

    def page(subject):
        return subject

    page.__qualname__ = "page"
    with pytest.raises(ConfigError, match=f"^{said}"):
        cache.warm_plan({cached_llm_call("p")(page): listed})


@dataclasses.dataclass
class AtLeast:
    """A gate as one writes it: equal by its fields, so that it has no hash."""

    chars: int

    def __call__(self, value):
        """Whether the value is to be kept."""
        return len(value) >= self.chars


@pytest.mark.parametrize("name", WITH_TTL)
def test_a_gate_without_a_hash_is_a_gate(cache, name):
    """Whatever can be called is."""
    CALLS[name](cache, policy=CachePolicy(cache_if=AtLeast(3)))
    assert cache.peek("p", policy=CachePolicy(cache_if=AtLeast(3))) is not None


def test_gates_without_a_hash_are_told_apart(cache):
    """Each call is judged by its own, also by one that changed."""
    for chars, is_kept in ((9, False), (3, True)):
        policy = CachePolicy(cache_if=AtLeast(chars))
        cache.get_or_generate_sync("p", text, policy=policy, n=chars)
        assert (cache.peek("p", n=chars) is not None) is is_kept
    gate = AtLeast(3)
    policy = CachePolicy(cache_if=gate)
    cache.get_or_generate_sync("p", text, policy=policy, n=0)
    gate.chars = 9
    cache.get_or_generate_sync("p", text, policy=policy, n=1)
    assert cache.peek("p", n=0) is not None
    assert cache.peek("p", n=1) is None


def test_equal_policies_have_equal_hashes():
    """Also where a gate has none."""
    policies = [CachePolicy(ttl="7d", cache_if=AtLeast(3)) for _ in range(2)]
    assert policies[0] == policies[1]
    assert hash(policies[0]) == hash(policies[1])
    assert hash(CachePolicy(ttl="7d")) == hash(CachePolicy(ttl_hours=168))


WRONG = [5, "x", [1], {}, object(), b"x", float("nan"), {"a": 1}, [[]], {1: 2}, {"a": {"ttl": [1]}}]


@pytest.mark.parametrize("value", WRONG, ids=range(len(WRONG)))
def test_every_field_takes_what_it_takes_or_says_what_is_wrong(value):
    """No setting of a policy or a configuration raises anything but its own error."""
    fields = [(CacheConfig, name) for name in CacheConfig.fields]
    fields += [(CachePolicy, name) for name in (*POLICY_FIELDS, "ttl_hours")]
    for kind, name in fields:
        try:
            kind(**{name: value})
        except ConfigError as error:
            assert name in str(error)  # noqa: PT017 - it need not raise
