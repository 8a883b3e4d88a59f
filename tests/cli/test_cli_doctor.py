"""`llm-cache doctor`: every trouble it knows, made for real, seen, and mended where it is safe."""

import json
import os
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
import terminal

from llm_cache.api.cache import LLMCache
from llm_cache.cli.app import run
from llm_cache.doctor import check_place, check_up
from llm_cache.store.sqlite.check_content import check_sqlite
from llm_cache.store.sqlite.check_files import CacheLocation
from tests.store.older import back_to

NOBODY = 65534
HOUR_S = 3600.0
only_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


def behind_its_back(database: Path, sql: str) -> None:
    """Writes to the file in another process, with SQLite's own care only."""
    script = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.executescript(sys.argv[2]);"
        "c.commit(); c.close()"
    )
    subprocess.run([sys.executable, "-c", script, database, sql], check=True)


def database_of(lessons) -> Path:
    """The file of the store."""
    return lessons.directory / "cache.db"


@pytest.fixture
def doctor(cli):
    """Runs the command; gives its exit code and its findings by what they are about."""

    def call(*flags):
        shown = cli("doctor", "--json", *flags)
        found = {}
        for each in json.loads(shown.out)["findings"]:
            found.setdefault(each["about"], []).append(each)
        return shown.code, found

    return call


def levels(found, about):
    """The levels of what was found about something."""
    return [each["level"] for each in found.get(about, [])]


def texts(found, about):
    """What was found about something, in one text."""
    return " / ".join(each["text"] for each in found.get(about, []))


def everything(directory: Path) -> dict[Path, tuple[int, bytes]]:
    """Every file of a directory: its mode and its bytes."""
    return {
        path: (path.stat().st_mode, path.read_bytes() if path.is_file() else b"")
        for path in sorted(directory.rglob("*"))
    }


# What it is like where nothing is wrong


def test_a_sound_cache_is_all_right(doctor):
    """Every line is ok, exit 0."""
    code, found = doctor()
    assert code == 0
    assert {each["level"] for some in found.values() for each in some} == {"ok"}
    assert set(found) == {
        "settings", "sqlite", "directory", "files", "disk", "log", "owners", "file", "entries",
        "totals", "size", "clock", "trash", "leases", "counts",
    }  # fmt: skip


def test_looking_changes_nothing(lessons, doctor):
    """Not a byte, not a mode, and no file more or less."""
    before = everything(lessons.directory)
    doctor()
    assert everything(lessons.directory) == before


def test_what_is_not_there_yet_is_all_right_and_is_not_made(tmp_path, capfd):
    """Exit 0; nothing was kept yet."""
    code = run(["--cache-dir", str(tmp_path / "none" / "here"), "doctor"])
    assert code == 0
    assert "none/here is not there yet: nothing was kept" in capfd.readouterr().out
    assert not (tmp_path / "none").exists()


def test_a_directory_that_cannot_be_made_fails(tmp_path, capfd):
    """Every call generates then; exit 1, and still nothing is made."""
    (tmp_path / "file").touch()
    place = tmp_path / "file" / "none" / "here"
    assert run(["--cache-dir", str(place), "doctor"]) == 1
    said = f"fail\tdirectory\t{place} cannot be made, since {tmp_path / 'file'} is no directory: "
    assert said + "every call generates, and nothing is kept\t" in capfd.readouterr().out


def test_a_directory_that_may_not_be_made_fails(tmp_path, monkeypatch):
    """Whoever runs it may not write to what is above it; a directory that is there likewise."""
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # as for everybody but root
    [found] = check_place(CacheLocation(directory=tmp_path / "none" / "here", now=0.0))
    assert (found.about, found.level) == ("directory", "fail")
    assert f"since {tmp_path} may not be written to: every call generates" in found.text
    (tmp_path / "empty").mkdir(mode=0o700)
    found = next(check_place(CacheLocation(directory=tmp_path / "empty", now=0.0)))
    assert (found.level, "nothing is kept" in found.text) == ("fail", True)


