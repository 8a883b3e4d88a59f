"""The version in the key: of code, a file, or the source; and sweeping what is not current."""

import asyncio
import functools
import importlib
import importlib.util
import itertools
import json
import sys
import textwrap

import pytest

from llm_cache import CachePolicy, ConfigError, cached_llm_call
from llm_cache.cli.app import run
from llm_cache.functions.binding import version_of_source
from llm_cache.store.sqlite._sweep import AT_ONCE

HOUR_S = 3600.0
AUTO = CachePolicy(version="auto")


def imported(path, **names):
    """A module from a file, with names of the test in it."""
    spec = importlib.util.spec_from_file_location("lessons", path)
    module = importlib.util.module_from_spec(spec)
    module.__dict__.update(names)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def load(tmp_path):
    """Imports a text as a module with a file of its own."""
    numbers = itertools.count()

    def load(text):
        path = tmp_path / f"lessons{next(numbers)}.py"
        path.write_text(text)
        return imported(path)

    return load


@pytest.fixture
def edit(tmp_path, monkeypatch):
    """Writes a text into one file, and imports that anew."""
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def edit(text, **names):
        path = tmp_path / "lessons.py"
        path.write_text(text)
        return imported(path, **names)

    return edit


# Where a version comes from.


def test_a_version_of_code_is_part_of_the_key(cache, way, asker):
    """A revision of its own is regenerated; the one before is still found."""
    one = asker(cache, way, CachePolicy(version="1"))
    assert one.ask() == "made 1"
    two = asker(cache, way, CachePolicy(version="2"))
    two.answer = "of 2"
    assert two.ask() == "of 2"
    assert asker(cache, way, CachePolicy(version="1")).ask() == "made 1"
    assert sorted(e.version for e in cache.entries()) == ["1", "2"]


def test_a_file_says_it_for_code(load_cache, way, asker):
    """And goes before the decorator; a call goes before the file."""
    cache = load_cache('[prefixes.p]\nversion = "of the file"')
    asker(cache, way, CachePolicy(version="of the code")).ask()
    expected = "of the file" if way.startswith("decorated") else "of the code"
    assert [e.version for e in cache.entries()] == [expected]


def test_the_defaults_of_a_file_say_it_for_every_prefix(load_cache, way, asker):
    """Where nobody nearer says another."""
    cache = load_cache('[defaults]\nversion = "7"')
    asker(cache, way).ask()
    assert [e.version for e in cache.entries()] == ["7"]


# `auto`.

PAGE = '''
from functools import partial

def decorated(function):
    return function

def other():
    pass

def page(subject, model="small"):
    """Writes a page."""
    prompt = f"About {subject}."
    # The tone matters.
    return prompt
'''


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("About {subject}", "All about {subject}"),
        ("# The tone matters.", "# The tone is all."),
        ('"""Writes a page."""', '"""Writes a good page."""'),
        ('model="small"', 'model="large"'),
        ("page(subject,", "page(topic,"),
        ("return prompt", "return  prompt"),
    ],
)
def test_it_changes_with_the_text_of_the_function(load, old, new):
    """Prompt, comment, docstring, default, parameter: whatever stands between `def` and end."""
    assert PAGE.count(old) == 1
    one, two = load(PAGE), load(PAGE.replace(old, new))
    assert version_of_source(one.page) != version_of_source(two.page)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("def page", "@decorated\ndef page"),
        ("def page", "@partial(decorated)\n@decorated\n# why\ndef page"),
        ("def page", "\n\n\n# A comment above.\ndef page"),
        ("    return prompt\n", "    return prompt\n\n\n# below\n"),
        ("    pass", "    return 5"),
        ("\n    return prompt\n", "\n    return prompt"),
    ],
    ids=["decorator", "decorators", "above", "below", "another function", "end of file"],
)
def test_it_does_not_change_with_what_is_around(load, old, new):
    """Decorators, blank lines and other functions are none of its text."""
    assert old in PAGE
    one, two = load(PAGE), load(PAGE.replace(old, new))
    assert version_of_source(one.page) == version_of_source(two.page)


