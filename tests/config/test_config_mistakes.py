"""A mistake in a file is one error that names file, line and key, and says what to do."""

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llm_cache.config import check_config, load_config
from llm_cache.errors import ConfigError

Check = Callable[[str | bytes], list[str]]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """What is wrong with this text as a `cache.toml`."""

    def check(text: str | bytes) -> list[str]:
        path = tmp_path / "cache.toml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        path.chmod(0o644)
        return [str(problem) for problem in check_config(environ={}, cwd=tmp_path)]

    return check


MISTAKES: dict[str, tuple[str, str]] = {
    "unknown key of a prefix": (
        '[prefixes.intro_page]\n\ntll = "7d"',
        "cache.toml:3: prefixes.intro_page.tll is unknown; did you mean 'ttl'?",
    ),
    "a name with dots": (
        '[prefixes.intro.page]\nttl = "7d"',
        (
            "cache.toml:1: prefixes.intro.page is a table: "
            'a name with dots stands in quotes, [prefixes."intro.page"]'
        ),
    ),
    "a name with many dots": (
        "# first\n[prefixes.a.b.c]\nttl = 0",
        (
            "cache.toml:2: prefixes.a.b is a table: "
            'a name with dots stands in quotes, [prefixes."a.b.c"]'
        ),
    ),
    "a name that ends like a setting": (
        '[prefixes.my.ttl]\nversion = "2"',
        (
            "cache.toml:1: prefixes.my.ttl is a table: "
            'a name with dots stands in quotes, [prefixes."my.ttl"]'
        ),
    ),
    "a model with dots": (
        "[prices.gpt-4.1]\ninput = 1\noutput = 2",
        (
            "cache.toml:1: prices.gpt-4.1 is a table: "
            'a name with dots stands in quotes, [prices."gpt-4.1"]'
        ),
    ),
    "unknown key of the cache": (
        '[cache]\nmax_memry = "64MiB"',
        "cache.toml:2: cache.max_memry is unknown; did you mean 'max_memory'?",
    ),
    "unknown table": (
        '# first\n[prefix.intro_page]\nttl = "7d"',
        "cache.toml:2: prefix is unknown; did you mean 'prefixes'?",
    ),
    "unknown table like nothing": (
        "[server]",
        "cache.toml:1: server is unknown; known here: cache, defaults, prefixes, prices, warm",
    ),
    "setting outside its table": (
        'max_memory = "64MiB"',
        "cache.toml:1: max_memory is out of place: write it under [cache]",
    ),
    "short form of code": (
        "[cache]\nintro_page_ttl_hours = 168",
        (
            "cache.toml:2: cache.intro_page_ttl_hours is out of place: "
            "write ttl_hours under [prefixes.intro_page]"
        ),
    ),
    "table inside the cache": (
        "[cache.defaults]",
        (
            "cache.toml:1: cache.defaults is unknown; known here: allow_network_fs, "
            "allow_shared_dir, cache_dir, durability, enabled, lease, "
            "max_disk, max_memory, max_memory_entries, max_value, min_free, mode, store, "
            "tenant, tenant_required"
        ),
    ),
    "wrong size": (
        '[cache]\nmax_memory = "64 potatoes"',
        (
            "cache.toml:2: cache.max_memory: '64 potatoes' is not a size: "
            "write a number and a unit, like '64MiB' or '10KB'"
        ),
    ),
    "text for a switch": (
        '[cache]\nenabled = "yes"',
        "cache.toml:2: cache.enabled: 'yes' is not a switch: write true or false",
    ),
    "bool for a number": (
        "[cache]\nmax_memory_entries = true",
        (
            "cache.toml:2: cache.max_memory_entries: true is not a whole number: "
            "write one from 0 to 1000000000"
        ),
    ),
    "bool for a ttl": (
        "[defaults]\nttl = true",
        (
            "cache.toml:2: defaults.ttl: true is not a duration: "
            "write a text like '90s', '1h30m', '7d' or 'forever'"
        ),
    ),
    "negative ttl": (
        "[defaults]\nttl = -1",
        "cache.toml:2: defaults.ttl: -1 is negative: write 0 or more",
    ),
    "negative ttl_hours": (
        "[prefixes.x]\nttl_hours = -1",
        "cache.toml:2: prefixes.x.ttl_hours: -1 hours is negative: write 0 or more",
    ),
    "NaN": (
        "[prefixes.x]\nttl_hours = nan",
        (
            "cache.toml:2: prefixes.x.ttl_hours: nan hours is not a duration: "
            "write 'forever' for no end"
        ),
    ),
    "infinity": (
        "[prefixes.x]\nttl = +inf",
        "cache.toml:2: prefixes.x.ttl: inf is not a duration: write 'forever' for no end",
    ),
    "over 100 years": (
        '[prefixes.x]\nttl = "1200mo"\nversion = "1"\ntimeout = "101y"',
        "cache.toml:4: prefixes.x.timeout: 101y is over 100 years: write 'forever' for no end",
    ),
    "both ttls": (
        '[prefixes.x]\nttl = "1h"\nttl_hours = 1',
        "cache.toml:3: prefixes.x.ttl_hours is given beside ttl: keep one of them",
    ),
    "date for a ttl": (
        "[defaults]\nttl = 2026-01-01",
        (
            "cache.toml:2: defaults.ttl: 2026-01-01 is not a duration: "
            "write a text like '90s', '1h30m', '7d' or 'forever'"
        ),
    ),
    "inline table": (
        '[prefixes]\nx = { ttl = "1h",\n  version = 2 }'.replace(",\n ", ","),
        "cache.toml:2: prefixes.x.version: 2 is not a text: write it in quotes",
    ),
    "dotted key": (
        'prefixes."a.b".ttl = "soon"',
        (
            "cache.toml:1: prefixes.\"a.b\".ttl: 'soon' is not a duration: "
            "write a number and a unit, like '90s', '1h30m', '7d'"
        ),
    ),
    "prefix that is none": (
        '[prefixes."a b"]',
        (
            "cache.toml:1: prefixes.\"a b\": prefix 'a b' is not allowed: "
            "write 1 to 128 letters, digits or _ - . / :, like 'intro_page'"
        ),
    ),
    "no table": ("cache = 5", "cache.toml:1: cache is not a table: 5"),
    "no table of a prefix": (
        '[prefixes]\nintro_page = "7d"',
        "cache.toml:2: prefixes.intro_page is not a table: '7d'",
    ),
    "one warm table": (
        '[warm]\nprefix = "x"',
        "cache.toml:1: warm is not an array: a table",
    ),
    "hostile key": (
        '[cache]\n"\\u001b[31m\\u202e" = 1',
        (
            'cache.toml:2: cache."\\u001B[31m\\u202E" is unknown; known here: '
            "allow_network_fs, allow_shared_dir, cache_dir, durability, enabled, lease, "
            "max_disk, max_memory, max_memory_entries, max_value, min_free, mode, store, "
            "tenant, tenant_required"
        ),
    ),
    "hostile value": (
        '[cache]\nstore = "\\u001b[31m\\n\\u202e"',
        "cache.toml:2: cache.store: '\\x1b[31m\\n\\u202e' is not supported: write 'sqlite'",
    ),
    "number without an end": (
        f"[cache]\nmax_memory_entries = {'9' * 5000}",
        "cache.toml: broken TOML: a number has thousands of digits",
    ),
    "bottomless nesting": (
        "x = " + "[" * 100_000,
        "cache.toml: broken TOML: nested too deeply",
    ),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake_is_told_in_one_line(check: Check, text: str, message: str):
    """File, line, key, what is wrong and what to do."""
    assert check(text) == [message]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[cache]\n\nenabled = = true", 3),
        ("[cache]\nenabled = [", 2),
        ("[cache]\nenabled = true\nenabled = true\n", 3),
        ("[cache]\n[cache]\n", 2),
        ("[cache\n", 1),
        ("# \x07", 1),
        ("[cache]\nstore = 2026-02-31\n", 2),
    ],
)
def test_broken_toml_is_told_with_its_line(check: Check, text: str, line: int):
    """What the parser stumbles over, in one line."""
    (found,) = check(text)
    assert found.startswith(f"cache.toml:{line}: broken TOML: ")
    assert "(at" not in found or found.endswith("(at the end of the file)")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"[cache]\n# caf\xe9\n",
            "cache.toml:2: not UTF-8: byte 0xe9 at offset 13; save the file as UTF-8",
        ),
        (
            "[cache]\n".encode("utf-16"),
            "cache.toml:1: not UTF-8: byte 0xff at offset 0; save the file as UTF-8",
        ),
        (b"\x00", "cache.toml:1: broken TOML: invalid statement (column 1)"),
    ],
)
def test_other_bytes_are_told_with_their_place(check: Check, data: bytes, message: str):
    """A file in another encoding is not guessed at."""
    assert check(data) == [message]


