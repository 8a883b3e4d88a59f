"""The file is private, set up as promised, and never anybody else's."""

import os
import shutil
import stat
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apsw
import pytest

from llm_cache import CacheConfig, LLMCache
from llm_cache.errors import StoreError
from llm_cache.store.records import EVERYTHING
from llm_cache.store.sqlite import _schema
from llm_cache.store.sqlite._connection import run
from llm_cache.store.sqlite.store import FILE_NAME
from tests.conformance.samples import an_entry, keep

JOIN_S = 30.0


@pytest.fixture(params=[0o000, 0o022, 0o077, 0o177], ids=oct)
def umask(request):
    """The process's umask, for the time of a test."""
    before = os.umask(request.param)
    yield request.param
    os.umask(before)


def mode(path: Path) -> str:
    """The permissions of a file, as `ls` would have them in octal."""
    return oct(stat.S_IMODE(path.stat().st_mode))


def test_files_are_0600_and_the_directory_0700(umask, make_store, place):
    """Whatever the umask, everything is for the user, and for nobody else."""
    store = make_store()
    keep(store, an_entry())
    assert mode(place) == "0o700"
    names = {path.name: mode(path) for path in place.iterdir()}
    assert names.pop("owners") == "0o700"
    assert names.keys() == {
        "cache.db", "cache.db-wal", "cache.db-shm", "stamps", "lock", "reserve",
        "CACHEDIR.TAG", ".gitignore",
    }  # fmt: skip
    assert set(names.values()) == {"0o600"}
    assert {mode(path) for path in (place / "owners").iterdir()} == {"0o600"}


def test_parent_directories_are_made(make_store, tmp_path):
    """A cache directory may lie as deep as one likes."""
    keep(make_store(tmp_path / "a" / "b" / "c"), an_entry())
    assert mode(tmp_path / "a" / "b" / "c") == "0o700"


def test_the_file_is_set_up_as_promised(store, raw):
    """It gives space back, can be told from others, knows its schema, and keeps a log."""
    assert raw.value("PRAGMA auto_vacuum") == 2
    assert raw.value("PRAGMA application_id") == _schema.APPLICATION_ID
    assert raw.value("PRAGMA user_version") == len(_schema.MIGRATIONS)
    assert raw.value("PRAGMA journal_mode") == "wal"
    assert raw.value("PRAGMA integrity_check") == "ok"


@pytest.mark.parametrize(("full", "expected"), [(False, 1), (True, 2)], ids=["normal", "full"])
def test_durability_is_set_on_the_connection_that_writes(make_store, full, expected):
    """It syncs as was asked for."""
    store = make_store(full_durability=full)
    store.open()
    written = store._writer.submit(lambda c: run(c, "PRAGMA synchronous")).result(JOIN_S)
    assert written == [(expected,)]


def test_removing_gives_space_back(make_store, place, raw):
    """The file shrinks after a large removal; it does not stay at its largest."""
    store = make_store()
    keep(store, *(an_entry(n, body=b"x" * 100_000) for n in range(20)))
    store.remove(EVERYTHING)
    store.close()
    assert (place / FILE_NAME).stat().st_size < 500_000


# Not ours


def foreign(path: Path, *statements: str) -> None:
    """A database that somebody else made."""
    connection = apsw.Connection(str(path))
    for sql in ("CREATE TABLE theirs (a)", "INSERT INTO theirs VALUES (1)", *statements):
        run(connection, sql)
    connection.close()


def foreign_with_log(path: Path) -> None:
    """A database in WAL mode that its application left without checkpointing, as a crash does."""
    live = path.with_name("live.db")
    connection = apsw.Connection(str(live))
    run(connection, "PRAGMA journal_mode = WAL")
    run(connection, "CREATE TABLE theirs (a)")
    for name in ("", "-wal"):
        shutil.copy(f"{live}{name}", f"{path}{name}")
    connection.close()
    live.unlink()


