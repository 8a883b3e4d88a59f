"""How much of its params an entry keeps, and that a secret among them is left nowhere at all."""

import asyncio
import base64
import contextlib
import hashlib
import io
import json
import logging
import sys
import traceback
from pathlib import Path
from urllib.parse import quote

import apsw
import pydantic
import pytest

from llm_cache import (
    CacheConfig,
    CacheError,
    CachePolicy,
    KeyParamError,
    LLMCache,
    ReplayMissError,
    StoreError,
    TenantRequiredError,
    cached_llm_call,
    load_config,
)
from llm_cache.cli.app import run
from llm_cache.core.values.codec import UNTYPED
from llm_cache.engine._flights import Abandoned
from llm_cache.store.sqlite._connection import run as run_sql
from tests.cli import terminal

REDACTED = "<redacted>"


def shown(cache, prefix="p"):
    """The params of the one entry of a prefix, as a reader gets them."""
    (entry,) = cache.entries(prefix)
    return dict(entry.params)


class Account(pydantic.BaseModel):
    """A model with a secret of its own, as an application has them."""

    user: str
    password: str
    pin: pydantic.SecretStr


# How much is kept.


@pytest.mark.parametrize("source", ["file", "defaults", "policy"])
@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("full", {"subject": "math", "api_key": REDACTED}),
        ("redacted", {"subject": REDACTED, "api_key": REDACTED}),
        ("none", {}),
    ],
)
def test_a_policy_says_how_much_is_kept(load_cache, get, source, how, expected):
    """From a file or from code; a hit is found all the same."""
    line = f'store_params = "{how}"'
    text = {"file": f"[prefixes.p]\n{line}", "defaults": f"[defaults]\n{line}", "policy": ""}
    cache = load_cache(text[source])
    policy = CachePolicy(store_params=how) if source == "policy" else None
    ask = {"policy": policy, "subject": "math", "api_key": "sk-1"}
    assert get(cache, "p", lambda: "text", **ask) == "text"
    assert shown(cache) == expected
    assert next(cache.entries()).redacted
    cache._engine.components.tier.clear()
    assert get(cache, "p", lambda: "new", **ask) == "text"


def test_two_secrets_are_two_entries(cache, get):
    """The key is over the whole value: nobody is answered by another's key."""
    for key in ("sk-1", "sk-2", "sk-1"):
        assert get(cache, "p", lambda key=key: f"by {key}", api_key=key) == f"by {key}"
    assert [dict(e.params) for e in cache.entries()] == [{"api_key": REDACTED}] * 2


def test_secrets_are_redacted_at_any_depth(cache, get):
    """In dicts, lists, models; what is beside them stays."""
    params = {
        "headers": {"Authorization": "Bearer x", "accept": "json"},
        "clients": [{"token": "x", "name": "a"}, {"deep": [{"client_secret": "x"}]}],
        "account": Account(user="ann", password="x", pin="x"),
        "max_tokens": 100,
    }
    get(cache, "p", lambda: "text", params=params)
    assert shown(cache) == {
        "headers": {"Authorization": REDACTED, "accept": "json"},
        "clients": [
            {"token": REDACTED, "name": "a"},
            {"deep": [{"client_secret": REDACTED}]},
        ],
        "account": {"user": "ann", "password": REDACTED, "pin": REDACTED},
        "max_tokens": 100,
    }


@pytest.mark.parametrize("source", ["file", "policy"])
def test_names_of_ones_own_are_secret_or_public(load_cache, get, source):
    """`secret_params` and `public_params`, by a file or by code."""
    file = '[prefixes.p]\nsecret_params = ["student"]\npublic_params = ["token"]'
    cache = load_cache(file if source == "file" else "")
    policy = CachePolicy(secret_params=["student"], public_params=["token"])
    ask = {"student": "Ann", "token": "noun", "who": {"student": "Ann"}}
    get(cache, "p", lambda: "text", policy=policy if source == "policy" else None, params=ask)
    assert shown(cache) == {"student": REDACTED, "token": "noun", "who": {"student": REDACTED}}