def test_byte_order_mark_is_no_mistake(check: Check):
    """Some editors write one."""
    assert check("\ufeff[cache]\nenabled = true\n") == []
    assert check("\ufeff[cache]\nenabled = 1\n")[0].startswith("cache.toml:2: ")


def test_good_file_has_no_problems(check: Check):
    """Nothing wrong, nothing said."""
    assert check("") == []
    assert check('[prefixes.intro_page]\nttl = "forever"\n[defaults]\nttl = 0\n') == []


def test_all_problems_are_listed_by_line(check: Check):
    """Checking tells everything at once, from top to bottom."""
    found = check(
        '[cache]\nmax_memory = -1\nmax_memry = 1\n[prefixes.x]\ntll = "7d"\nttl = nan\n'
        "version = 1\n[cach]\n[defaults]\ntimeout = []\n[[warm]]\nconcurrency = 0\n"
    )
    assert [line.split(" ")[0] for line in found] == [
        f"cache.toml:{line}:" for line in (2, 3, 5, 6, 7, 8, 10, 11, 11, 11, 12)
    ]


def test_error_tells_the_first_and_counts_the_others(check: Check, tmp_path: Path):
    """One line for one error, and the way to the rest."""
    check('[prefixes.x]\ntll = "7d"\n[cache]\nenabled = 1\nstore = 1\n')
    with pytest.raises(ConfigError) as caught:
        load_config(environ={}, cwd=tmp_path)
    assert str(caught.value) == (
        "cache.toml:2: prefixes.x.tll is unknown; did you mean 'ttl'? "
        "(and 2 more; llm-cache config check shows all)"
    )