def ours(path: Path, *statements: str) -> None:
    """A file that was ours before somebody changed its schema."""
    connection = apsw.Connection(str(path))
    _schema.prepare(connection, path=str(path))
    for sql in statements:
        run(connection, sql)
    connection.close()


NOT_OURS = {
    "another application's": foreign,
    "another's with an application id": lambda p: foreign(p, "PRAGMA application_id = 7"),
    "another's with our version": lambda p: foreign(p, "PRAGMA user_version = 1"),
    "another's in WAL mode": lambda p: foreign(p, "PRAGMA journal_mode = WAL"),
    "another's with a log": foreign_with_log,
    "a newer release's": lambda p: foreign(
        p, f"PRAGMA application_id = {_schema.APPLICATION_ID}", "PRAGMA user_version = 99"
    ),
    "a short text": lambda p: p.write_bytes(b"notes of mine\n"),
    "a single byte": lambda p: p.write_bytes(b"\n"),
    "a database cut off in its header": lambda p: (foreign(p), os.truncate(p, 72)),
    "ours with a trigger": lambda p: ours(
        p, "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM totals; END"
    ),
    "ours with a view": lambda p: ours(p, "CREATE VIEW v AS SELECT * FROM entries"),
    "ours with another table": lambda p: ours(p, "CREATE TABLE theirs (a)"),
}


@pytest.mark.parametrize("name", NOT_OURS)
def test_a_file_that_is_not_ours_is_refused_untouched(make_store, place, name):
    """The error names the file, and not a byte of it changes, nor of what lies beside it."""
    place.mkdir(mode=0o700)
    NOT_OURS[name](place / FILE_NAME)
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    store = make_store()
    for attempt in (store.open, store.totals, lambda: keep(store, an_entry())):
        with pytest.raises(StoreError, match=FILE_NAME):
            attempt()
    store.close()
    after = {path.name: path.read_bytes() for path in place.iterdir()}
    for trace in ("stamps", "lock"):
        after.pop(trace, None)
    assert after == before


@pytest.mark.parametrize(
    ("name", "advice"),
    [("another application's", "another cache_dir"), ("a newer release's", "upgrade llm-cache")],
)
def test_the_refusal_says_what_to_do(make_store, place, name, advice):
    """A reader of the message knows the way out."""
    place.mkdir(mode=0o700)
    NOT_OURS[name](place / FILE_NAME)
    with pytest.raises(StoreError, match=advice):
        make_store().open()


def test_refusals_leave_no_file_open(make_store, place, open_files):
    """An application that tries again and again does not run out of descriptors."""
    place.mkdir(mode=0o700)
    foreign(place / FILE_NAME)
    store = make_store()
    for _ in range(5):
        with pytest.raises(StoreError):
            store.open()
    store.close()
    assert open_files(place) == []


def test_an_empty_file_is_taken(make_store, place):
    """A file of no bytes is nobody's: whoever died just after making it must not lock us out."""
    place.mkdir(mode=0o700)
    (place / FILE_NAME).touch()
    keep(make_store(), an_entry())


def test_a_store_that_was_refused_opens_once_the_way_is_clear(make_store, place):
    """Moving the foreign file away is enough; no new store is needed."""
    place.mkdir(mode=0o700)
    foreign(place / FILE_NAME)
    store = make_store()
    with pytest.raises(StoreError):
        store.open()
    (place / FILE_NAME).rename(place / "theirs.db")
    keep(store, an_entry())
    assert store.get(an_entry().key) == an_entry()


def test_a_file_where_the_directory_should_be_is_a_store_error(make_store, place):
    """The message names the place."""
    place.write_text("not a directory")
    with pytest.raises(StoreError, match="cache"):
        make_store().open()
    assert place.read_text() == "not a directory"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_cannot_be_written_is_a_store_error(make_store, tmp_path):
    """No permission is trouble of the store's, not a crash."""
    tmp_path.chmod(0o500)
    try:
        with pytest.raises(StoreError):
            make_store(tmp_path / "sub").open()
    finally:
        tmp_path.chmod(0o700)


