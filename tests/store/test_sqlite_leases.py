"""How leases are kept in the file: what of a row counts, and what of it is the dead's."""

import errno
import os
import subprocess
import sys
import threading

import pytest

from llm_cache.errors import StoreError
from llm_cache.store.records import EVERYTHING, Counts, Held, Lease, Selection, UsageDay
from llm_cache.store.sqlite import _heartbeat, _writer
from llm_cache.store.sqlite import _liveness as owners
from llm_cache.store.sqlite import store as sqlite
from llm_cache.store.sqlite._heartbeat import Heartbeat
from llm_cache.store.sqlite._liveness import boot_id, seconds_since_boot
from llm_cache.store.sqlite._schema import MIGRATIONS
from tests.conformance.samples import an_entry, policies
from tests.conformance.test_store_leases import acquire, granted, identity
from tests.store.older import back_to

GUARD_S = 30.0
HOUR_S = 3600.0


@pytest.fixture
def planted(store, raw):
    """Puts a lease into the file that is none of this process's; gives a store."""

    def plant(**row):
        lease = granted(store)
        store.close()
        columns = ", ".join(f"{name} = ?" for name in row)
        raw.run(f"UPDATE leases SET {columns} WHERE key = ?", *row.values(), lease.key)
        return lease

    return plant


