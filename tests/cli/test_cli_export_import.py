"""`llm-cache export` and `import`: whole or not at all, checked line by line, the newer stays."""

import json
import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import apsw
import pytest
import terminal
from terminal import Result, Terminal
from test_cli_hostile import EVIL, assert_harmless

from llm_cache.api.cache import LLMCache
from llm_cache.api.importer import ENTRIES_AT_ONCE
from llm_cache.cli.output.atomic_file import atomic_writer
from llm_cache.core.entry import Entry
from llm_cache.core.values.zstd import MAGIC, decompressed
from llm_cache.transfer.jsonl import to_line
from tests.exchange.samples import signed
from tests.store.disks import largest_file


@pytest.fixture
def other(tmp_path) -> Path:
    """The directory of another cache, empty."""
    return tmp_path / "other"


@pytest.fixture
def exported(cli, here) -> Path:
    """The export of the lessons."""
    assert cli("export", "lessons.jsonl").code == 0
    return here / "lessons.jsonl"


def everything(directory: Path) -> dict[bytes, Entry]:
    """Every entry of a cache with its value, by key."""
    with LLMCache(directory) as cache:
        return {info.key: cache._engine.components.store.get(info.key) for info in cache.entries()}


def prefixes(file: Path | str) -> list[str]:
    """The prefix of each line."""
    text = file if isinstance(file, str) else file.read_text("utf-8")
    return [json.loads(line)["prefix"] for line in text.splitlines()]


def names(directory: Path) -> list[str]:
    """What is in a directory."""
    return [path.name for path in directory.iterdir()]


def import_piped(other: Path, here: Path, data: bytes, *args: str) -> Result:
    """Imports what is sent into a pipe."""
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    shown = terminal.run("--cache-dir", other, "import", "-", *args, cwd=here, stdin=reading)
    os.close(reading)
    return shown


def test_export_writes_a_private_file(cli, here):
    """One line an entry, the sum on stderr, nothing on stdout, nobody else may read it."""
    shown = cli("export", "lessons.jsonl")
    assert shown == Result(0, "", "Wrote lessons.jsonl: 5 entries.\n")
    assert prefixes(here / "lessons.jsonl") == ["intro_page"] * 3 + ["word_problem"] * 2
    assert stat.S_IMODE((here / "lessons.jsonl").stat().st_mode) == 0o600
    assert names(here) == ["lessons.jsonl"]


def test_export_to_stdout_is_the_same(cli, exported):
    """To the byte, twice in a row; the sum stays on stderr."""
    for args in ([], ["-"], ["-o", "-"]):
        shown = cli("export", *args)
        assert (shown.code, shown.out) == (0, exported.read_text("utf-8"))
        assert shown.err == "Wrote 5 entries.\n"


def test_export_of_entries_of_one_instant_is_in_the_order_of_keys(cli, lessons):
    """Whatever order they came in: two caches with the same entries have the same export."""
    with LLMCache(lessons.directory) as cache:
        cache.put("many", "x", n=0)
        (info,) = cache.entries("many")
        (entry,) = cache.find(info.id)
        keys = [bytes([number]) * 32 for number in (3, 1, 2)]
        cache._engine.components.store.merge([replace(entry, key=key, request=key) for key in keys])
        cache.invalidate_entries([entry.key])
    found = [json.loads(line)["key"][:2] for line in cli("export", "-p", "many").out.splitlines()]
    assert found == ["01", "02", "03"]


def test_flags_choose_what_is_exported(cli):
    """Those of ls."""
    shown = cli("export", "-p", "intro*", "--param", 'grade="5"', "--unused")
    assert prefixes(shown.out) == ["intro_page"]
    assert shown.err.startswith("Wrote 1 entry of prefix")
    assert shown.err.endswith(', with grade="5", never used.\n')