def test_a_secret_type_is_redacted_whatever_is_called_public(cache, get):
    """Its type says it."""
    policy = CachePolicy(public_params=["pin"])
    get(cache, "p", lambda: "text", policy=policy, pin=pydantic.SecretStr("x"))
    assert shown(cache) == {"pin": REDACTED}


def test_a_decorated_function_hides_its_secrets(cache):
    """Positional, defaulted and keyword arguments alike."""

    @cached_llm_call("p", cache=cache)
    def page(subject, api_key, *, password=None, **more):
        return "text"

    page("math", "sk-1", token="t", grade=5)
    assert shown(cache) == {
        "subject": "math",
        "api_key": REDACTED,
        "password": REDACTED,
        "token": REDACTED,
        "grade": 5,
    }


@pytest.mark.parametrize("how", ["full", "redacted", "none"])
def test_what_is_asked_is_told_no_more_of_than_what_is_kept(cache, get, how):
    """`why` and a miss in replay show as much of the request as an entry would keep of it."""
    cache.put("p", "text", subject="math", api_key="sk-old")
    policy = CachePolicy(store_params=how)
    ask = {"policy": policy, "params": {"subject": "asked-for", "api_key": "sk-asked"}}
    why = str(cache.why("p", **ask))
    with cache.mode("replay"), pytest.raises(ReplayMissError) as raised:
        get(cache, "p", lambda: "new", **ask)
    for text in (why, str(raised.value)):
        assert ("asked-for" in text) is (how == "full")
        assert "sk-" not in text


def test_a_redacted_param_may_be_what_differs(cache, get):
    """Two requests that differ in nothing else: that is all that can be said."""
    cache.put("p", "text", subject="math", api_key="sk-old")
    ask = {"subject": "math", "api_key": "sk-asked"}
    (entry,) = cache.entries()
    told = f"a redacted param may differ from those of {entry.id}"
    assert told in str(cache.why("p", **ask))
    assert "api_key (redacted) may differ" in str(cache.why("p", **ask))
    with cache.mode("replay"), pytest.raises(ReplayMissError, match=told):
        get(cache, "p", lambda: "new", **ask)


# The canary. Each of these secrets is used in requests of every kind below.

CANARIES = {
    name: f"canary-{name}-4711-sings"
    for name in ("key", "authorization", "password", "secretstr", "model", "own", "none", "typed")
}


def traces(secret):
    """Every form in which a secret might lie about."""
    content = secret.encode()
    encoded = base64.b64encode(content).decode().rstrip("=")
    digests = [hashlib.new(name, content).digest() for name in ("sha256", "sha1", "md5")]
    texts = [
        secret,
        secret.upper(),
        content.hex(),
        encoded[:-1],
        base64.b32encode(content).decode().rstrip("=")[:-1],
        quote(secret),
        secret[::-1],
        *(digest.hex() for digest in digests),
        *(base64.b64encode(digest).decode().rstrip("=")[:-1] for digest in digests),
    ]
    json_digest = hashlib.sha256(json.dumps(secret).encode()).digest()
    return [text.encode() for text in texts] + [*digests, json_digest, json_digest.hex().encode()]


def found_in(content):
    """Which canaries are in some bytes or text, in whatever form."""
    searched = content.encode("utf-8", "surrogateescape") if isinstance(content, str) else content
    return [
        (name, trace)
        for name, secret in CANARIES.items()
        for trace in traces(secret)
        if trace in searched
    ]


def secrets():
    """Params with every canary but the last two, which are secret for other reasons."""
    return {
        "subject": "math",
        "api_key": CANARIES["key"],
        "headers": {"authorization": f"Bearer {CANARIES['authorization']}"},
        "clients": [{"db": {"password": CANARIES["password"]}}],
        "pin": pydantic.SecretStr(CANARIES["secretstr"]),
        "account": Account(user="ann", password=CANARIES["model"], pin=CANARIES["model"]),
        "student": CANARIES["own"],
    }


