"""Zstandard, for who has installed the extra `zstd`: the only module that imports it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

MAGIC: Final = b"\x28\xb5\x2f\xfd"
"""What every compressed file begins with."""
LEVEL: Final = 9
LARGEST_WINDOW_BYTES: Final = 128 * 1024**2
"""As much memory as `zstd` itself allows a file to ask for without being told."""
_AT_ONCE_BYTES: Final = 1024
"""Not more is unpacked at once: it may become 32 MiB, and no file can make it more."""
_PIECE_BYTES: Final = 64 * 1024


class ZstdMissingError(Exception):
    """The extra `zstd` is not installed."""


class ZstdDamagedError(Exception):
    """What is compressed is damaged, or cut off."""


class Compressor:
    """Compresses one stream, with a checksum over all of it."""

    def __init__(self) -> None:
        self._stream = _library().ZstdCompressor(level=LEVEL, write_checksum=True).compressobj()

    def compress(self, data: bytes) -> bytes:
        """As much of the compressed stream as is settled by now."""
        done: bytes = self._stream.compress(data)
        return done

    def end(self) -> bytes:
        """The rest of it."""
        rest: bytes = self._stream.flush()
        return rest


def decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """What is in compressed files, one after the other, in small pieces.

    Raises:
        ZstdDamagedError: they are damaged or cut off.
        ZstdMissingError: the extra is not installed.
    """
    library = _library()
    stream: Any = None
    for data in _small(chunks):
        rest = data
        while rest:
            if stream is None:
                stream = _stream(library)
            try:
                unpacked: bytes = stream.decompress(rest)
            except library.ZstdError as error:
                raise ZstdDamagedError(str(error)) from None
            for at in range(0, len(unpacked), _PIECE_BYTES):
                yield unpacked[at : at + _PIECE_BYTES]
            rest = b""
            if stream.eof:
                rest, stream = stream.unused_data, None
    if stream is not None:
        msg = "it is cut off"
        raise ZstdDamagedError(msg)


def _small(chunks: Iterable[bytes]) -> Iterator[bytes]:
    return (
        chunk[at : at + _AT_ONCE_BYTES]
        for chunk in chunks
        for at in range(0, len(chunk), _AT_ONCE_BYTES)
    )


def _stream(library: Any) -> Any:
    return library.ZstdDecompressor(max_window_size=LARGEST_WINDOW_BYTES).decompressobj()


def _library() -> Any:
    try:
        import zstandard
    except ImportError as error:
        msg = "the extra 'zstd' is not installed"
        raise ZstdMissingError(msg) from error
    return zstandard
