"""Stamps stay the same until somebody renews them, and then they differ, for every process."""

import os
import stat
import subprocess
import sys

import pytest

from llm_cache import LLMCache, StoreError
from llm_cache.store.stamps import STAMP_BYTES, STAMPS, FileStamps, ProcessStamps

GUARD_S = 30.0
PLACES = range(STAMPS)


def key(place: int) -> bytes:
    """A key whose stamp is the one at this place."""
    return bytes([place]) + bytes(31)


def all_of(stamps) -> list[bytes]:
    """Every stamp."""
    return [stamps.reader(key(place))() for place in PLACES]


@pytest.fixture
def path(tmp_path):
    """Where the file is."""
    return tmp_path / "stamps"


@pytest.fixture
def file_stamps(path):
    """Stamps in a new file."""
    stamps = FileStamps(path)
    yield stamps
    stamps.close()


@pytest.fixture(params=["file", "process"])
def stamps(request):
    """Stamps of each kind."""
    return request.getfixturevalue("file_stamps") if request.param == "file" else ProcessStamps()


def test_a_stamp_stays_until_it_is_renewed(stamps):
    """Reading changes nothing, and each reader of a key reads the same."""
    assert all_of(stamps) == all_of(stamps)


def test_no_two_stamps_are_equal(stamps):
    """256 of them, 64 random bits each."""
    assert {len(stamp) for stamp in all_of(stamps)} == {STAMP_BYTES}
    assert len(set(all_of(stamps))) == STAMPS


def test_renewing_some_keys_leaves_the_other_places(stamps):
    """A key's first byte says which stamp is its own; equal ones are renewed once."""
    before = all_of(stamps)
    stamps.renew([key(0), key(7), key(7)[:1] + b"\xff" * 31, key(255)])
    after = all_of(stamps)
    assert {place for place in PLACES if before[place] != after[place]} == {0, 7, 255}


def test_renewing_all_leaves_none(stamps):
    """Every stamp is another afterwards."""
    before = all_of(stamps)
    stamps.renew_all()
    assert set(before).isdisjoint(all_of(stamps))


def test_renewing_none_changes_none(stamps):
    """No keys, no change."""
    before = all_of(stamps)
    stamps.renew([])
    assert all_of(stamps) == before


def test_a_reader_reads_anew_each_time(stamps):
    """A reader that was made before a renewal reads the renewed stamp."""
    read = stamps.reader(key(9))
    seen = {read()}
    for _ in range(5):
        stamps.renew([key(9)])
        seen.add(read())
    assert len(seen) == 6


def test_stamps_of_one_process_are_out_of_date_once_closed():
    """No stamp that was read before is read again."""
    stamps = ProcessStamps()
    before = all_of(stamps)
    stamps.close()
    assert set(before).isdisjoint(all_of(stamps))


# In a file


def test_the_file_is_private(file_stamps, path):
    """Whoever can write it can make every process forget."""
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert path.stat().st_size == STAMPS * STAMP_BYTES


def test_a_file_that_is_there_is_taken_as_it_is(file_stamps, path):
    """Whoever opens it later reads the same stamps, and sees each renewal."""
    other = FileStamps(path)
    assert all_of(other) == all_of(file_stamps)
    other.renew([key(3)])
    file_stamps.renew([key(200)])
    assert all_of(other) == all_of(file_stamps)
    other.close()


def test_another_process_reads_the_same(file_stamps, path):
    """The stamps are those of the machine."""
    code = (
        "import sys; from pathlib import Path; from llm_cache.store.stamps import FileStamps\n"
        "stamps, key = FileStamps(Path(sys.argv[1])), bytes([5])\n"
        "stamps.renew([key]); print(stamps.reader(key)().hex())"
    )
    told = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        capture_output=True,
        text=True,
        timeout=GUARD_S,
        check=True,
    )
    assert file_stamps.reader(key(5))().hex() == told.stdout.strip()