def everything():
    """Params that are all secret, since nothing of them is kept."""
    return {"subject": CANARIES["none"], "deep": [{"topic": CANARIES["none"]}]}


SECRET = CachePolicy(secret_params=["student"], ttl="1h", grace="1h", stale_if_error="2h")
NOTHING = CachePolicy(store_params="none", ttl="1h", grace="1h", stale_if_error="2h")
REQUESTS = [(SECRET, secrets), (NOTHING, everything)]


def test_a_canary_is_found_if_it_is_there():
    """The search itself can fail."""
    secret = CANARIES["key"]
    for form in (secret, secret.encode().hex(), base64.b64encode(secret.encode()).decode()):
        assert found_in(f"x{form}x")
    assert found_in(b"x" + hashlib.sha256(secret.encode()).digest())
    assert not found_in("canary")


@pytest.fixture
def collected(caplog):
    """Everything that was said: log lines, messages, output. It is searched at the end."""
    caplog.set_level(logging.DEBUG)
    said = []
    yield said
    said += [record.getMessage() for record in caplog.records]
    said += [repr(record.args) for record in caplog.records]
    said += [caplog.text]
    said = list(map(str, said))
    assert "canary" not in " ".join(said)
    assert found_in(" ".join(said)) == []


@pytest.fixture
def no_trace(directory):
    """Searches every file of the cache's directory."""

    def no_trace():
        files = [path for path in directory.rglob("*") if path.is_file()]
        contents = {path.name: path.read_bytes() for path in files}
        assert "cache.db" in contents
        found = {name: found_in(content) for name, content in contents.items()}
        assert {name: what for name, what in found.items() if what} == {}
        return contents

    return no_trace


def told_of(error):
    """All that a traceback may show of an error, with what led to it."""
    out = io.StringIO()
    traceback.print_exception(error, file=out)
    context = None if error.__suppress_context__ else error.__context__
    chain = [error, error.__cause__, context]
    return [out.getvalue(), *(f"{each} {each!r}" for each in chain if each is not None)]


@pytest.mark.parametrize(("policy", "params"), REQUESTS, ids=["secrets", "none"])
def test_no_secret_is_left_by_what_succeeds(
    make_cache, clock, get, collected, no_trace, policy, params
):
    """Hits, misses, old entries, refusals, values put by hand, invalidations, the trash."""
    events = []
    cache = make_cache(on_event=events.append)
    ask = {"policy": policy, "params": params()}
    for _ in range(3):
        get(cache, "p", lambda: "text", **ask)
    for hours in (1.5, 1.5):
        clock.now += hours * 3600
        get(cache, "p", lambda: "text", **ask)
        assert cache._engine.components.flights.wait_until_stored(20)
    gate = CachePolicy(store_if=["not_empty"]).over(policy)
    get(cache, "p", lambda: "", policy=gate, params={**params(), "n": 2})
    get(cache, "p", object, policy=policy, params={**params(), "n": 3})
    cache.put("p", "text", **ask)
    collected += [str(cache.why("p", **ask)), repr(cache.why("p", **ask))]
    with cache.mode("refresh"):
        get(cache, "p", lambda: "text", **ask)
    cache.invalidate_prefix("p", keep=True)
    cache.put("p", "text", **ask)
    collected += [repr(events), json.dumps(cache.get_stats(), default=str)]
    collected += [repr(list(cache.trash.entries())), repr(list(cache.entries()))]
    assert "cache.db-wal" in no_trace()
    cache.close()
    no_trace()


