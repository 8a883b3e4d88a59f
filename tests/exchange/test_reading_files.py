"""Files as they come: in chunks, with lines of any length, compressed, cut off, or as a bomb."""

import sys
import tracemalloc
from collections.abc import Iterator

import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from llm_cache.core.values.zstd import Compressor, ZstdDamagedError, ZstdMissingError, decompressed
from llm_cache.transfer.jsonl import split_lines

MIB = 1024**2
CHUNKS = st.lists(st.binary(max_size=4) | st.sampled_from([b"\n", b"a\nb", b"\n\n"]), max_size=12)


@given(chunks=CHUNKS, longest=st.integers(min_value=1, max_value=6))
@example(chunks=[b"ab", b"cd", b"\n", b"e"], longest=3)
def test_lines_are_the_same_however_they_come(chunks, longest):
    """Joined and split again; those that are too long are None, at their place."""
    lines = b"".join(chunks).split(b"\n")
    if not lines[-1]:
        lines.pop()  # the last line has an end
    expected = [line if len(line) <= longest else None for line in lines]
    assert list(split_lines(chunks, longest)) == expected


def test_line_without_an_end_fills_no_memory():
    """It is let go of as it comes, and what stands behind it is read."""

    def endless() -> Iterator[bytes]:
        for _ in range(1000):
            yield bytes(64 * 1024)
        yield b"\nafter it\n"

    tracemalloc.start()
    assert list(split_lines(endless(), 1000)) == [None, b"after it"]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MIB


def compressed(data: bytes) -> bytes:
    """One compressed file."""
    compressor = Compressor()
    return compressor.compress(data) + compressor.end()


def in_pieces(data: bytes, size: int) -> list[bytes]:
    """A file as it may come."""
    return [data[at : at + size] for at in range(0, len(data), size)]


@given(
    files=st.lists(st.binary(max_size=300), max_size=3), size=st.integers(min_value=1, max_value=50)
)
def test_compressed_files_may_be_joined(files, size):
    """What comes out is what went in, one file after the other, however it comes."""
    joined = b"".join(map(compressed, files))
    assert b"".join(decompressed(in_pieces(joined, size))) == b"".join(files)


def test_what_another_tool_compressed_is_read():
    """Also with the widest window it takes without being told."""
    data = bytes(range(256)) * 1000
    parameters = zstandard.ZstdCompressionParameters(compression_level=3, window_log=27)
    squeezed = zstandard.ZstdCompressor(compression_params=parameters).compress(data)
    assert b"".join(decompressed([squeezed])) == data


def test_window_that_would_take_gigabytes_is_refused():
    """A header alone can ask for them."""
    parameters = zstandard.ZstdCompressionParameters(compression_level=3, window_log=30)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    squeezed = stream.compress(bytes(1000)) + stream.flush()
    with pytest.raises(ZstdDamagedError):
        list(decompressed([squeezed]))


@given(kept=st.integers(min_value=1))
def test_compressed_file_that_is_cut_off_is_told(kept):
    """Wherever that is; nothing that was not in it comes out."""
    data = b"a line\n" * 1000
    whole = compressed(data)
    came = bytearray()
    with pytest.raises(ZstdDamagedError):  # noqa: PT012 - what came before it counts
        for piece in decompressed([whole[: 1 + kept % (len(whole) - 1)]]):
            came += piece
    assert data.startswith(bytes(came))


def test_damaged_compressed_file_is_told():
    """By its own checksum, at the latest."""
    whole = bytearray(compressed(bytes(range(256)) * 10))
    whole[len(whole) // 2] ^= 1
    with pytest.raises(ZstdDamagedError):
        list(decompressed([bytes(whole)]))


def test_bomb_comes_in_small_pieces():
    """A quarter of a gibibyte out of 8 KiB: no piece is large, and little is held."""
    compressor = Compressor()
    bomb = b"".join(compressor.compress(bytes(MIB)) for _ in range(256)) + compressor.end()
    assert len(bomb) < 100 * 1024
    tracemalloc.start()
    pieces = list(map(len, decompressed([bomb])))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert (sum(pieces), max(pieces)) == (256 * MIB, 64 * 1024)
    assert peak < 80 * MIB


def test_without_the_extra_it_says_so(monkeypatch):
    """Both ways."""
    monkeypatch.setitem(sys.modules, "zstandard", None)
    with pytest.raises(ZstdMissingError, match="the extra 'zstd' is not installed"):
        Compressor()
    with pytest.raises(ZstdMissingError, match="the extra 'zstd' is not installed"):
        list(decompressed([b""]))