# Paths

NAMES = [
    "a b",
    "q?mode=ro",
    "h#ash",
    "p%41",
    "a&b=c",
    "\u00fc\u0308\U0001f600",
    "new\nline",
    "'q\"",
    ":memory:",
    "-x",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_directory_may_have_any_name(make_store, tmp_path, name):
    """Characters that mean something in a URI mean nothing in a directory's name."""
    directory = tmp_path / name
    keep(make_store(directory), an_entry())
    assert (directory / FILE_NAME).is_file()
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.skipif(sys.platform != "linux", reason="only here a name may be any bytes")
def test_a_directory_may_have_a_name_that_is_no_text(make_store, tmp_path):
    """A name in another encoding than UTF-8 is a directory like any other, or a StoreError."""
    directory = Path(os.fsdecode(os.fsencode(tmp_path) + b"/caf\xe9"))
    store = make_store(directory)
    try:
        keep(store, an_entry())
    except StoreError:
        return
    assert (directory / FILE_NAME).is_file()


@pytest.mark.parametrize("make", [LLMCache, lambda d: LLMCache(config=CacheConfig(cache_dir=d))])
def test_a_relative_directory_is_found_after_a_change_of_directory(tmp_path, monkeypatch, make):
    """A cache stays where it was made, also for threads that come later."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    with make("relative") as cache:
        cache.put("intro_page", "text", n=1)
        monkeypatch.chdir(tmp_path / "elsewhere")
        with ThreadPoolExecutor(1) as thread:
            entry = thread.submit(cache.peek, "intro_page", n=1).result(JOIN_S)
    assert entry is not None
    assert list((tmp_path / "elsewhere").iterdir()) == []


# Letting go


def test_close_lets_go_of_every_file(store, place, open_files):
    """Not even a thread that has read, and lives on, keeps the file open."""
    keep(store, an_entry())
    has_read, may_end = threading.Event(), threading.Event()

    def read() -> None:
        store.get(an_entry().key)
        has_read.set()
        may_end.wait(JOIN_S)

    reader = threading.Thread(target=read)
    reader.start()
    assert has_read.wait(JOIN_S)
    store.close()
    try:
        assert open_files(place) == []
    finally:
        may_end.set()
        reader.join(JOIN_S)


def test_threads_that_end_let_go_of_the_file(store, place, open_files):
    """A thousand short-lived threads do not keep a thousand connections."""
    keep(store, an_entry())
    store.get(an_entry().key)
    before = len(open_files(place))
    for _ in range(20):
        thread = threading.Thread(target=store.get, args=(an_entry().key,))
        thread.start()
        thread.join(JOIN_S)
    assert len(open_files(place)) <= before + 3


def test_close_leaves_no_log_behind(store, place):
    """After the last one closed, the database alone is there."""
    keep(store, an_entry())
    store.get(an_entry().key)
    store.close()
    names = sorted(path.name for path in place.iterdir())
    assert names == [
        ".gitignore", "CACHEDIR.TAG", "cache.db", "lock", "owners", "reserve", "stamps",
    ]  # fmt: skip
    assert list((place / "owners").iterdir()) == []


@pytest.mark.slow
def test_closing_beside_a_write_that_hangs_raises_nothing(store):
    """Its connection is left to the thread that is stuck in it, and its caller hears of it."""
    began, go_on = threading.Event(), threading.Event()

    def hang(connection):
        connection.create_scalar_function("hang", lambda: began.set() or int(go_on.wait(60)))
        run(connection, "SELECT hang()")

    written = store._writer.submit(hang)
    assert began.wait(30)
    try:
        store._file.close()
    finally:
        go_on.set()
    assert written.exception(30) is not None
