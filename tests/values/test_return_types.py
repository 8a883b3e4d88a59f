"""The type of a value is what its generator says, however the generator is written."""
# ruff: noqa: PLW0108, PLC3002, RUF034, F841 - what lambdas do is what is tested

import functools
import types
import typing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Optional, Self, TypeVar

import pydantic
import pytest

from llm_cache import cached_llm_call
from llm_cache.core.values.codec import UNTYPED, Encoded
from llm_cache.functions.returns import codec_of

if TYPE_CHECKING:
    from decimal import Decimal

T = TypeVar("T")
M = TypeVar("M", bound=pydantic.BaseModel)


class Me(pydantic.BaseModel):
    """What a helper is asked for."""

    a: int = 1

    @classmethod
    def make(cls) -> Self:
        """One of its own class."""
        return cls()

    def again(self) -> Self:
        """One like it."""
        return type(self)(a=self.a)

    def all(self) -> list[Self]:
        """Some like it."""
        return [self, self.again()]


class You(pydantic.BaseModel):
    """What another call is asked for."""

    a: int = 1


@dataclass
class Page:
    """A page."""

    text: str


def typed(a: int = 1) -> Me:
    """A function that says what it returns."""
    return Me(a=a)


async def awaited() -> Me:
    """One that is awaited."""
    return Me()


def untyped(_=None):
    """A function that does not say what it returns."""
    return Me()


def speech() -> bytes:
    """Bytes that are no text."""
    return b"\xff"


def ask(model: type[T], question: str = "") -> T:
    """The usual helper for structured output."""
    return model(**({"a": 1} if question == "" else {}))


def ask_many(question: str, *, model: "typing.Type[M]") -> "list[M] | None":  # noqa: UP006 - older
    """One that is annotated in text."""
    return [model(), model()]


def in_quotes() -> Optional["Page"]:
    """A class that is named in quotes."""
    return Page("a")


def ask_by_default(question: "NoSuchClass" = "", model: "type[T]" = Me) -> T:  # noqa: F821
    """One with a default, and an annotation that is there for type checkers only."""
    return model()


class Asker:
    """A client."""

    default = Me()

    def make(self, a: int = 1) -> Me:
        """A method."""
        return Me(a=a)

    def __call__(self) -> Me:
        return Me()

    @staticmethod
    def plain() -> Me:
        """A static method."""
        return Me()

    @property
    def answer(self):
        """A property, whose code is not run to find a type."""
        raise AssertionError


asker = Asker()
module = types.ModuleType("made_up")
module.typed = typed
five = 5
texts = ["a"]

SEEN = {
    "function": typed,
    "coroutine function": awaited,
    "callable object": asker,
    "class": Me,
    "partial of a class": functools.partial(Me, a=2),
    "lambda that calls a function": lambda: typed(),
    "with arguments": lambda: typed(five),
    "with arguments that are worked out": lambda: typed(a=int(str(five)) + len(texts[0])),
    "with arguments of its own": lambda n=2: typed(n),
    "with unpacked arguments": lambda: typed(*[five]),
    "that calls a coroutine function": lambda: awaited(),
    "that calls a method": lambda: asker.make(five),
    "that calls a static method": lambda: asker.plain(),
    "that calls what is bound to it": lambda asker=asker: asker.make(),
    "that calls a function of a module": lambda: module.typed(),
    "that makes a model": lambda: Me(a=five),
    "that makes a dataclass": lambda: Page("a"),
    "that calls a class method": lambda: Me.make(),
    "class method that returns Self": Me.make,
    "method that returns Self": Me(a=7).again,
    "method that returns a list of Self": Me().all,
    "helper with a class": functools.partial(ask, Me),
    "helper with a class by name": functools.partial(ask, model=Me),
    "helper with a class, in text": functools.partial(ask_many, "q", model=You),
    "helper with a class by default": ask_by_default,
    "helper in a partial, by default": functools.partial(ask_by_default, "q"),
    "in quotes": in_quotes,
}


async def value_of(made):
    """What a generator made, awaited if it has to be."""
    return await made if hasattr(made, "__await__") else made


@pytest.mark.parametrize("generator", SEEN.values(), ids=SEEN)
async def test_the_type_of_a_generator_is_found(make_cache, generator):
    """A value is kept, and another process that asks the same way has it back."""
    first = await make_cache().lookup("values", generator)
    assert first.not_stored is None
    second = await make_cache().lookup("values", generator)
    assert second.outcome == "hit"
    assert second.value == first.value == await value_of(generator())
    assert type(second.value) is type(first.value)


def test_closures_are_looked_into():
    """A lambda within a function names what that function has."""

    def local() -> Me:
        return Me()

    assert codec_of(lambda: local()) is codec_of(typed)