def test_variables_are_checked_together_with_the_file(check: Check, tmp_path: Path):
    """Whoever corrects things wants to see all of them."""
    check("[cache]\nenabled = 1\n")
    found = check_config(environ={"LLM_CACHE_ENABLED": "maybe"}, cwd=tmp_path)
    assert [str(problem).split(":")[0] for problem in found] == ["LLM_CACHE_ENABLED", "cache.toml"]


def test_problem_has_its_parts(tmp_path: Path, check: Check):
    """A program can take a problem apart."""
    check("[cache]\nenabled = 1\n")
    (problem,) = check_config(environ={}, cwd=tmp_path)
    assert problem.file == "cache.toml"
    assert problem.line == 2
    assert problem.key == ("cache", "enabled")
    assert problem.message == "1 is not a switch: write true or false"


@given(data=st.binary(max_size=200))
def test_any_bytes_are_settings_or_a_config_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
):
    """No file makes anything else of us than a configuration or one line."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_bytes(data)
    for problem in check_config(path, environ={}, cwd=path.parent):
        assert str(problem).startswith("any.toml:")
        assert "\n" not in str(problem)


TOML_VALUES = ["1", "-1", "true", "nan", '"x"', "[]", "[1]", "{}", "{ ttl = 1 }", "1.5", "00:01:02"]
TOML_KEYS = ["cache", "defaults", "prefixes", "warm", "ttl", "store", "params", "matrix", "x", '""']


@given(
    st.lists(
        st.lists(st.sampled_from(TOML_KEYS), min_size=1, max_size=3)
        .map(".".join)
        .flatmap(
            lambda name: st.sampled_from(
                [f"[{name}]", f"[[{name}]]", *(f"{name} = {value}" for value in TOML_VALUES)]
            )
        ),
        max_size=8,
    )
)
def test_any_toml_is_settings_or_problems_with_lines(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str]
):
    """Whatever valid TOML says, each problem names a line of the file and what is on it."""
    path = tmp_path_factory.getbasetemp() / "any.toml"
    path.write_text("\n".join(lines))
    for problem in check_config(path, environ={}, cwd=path.parent):
        assert problem.file == "any.toml"
        assert problem.line is not None
        assert 1 <= problem.line <= len(lines)
        if problem.key and isinstance(problem.key[-1], str) and "missing" not in problem.message:
            assert problem.key[-1] in lines[problem.line - 1]
