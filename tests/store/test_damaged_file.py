"""A file that is not what was written any more, or not there: the cache goes on, and says so."""

import logging
import os
import random
import shutil
import subprocess
import sys
import threading

import apsw
import pytest

from llm_cache import LLMCache, StoreError
from llm_cache.store.records import Selection
from llm_cache.store.sqlite._corruption import sound_entries
from llm_cache.store.sqlite._database import Database
from llm_cache.store.sqlite.store import FILE_NAME
from tests.conformance.samples import an_entry, keep

GUARD_S = 30.0
ENTRIES = 300
HEADER = 100
PAGE = 4096
PAGES_AT = 28
"""Where the header says how many pages there are."""

# Each gets the bytes of the file and a source of chance, and returns the bytes after the damage.
DAMAGES = {
    "garbage in the header": lambda data, _: b"not SQLite at all" + data[17:],
    "garbage from the first byte on": lambda data, chance: chance.randbytes(len(data)),
    "text": lambda _, __: b"notes of mine\n" * 100,
    "no bytes": lambda _, __: b"",
    "cut in the middle of a page": lambda data, _: data[: len(data) // 2 + 1000],
    "cut to the header": lambda data, _: data[:HEADER],
    "cut to one page": lambda data, _: data[:PAGE],
    "half of the pages overwritten": lambda data, chance: overwritten(data, chance, 0.5),
    "a few pages overwritten": lambda data, chance: overwritten(data, chance, 0.05),
    "all pages but the first zero": lambda data, _: data[:PAGE] + bytes(len(data) - PAGE),
}


def overwritten(data, chance, part):
    """Random bytes in the place of some pages, never of the first."""
    pages = [data[at : at + PAGE] for at in range(0, len(data), PAGE)]
    for n in range(1, len(pages)):
        if chance.random() < part:
            pages[n] = chance.randbytes(PAGE)
    return b"".join(pages)


def text(n):
    """The value of an entry."""
    return f"value {n} " * 20


def fill(place):
    """A closed cache with entries; their texts by number."""
    with LLMCache(place) as cache:
        for n in range(ENTRIES):
            cache.put("p", text(n), n=n)


def rescued(place):
    """The files that were moved aside."""
    return sorted(p.name for p in place.iterdir() if ".corrupt-" in p.name)


def answers(cache):
    """Looks every entry up; gives how many had to be made again. None may be wrong."""
    made = []
    for n in range(ENTRIES):
        value = cache.get_or_generate_sync("p", lambda n=n: made.append(n) or text(n), n=n)
        assert value == text(n)
    return len(made)


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_answers_right_or_not_at_all(place, name, caplog):
    """Every answer is right, what is new is kept, and nothing of the old file is deleted."""
    fill(place)
    path = place / FILE_NAME
    data = DAMAGES[name](path.read_bytes(), random.Random(name))
    path.write_bytes(data)
    with LLMCache(place) as cache:
        made = answers(cache)
        assert cache.put("q", "new") is None
        assert cache.peek("q").value == "new"
    with LLMCache(place) as cache:
        assert answers(cache) <= made
    if rescued(place):
        moved = place / rescued(place)[0]
        assert moved.stat().st_size >= len(data)
        said = [r.getMessage() for r in caplog.records if "is damaged" in r.getMessage()]
        assert str(moved) in said[0]


@pytest.mark.parametrize("name", ["garbage in the header", "text", "cut in the middle of a page"])
def test_a_file_that_is_none_is_moved_aside(place, name, caplog):
    """One line of the log says where it is, and it is there, whole."""
    fill(place)
    path = place / FILE_NAME
    data = DAMAGES[name](path.read_bytes(), random.Random(name))
    path.write_bytes(data)
    with caplog.at_level(logging.WARNING, "llm_cache"), LLMCache(place) as cache:
        answers(cache)
    [moved] = [name for name in rescued(place) if not name.endswith(("-wal", "-shm"))]
    said = [r.getMessage() for r in caplog.records if "is damaged" in r.getMessage()]
    assert len(said) == 1
    assert str(place / moved) in said[0]
    assert (place / moved).read_bytes()[:1000] == data[:1000]


CUT_WITHIN_THE_HEADER = [1, 15, 16, 24, 50, 68, 70, 72, 99]
"""Before, within and behind each of the marks that tell whose a file is."""


@pytest.mark.parametrize("has_log", [False, True], ids=["alone", "with its log"])
@pytest.mark.parametrize("size", CUT_WITHIN_THE_HEADER)
def test_a_file_cut_off_within_its_header_is_moved_aside(place, size, has_log):
    """It does not say whose it is, but its directory does: the cache goes on with a new file."""
    with LLMCache(place) as cache:
        cache.put("p", "old", n=1)
        log = (place / f"{FILE_NAME}-wal").read_bytes()
    os.truncate(place / FILE_NAME, size)
    if has_log:
        (place / f"{FILE_NAME}-wal").write_bytes(log)
    with LLMCache(place) as cache:
        assert cache.get_or_generate_sync("p", lambda: "new", n=1) == "new"
    with LLMCache(place) as cache:
        assert cache.peek("p", n=1).value == "new"
    sizes = {(place / n).stat().st_size for n in rescued(place) if not n.endswith("-shm")}
    assert sizes == ({size, len(log)} if has_log else {size})


@pytest.mark.parametrize("size", CUT_WITHIN_THE_HEADER)
def test_a_file_cut_off_under_a_running_application_is_moved_aside(place, size):
    """It goes on, and so does what comes later."""
    with LLMCache(place) as cache:
        cache.put("p", "old", n=1)
        os.truncate(place / FILE_NAME, size)
        assert cache.get_or_generate_sync("p", lambda: "new", n=2) == "new"
    with LLMCache(place) as cache:
        assert cache.get_or_generate_sync("p", lambda: "new", n=3) == "new"
    with LLMCache(place) as cache:
        assert cache.peek("p", n=3).value == "new"


LEAVES_A_LOG = """
cache = LLMCache(directory)
for n in range(300): cache.put("p", f"value {n} " * 20, n=n)
say("kept")
hear()
"""


def test_a_log_that_was_being_moved_into_the_file_is_no_damage(place, start, caplog):
    """The process was killed after the first page: the file says it has more than it has."""
    child = start(LEAVES_A_LOG)
    assert child.says() == "kept"
    child.kill()
    path = place / FILE_NAME
    with path.open("r+b") as file:
        file.seek(PAGES_AT)
        file.write((10_000).to_bytes(4, "big"))
    with LLMCache(place) as cache:
        assert answers(cache) == 0
    assert rescued(place) == []
    assert caplog.records == []


def test_an_error_without_damage_moves_nothing(place, monkeypatch):
    """Whatever made SQLite say so is past, or lies outside of the file."""
    fill(place)
    with LLMCache(place) as cache:
        assert answers(cache) == 0
        read = Database.read
        errors = [apsw.CorruptError("for once")]
        monkeypatch.setattr(
            Database, "read", lambda *a, **k: raises(errors.pop()) if errors else read(*a, **k)
        )
        assert [entry.params["n"] for entry in cache.entries("p")] == list(range(ENTRIES))[::-1]
    assert errors == []
    assert rescued(place) == []


def raises(error):
    """Raises it, where only an expression can stand."""
    raise error


def test_what_is_sound_in_a_damaged_file_is_salvaged(place, make_store):
    """In the background: after a while all rows whose checksums hold are back."""
    store = make_store()
    entries = [an_entry(n, body=f'"{n}"'.encode() * 50) for n in range(ENTRIES)]
    keep(store, *entries)
    store.close()
    path = place / FILE_NAME
    data = overwritten(path.read_bytes(), random.Random(5), 0.1)
    path.write_bytes(data)
    copy = place.with_name("copy")
    shutil.copytree(place, copy)
    sound = {entry.key for entry in sound_entries(copy / FILE_NAME)}
    assert 50 < len(sound) < ENTRIES
    store = make_store()
    done = threading.Event()
    salvage = store._file._on_moved_aside
    store._file._on_moved_aside = lambda aside: (salvage(aside), done.set())
    for entry in entries:
        assert store.get(entry.key) in (entry, None)
    assert done.wait(GUARD_S)
    assert {entry.key for entry in entries if store.get(entry.key) == entry} >= sound


def test_who_closes_at_once_salvages_all_the_same(place, make_store):
    """A command that finds the damage has soon done what it came for."""
    store = make_store()
    keep(store, *(an_entry(n, body=f'"{n}"'.encode() * 50) for n in range(ENTRIES)))
    store.close()
    path = place / FILE_NAME
    path.write_bytes(overwritten(path.read_bytes(), random.Random(7), 0.1))
    copy = place.with_name("copy")
    shutil.copytree(place, copy)
    sound = {entry.key for entry in sound_entries(copy / FILE_NAME)}
    store = make_store()
    while not rescued(place):
        store.totals()
        list(store.select(Selection()))
    store.close()
    assert {info.key for info in make_store().select(Selection())} >= sound


def test_nothing_invalidated_comes_back_from_a_damaged_file(place, make_store):
    """An invalidation while entries are salvaged ends the salvaging: they may be in there."""
    store = make_store()
    keep(store, *(an_entry(n) for n in range(5)))
    store.close()
    path = place / FILE_NAME
    path.write_bytes(b"garbage" + path.read_bytes()[7:])
    store = make_store()
    begun, go, done = threading.Event(), threading.Event(), threading.Event()
    salvage = store._file._on_moved_aside

    def held_up(aside):
        # What can be read after all: the header is put right.
        data = (aside).read_bytes()
        aside.write_bytes(b"SQLite " + data[7:])
        begun.set()
        assert go.wait(GUARD_S)
        salvage(aside)
        done.set()

    store._file._on_moved_aside = held_up
    assert store.get(an_entry(0).key) is None
    assert begun.wait(GUARD_S)
    store.remove(Selection(prefix=an_entry(0).prefix))
    go.set()
    assert done.wait(GUARD_S)
    assert store.totals() == []


def test_what_is_salvaged_is_there_as_it_was(place, make_store):
    """Every entry comes back with its value, and the totals are right."""
    store = make_store()
    entries = [an_entry(n) for n in range(20)]
    keep(store, *entries)
    store.close()
    path = place / FILE_NAME
    path.write_bytes(b"garbage" + path.read_bytes()[7:])
    store = make_store()
    done = threading.Event()
    salvage = store._file._on_moved_aside

    def put_right(aside):
        aside.write_bytes(b"SQLite " + aside.read_bytes()[7:])
        salvage(aside)
        done.set()

    store._file._on_moved_aside = put_right
    newer = an_entry(3, body=b'"regenerated"')
    keep(store, newer)
    assert done.wait(GUARD_S)
    assert [store.get(e.key) for e in entries] == [*entries[:3], newer, *entries[4:]]
    assert [(t.entries) for t in store.totals()] == [20]


# While it is open


def behind_its_back(code, path):
    """Does something to a file in another process: opening it here would drop SQLite's locks."""
    script = f"import sys; path = sys.argv[1]\n{code}"
    subprocess.run([sys.executable, "-c", script, path], check=True)


LIVE = {
    "garbage in the header": "f = open(path, 'r+b'); f.write(b'garbage' * 20)",
    "cut to nothing": "open(path, 'wb')",
    "cut in the middle": "import os; os.truncate(path, 10_000)",
    "pages overwritten": "f = open(path, 'r+b'); f.seek(4096); f.write(b'\\xa5' * 40_000)",
}


@pytest.mark.parametrize("name", LIVE)
def test_damage_under_a_running_application_gives_no_wrong_answer(place, name):
    """It goes on, whatever happens to the file, and is itself again afterwards."""
    fill(place)
    with LLMCache(place) as cache:
        answers(cache)
        cache._engine.components.tier.clear()
        behind_its_back(LIVE[name], place / FILE_NAME)
        answers(cache)
        cache._engine.components.tier.clear()
        answers(cache)
        for _ in range(2):  # some damage is only met when something else is looked for
            cache.put("q", "new")
            found = cache.peek("q")
        assert found is not None
        assert found.value == "new"
    with LLMCache(place) as cache:
        assert cache.peek("q").value == "new"


REMOVALS = {
    "the directory": shutil.rmtree,
    "the directory, and another is there": lambda place: (
        place.rename(place.with_name("away")),
        place.mkdir(mode=0o700),
    ),
    "the file": lambda place: (place / FILE_NAME).unlink(),
    "the log and its index": lambda place: (
        (place / f"{FILE_NAME}-wal").unlink(),
        (place / f"{FILE_NAME}-shm").unlink(),
    ),
    "the index of the log": lambda place: (place / f"{FILE_NAME}-shm").unlink(),
    "the stamps": lambda place: (place / "stamps").unlink(),
}


@pytest.mark.parametrize("name", REMOVALS)
def test_what_is_removed_under_a_running_application_is_noticed(place, name, caplog, clock):
    """Within a quarter of a second of its clock, with one line of the log."""
    fill(place)
    with LLMCache(place, clock=clock) as cache:
        answers(cache)
        REMOVALS[name](place)
        clock.now += 0.3
        made = answers(cache)
        is_gone = name.startswith(("the directory", "the file"))
        assert made == (ENTRIES if is_gone else 0)
        cache.put("q", "new")
        # Another process sees what this one writes.
        with LLMCache(place, clock=clock) as other:
            assert other.peek("q").value == "new"
            other.invalidate("q")
        assert cache.peek("q") is None
        assert cache.get_or_generate_sync("q", lambda: "regenerated") == "regenerated"
    said = [r.getMessage() for r in caplog.records if r.levelno >= logging.WARNING]
    assert [m for m in said if "removed or replaced" in m] == said
    assert len(said) == 1


def test_a_log_that_somebody_removed_loses_no_acknowledged_entry(place):
    """It is still open here: it is written back before the file is opened anew."""
    cache = LLMCache(place)
    for n in range(50):
        cache.put("p", text(n), n=n)
    for companion in ("-wal", "-shm"):
        (place / f"{FILE_NAME}{companion}").unlink()
    cache._engine.components.store.look()
    for n in range(50):
        assert cache.peek("p", n=n).value == text(n)
    cache.close()


def test_garbage_at_the_end_of_the_log_is_no_entry(place):
    """What was not committed whole is not there; what was, is."""
    script = (
        "import os; from llm_cache import LLMCache; cache = LLMCache(path)\n"
        "for n in range(20): cache.put('p', f'value {n}', n=n)\n"
        "os.kill(os.getpid(), 9)"
    )
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; path = sys.argv[1]\n{script}", place], check=False
    )
    assert done.returncode == -9
    log = place / f"{FILE_NAME}-wal"
    log.write_bytes(log.read_bytes() + os.urandom(5000))
    with LLMCache(place) as cache:
        for n in range(20):
            assert cache.peek("p", n=n).value == f"value {n}"
        cache.put("p", "new", n=20)
    with LLMCache(place) as cache:
        assert cache.peek("p", n=20).value == "new"


