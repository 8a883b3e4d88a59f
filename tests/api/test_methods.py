"""Cached methods are callables that any decorator and any framework can stand on."""

import abc
import asyncio
import copy
import dataclasses
import functools
import gc
import inspect
import pickle
import types
import weakref
from unittest import mock

import pytest
from pydantic import BaseModel

from llm_cache import cached_llm_call

pytestmark = pytest.mark.usefixtures("cache")


def logged(function):
    """A plain decorator."""

    @functools.wraps(function)
    def inner(*args, **kwargs):
        return function(*args, **kwargs)

    return inner


class Lessons:
    """Methods under what is put on methods."""

    def __init__(self, name="one"):
        self.name = name

    @cached_llm_call("bare", exclude=("self",))
    def bare(self, topic: str = "x") -> str:
        """A text."""
        return f"{self.name} {topic}"

    @cached_llm_call("awaited", exclude=("self",))
    async def awaited(self, topic: str) -> str:
        """A text."""
        return topic

    @logged
    @cached_llm_call("wrapped", exclude=("self",))
    def wrapped(self, topic: str) -> str:
        """A text."""
        return topic

    @property
    @cached_llm_call("prop", exclude=("self",))
    def prop(self) -> str:
        """A text."""
        return "x"

    @functools.cached_property
    @cached_llm_call("cached_prop", exclude=("self",))
    def cached_prop(self) -> str:
        """A text."""
        return "x"

    @classmethod
    @cached_llm_call("class_over", exclude=("cls",))
    def class_over(cls, topic: str) -> str:
        """A text."""
        return topic

    @cached_llm_call("class_under", exclude=("cls",))
    @classmethod
    def class_under(cls, topic: str) -> str:
        """A text."""
        return f"{cls.__name__} {topic}"

    @staticmethod
    @cached_llm_call("static_over")
    def static_over(topic: str) -> str:
        """A text."""
        return topic

    @cached_llm_call("static_under")
    @staticmethod
    def static_under(topic: str) -> str:
        """A text."""
        return topic

    @cached_llm_call("over_wrapped", exclude=("self",))
    @logged
    def over_wrapped(self, topic: str) -> str:
        """A text."""
        return topic


@pytest.mark.parametrize(
    "ask",
    [
        lambda: Lessons().wrapped("x"),
        lambda: Lessons().prop,
        lambda: Lessons().cached_prop,
        lambda: Lessons.class_over("x"),
        lambda: Lessons().class_over("x"),
        lambda: Lessons.static_over("x"),
        lambda: Lessons().static_over("x"),
        lambda: Lessons.static_under("x"),
        lambda: Lessons().static_under("x"),
        lambda: Lessons().over_wrapped("x"),
        lambda: asyncio.run(Lessons().awaited("x")),
        lambda: Lessons.bare(Lessons(""), "x").strip(),
    ],
    ids=range(12),
)
def test_under_and_over_other_decorators(ask):
    """Each answers."""
    assert [ask(), ask()] == ["x", "x"]


@pytest.mark.parametrize("name", ["class_under", "static_over", "static_under", "bare"])
def test_what_a_method_gets_is_bound_to_its_object(name):
    """`key`, `peek`, `why`, `invalidate`, `refresh`."""
    ask = getattr(Lessons(), name)
    value = ask("x")
    assert ask.peek("x").value == value
    assert ask.key("x") == ask.peek("x").key.hex()
    assert "hit" in str(ask.why("x"))
    assert ask.refresh("x") == value
    assert ask.invalidate("x").entries == 1
    assert ask.peek("x") is None


def test_a_class_method_is_bound_to_the_class_it_is_asked_of():
    """Of a subclass, too; without `exclude` the class would count, or be refused."""

    class More(Lessons):
        pass

    assert More.class_under("y") == Lessons.class_under("y") == "More y"
    assert More().class_under.peek("y").value == "More y"


def test_frameworks_take_it_for_what_it_is():
    """A function in the class, a bound method of an object; async or not; with its signature."""
    lessons = Lessons()
    assert inspect.isfunction(Lessons.bare)
    assert inspect.ismethod(lessons.bare)
    assert not inspect.iscoroutinefunction(lessons.bare)
    assert inspect.iscoroutinefunction(lessons.awaited)
    assert inspect.iscoroutinefunction(Lessons.awaited)
    assert list(inspect.signature(lessons.bare).parameters) == ["topic"]
    assert list(inspect.signature(Lessons.bare).parameters) == ["self", "topic"]
    assert lessons.bare.__self__ is lessons
    assert (lessons.bare.__name__, lessons.bare.__doc__) == ("bare", "A text.")
    assert Lessons.bare.__qualname__ == "Lessons.bare"
    assert inspect.getsource(Lessons.bare).startswith("    @cached_llm_call")