def test_it_does_not_change_with_the_indentation(load):
    """A function that moves into a class is the same function."""
    text = "def page(self):\n    return 'About.'\n"
    nested = "class Lessons:\n" + textwrap.indent(text, "    ")
    assert version_of_source(load(text).page) == version_of_source(load(nested).Lessons.page)


def test_it_is_the_same_in_every_release():
    """A digest that changed would empty everybody's cache."""
    assert version_of_source(_golden) == "auto-7b5d6684305d"


def _golden(subject):
    return f"About {subject}."


def test_it_is_short_and_says_what_it_is(load):
    """So that it fits a listing."""
    version = version_of_source(load(PAGE).page)
    assert version.startswith("auto-")
    assert len(version) == len("auto-") + 12


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: functools.partial(f, "math"),
        lambda f: functools.partial(functools.partial(f, "math"), model="large"),
        lambda f: functools.wraps(f)(lambda *args: [f(*args)]),
        functools.lru_cache,
        lambda f: type("Lessons", (), {"page": f})().page,
    ],
    ids=["partial", "partials", "wrapped", "lru_cache", "method"],
)
def test_it_looks_through_wrappers(load, wrap):
    """The text is that of the function that does the work."""
    page = load(PAGE).page
    assert version_of_source(wrap(page)) == version_of_source(page)


def _from_exec():
    names = {}
    exec("page = lambda: 'text'", names)  # noqa: S102 - the case under test
    return names["page"]


class _Callable:
    def __call__(self):
        return "text"


@pytest.mark.parametrize(
    ("function", "named"),
    [
        (_from_exec(), "<lambda>"),
        (len, "len"),
        (functools.partial(print, "x"), "print"),
        (str.upper, "upper"),
        (_Callable(), "_Callable"),
    ],
    ids=["exec", "builtin", "partial of a builtin", "method of a builtin", "object"],
)
def test_what_has_no_text_is_told(cache, get, function, named):
    """By name, with the way out; nothing is generated."""
    with pytest.raises(ConfigError, match=r"version='auto'.*write a version of your own") as raised:
        get(cache, "p", function, policy=AUTO)
    assert named in str(raised.value)
    assert cache.get_stats()["total"]["generations"] == 0


EDITED = """
from llm_cache import CachePolicy, cached_llm_call

{decorator}
def page(subject):
    return f"{about} {{subject}}"
"""


def test_a_decorated_function_is_made_anew_when_it_was_edited(load_cache, edit):
    """Whether its decorator or a file says `auto`; what is around it changes nothing."""
    cache = load_cache('[prefixes.of_file]\nversion = "auto"')
    answers = []
    for about, decorator in (
        ("About", '@cached_llm_call("p", cache=cache, policy=CachePolicy(version="auto"))'),
        (
            "About",
            '@cached_llm_call("p", cache=cache, ttl="3h", policy=CachePolicy(version="auto"))',
        ),
        ("On", '@cached_llm_call("p", cache=cache, policy=CachePolicy(version="auto"))'),
        ("About", '@cached_llm_call("of_file", cache=cache)'),
        ("On", '@cached_llm_call("of_file", cache=cache)'),
        ("On", '\n\n@cached_llm_call("of_file", cache=cache, ttl="2h")'),
    ):
        module = edit(EDITED.format(decorator=decorator, about=about), cache=cache)
        answers.append((module.page("math"), cache.get_stats()["total"]["generations"]))
    assert answers == [
        ("About math", 1),
        ("About math", 1),
        ("On math", 2),
        ("About math", 3),
        ("On math", 4),
        ("On math", 4),
    ]