@pytest.mark.parametrize(("policy", "params"), REQUESTS, ids=["secrets", "none"])
def test_no_secret_is_left_by_what_fails(
    make_cache, clock, get, collected, no_trace, policy, params
):
    """Generators that raise or take too long, misses in replay, params without a key."""
    events = []
    cache = make_cache(on_event=events.append)

    def fails():
        raise ConnectionError

    async def hangs_async():
        await asyncio.sleep(20)

    def ask(generator, policy=policy, **more):
        try:
            get(cache, "p", generator, policy=policy, params={**params(), **more})
        except Exception as error:  # noqa: BLE001 - it is looked at
            collected.extend(told_of(error))
            return type(error).__name__
        return None

    slow = CachePolicy(timeout="10ms").over(policy)
    assert ask(fails) == "ConnectionError"
    assert ask(hangs_async, policy=slow) == "GenerationTimeoutError"
    cache.put("p", "text", policy=policy, params={**params(), "n": 1})
    with cache.mode("replay"):
        assert ask(fails) == "ReplayMissError"
        assert ask(fails, student=CANARIES["own"], n=1, more="x") == "ReplayMissError"
        assert ask(fails, policy=CachePolicy(version="2").over(policy), n=1) == "ReplayMissError"
    clock.now += 1.5 * 3600
    for _ in range(5):
        assert ask(fails, n=1) is None
        assert cache._engine.components.flights.wait_until_stored(20)
    clock.now += 3600
    assert ask(fails, n=1) is None
    collected.append(repr([(e.key, e.outcome, e.reason, e.error) for e in events]))
    no_trace()


BAD_PARAMS = {
    "api_key": {CANARIES["key"]},
    "password": object(),
    "authorization": float("nan"),
    "headers": {"authorization": {CANARIES["authorization"]}},
    "token": [CANARIES["key"], {1: CANARIES["key"]}],
    "secret": CANARIES["key"] + "\ud800",
    "credentials": Account.model_dump,
    "client_secret": lambda: CANARIES["key"],
}


@pytest.mark.parametrize("name", BAD_PARAMS)
def test_a_param_that_has_no_key_is_named_and_not_shown(cache, get, collected, name):
    """The error says which one it is, and of what kind."""
    params = {**secrets(), name: BAD_PARAMS[name]}
    with pytest.raises(KeyParamError, match=name) as raised:
        get(cache, "p", lambda: "text", params=params)
    collected.extend(told_of(raised.value))


WRONG_CALLS = {
    "no key": {"temperature": float("nan")},
    "no key, either": {"temperature": {1.0}},
    "unknown": {"temprature": 1.0},
    "one too many": {"temperature": 1.0, "temprature": 1.0},
    "too few": {},
}


@pytest.mark.parametrize("wrong", WRONG_CALLS.values(), ids=WRONG_CALLS)
@pytest.mark.parametrize("is_async", [False, True])
def test_a_wrong_call_of_a_function_tells_no_secret(cache, collected, wrong, is_async):
    """Its traceback has none of the other arguments, also after a call that was right."""
    if is_async:

        @cached_llm_call("p", cache=cache)
        async def page(api_key, temperature):
            return "text"

        def call(*args, **kwargs):
            return asyncio.run(page(*args, **kwargs))
    else:

        @cached_llm_call("p", cache=cache)
        def page(api_key, temperature):
            return "text"

        call = page

    call(CANARIES["key"], 0.5)
    with pytest.raises(TypeError) as raised:
        call(CANARIES["key"], **wrong)
    collected.extend(told_of(raised.value))
    with pytest.raises(TypeError) as raised:
        page.key(CANARIES["key"], **wrong)
    collected.extend(told_of(raised.value))


def test_a_function_without_its_tenant_tells_no_secret(make_cache, collected):
    """Nor does that error, which is raised on the same way."""
    cache = make_cache(tenant_required=True)
    page = cached_llm_call("p", cache=cache)(lambda api_key: "text")
    with cache.tenant("acme"):
        page(CANARIES["key"])
    with pytest.raises(TenantRequiredError) as raised:
        page(CANARIES["key"])
    collected.extend(told_of(raised.value))