def test_export_of_nothing_is_an_empty_file(cli, here):
    """No error; a prefix that was mistyped is guessed."""
    shown = cli("export", "nothing.jsonl", "-p", "intro_pag")
    assert shown.code == 0
    assert shown.err.splitlines()[1:] == ["hint: did you mean 'intro_page'?"]
    assert shown.err.split(" in ")[0] == "There is no entry of prefix 'intro_pag'"
    assert (here / "nothing.jsonl").read_bytes() == b""
    assert cli("export", "--cache-dir", here / "empty").code == 0


def test_two_files_are_one_too_many(cli, here):
    """Usage; the same one twice is fine."""
    shown = cli("export", "a.jsonl", "-o", "b.jsonl")
    assert shown.code == 2
    assert shown.err == (
        "error: two files are named, 'a.jsonl' and 'b.jsonl'\nhint: keep one of them\n"
    )
    assert names(here) == []
    assert cli("export", "a.jsonl", "-o", "a.jsonl").code == 0


@pytest.mark.parametrize("args", [["x.jsonl.zst"], ["x.jsonl", "--zstd"]], ids=" ".join)
def test_export_is_compressed_on_demand(cli, exported, here, args):
    """By the name of the file, or by a flag; the same lines are in it."""
    assert cli("export", *args).code == 0
    data = (here / args[0]).read_bytes()
    assert data.startswith(MAGIC)
    assert b"".join(decompressed([data])) == exported.read_bytes()


def test_compressed_export_is_not_for_terminals(screen):
    """Usage, and not one byte of it."""
    shown = screen("export", "--zstd")
    assert shown.code == 2
    assert shown.out.splitlines()[0].endswith(" what is compressed would garble the terminal")


def test_without_the_extra_export_says_what_to_do(cli, here, monkeypatch):
    """One error, one hint, nothing written; the file that was there stays."""
    (here / "x.zst").write_text("older")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    for args in (["x.zst"], ["--zstd"]):
        shown = cli("export", *args)
        assert (shown.code, shown.out) == (1, "")
        assert shown.err == (
            "error: the extra 'zstd' is not installed: nothing was written\n"
            "hint: install it, or: llm-cache export | zstd > FILE.zst\n"
        )
    assert [(here / name).read_text() for name in names(here)] == ["older"]


def test_full_disk_keeps_the_older_export(cli, lessons, exported, here):
    """One error that names the file, and no half of the new one."""
    before = exported.read_bytes()
    with LLMCache(lessons.directory) as cache:
        cache.put("large", os.urandom(100_000).hex(), n=1)
    with largest_file(100_000):
        shown = cli("export", "lessons.jsonl")
    assert shown == Result(1, "", "error: lessons.jsonl: file too large\n")
    assert exported.read_bytes() == before
    assert names(here) == ["lessons.jsonl"]


def test_interrupted_export_keeps_the_older_one(here):
    """Ctrl-C at any moment leaves what was there, and nothing else."""
    path = here / "x.jsonl"
    path.write_text("older")

    def stopped() -> None:
        with atomic_writer(path) as file:
            file.write(b"half")
            file.flush()
            assert len(names(here)) == 2
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stopped()
    assert names(here) == ["x.jsonl"]
    assert path.read_text() == "older"


def test_export_through_a_link_keeps_the_link(cli, here):
    """The file it leads to is replaced."""
    (here / "real").write_text("older")
    (here / "link").symlink_to("real")
    assert cli("export", "link").code == 0
    assert (here / "link").is_symlink()
    assert len((here / "real").read_text().splitlines()) == 5


