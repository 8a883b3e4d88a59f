"""The guarantees of docs/reliability.md that hold in one process, end to end."""

import asyncio
import logging
import stat

import apsw
import pydantic
import pytest

from llm_cache import LLMCache, StoreError
from llm_cache.core.keys import Identity, canonical_params

CANARY = "sk-CANARY-8f2e"


def everything_under(directory):
    """The bytes of every file."""
    return b"".join(path.read_bytes() for path in directory.rglob("*") if path.is_file())


def tamper(directory, sql, *bindings):
    """Changes the file behind the cache's back."""
    connection = apsw.Connection(str(directory / "cache.db"))
    connection.execute(sql, bindings).fetchall()
    connection.close()


def test_1_a_value_reaches_its_caller_even_if_storing_fails(tmp_path):
    """The directory cannot be made: the application runs on."""
    (tmp_path / "file").write_text("in the way")
    with LLMCache(tmp_path / "file" / "cache") as cache:
        assert cache.get_or_generate_sync("p", lambda: "text") == "text"
        assert asyncio.run(cache.get_or_generate("p", lambda: "text")) == "text"
        with pytest.raises(StoreError, match="is a file"):
            cache.put("p", "text")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE entries SET value = CAST('\"tampered\"' AS BLOB)",
        "UPDATE entries SET prefix = 'q'",
        "UPDATE entries SET created_at = created_at + 1",
        "UPDATE entries SET encoding = 'json+zlib'",
        "UPDATE entries SET call_ttl = 1e9",
        "UPDATE entries SET checksum = zeroblob(16)",
    ],
)
def test_3_a_damaged_entry_is_never_returned(tmp_path, sql):
    """Whatever of it changed, it is a miss."""
    with LLMCache(tmp_path) as cache:
        cache.put("p", "text")
    tamper(tmp_path, sql)
    with LLMCache(tmp_path) as cache:
        assert cache.peek("p") is None
        assert cache.get_or_generate_sync("p", lambda: "regenerated") == "regenerated"


def test_5_cancelling_one_caller_never_affects_another(tmp_path):
    """Of many callers of one flight, all but one go."""

    async def main(cache):
        go = asyncio.Event()

        async def generate():
            await go.wait()
            return "text"

        tasks = [asyncio.create_task(cache.get_or_generate("p", generate)) for _ in range(50)]
        await asyncio.to_thread(cache._engine.components.store.open)
        await asyncio.sleep(0)
        for task in tasks[:-1]:
            task.cancel()
        go.set()
        assert await tasks[-1] == "text"

    with LLMCache(tmp_path) as cache:
        asyncio.run(main(cache))


@pytest.mark.parametrize("encoding", ["json", "pickle", "json+zlib", "json-wide"])
def test_8_nothing_stored_is_ever_executed(tmp_path, encoding):
    """Pickled bytes that would make a file are a miss, under a checksum that holds, too."""
    marker = tmp_path / "executed"
    payload = b"cposix\nsystem\n(S'touch %s'\ntR." % str(marker).encode()
    directory = tmp_path / "cache"
    with LLMCache(directory) as cache:
        cache.put("p", "text")
        entry = cache.peek("p")
        forged = type(entry)(
            key=entry.key, request=entry.request, params_json=b"{}", prefix="p",
            encoding=encoding, size_bytes=len(payload), value_bytes=len(payload),
            created_at=entry.created_at, body=payload,
        )  # fmt: skip
        cache._engine.components.store.put(forged)
        assert cache.get_or_generate_sync("p", lambda: "regenerated") == "regenerated"
    assert not marker.exists()


def test_9_different_requests_never_share_an_entry(tmp_path):
    """Params, types, versions, tenants, variants and prefixes each make another key."""
    frames = [
        {"prefix": prefix, "version": version, "tenant": tenant, "variant": variant, "p": p}
        for prefix in ("a", "ab")
        for version in ("", "b", "1")
        for tenant in ("", "b", "1")
        for variant in (0, 1)
        for p in (1, 1.0, True, "1", None, [1], {"p": 1}, "b")
    ]
    keys = {
        Identity(
            f["prefix"], canonical_params({"p": f["p"]}), f["version"], f["tenant"], f["variant"]
        ).key
        for f in frames
    }
    assert len(keys) == len(frames)
    with LLMCache(tmp_path) as cache:
        for n, value in enumerate((1, 1.0, True, "1", None, [1], {"p": 1})):
            assert cache.get_or_generate_sync("p", lambda n=n: n, p=value) == n


@pytest.mark.parametrize("umask", [0o000, 0o022, 0o077, 0o277])
def test_10_what_is_stored_is_private(tmp_path, umask, monkeypatch):
    """Directory 0700 and files 0600, whatever the umask."""
    import os

    before = os.umask(umask)
    try:
        with LLMCache(tmp_path / "cache") as cache:
            cache.put("p", "text")
            modes = {
                path.name: stat.S_IMODE(path.stat().st_mode)
                for path in (tmp_path / "cache", *(tmp_path / "cache").rglob("*"))
            }
    finally:
        os.umask(before)
    assert modes.pop("cache") == modes.pop("owners") == 0o700
    assert set(modes.values()) == {0o600}


class Client(pydantic.BaseModel):
    """A param with a secret inside."""

    name: str
    credential: pydantic.SecretStr


SECRETS = {
    "by its name": {"api_key": CANARY},
    "inside": {"headers": [{"X-Authorization": CANARY}]},
    "as a SecretStr": {"it": pydantic.SecretStr(CANARY)},
    "in a model": {"client": Client(name="n", credential=pydantic.SecretStr(CANARY))},
}


@pytest.mark.parametrize("params", SECRETS.values(), ids=SECRETS)
def test_10_secrets_are_neither_stored_nor_shown(tmp_path, params, caplog):
    """No byte of any file, no log, no text of ours has them; the key still counts them."""
    with caplog.at_level(logging.DEBUG), LLMCache(tmp_path) as cache:
        cache.get_or_generate_sync("p", lambda: "text", params={"subject": "math", **params})
        entry = next(iter(cache.entries()))
        shown = f"{entry!r} {entry.params} {cache.get_stats()} {caplog.text}"
        assert CANARY.encode() not in everything_under(tmp_path)
        assert entry.redacted
        assert "<redacted>" in shown
        assert cache.peek("p", params={"subject": "math", **params}) is not None
        assert cache.peek("p", params={"subject": "math", "api_key": "another"}) is None
    assert CANARY not in shown
    assert CANARY.encode() not in everything_under(tmp_path)
