"""What somebody else wrote into the file is decoded as JSON or not at all, and never executed."""

import pickle
import tracemalloc
import zlib
from pathlib import Path

import pytest

from llm_cache import LLMCache
from llm_cache.core.values.codec import LARGEST_VALUE_BYTES
from llm_cache.store.sqlite.store import SqliteStore
from tests.conformance.samples import sized

MEBIBYTE = 1024**2


@pytest.fixture
def planted(place):
    """Puts a body under the key of `intro_page(n=1)`, with the right checksum; gives a cache."""
    caches = []

    def plant(body: bytes, encoding: str, value_bytes: int = 0) -> LLMCache:
        with LLMCache(place) as cache:
            cache.put("intro_page", "whatever", n=1)
            entry = cache.peek("intro_page", n=1)
        fields = {name: getattr(entry, name) for name in type(entry).__dataclass_fields__}
        changes = {"body": body, "encoding": encoding, "value_bytes": value_bytes}
        store = SqliteStore(place, max_bytes=2**40)
        assert store.put(sized(type(entry)(**{**fields, **changes})))
        store.close()
        caches.append(LLMCache(place))
        return caches[-1]

    yield plant
    for cache in caches:
        cache.close()


class Evil:
    """Leaves a mark when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_the_mark_works(tmp_path):
    """The trap of the next tests snaps when it is stepped on."""
    pickle.loads(pickle.dumps(Evil(tmp_path / "mark")))  # noqa: S301 - this is the trap itself
    assert (tmp_path / "mark").exists()


@pytest.mark.parametrize(
    "encoding", ["json", "json-wide", "pickle", "pickle+zlib", "json+zlib", ""]
)
def test_a_pickle_is_never_executed(planted, tmp_path, encoding):
    """Whatever the row calls it, a pickle is a miss, and the new value takes its place."""
    body = pickle.dumps(Evil(tmp_path / "mark"))
    if encoding.endswith("+zlib"):
        body = zlib.compress(body)
    cache = planted(body, encoding)
    assert cache.get_or_generate_sync("intro_page", lambda: "made", n=1) == "made"
    assert not (tmp_path / "mark").exists()
    assert cache.peek("intro_page", n=1).value == "made"


@pytest.mark.parametrize(
    "encoding", ["", "json+", "+zlib", "JSON", "json+zlib+zlib", "../json", "json\x00"]
)
def test_an_encoding_that_nobody_wrote_is_a_miss(planted, encoding):
    """What cannot be read back with certainty is made again."""
    cache = planted(b'"planted"', encoding)
    assert cache.get_or_generate_sync("intro_page", lambda: "made", n=1) == "made"


@pytest.mark.parametrize("body", [b"", b"nope", b'"cut', b"\xff\xff", b"[" * 100_000, b"1 2"])
def test_a_body_that_is_not_json_is_a_miss(planted, body):
    """Bytes without a meaning are no answer and no crash."""
    cache = planted(body, "json")
    assert cache.get_or_generate_sync("intro_page", lambda: "made", n=1) == "made"


@pytest.mark.parametrize(
    "body", [b"", b"nope", zlib.compress(b'"text"')[:-3], zlib.compress(b'"t"') + b"more"]
)
def test_a_compressed_body_that_is_not_whole_is_a_miss(planted, body):
    """A cut-off stream gives nothing, not its beginning."""
    cache = planted(body, "json+zlib")
    value = cache.get_or_generate_sync("intro_page", lambda: "made", n=1)
    assert value == "made"


def bomb(unpacked_mib: int) -> bytes:
    """A small stream that unpacks to so many mebibytes."""
    squeeze = zlib.compressobj(1)
    parts = [squeeze.compress(b'"' + b"a" * (MEBIBYTE - 1))]
    parts += [squeeze.compress(b"a" * MEBIBYTE) for _ in range(unpacked_mib - 1)]
    return b"".join([*parts, squeeze.compress(b'"'), squeeze.flush()])


@pytest.mark.slow
@pytest.mark.parametrize("value_bytes", [10, 2**40], ids=["says it is small", "says it is huge"])
def test_a_compressed_bomb_is_a_miss_and_fills_no_memory(planted, value_bytes):
    """No more is unpacked than a value may have, however much the stream holds."""
    unpacked_mib = 6 * LARGEST_VALUE_BYTES // MEBIBYTE
    body = bomb(unpacked_mib)
    assert len(body) < 4 * MEBIBYTE
    cache = planted(body, "json+zlib", value_bytes)
    cache.get_or_generate_sync("intro_page", lambda: "warmed up", n=2)
    tracemalloc.start()
    try:
        assert cache.get_or_generate_sync("intro_page", lambda: "made", n=1) == "made"
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3 * LARGEST_VALUE_BYTES
    assert cache.peek("intro_page", n=1).value == "made"