HIDDEN = {
    "attribute of what is returned": lambda: typed().a,
    "item of what is returned": lambda: typed()["a"],
    "one of two": lambda: typed() or typed(),
    "by a condition": lambda: typed() if five else typed(),
    "list of it": lambda: [typed() for _ in range(five)],
    "call of what is returned": lambda: untyped()(),
    "method of what is returned": lambda: typed().again(),
    "call of an item": lambda: texts[0](),
    "call with an item of an argument": lambda x=texts: x[0](x),
    "sum": lambda: five + typed(),
    "negation": lambda: not typed(),
    "assignment": lambda: (x := typed()),
    "constant": lambda: 5,
    "variable": lambda: five,
    "function without a type": lambda: untyped(),
    "of no name": lambda: nobody(),  # noqa: F821 - nothing has this name
    "property": lambda: asker.answer(),
    "attribute that is not there": lambda: asker.nothing(),
    "builtin": lambda: str(five),
    "lambda in a lambda": lambda: (lambda: typed())(),
    "comparison": lambda: typed() == five,
    "with a typed argument": lambda: untyped(typed()),
}


@pytest.mark.parametrize("generator", HIDDEN.values(), ids=HIDDEN)
def test_what_is_more_than_one_call_has_no_type(generator):
    """Nothing is guessed: no type is better than a wrong one."""
    assert codec_of(generator) is UNTYPED


def test_bytes_are_kept_by_a_lambda(delivered):
    """The form of the docs works for speech and pictures."""
    assert delivered(lambda: speech()) == (b"\xff",) * 3


def test_a_helper_is_decorated(make_cache):
    """Each class that it is asked for has answers of its own, in its own type."""

    def decorated(cache):
        return cached_llm_call("ask", cache=cache, shared=True)(ask)

    first = decorated(make_cache())
    assert [type(first(cls)) for cls in (Me, You, Me)] == [Me, You, Me]
    again = decorated(make_cache())
    for cls in (You, Me):
        assert type(again(cls)) is cls
        peeked = again.peek(cls)
        assert peeked is not None
        assert type(peeked.value) is cls


def test_a_decorated_helper_hits(make_cache):
    """In memory, and in another process."""
    made = []

    def helper(model: type[T], n: int) -> T:
        made.append(model)
        return model(a=n)

    for _ in range(2):
        ask = cached_llm_call("helper", cache=make_cache(), shared=True)(helper)
        for _ in range(2):
            assert (ask(Me, 1), ask(You, 2)) == (Me(a=1), You(a=2))
    assert made == [Me, You]


def unresolved() -> "Decimal":
    """A function whose annotation is there for type checkers only."""
    return Me()


def wrong_syntax() -> "not a type at all":  # noqa: F722 - the point of it
    """A function whose annotation is no expression."""
    return Me()


def plain_all_the_same() -> "Decimal":
    """One that returns what needs no type."""
    return {"a": [1]}


@pytest.mark.parametrize(
    ("generator", "words"),
    [
        (unresolved, "'Decimal' cannot be resolved ('Decimal' is not there at run time)"),
        (wrong_syntax, "'not a type at all' cannot be resolved (SyntaxError)"),
        (untyped, "annotate the function's return type"),
        (lambda: typed().again(), "annotate the function's return type"),
    ],
    ids=["unresolved", "no syntax", "none", "lambda"],
)
def test_a_return_type_that_nobody_knows_is_the_reason(reason, generator, words):
    """The annotation is named, not the value; and what to do."""
    assert words in reason(generator)


def test_plain_json_needs_no_annotation(delivered):
    """An annotation that cannot be resolved counts as none."""
    assert delivered(plain_all_the_same) == ({"a": [1]},) * 3


def test_a_type_that_pydantic_does_not_know_is_the_reason(reason):
    """It is named, and what to return."""

    class Odd:
        """A class that nobody knows how to write."""

    def generate() -> Odd:
        return Odd()

    said = reason(generate)
    assert "pydantic knows no type Odd" in said
    assert "return a model, a dataclass or plain values" in said


def test_an_unknown_variable_is_its_bound():
    """A helper whose argument nobody sees returns what its variable is bound to, or anything."""

    def bound(model: Any) -> M:
        return model()

    def unbound(model: Any) -> T:
        return model()

    kept = codec_of(functools.partial(bound, Me)).encode(Me())
    assert isinstance(kept, Encoded)
    assert codec_of(functools.partial(bound, Me)).decode(kept.body, kept.encoding) == Me()
    assert codec_of(functools.partial(unbound, Me)) is UNTYPED
