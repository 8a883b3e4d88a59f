"""A counting provider, and a cache without prices of its own."""

import pytest

from tests.savings.counting import CountingServer, Tally


@pytest.fixture
def cache(make_cache):
    """A cache without prices of its own."""
    return make_cache()


@pytest.fixture
def server():
    """A provider that counts what it sells."""
    with CountingServer() as server:
        yield server


@pytest.fixture
def tally(server):
    """What the callers of a test got."""
    return Tally(server)
