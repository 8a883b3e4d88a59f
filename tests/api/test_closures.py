"""Functions that differ in what they close over, or are bound to, never answer for each other."""

import dataclasses
import functools
import gc
import types

import pytest

from llm_cache import KeyParamError, PrefixConflictError, cached_llm_call

pytestmark = pytest.mark.usefixtures("cache")


class Client:
    """What has no key."""

    def __init__(self, name="client"):
        self.name = name

    def ask(self, q):
        """The answer of a model."""
        return f"{self.name} {q}"


@dataclasses.dataclass
class Settings:
    """What has one."""

    model: str
    temperature: float = 0.5


def ask_with(model, **options):
    """One of a factory's functions."""

    @cached_llm_call("p", **options)
    def ask(q: str) -> str:
        return f"{model} {q}"

    return ask


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("gpt", "claude"),
        (1, 1.0),
        (None, "None"),
        (["a"], ["b"]),
        ({"model": "gpt"}, {"model": "claude"}),
        (("a", 1), ("a", True)),
        (Settings("gpt"), Settings("claude")),
        (b"a", bytearray(b"a")),
    ],
    ids=str,
)
def test_plain_values_count(one, other):
    """What a factory was called with is in the key of its functions."""
    first, second = ask_with(one), ask_with(other)
    for _ in range(3):
        assert (first("x"), second("x")) == (f"{one} x", f"{other} x")


def test_they_are_params_like_others(cache):
    """They have their names in what is stored, and `exclude` leaves them out."""
    ask = ask_with("gpt")
    ask("x")
    assert ask.peek("x").params == {"model": "gpt", "q": "x"}
    assert cache.peek("p", q="x", model="gpt").value == "gpt x"
    one, other = ask_with("a", exclude=("model",)), ask_with("b", exclude=("model",))
    assert one("y") == other("y") == "a y"
    assert one.key("y") == cache.peek("p", q="y").key.hex()


def test_secrets_among_them_are_not_stored():
    """By their names, as those of params."""

    def make(api_key):
        @cached_llm_call("p")
        def ask(q: str) -> str:
            return api_key[:0] + q

        return ask

    ask = make("s3cret")
    ask("x")
    assert ask.peek("x").params == {"api_key": "<redacted>", "q": "x"}


def test_what_closes_over_nothing_has_the_key_of_its_params(cache):
    """As ever."""

    @cached_llm_call("p")
    def ask(q: str) -> str:
        return q

    ask("x")
    assert cache.peek("p", q="x").value == "x"


def test_a_variable_that_changes():
    """It is read at each call."""
    model = "gpt"

    @cached_llm_call("p")
    def ask(q: str) -> str:
        return f"{model} {q}"

    assert [ask("x"), ask("x")] == ["gpt x", "gpt x"]
    model = "claude"
    assert [ask("x"), ask("x")] == ["claude x", "claude x"]
    model = "gpt"
    assert ask("x") == "gpt x"


def test_a_list_that_changes():
    """What is in it counts."""
    examples = ["a"]

    @cached_llm_call("p")
    def ask(q: str) -> str:
        return f"{examples} {q}"

    assert [ask("x"), ask("x")] == ["['a'] x"] * 2
    examples.append("b")
    assert [ask("x"), ask("x")] == ["['a', 'b'] x"] * 2


def test_what_a_function_only_writes_to_does_not_count():
    """Counters and lists of calls are no part of the question."""
    calls, by_question, total = [], {}, 0

    @cached_llm_call("p")
    def ask(q: str) -> str:
        nonlocal total
        calls.append(q)
        by_question[q] = True
        total += 1
        return f"{q} {len(calls)} {total}"

    assert [ask("x"), ask("x"), ask("y"), ask("x")] == ["x 1 1", "x 1 1", "y 2 2", "x 1 1"]
    assert (calls, by_question, total) == (["x", "y"], {"x": True, "y": True}, 2)
    assert ask.peek("x").params == {"q": "x"}