def test_export_into_a_pipe_with_a_name_writes_to_it(cli, here):
    """What is no file is written to, and never replaced: it might be a device of the machine."""
    os.mkfifo(here / "pipe")
    reading = os.open(here / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert cli("export", "pipe").code == 0
    assert len(os.read(reading, 65536).splitlines()) == 5
    os.close(reading)
    assert stat.S_ISFIFO((here / "pipe").stat().st_mode)
    assert names(here) == ["pipe"]


def test_export_to_where_no_file_can_be(cli, here):
    """A directory, or a file in none: one error that names it."""
    assert cli("export", ".") == Result(1, "", "error: .: is a directory\n")
    assert cli("export", "no/x") == Result(1, "", "error: no/x: no such file or directory\n")


def test_export_to_a_reader_that_leaves_is_no_error(lessons, here):
    """`| head` ends it: silently, exit 0."""
    with LLMCache(lessons.directory) as cache:
        for number in range(200):  # more than a pipe holds
            cache.put("many", "x" * 500, number=number)
    for args in ([], ["--zstd"]):
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run(
            [*terminal.COMMAND, "--cache-dir", lessons.directory, "export", *args],
            cwd=here, stdout=writing, stderr=subprocess.PIPE, env=terminal.clean_environment(),
            timeout=terminal.HANGS_AFTER_S, check=False,
        )  # fmt: skip
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, b"")


@pytest.fixture
def hostile(lessons) -> None:
    """An entry where every text is hostile."""
    with LLMCache(lessons.directory) as cache:
        cache.put("evil", EVIL, params={"a" + EVIL: EVIL})
        (info,) = cache.entries("evil")
        (entry,) = cache.find(info.id)
        model = EVIL.replace("\0", "")
        cache._engine.components.store.put(replace(entry, model=model))


def test_export_is_harmless_to_look_at(screen, cli, hostile, here):
    """On a terminal and in the file: what a terminal would obey is escaped, as JSON may."""
    assert_harmless(screen("export").out)
    assert cli("export", "x.jsonl").code == 0
    assert_harmless((here / "x.jsonl").read_text("utf-8"))


@pytest.mark.parametrize("env", [{}, {"LC_ALL": "C"}], ids=["utf-8", "ascii"])
def test_export_on_a_terminal_can_be_imported(screen, lessons, hostile, here, other, env):
    """What is copied from there is the same, whatever the terminal can show."""
    with LLMCache(lessons.directory) as cache:
        cache.put("wide", "½ … ✓ 😀", topic="分数")
    shown = screen("export", columns=10_000, env=env)
    lines = "".join(line + "\n" for line in shown.out.splitlines() if line.startswith("{"))
    assert lines.isascii() is bool(env)
    assert import_piped(other, here, lines.encode()).code == 0
    assert everything(other) == everything(lessons.directory)


def test_entry_that_cannot_be_read_is_told(cli, lessons):
    """It is named, the others are written; exit 1."""
    with LLMCache(lessons.directory) as cache:
        (entry,) = cache.find(lessons.page)
        cache._engine.components.store.put(replace(entry, encoding="json3"))
    shown = cli("export")
    assert (shown.code, len(shown.out.splitlines())) == (1, 4)
    assert shown.err == (
        f"error: intro_page: entry {lessons.page} cannot be read: "
        "the encoding 'json3' is of a newer release\n"
        "Wrote 4 entries.\n"
    )


def test_export_says_what_will_take_trust(cli, lessons):
    """Before somebody stands at another machine without it."""
    with LLMCache(lessons.directory) as cache:
        cache.put("secret", "x", api_key="sk-1")
    shown = cli("export", "-p", "secret")
    assert "sk-1" not in shown.out
    assert shown.err.splitlines()[1] == (
        "1 of them is without some params: to import that takes --trust."
    )


def test_entries_go_from_one_cache_to_another_through_a_pipe(lessons, other, here):
    """All of them, the same."""
    env = terminal.clean_environment()
    with subprocess.Popen(
        [*terminal.COMMAND, "--cache-dir", lessons.directory, "export"],
        cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env,
    ) as exporting:  # fmt: skip
        assert exporting.stdout is not None
        stdin = exporting.stdout.fileno()
        shown = terminal.run("--cache-dir", other, "import", "-", cwd=here, stdin=stdin)
        exporting.communicate(timeout=terminal.HANGS_AFTER_S)
    assert exporting.returncode == 0
    assert shown == Result(
        0, "intro_page\t3\t0\t0\t0\nword_problem\t2\t0\t0\t0\n", "Imported 5 entries.\n"
    )
    assert everything(other) == everything(lessons.directory)


