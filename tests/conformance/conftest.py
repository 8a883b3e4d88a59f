"""The fixtures that run every test of this directory over every store of `factories.py`."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from llm_cache.store.protocol import Store
from tests.conformance.factories import FACTORIES, Factory
from tests.conformance.samples import Clock

ROOMY_BYTES = 1024**3


@pytest.fixture(params=FACTORIES.values(), ids=FACTORIES.keys())
def factory(request: pytest.FixtureRequest) -> Factory:
    """Makes stores of one kind."""
    return request.param


@pytest.fixture
def clock() -> Clock:
    """The clock of the stores."""
    return Clock()


@pytest.fixture
def make_store(factory: Factory, tmp_path: Path, clock: Clock) -> Iterator[Callable[..., Store]]:
    """Makes stores that all keep their entries in one place, and closes them in the end."""
    with ExitStack() as opened:

        def make(*, max_bytes: int = ROOMY_BYTES) -> Store:
            store = factory(tmp_path, max_bytes=max_bytes, clock=clock)
            opened.callback(store.close)
            return store

        yield make


@pytest.fixture
def store(make_store: Callable[..., Store]) -> Store:
    """One store, empty and open."""
    store = make_store()
    store.open()
    return store
