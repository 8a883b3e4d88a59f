"""What a connection to the file lets nobody do, whatever the file says."""

import apsw
import pytest

from llm_cache.store.sqlite._connection import connect, run


@pytest.fixture
def connection(place):
    """A connection as the store has it, to a file of its own."""
    place.mkdir()
    connection = connect(place / "any.db")
    run(connection, "CREATE TABLE t (x)")
    yield connection
    connection.close()


def test_no_other_file_can_be_attached(connection, tmp_path):
    """Nothing in the file leads to another."""
    with pytest.raises(apsw.SQLError, match="too many attached"):
        run(connection, "ATTACH ? AS other", (str(tmp_path / "other.db"),))
    assert not (tmp_path / "other.db").exists()


def test_the_schema_cannot_be_written_to(connection):
    """Not even after asking for it."""
    run(connection, "PRAGMA writable_schema = ON")
    with pytest.raises(apsw.SQLError, match="may not be modified"):
        run(connection, "UPDATE sqlite_schema SET sql = 'CREATE TABLE t (y)'")


def test_triggers_and_views_do_nothing(connection):
    """Should one come past the look at the schema."""
    run(connection, "CREATE TABLE seen (x)")
    run(connection, "CREATE TRIGGER it AFTER INSERT ON t BEGIN INSERT INTO seen VALUES (1); END")
    run(connection, "CREATE VIEW v AS SELECT 1")
    run(connection, "INSERT INTO t VALUES (1)")
    assert run(connection, "SELECT count(*) FROM seen") == [(0,)]
    with pytest.raises(apsw.SQLError, match="prohibited"):
        run(connection, "SELECT * FROM v")


def test_a_value_may_not_fill_the_memory(connection):
    """A gibibyte at most, whatever a row claims."""
    with pytest.raises(apsw.TooBigError):
        run(connection, "SELECT zeroblob(1100000000)")