@pytest.fixture
def living(place):
    """The name of another process that holds its lock."""
    place.mkdir(mode=0o700, exist_ok=True)
    script = (
        "import sys, pathlib; from llm_cache.store.sqlite._liveness import Owner;"
        "print(Owner(pathlib.Path(sys.argv[1])).name, flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", script, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process.stdout.readline().strip()
    process.communicate(timeout=GUARD_S)


def test_the_lease_of_one_who_lives_stands(planted, make_store, living):
    """The control of what follows."""
    lease = planted(owner=living)
    assert make_store().is_held(lease.key)
    assert acquire(make_store()) is Held.BY_ANOTHER


@pytest.mark.parametrize(
    "owner",
    ["0" * 32, "", "..", "../cache.db", "/etc/passwd", "0" * 31, "G" * 32, "a" * 10_000, "\n"],
)
def test_an_owner_of_whom_there_is_no_file_is_dead(planted, make_store, owner):
    """Whatever its name says: nothing outside of the directory of owners is opened."""
    lease = planted(owner=owner)
    assert not make_store().is_held(lease.key)
    assert isinstance(acquire(make_store()), Lease)


def test_an_owner_whose_file_is_unlocked_is_dead(planted, make_store, place):
    """As after a crash that left its file there."""
    (place / "owners" / ("0" * 32)).touch()
    lease = planted(owner="0" * 32)
    assert not make_store().is_held(lease.key)
    assert isinstance(acquire(make_store()), Lease)


def test_a_link_in_the_place_of_an_owner_is_dead(planted, make_store, place, living):
    """No link is followed out of the directory."""
    (place / "owners" / ("0" * 32)).symlink_to(place / "owners" / living)
    assert not make_store().is_held(planted(owner="0" * 32).key)


def test_a_deadline_that_has_passed_ends_it(planted, make_store, living):
    """Its owner lives, but has not renewed it: it was stopped, say."""
    lease = planted(owner=living, deadline=seconds_since_boot() - 0.001)
    assert not make_store().is_held(lease.key)
    assert isinstance(acquire(make_store()), Lease)


def test_a_deadline_ahead_stands(planted, make_store, living):
    """The other side of it."""
    lease = planted(owner=living, deadline=seconds_since_boot() + HOUR_S)
    assert make_store().is_held(lease.key)


@pytest.mark.parametrize("boot", ["", "another boot", boot_id()[:-1], boot_id().swapcase()])
def test_a_lease_of_another_boot_is_dead(planted, make_store, living, boot):
    """Or of another time namespace, whose clock reads otherwise."""
    lease = planted(owner=living, boot=boot, deadline=1e12)
    assert not make_store().is_held(lease.key)
    assert isinstance(acquire(make_store()), Lease)


def test_a_token_of_anothers_does_not_store(store, planted, make_store, living):
    """The row has gone to another: what the first made is not kept."""
    lease = planted(owner=living)
    with pytest.raises(StoreError, match="closed"):
        store.put(an_entry(), lease=lease)
    assert not make_store().put(an_entry(), lease=lease)
    assert make_store().get(lease.key) is None


def test_a_beat_puts_the_deadline_off(store, raw):
    """For as long as it is held, and not after."""
    lease = granted(store)
    before = raw.value("SELECT deadline FROM leases")
    store.leases.beat()
    granted(store, 1)  # behind the beat
    after = raw.value("SELECT deadline FROM leases WHERE key = ?", lease.key)
    assert after > before
    assert store.leases.is_holding
    store.release(lease)
    assert store.put(an_entry(1), lease=granted_again(store))
    assert [lease.key for lease in store.leases._held.values()] == [identity(1).key]


def granted_again(store):
    """A lease of the key whose first lease is still held by the store."""
    store.remove(Selection(keys=(identity(1).key,)))
    return granted(store, 1)


def test_who_was_voided_is_renewed_no_more(store, raw):
    """A beat brings back no lease that was taken away."""
    granted(store)
    store.remove(EVERYTHING)
    store.leases.beat()
    granted(store, 1)  # behind the beat
    assert raw.value("SELECT count(*) FROM leases") == 1


def test_a_beat_comes_within_a_third_of_the_lease(make_store):
    """One that is late by as much again still comes in time."""
    assert make_store().leases.beat_every_s == pytest.approx(sqlite.LEASE_S / 3)


class Member:
    """Counts its beats; done after some."""

    def __init__(self, beats):
        self.left = beats
        self.beat_every_s = 0.001
        self.done = threading.Event()

    @property
    def is_holding(self):
        return self.left > 0

    def beat(self):
        self.left -= 1
        if not self.is_holding:
            self.done.set()
        if self.left == 1:
            msg = "the store is in trouble"
            raise StoreError(msg)


def test_the_heartbeat_is_one_thread_that_ends_when_nobody_holds_anything():
    """It renews every member while they hold something, whatever one of them raises."""
    heartbeat = Heartbeat()
    members = [Member(beats) for beats in (1, 2, 3)]
    for member in members:
        heartbeat.hold(member)
    for member in members:
        assert member.done.wait(GUARD_S)
    thread = heartbeat._thread
    if thread is not None:
        thread.join(GUARD_S)
    assert heartbeat._thread is None
    again = Member(1)
    heartbeat.hold(again)
    assert again.done.wait(GUARD_S)
    assert [m.left for m in members] == [0, 0, 0]


def test_closing_the_last_store_that_holds_a_lease_ends_the_heartbeat(make_store, monkeypatch):
    """At once, and not while another store holds one."""
    heartbeat = Heartbeat()
    monkeypatch.setattr(_heartbeat._of_process, "heartbeat", heartbeat)
    first, second = make_store(), make_store()
    granted(first, 1)
    granted(second, 2)
    thread = heartbeat._thread
    first.close()
    assert thread.is_alive()
    second.close()
    thread.join(GUARD_S)
    assert not thread.is_alive()


def test_what_the_dead_left_is_swept(store, raw, make_store, clock):
    """An hour after their deadline, and at once after another boot."""
    keys = [granted(store, n).key for n in range(4)]
    now = seconds_since_boot()
    raw.run("UPDATE leases SET deadline = ? WHERE key = ?", now - 2 * HOUR_S, keys[0])
    raw.run("UPDATE leases SET boot = 'another' WHERE key = ?", keys[1])
    raw.run("UPDATE leases SET deadline = ? WHERE key = ?", now - HOUR_S / 2, keys[2])
    raw.run("INSERT INTO waits (token, for_key) VALUES (7, ?)", keys[0])
    make_store().prune(policies(), clock(), dry_run=False)
    assert {row[0] for row in raw.run("SELECT key FROM leases")} == set(keys[2:])
    assert raw.run("SELECT * FROM waits") == []


def test_the_files_of_the_dead_are_swept(make_store, place, living):
    """By the next one that comes; those of the living, and what is not ours, stay."""
    owners = place / "owners"
    for name in ("0" * 32, "f" * 32, "notes", "0" * 32 + ".new"):
        (owners / name).touch()
    store = make_store()
    store.open()
    left = {path.name for path in owners.iterdir()}
    assert left == {living, "notes", "0" * 32 + ".new", store._file.owner.name}
    store.close()
    assert {path.name for path in owners.iterdir()} == {living, "notes", "0" * 32 + ".new"}


ASKS = """
import sys, pathlib
from llm_cache.store.sqlite._liveness import look
live, dead = look(pathlib.Path(sys.argv[1]))
print(live, dead)
"""


def test_a_look_from_the_same_process_never_makes_an_owner_look_dead(place, monkeypatch):
    """Even one between the file's getting its name and its maker's knowing that: the lock stays."""
    place.mkdir(mode=0o700)
    rename = os.rename

    def rename_and_look(*paths: object) -> None:
        rename(*paths)
        owners.look(place)

    monkeypatch.setattr(os, "rename", rename_and_look)
    owner = owners.Owner(place)
    asked = subprocess.run(
        [sys.executable, "-c", ASKS, str(place)], capture_output=True, text=True, check=True
    )
    assert asked.stdout.strip() == f"['{owner.name}'] []"
    owner.close()


def test_a_name_that_cannot_be_taken_is_not_known_as_ones_own(place, monkeypatch):
    """Nothing is left of it, neither on the disk nor in the process."""
    place.mkdir(mode=0o700)

    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "it fails")

    names = set(owners._own)
    monkeypatch.setattr(os, "rename", fail)
    with pytest.raises(OSError, match="it fails"):
        owners.Owner(place)
    assert names == owners._own
    assert list((place / "owners").iterdir()) == []


