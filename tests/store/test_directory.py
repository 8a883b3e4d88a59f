"""The cache directory: whom it has to belong to, where it may lie, and its lock."""

import errno
import os
import shutil
import subprocess
import threading
from pathlib import Path

import pytest

from llm_cache import CacheConfig, LLMCache, StoreError
from llm_cache.store.sqlite import _directory
from llm_cache.store.sqlite._directory import (
    NETWORK_FILE_SYSTEMS,
    DirectoryLock,
    prepare_directory,
)

NOBODY = 65534
GUARD_S = 20.0
GIT = shutil.which("git")

only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a directory away")


def prepare(place, *, allow_shared=False, allow_network=False, mounts=_directory.MOUNTS):
    """Prepares a directory as a store does."""
    prepare_directory(place, allow_shared=allow_shared, allow_network=allow_network, mounts=mounts)


def link(place):
    """A link to a directory of the user's own."""
    place.with_name("elsewhere").mkdir()
    place.symlink_to(place.with_name("elsewhere"))


def give_away(place):
    """A directory of another user."""
    place.mkdir(mode=0o700)
    os.chown(place, NOBODY, NOBODY)


def open_to_all(place):
    """A directory that anybody may write to."""
    place.mkdir()
    place.chmod(0o777)


UNTRUSTED = pytest.mark.parametrize(
    ("make", "said"),
    [
        pytest.param(link, "is a link", id="a link"),
        pytest.param(give_away, "belongs to another user", id="another's", marks=only_root),
        pytest.param(open_to_all, "may be written to by anybody", id="open to all"),
    ],
)


@UNTRUSTED
def test_a_directory_that_others_may_change_is_refused(place, make, said):
    """With what to do; nothing is written to it."""
    make(place)
    with LLMCache(place) as cache:
        assert cache.get_or_generate_sync("p", lambda: "text") == "text"
        with pytest.raises(StoreError, match=f"{place} {said}.*allow_shared_dir = true"):
            cache.put("p", "text")
    assert list(place.iterdir()) == []


@UNTRUSTED
def test_it_is_taken_if_that_is_allowed(place, make, said):
    """A volume of a container belongs to whoever made it."""
    del said
    make(place)
    with LLMCache(config=CacheConfig(cache_dir=place, allow_shared_dir=True)) as cache:
        cache.put("p", "text")
        assert cache.peek("p").value == "text"


def test_a_parent_that_is_a_link_is_none_of_our_business(tmp_path):
    """`/tmp`, `/home` and the like may well be links."""
    (tmp_path / "real").mkdir()
    (tmp_path / "linked").symlink_to(tmp_path / "real")
    with LLMCache(tmp_path / "linked" / "cache") as cache:
        cache.put("p", "text")
    assert (tmp_path / "real" / "cache" / "cache.db").exists()


@pytest.mark.parametrize("name", ["cache.db", "stamps", "lock"])
def test_a_link_in_the_place_of_a_file_is_refused(place, tmp_path, name):
    """Nothing outside of the directory is written to, and callers get their values."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"")
    place.mkdir(mode=0o700)
    (place / name).symlink_to(outside)
    with LLMCache(place) as cache:
        assert cache.get_or_generate_sync("p", lambda: "text") == "text"
        with pytest.raises(StoreError, match=r"link|symbolic"):
            cache.put("p", "text")
    assert outside.read_bytes() == b""


MOUNT_TABLE = """\
22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:26 / /sys rw - sysfs sysfs rw
41 22 0:44 / /mnt/with\\040space rw - {kind} server:/export rw
42 22 0:45 / /mnt/hidden rw - {kind} server:/export rw
43 22 8:2 / /mnt/hidden rw - ext4 /dev/sdb1 rw
44 41 8:3 / /mnt/with\\040space/local rw - xfs /dev/sdc1 rw
45 22 0:46 / {place} rw shared:7 master:1 - {kind} server:/export rw
"""


@pytest.fixture
def mounts(tmp_path):
    """Writes a mount table as the kernel has it, in which `place` is of a kind."""

    def write(place, kind):
        table = tmp_path / "mountinfo"
        table.write_text(MOUNT_TABLE.format(place=place, kind=kind))
        return table

    return write


@pytest.mark.parametrize("kind", sorted(NETWORK_FILE_SYSTEMS))
def test_a_network_file_system_is_refused(place, mounts, kind):
    """With what it is and what to do."""
    table = mounts(place, kind)
    with pytest.raises(OSError, match=rf"{place}.* is on a network \({kind}\).*allow_network_fs"):
        prepare(place / "below" / "it", mounts=table)
    prepare(place / "below" / "it", mounts=table, allow_network=True)


@pytest.mark.parametrize("kind", ["ext4", "xfs", "btrfs", "tmpfs", "overlay", "fuse.unknown", ""])
def test_a_file_system_of_this_machine_is_taken(place, mounts, kind):
    """And one of which nothing is known."""
    prepare(place, mounts=mounts(place, kind))
    assert place.is_dir()


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/", "ext4"),
        ("/mnt", "ext4"),
        ("/mnt/with space", "nfs4"),
        ("/mnt/with space/cache", "nfs4"),
        ("/mnt/with spaces", "ext4"),
        ("/mnt/with space/local/cache", "xfs"),
        ("/mnt/hidden/cache", "ext4"),
        ("/sys/kernel", "sysfs"),
    ],
)
def test_the_nearest_mount_counts_and_of_two_the_later(path, kind):
    """As the kernel looks paths up."""
    table = MOUNT_TABLE.format(place="/nowhere", kind="nfs4").encode()
    assert _directory._file_system(Path(path), table) == kind


def test_a_cache_on_a_network_goes_on_without_its_store(place, mounts, monkeypatch, caplog):
    """Its callers get their values, and one warning says what to do."""
    monkeypatch.setattr(_directory, "MOUNTS", mounts(place, "nfs4"))
    with LLMCache(place) as cache:
        for n in range(5):
            assert cache.get_or_generate_sync("p", lambda: "text", n=n) == "text"
    assert len(caplog.messages) == 1
    assert "allow_network_fs = true" in caplog.messages[0]
    with LLMCache(config=CacheConfig(cache_dir=place, allow_network_fs=True)) as cache:
        cache.put("p", "text")
        assert cache.peek("p").value == "text"


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o277, 0o777])
def test_a_new_directory_is_its_users_alone(place, umask):
    """Whatever the umask."""
    before = os.umask(umask)
    try:
        prepare(place)
    finally:
        os.umask(before)
    assert place.stat().st_mode & 0o777 == 0o700


def fill(place):
    """A closed cache with an entry; the names in its directory."""
    with LLMCache(place) as cache:
        cache.put("p", "text")
    return {path.name for path in place.iterdir()}


MARKED = {"CACHEDIR.TAG", ".gitignore"}


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "empty"])
def test_a_directory_of_ours_is_marked_as_one_to_leave_out(place, is_there):
    """Backups know it by the standard's first line, git by a pattern for everything in it."""
    if is_there:
        place.mkdir(mode=0o700)
    assert fill(place) >= MARKED
    tag = (place / "CACHEDIR.TAG").read_bytes()
    assert tag.startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n#")
    patterns = (place / ".gitignore").read_text().splitlines()
    assert [line for line in patterns if not line.startswith("#")] == ["*"]