def test_import_of_what_is_there_changes_nothing(cli, lessons, exported):
    """It says so; in a pipe, prefix by prefix."""
    before = everything(lessons.directory)
    shown = cli("import", exported)
    assert shown.out == "intro_page\t0\t0\t3\t0\nword_problem\t0\t0\t2\t0\n"
    assert shown.err == "Imported 0 entries: 5 were here already.\n"
    assert everything(lessons.directory) == before


def test_import_keeps_the_newer(cli, lessons, exported):
    """What was regenerated here since stays, what was regenerated there comes."""
    with LLMCache(lessons.directory) as cache:
        problem = {"operation": "addition", "context_type": "sports"}
        cache.put("word_problem", "newer", params=problem)
        (old,) = cache.find(lessons.old_page)
        cache._engine.components.store.put(replace(old, created_at=old.created_at - 1))
        cache.invalidate_entries([cache.find(lessons.page)[0].key])
    shown = cli("import", exported)
    assert shown.err == (
        "Imported 2 entries: 1 in place of an older one, 2 were here already, 1 is newer here.\n"
    )
    with LLMCache(lessons.directory) as cache:
        assert cache.find(lessons.sports)[0].value == "newer"


def test_import_on_a_terminal_is_a_table(screen, exported, other):
    """Each prefix with its figures, then the sum."""
    shown = screen("--cache-dir", other, "import", exported)
    assert shown.code == 0
    assert shown.out == (
        "PREFIX        NEW  REPLACED  SAME  NEWER HERE\n"
        "intro_page      3         0     0           0\n"
        "word_problem    2         0     0           0\n"
        "\n"
        "Imported 5 entries.\n"
    )


@pytest.mark.parametrize("columns", [60, 200])
def test_import_fits_the_terminal(screen, exported, other, columns):
    """Narrow or wide."""
    shown = screen("--cache-dir", other, "import", exported, "-n", columns=columns)
    assert max(map(len, shown.out.splitlines())) <= 60


def test_import_in_json(cli, exported, other):
    """One document with every number."""
    exported.write_text(exported.read_text("utf-8") + "nonsense\n")
    shown = cli("--cache-dir", other, "import", exported, "--json")
    assert shown.code == 1
    nothing = {"replaced": 0, "same": 0, "newer_here": 0}
    assert json.loads(shown.out) == {
        "schema": 1,
        "dry_run": False,
        "lines": 6,
        "new": 5,
        **nothing,
        "refused": 1,
        "untrusted": 0,
        "of_other_tenants": 0,
        "evicted": 0,
        "prefixes": {
            "intro_page": {"new": 3, **nothing},
            "word_problem": {"new": 2, **nothing},
        },
        "problems": [{"line": 6, "reason": "it is no JSON, or cut off"}],
    }


def test_dry_run_of_import_writes_nothing(cli, exported, other):
    """It says the same as the import itself."""
    shown = cli("--cache-dir", other, "import", exported, "--dry-run")
    assert shown.err == "Would import 5 entries. Nothing was written.\n"
    assert not other.exists()
    assert cli("--cache-dir", other, "import", exported).out == shown.out


def test_damaged_lines_are_refused_by_number(cli, exported, other):
    """One line each, and the sum; the rest is there; exit 1."""
    lines = exported.read_text("utf-8").splitlines()
    lines[1] = lines[1].replace("fractions", "reactions")
    lines[3] = lines[3][:-1]
    exported.write_text("\n".join(lines), "utf-8")
    shown = cli("--cache-dir", other, "import", "lessons.jsonl")
    assert (shown.code, len(everything(other))) == (1, 3)
    assert shown.err.splitlines() == [
        "refused: lessons.jsonl:2: its checksum is wrong: it was damaged or changed",
        "refused: lessons.jsonl:4: it is no JSON, or cut off",
        "Imported 3 entries.",
        "error: lessons.jsonl: 2 lines of 5 refused",
    ]