def test_a_store_in_trouble_tells_no_secret(make_cache, get, collected, directory):
    """Neither a lookup that goes on without it nor a call that cannot."""
    directory.write_text("a file where a directory should be")
    cache = make_cache()
    assert get(cache, "p", lambda: "text", policy=SECRET, params=secrets()) == "text"
    with pytest.raises(StoreError) as raised:
        cache.put("p", "text", policy=SECRET, params=secrets())
    collected.extend(told_of(raised.value))


def test_a_damaged_entry_tells_no_secret(make_cache, get, collected, directory):
    """It is dropped, said once, and made again."""
    cache = make_cache()
    ask = {"policy": SECRET, "params": secrets()}
    get(cache, "p", lambda: "text", **ask)
    cache.close()
    with contextlib.closing(apsw.Connection(str(directory / "cache.db"))) as raw:
        run_sql(raw, "UPDATE entries SET value = x'00'")
    assert get(make_cache(), "p", lambda: "new", **ask) == "new"


@pytest.mark.parametrize(("policy", "params"), REQUESTS, ids=["secrets", "none"])
def test_nothing_of_ours_shows_a_secret_as_its_text(cache, collected, policy, params):
    """`repr` and `str` of entries, calls, identities, policies, results, plans, answers of why."""
    call = cache._engine.call("p", lambda: "text", policy, params(), {}, UNTYPED)
    result = cache.lookup_sync("p", lambda: "text", policy=policy, params=params())

    @cached_llm_call("page", cache=cache, policy=policy)
    def page(**params):
        return "text"

    plan = cache.warm_plan({page: [params()]})
    flight, _ = cache._engine.components.flights.join(
        call.identity, None, None, refresh=False, stamp=b""
    )
    ours = [
        call,
        call.identity,
        call.policy,
        call.generator,
        policy,
        result,
        result.entry,
        cache.peek("p", policy=policy, params=params()),
        next(cache.entries()),
        cache.why("p", policy=policy, params={**params(), "n": 2}),
        plan,
        plan.items[0],
        plan.items[0].call,
        flight,
        cache._engine.components.flights.under_way(),
        cache,
        cache.config,
    ]
    for each in ours:
        collected += [repr(each), str(each), f"{each}"]
    cache._engine.components.flights.land(flight, Abandoned(None))


async def test_warming_tells_no_secret(cache, collected):
    """Not in its report, not in what it tells while it goes on."""

    @cached_llm_call("page", cache=cache, policy=SECRET)
    async def page(n, **params):
        if n == 2:
            raise TypeError
        return "text"

    told = []
    calls = {page: [{"n": n, **secrets()} for n in (1, 2)]}
    report = await cache.warm(calls, on_event=told.append)
    assert len(report.failed) == 1
    collected += [repr(told), repr(report)]