def test_an_owner_file_is_private_and_not_inherited(store, place):
    """0600, and closed in what this process starts."""
    [path] = (place / "owners").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert not os.get_inheritable(store._file.owner._fd)


def test_a_file_of_the_first_schema_is_taken_over(make_store, raw, store):
    """With what is in it; the tokens begin somewhere, and go on from there."""
    store.put(an_entry())
    store.add_usage([UsageDay("2026-11-22", "", "p", "", Counts(hits=2))], [])
    store.close()
    raw.run(back_to(1))
    again = make_store()
    assert again.get(an_entry().key) == an_entry()
    first = granted(again, 1)
    assert granted(again, 2).token == first.token + 1
    assert raw.value("PRAGMA user_version") == len(MIGRATIONS)
    assert again.usage() == [UsageDay("2026-11-22", "", "p", "", Counts(hits=2))]


def test_a_lock_that_another_keeps_is_not_waited_for(store, raw, monkeypatch):
    """Who wants a lease hears of it soon; what comes of it later is given back."""
    monkeypatch.setattr(_writer, "LOCKED_AT_MOST_S", 0.02)
    granted(store, "opened")
    with raw.connection() as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="busy"):
            acquire(store)
        other.execute("ROLLBACK")
    monkeypatch.undo()
    granted(store, "behind the one that came late")
    assert isinstance(acquire(store), Lease)


def test_a_put_that_fails_gives_its_lease_back(make_store, monkeypatch):
    """Nobody waits for what will never come."""
    here, there = make_store(), make_store()
    lease = granted(here)
    full = OSError(errno.ENOSPC, "make room")
    monkeypatch.setattr(here._disk, "check", lambda _: raises(full))
    with pytest.raises(StoreError, match="make room"):
        here.put(an_entry(), lease=lease)
    with pytest.raises(StoreError, match="make room"):
        acquire(here, 1)
    monkeypatch.undo()
    granted(here, 2)  # behind the release
    assert isinstance(acquire(there), Lease)
    assert not here.leases._held.keys() & {lease.token}


def raises(error):
    """Raises it, where only an expression can stand."""
    raise error


def test_an_owner_that_cannot_be_looked_at_is_not_dead(planted, make_store, living, monkeypatch):
    """A process that is out of descriptors takes nothing from those who live."""
    lease = planted(owner=living)
    store = make_store()
    assert store.is_held(lease.key)
    monkeypatch.setattr(os, "open", lambda *_, **__: raises(OSError(errno.EMFILE, "too many")))
    assert store._file.owner.is_alive(living)


def test_damage_that_only_a_lease_meets_is_mended(place, make_store, raw):
    """The table of leases lies in pages of its own; what is sound elsewhere is taken over."""
    store = make_store()
    store.put(an_entry())
    root = raw.value("SELECT rootpage FROM sqlite_schema WHERE name = 'leases'")
    store.close()
    with (place / sqlite.FILE_NAME).open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 4096)
    again = make_store()
    assert again.get(an_entry().key) == an_entry()
    granted(again, 1)
    again.close()
    assert make_store().get(an_entry().key) == an_entry()


def test_a_put_that_fails_in_whatever_way_gives_its_lease_back(make_store, monkeypatch):
    """Not only where the store knows what to say."""
    here, there = make_store(), make_store()
    lease = granted(here)
    monkeypatch.setattr("llm_cache.store.sqlite.store.keep", lambda *_: raises(MemoryError()))
    with pytest.raises(MemoryError):
        here.put(an_entry(), lease=lease)
    monkeypatch.undo()
    granted(here, 2)  # behind the release
    assert isinstance(acquire(there), Lease)