def test_wrong_file_does_not_flood_the_terminal(cli, other, here):
    """A hundred lines are told, the others counted."""
    (here / "wrong").write_text("wrong\n" * 150)
    shown = cli("--cache-dir", other, "import", "wrong")
    told = shown.err.splitlines()
    assert told[99:] == [
        "refused: wrong:100: it is no JSON, or cut off",
        "100 lines were refused; more are only counted.",
        "Imported 0 entries.",
        "error: wrong: 150 lines of 150 refused",
    ]


def test_hostile_lines_are_quoted_harmlessly(screen, hostile, cli, here, other):
    """Whatever a line holds, and whatever its file is named."""
    document = json.loads(cli("export", "-p", "evil").out)
    name = EVIL.replace("\0", "").replace("/", "")
    forged = [{**document, "prefix": EVIL}, {**document, EVIL: EVIL}, {**document, "hits": EVIL}]
    lines = [EVIL.encode(), *map(signed, forged), signed(document)]
    (here / name).write_bytes(b"\n".join(lines))
    shown = screen("--cache-dir", other, "import", name, columns=1000)
    assert shown.code == 1
    assert_harmless(shown.out)
    assert shown.out.count("refused:") == 4


def test_entries_without_full_params_take_trust(cli, lessons, here, other):
    """They are counted apart, with what to do about it."""
    with LLMCache(lessons.directory) as cache:
        cache.put("secret", "x", api_key="sk-1")
    cli("export", "x.jsonl", "-p", "secret")
    shown = cli("--cache-dir", other, "import", "x.jsonl")
    assert (shown.code, everything(other)) == (1, {})
    assert shown.err.splitlines()[1:] == [
        "error: x.jsonl: 1 entry left out for want of full params",
        "hint: --trust takes those whose keys cannot be checked: for files of your own",
    ]
    assert cli("--cache-dir", other, "import", "x.jsonl", "--trust").code == 0
    assert len(everything(other)) == 1


@pytest.mark.parametrize("is_piped", [False, True])
def test_compressed_export_is_imported(cli, here, other, lessons, is_piped):
    """It is known by its first bytes, whatever its name is."""
    cli("export", "x", "--zstd")
    if is_piped:
        shown = import_piped(other, here, (here / "x").read_bytes())
    else:
        shown = cli("--cache-dir", other, "import", "x")
    assert shown.code == 0
    assert everything(other) == everything(lessons.directory)


def test_compressed_export_that_is_cut_off(cli, here, other):
    """What came before stays, and it says so."""
    (here / "x").write_bytes(MAGIC)
    shown = cli("--cache-dir", other, "import", "x")
    assert shown.code == 1
    assert shown.err.splitlines() == [
        "Imported 0 entries.",
        "error: x: it cannot be decompressed any further: it is cut off",
        "hint: what came before that was imported",
    ]


def test_without_the_extra_import_says_what_to_do(cli, here, other, monkeypatch):
    """One error, one hint; what is not compressed needs none."""
    cli("export", "x")
    cli("export", "x.zst")
    monkeypatch.setitem(sys.modules, "zstandard", None)
    shown = cli("--cache-dir", other, "import", "x.zst")
    assert shown.code == 1
    assert shown.err.splitlines()[1:] == [
        "error: x.zst: the extra 'zstd' is not installed",
        "hint: install it, or: zstd -dc x.zst | llm-cache import -",
    ]
    assert cli("--cache-dir", other, "import", "x").code == 0