def test_get_or_generate_goes_by_its_generator(cache, get, load):
    """The function, also where it comes as a partial."""
    old, new = load(PAGE).page, load(PAGE.replace("About", "On")).page

    def ask(page):
        return get(cache, "p", functools.partial(page, "math"), policy=AUTO, subject="math")

    assert [ask(old), ask(old), ask(new), ask(old)] == [
        "About math.",
        "About math.",
        "On math.",
        "About math.",
    ]
    assert cache.get_stats()["total"]["generations"] == 2


def test_a_lambda_goes_by_its_line(cache):
    """Two lambdas that read differently are two versions."""

    def ask(generator):
        return cache.get_or_generate_sync("p", generator, policy=AUTO)

    assert ask(lambda: "one") == "one"
    assert ask(lambda: "two") == "two"


def test_functions_alike_but_for_their_text_are_told_apart(load):
    """In one process, where Python itself takes their code for equal."""
    one, two = load(PAGE).page, load(PAGE.replace('"small"', '"large"')).page
    assert one.__code__ == two.__code__
    assert version_of_source(one) != version_of_source(two)


def test_a_function_that_asks_by_its_methods_agrees_with_its_calls(cache):
    """`peek`, `why`, `invalidate`, `refresh` and `key` go by the same text."""

    @cached_llm_call("p", cache=cache, policy=AUTO)
    def page(n):
        return "text"

    page(1)
    assert page.peek(1).version == version_of_source(page)
    assert page.peek(1).key.hex() == page.key(1)
    assert page.why(1).outcome == "hit"
    assert page.refresh(1) == "text"
    assert page.invalidate(1).entries == 1


LOOKS = {
    "peek": lambda c: c.peek("p", policy=AUTO, n=1),
    "why": lambda c: c.why("p", policy=AUTO, n=1),
    "put": lambda c: c.put("p", "text", policy=AUTO, n=1),
    "invalidate": lambda c: c.invalidate("p", policy=AUTO, n=1),
}


@pytest.mark.parametrize("call", LOOKS.values(), ids=LOOKS)
def test_who_names_no_function_has_to_name_a_version(cache, call):
    """There is no text to go by: better an error than the key of nothing."""
    with pytest.raises(ConfigError, match=r"^p: version='auto' .*CachePolicy\(version=\.\.\.\)"):
        call(cache)


def test_who_names_no_function_asks_for_the_one_that_is_decorated(cache):
    """Where the prefix has one."""

    @cached_llm_call("p", cache=cache, policy=AUTO)
    def page(n):
        return "text"

    page(1)
    assert cache.peek("p", policy=AUTO, n=1).value == "text"
    assert cache.why("p", policy=AUTO, n=1).outcome == "hit"
    cache.put("p", "by hand", policy=AUTO, n=1)
    assert page(1) == "by hand"
    assert cache.invalidate("p", policy=AUTO, n=1).entries == 1


# Sweeping what is not current.


def versions_in(cache):
    """Prefix and version of what is left."""
    return sorted((e.prefix, e.version) for e in cache.entries())


def swept(cache):
    """How many go, by reason; the dry run said the same."""
    foretold = cache.prune(orphaned=True, dry_run=True)
    before = cache.get_stats()["file_entries"]
    removed = cache.prune(orphaned=True)
    assert [g for g in removed.groups if g.entries] == [g for g in foretold.groups if g.entries]
    assert before - cache.get_stats()["file_entries"] == removed.entries
    return {group.why: group.entries for group in removed.groups if group.entries}


def put(cache, prefix, *versions):
    """An entry for each version of a prefix."""
    for version in versions:
        cache.put(prefix, "text", policy=CachePolicy(version=version), n=1)


def test_a_sweep_goes_by_what_the_file_says(make_cache):
    """The version of `[prefixes.X]` is current and no other, not even none."""
    cache = make_cache(prefixes={"p": {"version": "2"}})
    put(cache, "p", "", "1", "2", "3")
    assert swept(cache) == {"orphaned": 3}
    assert versions_in(cache) == [("p", "2")]