def test_what_it_reads_as_well_counts():
    """A conversation is not a list of calls."""
    messages = []

    @cached_llm_call("p")
    def chat(q: str) -> str:
        messages.append(q)
        return " ".join(messages)

    assert [chat("go"), chat("go"), chat("go")] == ["go", "go go", "go go go"]


def test_a_name_that_is_anothers_within():
    """A variable of an inner function is not the one closed over, if it has its name."""

    def make(model):
        @cached_llm_call("p")
        def ask(q: str) -> str:
            def shout(q):
                model = "loud"

                def inner():
                    nonlocal model
                    model += "!"
                    return f"{model} {q}"

                return inner()

            return f"{model} {shout(q)}"

        return ask

    first, second = make("gpt"), make("claude")
    assert (first("x"), second("x")) == ("gpt loud! x", "claude loud! x")


def test_what_its_helpers_close_over_counts():
    """As what it closes over itself does."""

    def make(model):
        def complete(q):
            return f"{model} {q}"

        @cached_llm_call("p")
        def ask(q: str) -> str:
            return complete(q)

        return ask

    first, second = make("gpt"), make("claude")
    assert (first("x"), second("x")) == ("gpt x", "claude x")
    assert first.peek("x").params == {"model": "gpt", "q": "x"}


def with_model(model):
    """A decorator that knows something."""

    def decorate(function):
        @functools.wraps(function)
        def inner(*args, **kwargs):
            return f"{model} {function(*args, **kwargs)}"

        return inner

    return decorate


def plain(q: str) -> str:
    """What closes over nothing."""
    return q


def test_what_decorators_below_close_over_counts():
    """One by one, if there are several of a name."""
    one = cached_llm_call("p")(with_model("a")(with_model("b")(plain)))
    other = cached_llm_call("p")(with_model("b")(with_model("a")(plain)))
    assert (one("x"), other("x")) == ("a b x", "b a x")
    assert len(one.peek("x").params) == 3


def test_a_variable_named_like_a_parameter():
    """A decorator may have one; both count."""

    def ask(q: str, model: str = "none") -> str:
        return f"{q} {model}"

    one, other = (cached_llm_call("p")(with_model(name)(ask)) for name in ("a", "b"))
    assert (one("x"), other("x"), one("x", "m")) == ("a x none", "b x none", "a x m")


def test_a_variable_named_like_a_keyword():
    """Nobody could tell which is meant."""

    def make(model):
        @cached_llm_call("p")
        def ask(**words: str) -> str:
            return f"{model} {words}"

        return ask

    with pytest.raises(KeyParamError, match=r"'model'.*given twice.*closes over"):
        make("gpt")(model="claude")


def of_client(client, **options):
    """A function that closes over what has no key."""

    @cached_llm_call("p", **options)
    def ask(q: str) -> str:
        return client.ask(q)

    return ask


def test_two_that_close_over_what_has_no_key():
    """While both live it is an error that says what to write."""
    client = Client()
    first = of_client(client)
    with pytest.raises(PrefixConflictError, match=r"another 'client'.*exclude=\('client',\)"):
        of_client(Client("other"))
    assert first("x") == "client x"
    assert of_client(client)("x") == "client x"


@pytest.mark.parametrize("options", [{"exclude": ("client",)}, {"shared": True}])
def test_two_that_say_it_does_not_matter(options):
    """They share their answers."""
    first, second = of_client(Client("a"), **options), of_client(Client("b"), **options)
    assert first("x") == second("x") == "a x"


def test_a_function_that_is_gone_claims_nothing():
    """A factory may be called again and again."""
    for n in range(3):
        ask = of_client(Client(f"{n}"))
        assert ask(f"x{n}") == f"{n} x{n}"
        del ask


def test_one_that_only_holds_itself_is_gone():
    """As of an application whose parts know each other."""

    def make_app():
        app = types.SimpleNamespace(client=Client())

        @cached_llm_call("p")
        def ask(q: str) -> str:
            return app.client.ask(q)

        app.ask = ask
        return app

    gc.disable()
    try:
        for n in range(3):
            assert make_app().ask(f"x{n}") == f"client x{n}"
    finally:
        gc.enable()