@pytest.mark.parametrize(
    ("args", "code", "error"),
    [
        ([], 2, "error: missing argument 'FILE'"),
        (["none.jsonl"], 1, "error: none.jsonl: no such file or directory"),
        (["."], 1, "error: .: is a directory"),
    ],
    ids=["nothing", "no file", "directory"],
)
def test_import_of_what_is_not_there(cli, args, code, error):
    """One error line."""
    shown = cli("import", *args)
    assert (shown.code, shown.out) == (code, "")
    assert shown.err.splitlines()[0] == error


def test_import_of_an_empty_file(cli, here, other):
    """Nothing is no error."""
    (here / "empty").touch()
    shown = cli("--cache-dir", other, "import", "empty")
    assert shown == Result(0, "", "Imported 0 entries.\n")


def test_import_from_a_keyboard_is_refused(screen):
    """Rather than to wait for nobody."""
    shown = screen("import", "-")
    assert shown.code == 2
    assert "there is nothing on stdin" in shown.out


def test_store_in_trouble_is_told(cli, exported, here):
    """What is no cache is left alone."""
    (here / "theirs").mkdir(mode=0o700)
    with apsw.Connection(str(here / "theirs" / "cache.db")) as connection:
        connection.execute("CREATE TABLE theirs (a)").fetchall()
    shown = cli("--cache-dir", here / "theirs", "import", exported)
    assert shown.code == 1
    assert shown.err.splitlines()[0] == "Imported 0 entries."
    assert shown.err.splitlines()[1].startswith("error: ")


def test_import_for_one_tenant(cli, lessons, other, here):
    """With --tenant only what is theirs comes; the others are counted."""
    with LLMCache(lessons.directory) as cache, cache.tenant("acme"):
        cache.put("word_problem", "theirs", operation="addition")
    cli("export", "x.jsonl")
    shown = cli("--cache-dir", other, "--tenant", "acme", "import", "x.jsonl")
    assert (shown.code, shown.err) == (0, "Imported 1 entry: 5 are of other tenants.\n")
    assert [entry.tenant for entry in everything(other).values()] == ["acme"]


def test_import_says_what_max_disk_took(cli, lessons, here, other):
    """Right away, while it can be changed."""
    with LLMCache(lessons.directory) as cache:
        for number in range(20):
            cache.put("large", os.urandom(50_000).hex(), number=number)
    cli("export", "x.jsonl", "-p", "large")
    (here / "cache.toml").write_text('[cache]\nmax_disk = "1MiB"\n')
    shown = cli("--cache-dir", other, "import", "x.jsonl")
    left = len(everything(other))
    assert left < 20
    assert shown.err.splitlines() == [
        "Imported 20 entries.",
        f"max_disk: {20 - left} entries had to go to make room; a larger max_disk keeps them.",
    ]


def test_interrupted_import_keeps_what_it_took(lessons, other, here):
    """Ctrl-C: 130; whole batches stay, and the same command goes on."""
    with LLMCache(lessons.directory) as cache:
        (entry,) = cache.find(lessons.page)
    lines = []
    for number in range(ENTRIES_AT_ONCE):
        key = bytes([number % 256, number // 256]) * 16
        lines.append(to_line(replace(entry, key=key, redacted=True)))
    data = "\n".join([*lines, "nonsense\n"]).encode()
    reading, writing = os.pipe()
    shown = Terminal("--cache-dir", other, "import", "-", "--trust", cwd=here, stdin=reading)
    os.close(reading)
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(data)
        pipe.flush()
        shown.wait_for(f"stdin:{ENTRIES_AT_ONCE + 1}: ")
        shown.interrupt()
        ended = shown.end()
    assert ended.code == 130
    assert f"Imported {ENTRIES_AT_ONCE} entries.\n" in ended.out
    assert ended.out.splitlines()[-2].endswith("interrupted: what was imported stays")
    assert len(everything(other)) == ENTRIES_AT_ONCE