MODULE = """
from llm_cache import cached_llm_call

@cached_llm_call("page")
def page(grade: int, **params):
    if grade == 13:
        raise TypeError("no")
    return "text"
"""
SETTINGS = f"""
[cache]
cache_dir = "cache"

[prefixes.p]
secret_params = ["student"]

[prefixes.page]
secret_params = ["student"]

[[warm]]
prefix = "page"
generate = "private_lessons:page"
retries = 0
params = [
  {{ grade = 1, api_key = "{CANARIES["key"]}", student = "{CANARIES["own"]}" }},
  {{ grade = 13, headers = {{ authorization = "{CANARIES["authorization"]}" }} }},
]
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A directory with settings that hold secrets, and a cache with entries made with some."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "private_lessons.py").write_text(MODULE)
    (tmp_path / "cache.toml").write_text(SETTINGS)
    with LLMCache(config=load_config(tmp_path / "cache.toml")) as cache:
        cache.put("p", "text", policy=SECRET, params=secrets())
        cache.put("p", "other", policy=SECRET, params={**secrets(), "subject": "chemistry"})
        cache.put("q", "text", policy=NOTHING, params=everything())
        cache.put("dropped", "text", policy=SECRET, params=secrets())
        cache.invalidate_prefix("dropped", keep=True)
    yield tmp_path
    sys.modules.pop("private_lessons", None)


def commands(entry_id):
    """Every command that shows params, in every form."""
    typed = [f"api_key={CANARIES['typed']}", f'headers={{"authorization": "{CANARIES["typed"]}"}}']
    return [
        *(["ls", *form] for form in ([], ["--json"], ["--jsonl"], ["p"], ["-q"])),
        *(["inspect", entry_id, *form] for form in ([], ["--json"], ["--raw"])),
        *(["stats", *form] for form in ([], ["--json"])),
        *(["why", "p", "subject=physics", *typed, *form] for form in ([], ["--json"])),
        ["why", "p", f"student={CANARIES['typed']}", f"password={CANARIES['typed']}"],
        ["why", "p", *typed, typed[0]],
        ["why", "nothing", *typed],
        ["invalidate", entry_id, "--dry-run"],
        ["invalidate", "-p", "p", "--dry-run", "--json"],
        ["prune", "--dry-run"],
        ["clear", "--dry-run"],
        ["config", "show"],
        ["warm", "--dry-run"],
        ["warm", "--json"],
        ["warm", "--refresh"],
    ]


def ids_in(directory):
    """The id of the first entry."""
    with LLMCache(directory / "cache") as cache:
        return next(cache.entries("p")).id


def test_no_command_shows_a_secret(here, capfd, collected):
    """In a pipe: not on stdout, not on stderr, not with --debug."""
    for command in commands(ids_in(here)):
        for debug in ([], ["--debug"]):
            assert run([*debug, *command]) in (0, 1, 2), command
            sys.stdout.flush()
            out, err = capfd.readouterr()
            assert found_in(out + err) == [], command
            collected += [out, err]


@pytest.mark.slow
def test_no_command_shows_a_secret_on_a_terminal(here):
    """Where tables are drawn and progress is shown."""
    for command in commands(ids_in(here)):
        result = terminal.on_terminal(*command, cwd=here, columns=200)
        assert found_in(result.out) == [], command


@pytest.mark.parametrize(
    "line",
    [
        '{ grade = "x", api_key = "CANARY" }',
        '{ api_key = "CANARY" }',
        '{ grade = 1, api_key = nan, password = "CANARY" }',
    ],
)
def test_no_mistake_in_the_settings_shows_a_secret(here, capfd, collected, line):
    """What does not fit is told with the item's params, secrets redacted."""
    text = SETTINGS[: SETTINGS.index("params = [\n")] + f"params = [{line}]"
    (here / "cache.toml").write_text(text.replace("CANARY", CANARIES["key"]))
    for command in (["warm"], ["warm", "--dry-run"], ["--debug", "warm"]):
        assert run(command) in (1, 2)
        out, err = capfd.readouterr()
        assert "warm" in err
        collected += [out, err]


def test_a_secret_that_does_not_fit_its_annotation_is_not_shown(collected, here):
    """It is named, and the rest is said without it."""
    module = "from llm_cache import cached_llm_call\n@cached_llm_call('page')\n"
    module += "def page(grade: int, token: int):\n    return 'text'\n"
    (here / "private_lessons.py").write_text(module)
    text = SETTINGS[: SETTINGS.index("params = [\n")]
    text += f'params = [{{ grade = 1, token = "{CANARIES["key"]}" }}]'
    (here / "cache.toml").write_text(text)
    config = load_config(here / "cache.toml")
    with LLMCache(config=config) as cache, pytest.raises(CacheError, match="token") as raised:
        cache.warm_plan()
    collected.extend(told_of(raised.value))


def test_a_file_of_the_cache_may_be_searched(directory):
    """What is not secret is found where secrets are looked for: the search works."""
    with LLMCache(config=CacheConfig(cache_dir=directory)) as cache:
        cache.put("p", "text", subject=CANARIES["key"])
    content = b"".join(Path(p).read_bytes() for p in directory.iterdir() if p.is_file())
    assert found_in(content)
