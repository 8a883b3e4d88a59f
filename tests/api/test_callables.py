"""What can be decorated beside functions: partials, objects, and what other decorators made."""

import asyncio
import dataclasses
import functools
import inspect
from collections.abc import Awaitable, Coroutine
from unittest import mock

import pytest

from llm_cache import CachePolicy, KeyParamError, PrefixConflictError, cached_llm_call

pytestmark = pytest.mark.usefixtures("cache")


def logged(function):
    """A plain decorator, as tracers and timers are."""

    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


async def ask_later(q: str) -> str:
    """An async function."""
    await asyncio.sleep(0)
    return q


@logged
async def behind_one(q: str) -> str:
    """Behind a plain wrapper."""
    return q


def says_so(q: str) -> Awaitable[str]:
    """A plain function of an awaitable."""
    return ask_later(q)


def says_so_in_text(q: str) -> "Coroutine[None, None, str]":
    """The same as it is with `from __future__ import annotations`."""
    return ask_later(q)


class Later:
    """An object with an async `__call__`."""

    async def __call__(self, q: str) -> str:
        return q


@pytest.mark.parametrize(
    "function",
    [
        behind_one,
        logged(logged(ask_later)),
        says_so,
        says_so_in_text,
        logged(says_so),
        Later(),
        functools.partial(ask_later),
        functools.partial(logged(ask_later), q="x"),
    ],
    ids=range(8),
)
async def test_async_behind_something_plain(function):
    """It is awaited as before, and seen to be async."""
    cached = cached_llm_call("p")(function)
    assert inspect.iscoroutinefunction(cached)
    given = () if getattr(function, "keywords", None) else ("x",)
    assert [await cached(*given), await cached(*given)] == ["x", "x"]
    assert (await cached.peek(*given)).value == "x"


def runs_it(function):
    """A decorator that makes a plain function of an async one."""

    @functools.wraps(function)
    def inner(*args, **kwargs):
        return asyncio.run(function(*args, **kwargs))

    return inner


def test_what_is_run_to_its_end_stays_plain():
    """It looks like a wrapper of something async, and is none."""
    cached = cached_llm_call("p")(runs_it(ask_later))
    assert not inspect.iscoroutinefunction(cached)
    assert [cached("x"), cached("x")] == ["x", "x"]


def ask(model: str, q: str, *, style: str = "plain") -> str:
    """What partials are made of."""
    return f"{model} {q} {style}"


@pytest.mark.parametrize(
    ("partial", "args"),
    [
        (functools.partial(ask, "m"), ("q",)),
        (functools.partial(ask, "m", "q"), ()),
        (functools.partial(functools.partial(ask, "m"), "q"), ()),
        (functools.partial(ask, "m", style="plain"), ("q",)),
    ],
    ids=range(4),
)
def test_what_a_partial_binds_counts_as_given(cache, partial, args):
    """Its key is that of a call which says everything."""
    cached = cached_llm_call("p")(partial)
    assert cached(*args) == "m q plain"
    assert cache.peek("p", model="m", q="q", style="plain").value == "m q plain"
    assert cached.peek(*args).value == "m q plain"
    assert (cached.__name__, cached.__doc__) == ("ask", partial.__doc__)


def test_partials_that_bind_other_things():
    """They do not answer for each other, and what a call says goes before."""
    one, other = (cached_llm_call("p")(functools.partial(ask, m, style=m)) for m in ("a", "b"))
    assert (one("q"), other("q")) == ("a q a", "b q b")
    assert one("q", style="b") == "a q b"


def test_a_list_that_a_partial_binds_may_change():
    """What is in it at each call counts."""
    examples = ["a"]
    cached = cached_llm_call("p")(functools.partial(lambda given, q: f"{given} {q}", examples))
    assert [cached("x"), cached("x")] == ["['a'] x"] * 2
    examples.append("b")
    assert [cached("x"), cached("x")] == ["['a', 'b'] x"] * 2


def test_what_a_partial_binds_can_be_left_out():
    """A client, say; by its parameter's name."""
    client = object()
    bound = functools.partial(lambda client, q: q, client)
    with pytest.raises(KeyParamError, match=r"exclude=\('client',\)"):
        cached_llm_call("p")(bound)("q")
    assert cached_llm_call("q", exclude=("client",))(bound)("q") == "q"


class Asker:
    """An object that holds nothing."""

    def __call__(self, q: str) -> str:
        """A text."""
        return f"asked {q}"


class OtherAsker(Asker):
    """The same function, of another class."""


def test_an_object_that_holds_nothing(cache):
    """Its key is that of its arguments, its name that of its class."""
    cached = cached_llm_call("p")(Asker())
    assert [cached("q"), cached(q="q")] == ["asked q"] * 2
    assert cache.peek("p", q="q").value == "asked q"
    assert cached_llm_call("p")(Asker())("q") == "asked q"
    with pytest.raises(PrefixConflictError, match="OtherAsker"):
        cached_llm_call("p")(OtherAsker())