def test_a_sweep_leaves_prefixes_alone_that_nobody_tells_of(make_cache):
    """Neither the file nor a function of this process: nobody knows what is current."""
    cache = make_cache(prefixes={"q": {"ttl": "1h"}, "r": {"version": "1"}})
    put(cache, "p", "", "1", "2")
    put(cache, "q", "", "1", "2")
    put(cache, "r", "1")
    assert swept(cache) == {}
    assert len(versions_in(cache)) == 7


def test_a_sweep_goes_by_the_functions_that_are_decorated(cache):
    """By what their decorators say; one without a version makes entries without one."""

    @cached_llm_call("p", cache=cache, policy=CachePolicy(version="2"))
    def p(n):
        return "text"

    @cached_llm_call("q", cache=cache)
    def q(n):
        return "text"

    put(cache, "p", "", "1", "2")
    put(cache, "q", "", "1")
    assert swept(cache) == {"orphaned": 3}
    assert versions_in(cache) == [("p", "2"), ("q", "")]


def test_the_file_goes_before_the_decorator(make_cache):
    """As it does when a key is made."""
    cache = make_cache(prefixes={"p": {"version": "2"}})

    @cached_llm_call("p", cache=cache, policy=CachePolicy(version="1"))
    def p(n):
        return "text"

    p(1)
    put(cache, "p", "1")
    assert swept(cache) == {"orphaned": 1}
    assert p.peek(1) is not None


def test_functions_that_share_a_prefix_are_all_current(cache):
    """What one of them makes is not swept for another's sake."""

    @cached_llm_call("p", cache=cache, policy=CachePolicy(version="1"), shared=True)
    def one(n):
        return "text"

    @cached_llm_call("p", cache=cache, policy=CachePolicy(version="2"), shared=True)
    def two(n):
        return "text"

    put(cache, "p", "", "1", "2", "3")
    assert swept(cache) == {"orphaned": 2}
    assert versions_in(cache) == [("p", "1"), ("p", "2")]


@pytest.mark.parametrize(
    ("text", "decorator"),
    [
        ("", '@cached_llm_call("p", cache=cache, policy=CachePolicy(version="auto"))'),
        ('[prefixes.p]\nversion = "auto"', '@cached_llm_call("p", cache=cache)'),
        ('[defaults]\nversion = "auto"', '@cached_llm_call("p", cache=cache)'),
    ],
    ids=["decorator", "file", "defaults"],
)
def test_what_auto_made_of_an_edited_function_is_swept(load_cache, edit, text, decorator):
    """What it makes now stays."""
    cache = load_cache(text)
    for about in ("About", "On"):
        page = edit(EDITED.format(decorator=decorator, about=about), cache=cache).page
        page("math")
    assert swept(cache) == {"orphaned": 1}
    assert page.peek("math").value == "On math"


def test_a_function_whose_text_cannot_be_read_is_no_reason_to_sweep(cache):
    """Nobody knows what is current then."""
    cached_llm_call("p", cache=cache, policy=AUTO)(_from_exec())
    put(cache, "p", "", "auto-000000000000")
    assert swept(cache) == {}


def test_a_sweep_takes_the_expired_along(make_cache, clock):
    """Each entry once, under the first reason there is."""
    cache = make_cache(prefixes={"p": {"version": "2", "ttl": "1h"}})
    put(cache, "p", "1", "2")
    put(cache, "q", "1")
    clock.now += HOUR_S
    put(cache, "p", "3")
    cache.put("p", "new", policy=CachePolicy(version="2"), n=2)
    assert swept(cache) == {"expired": 2, "orphaned": 1}
    assert versions_in(cache) == [("p", "2"), ("q", "1")]


def test_a_sweep_without_asking_for_it_leaves_versions_alone(make_cache):
    """Who rolls back finds the answers of before."""
    cache = make_cache(prefixes={"p": {"version": "2"}})
    put(cache, "p", "1", "2")
    assert cache.prune().entries == 0


