"""`cached_llm_call`: the function it makes, and what its arguments mean."""

import asyncio
import importlib
import inspect
import sys
from dataclasses import dataclass
from datetime import timedelta

import pytest

from llm_cache import (
    CachePolicy,
    ConfigError,
    KeyParamError,
    PrefixConflictError,
    PrefixError,
    cached_llm_call,
)

pytestmark = pytest.mark.usefixtures("cache")

made = []


@pytest.fixture(autouse=True)
def _forget():
    made.clear()


@pytest.mark.parametrize(
    "options",
    [
        {"ttl_hours": 168},
        {"ttl": "7d"},
        {"ttl": timedelta(days=7)},
        {"policy": CachePolicy(ttl="7d")},
        {},
    ],
    ids=str,
)
async def test_an_async_function(options):
    """It is called once for the same arguments, however they are written."""

    @cached_llm_call("intro_page", **options)
    async def page(subject: str, topic: str, grade: str = "5") -> str:
        """About a topic."""
        await asyncio.sleep(0)
        made.append(topic)
        return f"{subject}/{topic}/{grade}"

    assert await page("math", "sums") == "math/sums/5"
    assert await page("math", topic="sums") == "math/sums/5"
    assert await page(grade="5", topic="sums", subject="math") == "math/sums/5"
    assert made == ["sums"]
    assert inspect.iscoroutinefunction(page)
    assert (page.__name__, page.__doc__) == ("page", "About a topic.")
    assert list(inspect.signature(page).parameters) == ["subject", "topic", "grade"]


def test_a_plain_function():
    """Called synchronously, it stays a plain function."""

    @cached_llm_call("word_problem")
    def context(subject: str, operation: str) -> str:
        made.append(operation)
        return f"{subject}: {operation}"

    assert [context("math", "add") for _ in range(3)] == ["math: add"] * 3
    assert made == ["add"]
    assert not inspect.iscoroutinefunction(context)


async def test_what_an_async_function_gets():
    """`key`, and awaitable `peek`, `invalidate` and `refresh`."""

    @cached_llm_call("p")
    async def text(n: int) -> str:
        made.append(n)
        return f"{n}: {len(made)}"

    assert await text.peek(1) is None
    assert await text(1) == "1: 1"
    assert (await text.peek(n=1)).value == "1: 1"
    assert await text.refresh(1) == "1: 2"
    assert await text(1) == "1: 2"
    assert (await text.invalidate(1)).entries == 1
    assert await text(1) == "1: 3"
    assert text.key(1) == text.key(n=1) != text.key(2)
    assert len(text.key(1)) == 64


def test_what_a_plain_function_gets(cache):
    """The same, not awaitable; the key is that of the params."""

    @cached_llm_call("p")
    def text(n: int, *, kind: str = "a") -> str:
        made.append(n)
        return f"{n}: {len(made)}"

    assert text(1) == "1: 1"
    assert text.peek(1).value == cache.peek("p", n=1, kind="a").value
    assert text.refresh(1) == text(1) == "1: 2"
    assert cache.invalidate("p", params={"n": 1, "kind": "a"}).entries == 1
    assert text.peek(1) is None
    assert text.invalidate(1).entries == 0


def test_variable_arguments():
    """`**kwargs` are params of their own, `*args` a list under their name."""

    @cached_llm_call("p")
    def text(first: int, *rest: int, **more: str) -> str:
        return f"{first} {rest} {more}"

    assert text(1, 2, 3, a="x") == "1 (2, 3) {'a': 'x'}"
    assert text.peek(1, 2, 3, a="x").params == {"first": 1, "rest": [2, 3], "a": "x"}
    assert text(1, 2) != text(1, 2, 3)


def test_types_are_told_apart_at_every_hit():
    """1, 1.0, True and "1" are four requests, also when they come again."""

    @cached_llm_call("p")
    def text(n: object) -> str:
        return type(n).__name__

    values = (1, 1.0, True, "1", None, [1], (1,), [1.0], {"a": 1}, {"a": True})
    for _ in range(3):
        assert [text(value) for value in values] == [
            "int", "float", "bool", "str", "NoneType", "list", "list", "list", "dict", "dict",
        ]  # fmt: skip


def test_what_cannot_be_keyed_is_named_with_the_way_out():
    """The message names the param and `exclude`."""

    @cached_llm_call("p")
    def text(client: object, n: int) -> str:
        return "text"

    with pytest.raises(KeyParamError, match=r"'client'.*exclude=\('client',\)"):
        text(object(), 1)