@only_root
def test_somebody_who_may_not_make_it_is_told():
    """By the rights that the process has."""
    code = (
        "import os; from pathlib import Path; import llm_cache.store.findings;"
        "from llm_cache.store.sqlite.check_files import CacheLocation, check_directory;"
        f"os.setgid({NOBODY}); os.setuid({NOBODY});"
        "location = CacheLocation(directory=Path('/none/here'), now=0.0);"
        "print(*(f.level for f in check_directory(location)))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert shown.stdout == b"fail\n"


def test_a_directory_to_be_made_on_a_network_fails(tmp_path):
    """It would be refused."""
    mounts = tmp_path / "mountinfo"
    mounts.write_text("36 35 98:0 / / rw - nfs4 server:/ rw\n")
    [found] = check_place(CacheLocation(directory=tmp_path / "none", now=0.0, mounts=mounts))
    assert (found.level, "is on a network (nfs4)" in found.text) == ("fail", True)
    place = CacheLocation(directory=tmp_path / "none", now=0.0, mounts=mounts, allow_network=True)
    assert [found.level for found in check_place(place)] == ["ok"]


def test_a_directory_without_a_file_is_all_right(tmp_path, capfd):
    """Somebody made it for us."""
    (tmp_path / "made").mkdir(mode=0o700)
    assert run(["--cache-dir", str(tmp_path / "made"), "doctor"]) == 0
    assert "cache.db is not there yet" in capfd.readouterr().out
    assert list((tmp_path / "made").iterdir()) == []


def test_it_runs_beside_a_live_application(lessons, doctor):
    """Which goes on undisturbed, and is counted."""
    with LLMCache(lessons.directory) as cache:
        cache.put("p", "before")
        code, found = doctor("--repair")
        cache.put("p", "after", n=2)
        assert cache.peek("p", n=2).value == "after"
    assert code == 0
    assert texts(found, "owners") == "1 process uses it now"
    assert texts(found, "entries") == "6 of 6 checksums hold"


def test_quick_reads_no_entry(doctor):
    """Neither checksums nor sums; SQLite's quick look instead."""
    code, found = doctor("--quick")
    assert code == 0
    assert {"entries", "totals"}.isdisjoint(found)
    assert "quick_check" in texts(found, "file")


# Settings


@pytest.fixture
def at_home(here, capfd):
    """Runs the command as settings and environment say; gives its exit code and its lines."""

    def call(*flags):
        code = run(["doctor", *flags])
        return code, [line.split("\t") for line in capfd.readouterr().out.splitlines()]

    return call


def test_wrong_settings_fail_line_by_line(here, at_home):
    """Each with file and line; where the cache is, nobody knows then."""
    (here / "cache.toml").write_text('[defaults]\ntll = "1d"\nttl = "soon"\n')
    code, lines = at_home()
    assert code == 1
    failed = [line for line in lines if line[0] == "fail"]
    assert [line[2].split(" ")[0] for line in failed] == ["cache.toml:2:", "cache.toml:3:"]
    assert lines[-1][0] == "warn"
    assert "was not looked over" in lines[-1][2]
    assert "directory" not in {line[1] for line in lines}


def test_a_directory_that_names_nothing_is_told_by_its_flag(at_home):
    """What the shell did not expand, we do not make."""
    code, lines = at_home("--cache-dir", "$NOPE_NOT_SET/x")
    assert code == 1
    assert lines[0][:2] == ["fail", "settings"]
    assert lines[0][2].startswith("--cache-dir: '$NOPE_NOT_SET/x' names the variable NOPE_NOT_SET")


def test_the_directory_that_was_named_is_looked_over_all_the_same(lessons, here, doctor):
    """Wrong settings are one thing, a damaged file is another."""
    (here / "cache.toml").write_text("[cache]\nmax_disk = 5\n")
    code, found = doctor()
    assert code == 1
    assert levels(found, "settings") == ["fail"]
    assert levels(found, "entries") == ["ok"]


def test_a_found_file_that_others_may_write_to_is_not_trusted(here, at_home):
    """As everywhere; with the command that mends it."""
    (here / "cache.toml").touch()
    (here / "cache.toml").chmod(0o666)
    code, lines = at_home()
    assert code == 1
    assert "chmod o-w cache.toml" in lines[0][2]


def test_a_file_that_was_pointed_at_and_others_may_write_to_is_a_warning(
    here, at_home, monkeypatch
):
    """Others may write to it, but the user said so."""
    (here / "mine.toml").touch()
    (here / "mine.toml").chmod(0o666)
    monkeypatch.setenv("LLM_CACHE_CONFIG", "mine.toml")
    code, lines = at_home()
    assert code == 0
    assert lines[0][:2] == ["warn", "settings"]
    assert "everybody may write to it" in lines[0][2]
    assert lines[0][3] == f"chmod o-w {here / 'mine.toml'}"


def test_the_environment_is_told(at_home, monkeypatch):
    """What is in force, and what means nothing."""
    monkeypatch.setenv("LLM_CACHE_ENABLED", "0")
    monkeypatch.setenv("LLM_CACHE_DRI", "elsewhere")
    code, lines = at_home()
    assert code == 0
    told = {line[2]: line[0] for line in lines if line[1] == "settings"}
    assert told["LLM_CACHE_ENABLED=0 is in force"] == "ok"
    assert told["LLM_CACHE_DRI is set, and means nothing"] == "warn"
    assert "switched off (LLM_CACHE_ENABLED)" in " ".join(told)


def test_an_old_sqlite_is_a_warning():
    """The bug is mended since 3.51.3."""
    assert [str(each.level) for each in check_sqlite("3.51.2")] == ["warn"]
    assert [str(each.level) for each in check_sqlite("3.51.3")] == ["ok"]


# The directory and its files


def test_a_directory_open_to_others_is_made_private(lessons, doctor):
    """A warning: they may read, or list."""
    lessons.directory.chmod(0o755)
    code, found = doctor()
    assert (code, levels(found, "directory")) == (0, ["warn"])
    assert f"chmod 700 {lessons.directory}" in found["directory"][0]["advice"]
    code, found = doctor("--repair")
    assert (code, levels(found, "directory")) == (0, ["repaired"])
    assert lessons.directory.stat().st_mode & 0o777 == 0o700


def test_a_directory_anybody_may_write_to_fails_until_it_is_mended(lessons, doctor):
    """It is not used at all meanwhile; mended, the rest is looked over."""
    lessons.directory.chmod(0o777)
    code, found = doctor()
    assert (code, levels(found, "directory")) == (1, ["fail"])
    assert "files" not in found
    code, found = doctor("--repair")
    assert (code, levels(found, "directory"), levels(found, "files")) == (0, ["repaired"], ["ok"])


def test_a_link_is_refused(tmp_path, lessons, capfd):
    """Nothing of where it leads is looked at, nor mended."""
    (tmp_path / "link").symlink_to(lessons.directory)
    assert run(["--cache-dir", str(tmp_path / "link"), "doctor", "--repair"]) == 1
    out = capfd.readouterr().out
    assert "link is a link" in out
    assert "entries" not in out


def test_a_file_in_its_place_fails(tmp_path, capfd):
    """With what to do."""
    (tmp_path / "file").touch()
    assert run(["--cache-dir", str(tmp_path / "file"), "doctor"]) == 1
    assert "is no directory\tremove it, or name another cache_dir" in capfd.readouterr().out


@only_root
def test_a_directory_of_another_user_fails(lessons, doctor):
    """And is not given to us by --repair."""
    os.chown(lessons.directory, NOBODY, NOBODY)
    code, found = doctor("--repair")
    assert (code, levels(found, "directory")) == (1, ["fail"])
    assert lessons.directory.stat().st_uid == NOBODY


def test_a_directory_on_a_network_fails(lessons, tmp_path):
    """By the kernel's table of mounts."""
    mounts = tmp_path / "mounts"
    mounts.write_text(f"1 1 0:1 / {lessons.directory} rw - nfs4 server:/ rw\n")
    place = CacheLocation(directory=lessons.directory, now=time.time(), mounts=mounts)
    [found] = check_place(place)
    assert (found.about, str(found.level)) == ("directory", "fail")
    assert "is on a network (nfs4)" in found.text


def test_files_others_may_read_are_made_private(lessons, doctor):
    """They are named; only their modes change."""
    before = {path: data for path, (_, data) in everything(lessons.directory).items()}
    database_of(lessons).chmod(0o644)
    (lessons.directory / "owners").chmod(0o755)
    code, found = doctor()
    assert (code, levels(found, "files")) == (0, ["warn"])
    assert "cache.db, owners" in texts(found, "files")
    code, found = doctor("--repair")
    assert (code, levels(found, "files")) == (0, ["repaired"])
    assert database_of(lessons).stat().st_mode & 0o777 == 0o600
    assert (lessons.directory / "owners").stat().st_mode & 0o777 == 0o700
    assert {path: data for path, (_, data) in everything(lessons.directory).items()} == before


def test_what_is_shared_on_purpose_is_no_trouble(lessons, here, doctor):
    """`allow_shared_dir` says that modes are the user's business."""
    (here / "cache.toml").write_text("[cache]\nallow_shared_dir = true\n")
    lessons.directory.chmod(0o777)
    database_of(lessons).chmod(0o666)
    code, found = doctor("--repair")
    assert (code, levels(found, "directory"), levels(found, "files")) == (0, ["ok"], ["ok"])
    assert database_of(lessons).stat().st_mode & 0o777 == 0o666


@only_root
def test_files_of_another_user_are_a_warning(lessons, doctor):
    """Whoever runs as root now and then leaves such."""
    os.chown(lessons.directory / "stamps", NOBODY, NOBODY)
    code, found = doctor()
    assert (code, levels(found, "files")) == (0, ["warn"])
    assert texts(found, "files") == "stamps belong to another user"


def test_a_linked_file_fails(lessons, tmp_path, doctor):
    """And what it leads to is not touched by --repair."""
    (lessons.directory / "reserve").unlink()
    elsewhere = tmp_path / "elsewhere"
    elsewhere.touch(0o644)
    (lessons.directory / "reserve").symlink_to(elsewhere)
    code, found = doctor("--repair")
    assert code == 1
    assert "fail" in levels(found, "files")
    assert (elsewhere.stat().st_mode & 0o777, elsewhere.stat().st_size) == (0o644, 0)


def test_old_drafts_are_removed_and_new_ones_left(lessons, doctor):
    """Somebody may just be making the file."""
    old = lessons.directory / f"cache.db.{'a' * 16}.new"
    new = lessons.directory / f"cache.db.{'b' * 16}.new"
    for path in (old, new):
        path.touch(0o600)
    os.utime(old, (0, time.time() - 2 * HOUR_S))
    code, found = doctor()
    assert (code, levels(found, "files")) == (0, ["ok", "warn"])
    assert old.name in texts(found, "files")
    doctor("--repair")
    assert (old.exists(), new.exists()) == (False, True)


def test_a_file_kept_aside_is_told_with_what_to_do_and_stays(lessons, doctor):
    """It is the user's: sound or not, nothing of it is deleted."""
    aside = lessons.directory / "cache.db.corrupt-20261122T190000Z"
    aside.write_bytes(b"x" * 2048)
    aside.with_name(f"{aside.name}-wal").write_bytes(b"y" * 2048)
    for path in lessons.directory.glob("*corrupt*"):
        path.chmod(0o600)
    code, found = doctor("--repair")
    assert (code, levels(found, "files")) == (0, ["ok", "warn"])
    assert "4.0 KiB" in texts(found, "files")
    assert f"rm {aside}*" in found["files"][1]["advice"]
    assert aside.exists()


def test_what_the_dead_left_is_removed(lessons, doctor, start):
    """A process that was killed leaves the file of its name."""
    child = start(
        'LLMCache(directory).put("p", "x"); say("there"); hear()', directory=lessons.directory
    )
    assert child.says() == "there"
    _, found = doctor()
    assert texts(found, "owners") == "1 process uses it now"
    child.kill()
    code, found = doctor()
    assert (code, levels(found, "owners")) == (0, ["warn"])
    assert texts(found, "owners") == "no process uses it now; one that died left a file"
    doctor("--repair")
    assert list((lessons.directory / "owners").iterdir()) == []


def test_a_name_that_was_never_finished_is_removed_once_it_is_old(lessons, doctor):
    """Its process died between making the file and naming it."""
    path = lessons.directory / "owners" / f"{'c' * 32}.new"
    path.touch(0o600)
    assert levels(doctor()[1], "owners") == ["ok"]
    os.utime(path, (0, time.time() - 2 * HOUR_S))
    assert levels(doctor("--repair")[1], "owners") == ["repaired"]
    assert not path.exists()


# Room


def test_too_little_room_fails(lessons, here, doctor):
    """Nothing more is kept then."""
    (here / "cache.toml").write_text('[cache]\nmin_free = "900000GiB"\n')
    code, found = doctor()
    assert (code, levels(found, "disk")) == (1, ["fail"])
    assert "make room, or lower min_free" in found["disk"][0]["advice"]


def test_the_reserve_is_set_aside_again(lessons, doctor):
    """Where there is room."""
    (lessons.directory / "reserve").unlink()
    code, found = doctor()
    assert (code, levels(found, "disk")) == (0, ["ok", "warn"])
    code, found = doctor("--repair")
    assert (code, levels(found, "disk")) == (0, ["ok", "repaired"])
    assert (lessons.directory / "reserve").stat().st_size == 4 * 1024**2


def test_a_repair_that_fails_is_a_failure(lessons, here, doctor):
    """There is no room for the reserve: exit 1, and the reason."""
    (lessons.directory / "reserve").unlink()
    (here / "cache.toml").write_text('[cache]\nmin_free = "900000GiB"\n')
    code, found = doctor("--repair")
    assert (code, levels(found, "disk")) == (1, ["fail", "fail"])
    assert "could not set it aside" in found["disk"][1]["advice"]


def test_more_than_max_disk_is_a_warning(lessons, here, doctor):
    """With the command that brings it under it."""
    with LLMCache(lessons.directory) as cache:
        for n in range(3):
            cache.put("big", os.urandom(300_000).hex(), n=n)
    (here / "cache.toml").write_text('[cache]\nmax_disk = "1MiB"\n')
    code, found = doctor()
    assert (code, levels(found, "size")) == (0, ["warn"])
    assert "llm-cache prune" in found["size"][0]["advice"]


def test_a_long_log_is_a_warning(lessons, doctor):
    """Somebody keeps a read of it open."""
    with LLMCache(lessons.directory) as cache:
        cache.put("p", "x")
        log = lessons.directory / "cache.db-wal"
        os.truncate(log, 80 * 1024**2)  # what is beyond the last commit is no log to SQLite
        code, found = doctor()
        assert (code, levels(found, "log")) == (0, ["warn"])
        assert "80.0 MiB" in texts(found, "log")


# What is in the file


def test_a_foreign_file_fails_and_is_not_touched(lessons, doctor):
    """Not even by --repair."""
    for path in lessons.directory.glob("cache.db*"):
        path.unlink()
    behind_its_back(database_of(lessons), "CREATE TABLE theirs (a)")
    database_of(lessons).chmod(0o600)
    before = everything(lessons.directory)
    code, found = doctor("--repair")
    assert (code, levels(found, "file")) == (1, ["fail"])
    assert "is a database of something else" in texts(found, "file")
    assert "entries" not in found
    assert everything(lessons.directory) == before


def test_a_newer_file_fails(lessons, doctor):
    """With what to upgrade."""
    behind_its_back(database_of(lessons), "PRAGMA user_version = 99")
    code, found = doctor("--repair")
    assert (code, levels(found, "file")) == (1, ["fail"])
    assert "upgrade llm-cache" in found["file"][0]["advice"]


def test_an_added_trigger_fails(lessons, doctor):
    """Somebody has put it there: the file is used by nobody then."""
    behind_its_back(
        database_of(lessons),
        "CREATE TRIGGER t AFTER INSERT ON entries BEGIN DELETE FROM entries; END",
    )
    code, found = doctor()
    assert (code, levels(found, "file")) == (1, ["fail"])
    assert "triggers or views that are not ours" in texts(found, "file")


def test_an_older_file_is_brought_up_to_date(lessons, doctor):
    """It is a warning: any other command does so, too."""
    behind_its_back(database_of(lessons), back_to(2))
    code, found = doctor("--quick")
    assert (code, levels(found, "file")[0]) == (0, "warn")
    code, found = doctor("--repair")
    assert (code, levels(found, "file")) == (0, ["repaired", "ok"])
    assert lessons.ids_there() == lessons.all_ids


def test_damaged_entries_are_dropped_and_no_other(lessons, doctor):
    """Until then it fails; each is counted, the totals too."""
    behind_its_back(
        database_of(lessons),
        "UPDATE entries SET value = x'00' WHERE number = (SELECT min(number) FROM entries)",
    )
    code, found = doctor()
    assert (code, levels(found, "entries")) == (1, ["fail"])
    assert texts(found, "entries").startswith("1 of 5 are damaged")
    code, found = doctor("--repair")
    assert (code, levels(found, "entries"), levels(found, "totals")) == (0, ["repaired"], ["ok"])
    assert lessons.ids_there() == lessons.all_ids - {lessons.old_page}
    code, found = doctor()
    assert (code, texts(found, "entries")) == (0, "4 of 4 checksums hold")


def test_a_text_that_is_none_is_damage_of_its_entry(lessons, doctor):
    """Bytes that are no UTF-8, where SQLite says it is text."""
    behind_its_back(
        database_of(lessons), "UPDATE entries SET encoding = CAST(x'ff' AS TEXT) WHERE number = 2"
    )
    assert doctor()[0] == 1
    code, found = doctor("--repair")
    assert (code, levels(found, "entries")) == (0, ["repaired"])


def test_damage_in_the_trash_is_found(lessons, doctor):
    """Nobody wants that back."""
    with LLMCache(lessons.directory) as cache:
        cache.invalidate_prefix("word_problem", keep=True)
    behind_its_back(
        database_of(lessons),
        "UPDATE trash SET value = x'00' WHERE number = (SELECT min(number) FROM trash)",
    )
    assert levels(doctor()[1], "trash") == ["fail", "ok"]
    assert levels(doctor("--repair")[1], "trash") == ["repaired", "ok"]
    assert texts(doctor()[1], "trash").startswith("1 entry,")


def test_wrong_totals_are_counted_again(lessons, doctor):
    """A warning: only figures are off."""
    behind_its_back(database_of(lessons), "UPDATE totals SET entries = entries + 7")
    code, found = doctor()
    assert (code, levels(found, "totals")) == (0, ["warn"])
    assert levels(doctor("--repair")[1], "totals") == ["repaired"]
    assert levels(doctor()[1], "totals") == ["ok"]
    with LLMCache(lessons.directory) as cache:
        assert cache.get_stats()["total"]["entries"] == 5


def damage_pages(database: Path) -> None:
    """Overwrites the page that the index of prefixes begins with."""
    with sqlite3.connect(database) as connection:
        [[page]] = connection.execute(
            "SELECT rootpage FROM sqlite_schema WHERE name = 'entries_by_use'"
        )
    connection.close()
    with database.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xa5" * 4096)


def test_a_damaged_file_is_moved_aside_and_what_is_sound_taken_over(lessons, doctor):
    """An index is gone, no entry is: all five are there again."""
    damage_pages(database_of(lessons))
    code, found = doctor()
    assert (code, levels(found, "file")[-1]) == (1, "fail")
    assert "is damaged" in texts(found, "file")
    assert list(lessons.directory.glob("*.corrupt-*")) == []
    code, found = doctor("--repair")
    assert (code, levels(found, "file")) == (0, ["ok", "repaired"])
    assert "5 sound entries were taken over" in texts(found, "file")
    assert lessons.ids_there() == lessons.all_ids
    [_] = [p for p in lessons.directory.glob("*.corrupt-*") if not p.name.endswith(("wal", "shm"))]


def test_a_file_that_is_none_is_moved_aside(lessons, doctor):
    """Text in its place: nothing is to be salvaged, nothing is deleted."""
    database_of(lessons).write_bytes(b"notes of mine\n" * 100)
    code, found = doctor()
    assert (code, levels(found, "file")) == (1, ["fail"])
    code, found = doctor("--repair")
    assert (code, levels(found, "file")[0]) == (0, "repaired")
    [aside] = lessons.directory.glob("*.corrupt-*")
    assert aside.read_bytes() == b"notes of mine\n" * 100
    assert doctor()[0] == 0


@pytest.mark.parametrize("size", [1, 50, 72, 99])
def test_a_file_cut_off_within_its_header_is_damaged(lessons, doctor, size):
    """It is told from a file of something else, and moved aside by --repair."""
    os.truncate(database_of(lessons), size)
    code, found = doctor()
    assert (code, levels(found, "file")) == (1, ["fail"])
    assert f"is damaged: it ends after {size} of the 100 bytes" in texts(found, "file")
    code, found = doctor("--repair")
    assert (code, levels(found, "file")[0]) == (0, "repaired")
    assert [p.stat().st_size for p in lessons.directory.glob("*.corrupt-*")] == [size]
    assert doctor()[0] == 0


def test_entries_from_the_future_are_a_warning(lessons, doctor):
    """The clock of some machine is wrong."""
    with LLMCache(lessons.directory, clock=lambda: time.time() + 3 * HOUR_S) as cache:
        cache.put("p", "x")
    code, found = doctor()
    assert (code, levels(found, "clock")) == (0, ["warn"])
    assert "1 from the future" in texts(found, "clock")


def test_the_trash_is_told(lessons, doctor):
    """How much, and whether it is emptied in time."""
    eight_days_ago = time.time() - 8 * 24 * HOUR_S
    with LLMCache(lessons.directory, clock=lambda: eight_days_ago) as cache:
        cache.invalidate_prefix("word_problem", keep=True)
    code, found = doctor()
    assert (code, levels(found, "trash")) == (0, ["warn"])
    assert "2 entries, 180 B, the first came 8d ago" in texts(found, "trash")


GENERATES = """
cache = LLMCache(directory)
def slow(): say("generating"); hear(); return "x"
cache.get_or_generate_sync("p", slow, n=os.getpid())
"""


def test_leases_of_the_dead_are_removed(lessons, doctor, start):
    """One of who lives stays."""
    dead, alive = (start(GENERATES, directory=lessons.directory) for _ in range(2))
    assert dead.says() == alive.says() == "generating"
    assert texts(doctor()[1], "leases") == "2 held by processes that live"
    dead.kill()
    code, found = doctor()
    assert (code, levels(found, "leases")) == (0, ["warn"])
    assert levels(doctor("--repair")[1], "leases") == ["repaired"]
    assert texts(doctor()[1], "leases") == "1 held by processes that live"


def test_counts_that_cannot_be_read_fail(lessons, doctor):
    """A text that is none, in the counts of use."""
    behind_its_back(database_of(lessons), "UPDATE usage SET model = CAST(x'ff' AS TEXT)")
    code, found = doctor("--quick")
    assert code == 1
    assert "counts" not in found


# How it is shown


def test_a_terminal_gets_lines_with_advice_below(lessons, screen):
    """Nothing is wider than the terminal."""
    database_of(lessons).chmod(0o644)
    shown = screen("doctor", columns=60)
    assert shown.code == 0
    lines = shown.out.splitlines()
    assert all(len(line) <= 60 + len("\x1b[32m\x1b[0m") for line in lines)
    assert any(line.startswith("\x1b[33mwarn") for line in lines)
    assert "- chmod 600" in shown.out
    assert "1 warning." in shown.out
    assert "hint: llm-cache doctor --repair mends it" in shown.out


def test_a_pipe_gets_four_fields_a_line(piped):
    """Level, what it is about, how it is, what to do; the summary goes to stderr."""
    shown = piped("doctor")
    assert {len(line.split("\t")) for line in shown.out.splitlines()} == {4}
    assert shown.err == "\nEverything is all right.\n"


def test_json_is_one_document(cli):
    """With the number of failures and warnings."""
    document = json.loads(cli("doctor", "--json").out)
    assert {k: document[k] for k in ("schema", "failures", "warnings")} == {
        "schema": 1, "failures": 0, "warnings": 0,
    }  # fmt: skip
    assert set(document["findings"][0]) == {"about", "level", "text", "advice", "can_repair"}


def test_the_summary_counts_what_was_repaired(lessons, cli):
    """And says what is left."""
    database_of(lessons).chmod(0o644)
    (lessons.directory / "cache.db.corrupt-20261122T190000Z").touch(0o600)
    assert cli("doctor", "--repair").err == "\n1 repaired, 1 warning.\n"


def test_hostile_text_is_shown_as_itself(lessons, here, cli):
    """In names of files and in the environment."""
    (lessons.directory / "cache.db.corrupt-\x1b[31m").touch(0o600)
    shown = cli("doctor")
    assert "\x1b" not in shown.out
    assert r"\x1b[31m" in shown.out


def test_a_reader_may_repair_as_it_comes(lessons):
    """What is found next is found as it is after the repair."""
    lessons.directory.chmod(0o777)
    levels = []
    for found in check_up(cache_dir=lessons.directory, environ={}):
        levels.append((found.about, str(found.level)))
        if found.repair is not None:
            found.repair.run()
    assert ("directory", "fail") in levels
    assert ("files", "ok") in levels


HOLDS_IT_ALONE = """
import sqlite3, sys
c = sqlite3.connect(sys.argv[1])
c.executescript("PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; UPDATE meta SET value = value")
print("held", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def held_alone(lessons):
    """Another process lets nobody read the file."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDS_IT_ALONE, database_of(lessons)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert holder.stdout.readline() == "held\n"
    yield
    holder.communicate("go\n")


@pytest.mark.usefixtures("held_alone")
def test_the_doctor_is_interrupted_as_any_command(lessons, here):
    """Ctrl-C while it waits: 130."""
    shown = terminal.Terminal("--cache-dir", lessons.directory, "doctor", cwd=here)
    shown.wait_for("owners")
    shown.interrupt()
    assert shown.end().code == 130


@pytest.mark.slow
@pytest.mark.usefixtures("held_alone")
def test_a_file_that_another_holds_fails(doctor):
    """In plain words, once it has waited for as long as anybody does."""
    code, found = doctor()
    assert (code, levels(found, "file")) == (1, ["fail"])
    assert "another process kept it locked" in texts(found, "file")
    assert found["file"][0]["advice"] == "try again"