@dataclasses.dataclass
class Teacher:
    """An object with a key."""

    subject: str

    def __call__(self, topic: str) -> str:
        """A text."""
        return f"{self.subject} {topic}"


def test_an_object_with_a_key():
    """It counts as `self`, as it is at each call."""
    teacher = Teacher("math")
    first, second = cached_llm_call("p")(teacher), cached_llm_call("p")(Teacher("art"))
    assert (first("x"), second("x")) == ("math x", "art x")
    teacher.subject = "music"
    assert first("x") == "music x"
    assert set(first.peek("x").params) == {"self", "topic"}


def test_an_object_without_a_key():
    """Is refused as a method's is, with the way out; two of them at once conflict."""

    class Client:
        def __init__(self, name):
            self.name = name

        def __call__(self, q: str) -> str:
            return f"{self.name} {q}"

    first = cached_llm_call("p")(Client("a"))
    with pytest.raises(KeyParamError, match=r"'self'.*exclude=\('self',\)"):
        first("x")
    with pytest.raises(PrefixConflictError, match=r"exclude=\('self',\)"):
        cached_llm_call("p")(Client("b"))
    assert cached_llm_call("q", exclude=("self",))(Client("b"))("x") == "b x"


def test_mocks_can_be_decorated():
    """As generators in tests are."""
    fake = mock.Mock(return_value="fake")
    cached = cached_llm_call("p", exclude=("self",))(fake)
    assert [cached("x"), cached("x")] == ["fake", "fake"]
    assert fake.call_count == 1


@pytest.mark.parametrize(
    "function", [str.upper, "%s".__mod__, functools.lru_cache(ask_later)], ids=range(3)
)
def test_what_is_written_in_c(function):
    """It is bound as it says, or as anything can be."""
    cached = cached_llm_call("p")(function)
    assert cached.key("x") != cached.key("y")


def with_client(function):
    """A decorator that supplies an argument."""

    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(object(), *args, **kwargs)

    return inner


def with_style(function):
    """One that says what can be given."""

    @functools.wraps(function)
    def inner(q, style="formal"):
        return function(q, style)

    return inner


def with_more(function):
    """One that takes more than what it wraps."""

    @functools.wraps(function)
    def inner(q, *, times=1, **kwargs):
        return function(q, **kwargs) * times

    return inner


def test_a_decorator_that_supplies_an_argument():
    """A call works as it does without the cache."""

    @cached_llm_call("p", exclude=("client",))
    @with_client
    def ask(client: object, q: str, style: str = "plain") -> str:
        return f"{q} {style}"

    for _ in range(2):
        assert [ask("x"), ask("y"), ask("x", style="s")] == ["x plain", "y plain", "x s"]
        assert ask(q="x") == "x plain"


def test_a_method_below_one_that_supplies_an_argument():
    """Its object is still its first argument, and need not count."""

    def supplies(function):
        @functools.wraps(function)
        def inner(self, *args, **kwargs):
            return function(self, object(), *args, **kwargs)

        return inner

    class Lessons:
        @cached_llm_call("p", exclude=("self", "client"))
        @supplies
        def page(self, client: object, q: str) -> str:
            return q

    assert [Lessons().page("x"), Lessons().page("y"), Lessons().page("x")] == ["x", "y", "x"]


def test_the_defaults_of_the_outermost_count():
    """They are what is used, whatever the function below says."""

    @cached_llm_call("p")
    @with_style
    def ask(q: str, style: str = "casual") -> str:
        return f"{q} {style}"

    assert [ask("x"), ask("x", "casual"), ask("x", style="formal")] == [
        "x formal",
        "x casual",
        "x formal",
    ]


def test_a_decorator_that_takes_more():
    """What it takes counts."""

    @cached_llm_call("p")
    @with_more
    def ask(q: str) -> str:
        return q

    assert [ask("x"), ask("x", times=2), ask("x", times=3)] == ["x", "xx", "xxx"]


def test_a_wrong_call_is_a_type_error():
    """As without the cache."""

    @cached_llm_call("p")
    @logged
    def ask(q: str) -> str:
        return q

    with pytest.raises(TypeError):
        ask("x", "y")


@pytest.mark.parametrize(
    "generator", [functools.partial(ask, "m", "q"), functools.partial(Asker(), "q")], ids=range(2)
)
def test_partials_generate(cache, generator):
    """`get_or_generate` takes them as ever."""
    assert cache.get_or_generate_sync("p", generator, q="q") == generator()


def test_the_version_of_a_partial_is_that_of_its_function(cache):
    """`version="auto"` looks through it."""
    policy = CachePolicy(version="auto")
    cached = cached_llm_call("p", policy=policy)(functools.partial(ask, "m"))
    cached("q")
    entry = cached.peek("q")
    assert entry.version.startswith("auto-")
    plain = cached_llm_call("q", policy=policy)(ask)
    plain("m", "q")
    assert plain.peek("m", "q").version == entry.version