def test_methods_are_equal_like_methods():
    """The same method of the same object is the same."""
    one, other = Lessons("one"), Lessons("other")
    assert one.bare == one.bare
    assert hash(one.bare) == hash(one.bare)
    assert one.bare != other.bare
    assert one.bare != one.wrapped
    assert {one.bare: 1}[one.bare] == 1


def test_methods_are_copied_and_pickled_like_methods():
    """By their object and their name; what is in the class is itself."""
    lessons = Lessons("copied")
    twin = pickle.loads(pickle.dumps(lessons.bare))  # noqa: S301 - of our own
    assert (twin.__self__.name, twin("copied")) == ("copied", "copied copied")
    assert pickle.loads(pickle.dumps(Lessons.bare)) is Lessons.bare  # noqa: S301
    assert copy.deepcopy(Lessons.bare) is copy.copy(Lessons.bare) is Lessons.bare
    assert copy.copy(lessons.bare) == lessons.bare
    assert copy.deepcopy(lessons.bare).__self__ is not lessons


@pytest.mark.parametrize("instance", [None, Lessons()], ids=["class", "object"])
def test_mock_puts_something_of_its_signature_in_its_place(instance):
    """With `autospec`, which checks how it is called."""
    with mock.patch.object(instance or Lessons, "bare", autospec=True) as fake:
        fake.return_value = "fake"
        assert Lessons().bare("z") == "fake" or (instance and instance.bare("z") == "fake")
        with pytest.raises(TypeError):
            (instance or Lessons()).bare(1, 2, 3)


async def test_mock_sees_that_it_is_async():
    """Its stand-in is awaited as well."""
    with mock.patch.object(Lessons, "awaited", autospec=True) as fake:
        fake.return_value = "fake"
        assert await Lessons().awaited("z") == "fake"


class Grade(BaseModel):
    """A model with a key."""

    n: int = 5

    @cached_llm_call("of_model")
    def page(self, topic: str) -> str:
        """A text."""
        return f"{self.n} {topic}"

    @cached_llm_call("async_of_model")
    async def later(self, topic: str) -> str:
        """A text."""
        return f"{self.n} {topic}"


def test_methods_of_pydantic_models():
    """They are no fields, and the model counts."""
    assert list(Grade.model_fields) == ["n"]
    assert [Grade(n=n).page("x") for n in (5, 6, 5)] == ["5 x", "6 x", "5 x"]
    assert Grade(n=6).page.peek("x").value == "6 x"
    assert asyncio.run(Grade().later("x")) == "5 x"


@dataclasses.dataclass(frozen=True, slots=True)
class Course:
    """A dataclass with a key."""

    n: int = 5

    @cached_llm_call("of_dataclass")
    def page(self, topic: str) -> str:
        """A text."""
        return f"{self.n} {topic}"


def test_methods_of_dataclasses():
    """As of models."""
    assert [Course(n).page("x") for n in (5, 6, 5)] == ["5 x", "6 x", "5 x"]
    assert [field.name for field in dataclasses.fields(Course)] == ["n"]


def test_abstract_methods():
    """They are still to be written by who derives."""

    class Base(abc.ABC):
        @cached_llm_call("abstract", exclude=("self",))
        @abc.abstractmethod
        def page(self) -> str: ...

    with pytest.raises(TypeError, match="abstract"):
        Base()


def test_super_reaches_it():
    """With what it gets."""

    class More(Lessons):
        def bare(self, topic: str = "x") -> str:
            return f"more {super().bare(topic)}"

        def peek(self):
            return super().bare.peek("s")

    assert More("super").bare("s") == "more super s"
    assert More("super").peek().value == "super s"


def test_a_method_keeps_no_object_alive():
    """Objects go when nobody holds them any more, whatever was asked of them."""
    lessons = Lessons()
    lessons.bare("x")
    gone = weakref.ref(lessons)
    del lessons
    gc.collect()
    assert gone() is None


def test_hits_look_at_no_param(monkeypatch):
    """An object that does not count is not looked at; its method's hits are as quick as others."""
    from llm_cache.functions.binding import Binding

    Lessons().bare("quick")
    monkeypatch.setattr(Binding, "identity", mock.Mock(side_effect=AssertionError))
    assert Lessons("other").bare("quick") == "one quick"


def test_the_object_is_missed():
    """Without it, a call that is remembered is a mistake all the same."""
    Lessons.bare(Lessons(), "x")
    with pytest.raises(TypeError):
        Lessons.awaited.key(topic="x")
    with pytest.raises(TypeError):
        Lessons.bare()


def test_it_is_no_method_type_to_python_itself():
    """It only passes for one: what it is called as stays a callable of ours."""
    assert type(Lessons.bare) is not types.FunctionType
    assert callable(Lessons.bare)
    assert "Lessons.bare" in repr(Lessons.bare)
    assert "Lessons.bare" in repr(Lessons().bare)
