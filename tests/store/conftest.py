"""A SQLite store of each test's own, and a second way into its file."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import apsw
import pytest

from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite.store import FILE_NAME, SqliteStore
from tests.conformance.samples import Clock

ROOMY_BYTES = 1024**3
BUSY_MS = 20_000


@pytest.fixture
def clock() -> Clock:
    """The clock of the stores."""
    return Clock()


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where the stores keep their file; not made yet."""
    return tmp_path / "cache"


@pytest.fixture
def make_store(place: Path, clock: Clock) -> Iterator[Callable[..., SqliteStore]]:
    """Makes stores over one directory, and closes them in the end."""
    with ExitStack() as opened:

        def make(
            directory: Path = place, *, max_bytes: int = ROOMY_BYTES, full_durability: bool = False
        ) -> SqliteStore:
            store = SqliteStore(
                directory, max_bytes=max_bytes, full_durability=full_durability, clock=clock
            )
            opened.callback(store.close)
            return store

        yield make


@pytest.fixture
def store(make_store: Callable[..., SqliteStore]) -> SqliteStore:
    """One store, empty and open."""
    store = make_store()
    store.open()
    return store


class RawFile:
    """The store's file as anybody else could open it, without the store's care."""

    def __init__(self, path: Path):
        self.path = path

    @contextmanager
    def connection(self) -> Iterator[apsw.Connection]:
        """A connection of its own, closed at the end."""
        connection = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        connection.set_busy_timeout(BUSY_MS)
        try:
            yield connection
        finally:
            connection.close()

    def run(self, sql: str, *bindings: object) -> list[tuple]:
        """Carries out `sql` and returns its rows."""
        with self.connection() as connection:
            return run(connection, sql, bindings)

    def value(self, sql: str, *bindings: object) -> object:
        """The single value that `sql` gives."""
        [[value]] = self.run(sql, *bindings)
        return value


@pytest.fixture
def raw(place: Path) -> RawFile:
    """The file of the stores."""
    return RawFile(place / FILE_NAME)


@pytest.fixture
def open_files() -> Callable[[Path], list[str]]:
    """Which files under a directory this process holds open, once for every descriptor."""
    descriptors = Path("/proc/self/fd")
    if not descriptors.exists():
        pytest.skip("needs /proc to see which files are open")

    def open_under(directory: Path) -> list[str]:
        targets = []
        for descriptor in os.listdir(descriptors):  # noqa: PTH208 - names are all that is wanted
            try:
                targets.append(str((descriptors / descriptor).readlink()))
            except FileNotFoundError:
                continue  # the descriptor of the listing itself
        return sorted(t for t in targets if t.startswith(str(directory)))

    return open_under