def test_excluded_parameters_do_not_count():
    """They reach the function, and not the key."""

    @cached_llm_call("p", exclude=("client",))
    def text(client: object, n: int) -> str:
        made.append(client)
        return f"{n}"

    assert text(object(), 1) == text(object(), 1) == "1"
    assert len(made) == 1
    with pytest.raises(ConfigError, match="'cilent', which is no parameter"):
        cached_llm_call("q", exclude=("cilent",))(lambda client: client)
    with pytest.raises(ConfigError, match="write a tuple"):
        cached_llm_call("q", exclude="client")


def service_class():
    """A class whose methods take no account of their object."""

    class Lessons:
        def __init__(self, name: str):
            self.name = name

        @cached_llm_call("method", exclude=("self",))
        async def page(self, topic: str) -> str:
            made.append((self.name, topic))
            return f"{self.name}: {topic}"

        @cached_llm_call("plain_method", exclude=("self",))
        def plain(self, topic: str) -> str:
            return f"{self.name}: {topic}"

    return Lessons


async def test_methods():
    """Bound to their objects, which share answers; async stays async."""
    lessons = service_class()
    one, other = lessons("one"), lessons("other")
    assert await one.page("sums") == await other.page(topic="sums") == "one: sums"
    assert made == [("one", "sums")]
    assert inspect.iscoroutinefunction(one.page)
    assert list(inspect.signature(one.page).parameters) == ["topic"]
    assert await other.page.refresh("sums") == "other: sums"
    assert (await one.page.invalidate("sums")).entries == 1
    assert await lessons.page(one, "sums") == "one: sums"
    assert one.plain("x") == other.plain("x") == "one: x"


def test_a_method_that_forgets_to_exclude_self():
    """Says so."""

    class Lessons:
        @cached_llm_call("forgetful")
        def page(self) -> str:
            return "text"

    with pytest.raises(KeyParamError, match=r"exclude=\('self',\)"):
        Lessons().page()


def test_two_functions_cannot_have_one_prefix():
    """Unless both say that they share it."""
    first = cached_llm_call("p")(test_a_plain_function)
    with pytest.raises(PrefixConflictError, match="shared=True to both"):
        cached_llm_call("p")(test_methods)
    with pytest.raises(PrefixConflictError):
        cached_llm_call("p", shared=True)(test_methods)
    sharing = cached_llm_call("q", shared=True)(test_a_plain_function)
    cached_llm_call("q", shared=True)(test_methods)
    del first, sharing


def test_a_reloaded_function_takes_its_prefix_over(tmp_path, monkeypatch):
    """`importlib.reload` is no conflict."""
    (tmp_path / "reloaded.py").write_text(
        "from llm_cache import cached_llm_call\n"
        "@cached_llm_call('reloaded')\ndef text(n: int) -> str:\n    return 'text'\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    module = importlib.import_module("reloaded")
    assert importlib.reload(module).text(1) == "text"
    del sys.modules["reloaded"]


def test_what_cannot_be_decorated():
    """Wrong prefixes, wrong durations and streams are refused when decorating."""
    with pytest.raises(PrefixError):
        cached_llm_call("no spaces")(test_methods)
    with pytest.raises(ConfigError, match="ttl"):
        cached_llm_call("p", ttl=-1)
    with pytest.raises(ConfigError, match="ttl_hours is given beside ttl"):
        cached_llm_call("p", ttl="1h", ttl_hours=1)

    async def stream():
        yield 1

    with pytest.raises(ConfigError, match="stream"):
        cached_llm_call("p")(stream)


def test_a_cache_of_ones_own(make_cache, tmp_path):
    """`cache=` instead of the process-wide one."""
    own = make_cache()

    @cached_llm_call("p", cache=own)
    def text() -> str:
        return "text"

    assert text() == "text"
    assert own.peek("p").value == "text"


@dataclass
class Lesson:
    """A typed answer."""

    title: str
    pages: tuple[int, ...]


def test_typed_answers_come_back_typed():
    """From memory, from the store, and as copies."""

    @cached_llm_call("p")
    def lesson() -> Lesson:
        return Lesson("Sums", (1, 2))

    answers = [lesson() for _ in range(3)]
    assert answers == [Lesson("Sums", (1, 2))] * 3
    assert answers[0] is not answers[1]
    assert lesson.peek().value == Lesson("Sums", (1, 2))


def test_an_answer_of_another_type_is_not_kept(cache, caplog):
    """It goes to its caller, is counted, and warned about once."""

    @cached_llm_call("p")
    def text(n: int) -> str:
        return n  # type: ignore[return-value]

    assert [text(n) for n in (1, 1, 2)] == [1, 1, 2]
    assert cache.get_stats()["total"]["not_stored"] == 3
    assert [r.getMessage() for r in caplog.records if r.levelname == "WARNING"] == [
        "p: a value is not kept: its type is int, its return type str"
    ]