def test_the_log_of_a_file_that_is_gone_is_not_taken_for_the_new_ones(place, caplog):
    """A new file begins empty; the old log is kept beside it."""
    script = (
        "import os; from llm_cache import LLMCache; cache = LLMCache(path)\n"
        "for n in range(20): cache.put('p', f'value {n}', n=n)\n"
        "os.kill(os.getpid(), 9)"
    )
    subprocess.run(
        [sys.executable, "-c", f"import sys; path = sys.argv[1]\n{script}", place], check=False
    )
    (place / FILE_NAME).unlink()
    with LLMCache(place) as cache:
        cache.put("q", "new")
        assert [entry.prefix for entry in cache.entries()] == ["q"]
    assert any(name.endswith("-wal") for name in rescued(place))


def test_a_store_that_cannot_be_made_is_a_store_error_for_who_manages(tmp_path):
    """Where a directory should be there is a file."""
    (tmp_path / "cache").write_text("a file")
    with LLMCache(tmp_path / "cache") as cache, pytest.raises(StoreError, match="is a file"):
        cache.put("p", "text")


@pytest.mark.parametrize("what", ["the directory", "the file", "the log", "the stamps"])
def test_nothing_is_written_to_what_is_not_there_any_more(place, make_store, what):
    """Nobody has looked since: what is acknowledged is where others find it."""
    store = make_store()
    keep(store, an_entry("before"))
    match what:
        case "the directory":
            shutil.rmtree(place)
        case "the file":
            (place / FILE_NAME).unlink()
        case "the log":
            (place / f"{FILE_NAME}-wal").unlink()
        case _:
            (place / "stamps").unlink()
    keep(store, an_entry("after"))
    assert make_store().get(an_entry("after").key) == an_entry("after")
    assert store.get(an_entry("after").key) == an_entry("after")