@pytest.mark.skipif(GIT is None, reason="needs git")
def test_git_sees_nothing_of_a_cache(tmp_path):
    """In a working tree whose own .gitignore says nothing about it."""
    fill(tmp_path / ".cache" / "llm")
    subprocess.run([GIT, "init", "-q", tmp_path], check=True)
    shown = subprocess.run(
        [GIT, "-C", tmp_path, "status", "--porcelain", "--untracked-files=all"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout == ""


@pytest.mark.parametrize("name", ["notes", "stamps"])
def test_a_directory_that_holds_something_is_not_marked(place, name):
    """It may be somebody else's, or one that its user did not want marked."""
    place.mkdir(mode=0o700)
    (place / name).touch()
    assert not fill(place) & MARKED


def test_a_mark_that_was_removed_stays_away(place):
    """Whoever wants the cache in a backup, or in git, has it there."""
    fill(place)
    (place / ".gitignore").unlink()
    assert ".gitignore" not in fill(place)


def test_a_directory_that_cannot_be_marked_is_used_all_the_same(place, monkeypatch):
    """No half of a mark is left either."""
    write = os.write

    def fail(fd: int, data: bytes) -> int:
        if data.startswith((b"Signature", b"#")):
            raise OSError(errno.ENOSPC, "no room")
        return write(fd, data)

    monkeypatch.setattr(os, "write", fail)
    assert not fill(place) & MARKED


def test_looking_marks_nothing(place):
    """Neither who looks whose a directory is, nor a look-up."""
    place.mkdir(mode=0o700)
    prepare(place)
    with LLMCache(place) as cache:
        assert cache.peek("p") is None
    assert list(place.iterdir()) == []


def test_a_directory_that_is_there_keeps_its_permissions(place):
    """Its owner has chosen them: only what anybody may write to is refused."""
    place.mkdir()
    place.chmod(0o750)
    prepare(place)
    assert place.stat().st_mode & 0o777 == 0o750


def test_many_share_the_lock_and_one_has_it_alone(place):
    """Also within a process."""
    prepare(place)
    one, two, three = (DirectoryLock(place) for _ in range(3))
    entered = threading.Event()

    def alone():
        with three.held(alone=True):
            entered.set()

    thread = threading.Thread(target=alone)
    with one.held(alone=False), two.held(alone=False):
        thread.start()
        assert not entered.is_set()
    thread.join(GUARD_S)
    assert entered.is_set()
    for lock in (one, two, three):
        lock.close()


def test_who_cannot_get_the_lock_is_told_after_a_while(place, monkeypatch):
    """What to do, and not for ever."""
    monkeypatch.setattr(_directory, "LOCK_WAIT_S", 0.02)
    prepare(place)
    one, two = DirectoryLock(place), DirectoryLock(place)
    with one.held(alone=True), pytest.raises(TimeoutError, match="try again"):
        two.held(alone=False).__enter__()
    with two.held(alone=True):
        pass
    one.close()
    two.close()