def test_a_sweep_of_many_takes_all(make_cache):
    """More than go in one transaction."""
    cache = make_cache(prefixes={"p": {"version": "2"}})
    for n in range(AT_ONCE + 1):
        cache.put("p", n, policy=CachePolicy(version="1"), n=n)
    put(cache, "p", "2")
    assert swept(cache) == {"orphaned": AT_ONCE + 1}


async def test_a_sweep_can_be_awaited(make_cache):
    """As every management call."""
    cache = make_cache(prefixes={"p": {"version": "2"}})
    put(cache, "p", "1", "2")
    assert (await cache.aio.prune(orphaned=True, dry_run=True)).entries == 1
    assert (await cache.aio.prune(orphaned=True)).entries == 1


# The command line.

SETTINGS = """
[prefixes.of_file]
version = "2"

[[warm]]
prefix = "of_code"
generate = "swept_lessons:page"
params = [{ n = 1 }]
"""
MODULE = """
from llm_cache import CachePolicy, cached_llm_call

@cached_llm_call("of_code", policy=CachePolicy(version="2"))
def page(n):
    return "text"
"""


@pytest.fixture
def prune(tmp_path, monkeypatch, directory, capfd):
    """Runs `llm-cache prune` beside a module of generators and its settings."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "swept_lessons", raising=False)
    (tmp_path / "swept_lessons.py").write_text(MODULE)
    (tmp_path / "cache.toml").write_text(SETTINGS)

    def prune(*args):
        code = run(["--cache-dir", str(directory), "prune", *args])
        sys.stdout.flush()
        return code, *capfd.readouterr()

    yield prune
    sys.modules.pop("swept_lessons", None)


def test_the_command_imports_what_warm_names(prune, cache):
    """So that it knows of versions that are said in code; the dry run agrees with the run."""
    for prefix in ("of_file", "of_code", "of_nobody"):
        put(cache, prefix, "1", "2")
    code, out, err = prune("--orphaned", "--dry-run")
    assert (code, out.split("\t")[:2]) == (0, ["orphaned", "2"])
    assert err.startswith("Would remove 2 of 6 entries and free ")
    assert len(versions_in(cache)) == 6
    document = json.loads(prune("--orphaned", "--dry-run", "--json")[1])
    assert [(g["why"], g["entries"]) for g in document["groups"] if g["entries"]] == [
        ("orphaned", 2)
    ]
    code, out, err = prune("--orphaned")
    assert (code, out.split("\t")[:2]) == (0, ["orphaned", "2"])
    assert versions_in(cache) == [
        ("of_code", "2"),
        ("of_file", "2"),
        ("of_nobody", "1"),
        ("of_nobody", "2"),
    ]
    assert prune("--orphaned")[2].startswith("There is nothing to sweep")


def test_the_command_leaves_versions_alone_unless_it_is_asked(prune, cache):
    """And imports nothing then."""
    put(cache, "of_file", "1", "2")
    assert prune()[2].startswith("There is nothing to sweep")
    assert "swept_lessons" not in sys.modules


def test_a_module_that_cannot_be_imported_stops_the_sweep(prune, cache, tmp_path):
    """Nothing is removed on half the knowledge."""
    (tmp_path / "swept_lessons.py").write_text("import no_such_module_at_all")
    importlib.invalidate_caches()
    put(cache, "of_file", "1", "2")
    code, _, err = prune("--orphaned")
    assert code == 2
    assert "no_such_module_at_all" in err
    assert len(versions_in(cache)) == 2


def test_async_functions_have_versions_too(cache, load):
    """`async def` is where their text begins."""
    module = load(
        "def decorated(function):\n    return function\n"
        '@decorated\nasync def page():\n    return "text"\n'
    )
    assert asyncio.run(cache.get_or_generate("p", module.page, policy=AUTO)) == "text"
    (entry,) = cache.entries()
    bare = load('async def page():\n    return "text"\n')
    assert entry.version == version_of_source(bare.page)