@pytest.mark.parametrize("left", [0, 1, 7, 8, 100, 2047])
def test_a_file_that_was_cut_off_has_no_stamps_where_it_was_cut(file_stamps, path, left):
    """A reader gets too few bytes, and never those of another place."""
    before = all_of(file_stamps)
    os.truncate(path, left)
    for place, stamp in enumerate(all_of(file_stamps)):
        whole = (place + 1) * STAMP_BYTES <= left
        assert (stamp == before[place]) is whole
        assert (len(stamp) == STAMP_BYTES) is whole


@pytest.mark.parametrize("left", [0, 1, 2047])
def test_a_file_that_was_cut_off_is_made_whole_by_who_opens_it(file_stamps, path, left):
    """None of the stamps from before is there then: what was remembered is out of date."""
    before = all_of(file_stamps)
    os.truncate(path, left)
    again = FileStamps(path)
    assert set(before).isdisjoint(all_of(again))
    assert all_of(file_stamps) == all_of(again)
    again.close()


def test_a_file_that_was_removed_is_made_anew(file_stamps, path):
    """Whoever has it open reads on; whoever opens it next has stamps of its own."""
    before = all_of(file_stamps)
    path.unlink()
    assert all_of(file_stamps) == before
    again = FileStamps(path)
    assert set(before).isdisjoint(all_of(again))
    again.close()


def test_closed_stamps_cannot_be_read(path):
    """A reader that outlives the file says so."""
    stamps = FileStamps(path)
    read = stamps.reader(key(1))
    stamps.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        read()


@pytest.mark.parametrize("renew", [FileStamps.renew_all, lambda s: s.renew([key(1)])])
def test_closed_stamps_cannot_be_renewed(path, renew):
    """Whoever renews them learns that nobody was told."""
    stamps = FileStamps(path)
    stamps.close()
    with pytest.raises(StoreError):
        renew(stamps)


@pytest.mark.parametrize("renew", [FileStamps.renew_all, lambda s: s.renew([key(0)])])
def test_closed_stamps_write_into_no_other_file(path, tmp_path, renew):
    """The descriptor may be another file's by then, and that one's content is not ours."""
    stamps = FileStamps(path)
    stamps.close()
    theirs = tmp_path / "theirs"
    theirs.write_bytes(b"precious")
    # It gets the descriptor that has just come free.
    with theirs.open("r+b"), pytest.raises(StoreError):
        renew(stamps)
    assert theirs.read_bytes() == b"precious"


def test_closing_twice_closes_no_other_file(path, tmp_path):
    """The second time, the descriptor may be another file's."""
    stamps = FileStamps(path)
    stamps.close()
    with (tmp_path / "theirs").open("w") as theirs:
        stamps.close()
        theirs.write("still open")


def test_the_file_is_not_inherited(file_stamps):
    """A program that the application starts has nothing to do with it."""
    assert not os.get_inheritable(file_stamps._fd)


# What a cache does with them


def test_a_cache_whose_stamps_were_cut_off_reads_its_store(tmp_path):
    """Nothing in memory can be trusted then, and nothing breaks."""
    with LLMCache(tmp_path / "cache") as one, LLMCache(tmp_path / "cache") as other:
        for _ in range(2):
            assert one.get_or_generate_sync("p", lambda: "text", n=1) == "text"
        os.truncate(tmp_path / "cache" / "stamps", 0)
        assert one.get_or_generate_sync("p", lambda: "never", n=1) == "text"
        assert other.invalidate("p", n=1).entries == 1
        assert one.get_or_generate_sync("p", lambda: "new", n=1) == "new"
        assert other.get_or_generate_sync("p", lambda: "never", n=1) == "new"


def test_an_invalidation_that_cannot_be_told_is_a_store_error(tmp_path):
    """Where other processes may go on serving it, "done" would be a lie."""
    with LLMCache(tmp_path / "cache") as cache:
        cache.put("p", "text", n=1)
        stamps = cache._engine.components.store.stamps
        read_only = os.open(tmp_path / "cache" / "stamps", os.O_RDONLY)
        os.dup2(read_only, stamps._fd, inheritable=False)
        os.close(read_only)
        for call in (
            lambda: cache.invalidate("p", n=1),
            lambda: cache.invalidate_prefix("p"),
            cache.clear_all,
            lambda: cache.put("p", "other", n=1),
        ):
            with pytest.raises(StoreError, match="stamps"):
                call()