def test_a_client_that_comes_later():
    """What is not there yet when a function is decorated is compared when it is called."""

    def make(name):
        @cached_llm_call("p")
        def ask(q: str) -> str:
            return client.ask(q)

        client = Client(name)
        return ask

    first = make("a")
    assert first("x") == "a x"
    second = make("b")
    with pytest.raises(PrefixConflictError, match="another 'client'"):
        second("x")
    del first
    assert second("y") == "b y"


def test_a_function_that_calls_itself():
    """It closes over itself."""

    def make():
        @cached_llm_call("p")
        def count(n: int) -> int:
            return 0 if n == 0 else 1 + count(n - 1)

        return count

    first, second = make(), make()
    assert (first(3), second(3)) == (3, 3)


def test_two_lambdas():
    """They have one name, and do different things."""
    first = cached_llm_call("p")(lambda q: "summary of " + q)
    with pytest.raises(PrefixConflictError, match=r"called .*<lambda>.*does something else"):
        cached_llm_call("p")(lambda q: "translation of " + q)
    assert first("x") == "summary of x"


def test_one_lambda_again_and_again():
    """With nothing that differs it is the same."""
    first, second = (cached_llm_call("p")(lambda q: "summary of " + q) for _ in range(2))
    assert first("x") == second("x")


def test_a_function_handed_to_a_factory():
    """Different ones are told apart by what they do."""

    def make(generate):
        return cached_llm_call("p")(lambda q: generate(q) + ".")

    first = make(lambda q: "summary of " + q)
    with pytest.raises(PrefixConflictError, match="another 'generate'"):
        make(lambda q: "translation of " + q)
    assert first("x") == "summary of x."


def test_defaults_of_a_function_handed_to_a_factory():
    """A loop's variable is often kept so."""

    def make(generate):
        return cached_llm_call("p")(lambda q: generate(q) + ".")

    kept = [make(lambda q, m="a": m + q)]
    with pytest.raises(PrefixConflictError, match="another 'generate'"):
        kept.extend(make(lambda q, m=m: m + q) for m in ("b", "c"))


def test_inner_functions_of_one_name():
    """Two of them do different things."""

    def one():
        def inner(q):
            return "a" + q

        return cached_llm_call("p")(inner)

    first = one()

    def one():
        def inner(q):
            return "b" + q

        return cached_llm_call("p")(inner)

    with pytest.raises(PrefixConflictError, match="does something else"):
        one()
    assert first("x") == "ax"


class Asker(Client):
    """Decorates its own method."""

    def __init__(self, name, **options):
        super().__init__(name)
        self.cached = cached_llm_call("p", **options)(self.ask)


def test_bound_methods_of_two_objects():
    """What a method is bound to is its `self`."""
    first = Asker("a")
    with pytest.raises(PrefixConflictError, match=r"another 'self'.*exclude=\('self',\)"):
        Asker("b")
    with pytest.raises(KeyParamError, match=r"exclude=\('self',\)"):
        first.cached("x")
    one, other = (Asker(name, exclude=("self",)) for name in ("c", "d"))
    assert one.cached("x") == other.cached("x") == "c x"


@dataclasses.dataclass
class Teacher:
    """An object with a key."""

    subject: str

    def explain(self, topic: str) -> str:
        """A text."""
        return f"{self.subject}: {topic}"


def test_bound_methods_of_objects_with_a_key():
    """They are told apart by it."""
    first, second = (cached_llm_call("p")(Teacher(s).explain) for s in ("math", "art"))
    assert (first("x"), second("x")) == ("math: x", "art: x")
    assert first("x") == first(topic="x")


def test_the_methods_of_one_object_are_the_same():
    """However often they are taken from it."""
    client = Client()

    def make():
        complete = client.ask

        @cached_llm_call("p")
        def ask(q: str) -> str:
            return complete(q)

        return ask

    first, second = make(), make()
    assert first("x") == second("x") == "client x"


def test_exclude_names_only_what_there_is():
    """A variable of the function's is one."""
    with pytest.raises(Exception, match=r"'modell'.*no parameter.*nor closed over"):
        ask_with("gpt", exclude=("modell",))
