"""Completion by Click's scripts, in real shells: nothing of what the cache holds is executed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click.shell_completion
import pytest
import terminal

from llm_cache import CachePolicy, Generated, LLMCache, Usage
from llm_cache.cli import app

# The program of this checkout comes first.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
SHELLS = ("bash", "zsh", "fish")
HOSTILE = (
    "$(touch pwned)", "`touch pwned`", "$HOME", "; touch pwned", "> pwned", "*", "?[a-z]", "{b,c}",
    "!!", '"', "'", "\\n", " b", "#", ",b", "\nb", "\nplain,b", "\nplain\nb\n_",
    "\x1b]52;c;AAAA\x07", "a\u202eb", "\u200b", "\u115f",
)  # fmt: skip
"""What a tenant may have in its name, and no shell may get."""
HOSTILE_AT_FIRST = ("~root", "-n", "=ls", "'", "\x1b[2J", "(a)")


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """A cache whose tenants are out to be executed."""
    directory = tmp_path_factory.mktemp("completion") / "cache"
    with LLMCache(directory) as opened:
        opened.put("intro_page", "x", topic="frac tions", note="a\nb\x1b]0;$(touch pwned),b:c")
        opened.put("intro:page", "x")
        opened.put("other", "x")
        opened.put("数学", "x")
        for tenant in (*(f"evil{text}" for text in HOSTILE), *HOSTILE_AT_FIRST, "evil-not", "acme"):
            with opened.tenant(tenant):
                opened.put("theirs", "x")
    return directory


# What is answered, asked as the scripts ask


@pytest.fixture
def ask(cache, monkeypatch, capfd):
    """Completes a line as fish's script does; gives what may come, without its kind."""

    def call(line, *, directory=cache):
        monkeypatch.setenv("_LLM_CACHE_COMPLETE", "fish_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_CWORD", line.rpartition(" ")[2])
        if directory is not None:
            monkeypatch.setenv("LLM_CACHE_DIR", str(directory))
        assert app.run([]) == 0
        out, err = capfd.readouterr()
        assert err == ""
        return [line.partition(",")[2].partition("\t")[0] for line in out.splitlines() if line]

    return call


def test_commands_are_completed_in_their_order(ask):
    """Other names of them where nothing else begins so."""
    assert ask("llm-cache ")[:3] == ["ls", "inspect", "invalidate"]
    assert ask("llm-cache l") == ["ls"]
    assert ask("llm-cache li") == ["list"]
    assert ask("llm-cache r") == ["restore"]
    assert ask("llm-cache rm") == ["rm"]
    assert ask("llm-cache config ") == ["show", "path", "check", "init", "schema"]


def test_flags_are_completed(ask):
    """Those of the command; those of llm-cache itself where it has none that begin so."""
    assert ask("llm-cache ls --js") == ["--json", "--jsonl"]
    assert ask("llm-cache ls --json --js") == []
    assert ask("llm-cache ls --cac") == ["--cache-dir"]
    assert ask("llm-cache --ten") == ["--tenant"]
    assert {"-p", "-q", "-h"} <= set(ask("llm-cache ls -"))


def test_choices_are_completed(ask):
    """Of flags, of arguments, and what to sort by."""
    assert ask("llm-cache --color ") == ["auto", "always", "never"]
    assert ask("llm-cache ls --color a") == ["auto", "always"]
    assert ask("llm-cache completion ") == ["bash", "zsh", "fish"]
    assert ask("llm-cache ls --sort s") == ["size", "saved"]
    assert ask("llm-cache ls --sort size:") == ["size:asc", "size:desc"]


@pytest.mark.parametrize("line", ["ls ", "ls -p ", "ls --prefix ", "why ", "invalidate -p "])
def test_prefixes_are_completed(ask, line):
    """From the cache as it is now."""
    assert ask(f"llm-cache {line}intro") == ["intro:page", "intro_page"]


def test_prefixes_to_warm_come_from_the_settings(ask, here):
    """What is not there yet is what one wants to warm."""
    (here / "cache.toml").write_text('[[warm]]\nprefix = "new"\ngenerate = "a:b"\nparams = [{}]\n')
    assert ask("llm-cache warm -p ") == ["new"]


@pytest.fixture
def ids(cache):
    """The ids of all entries, the last used first."""
    with LLMCache(cache) as opened:
        found = sorted(opened.entries(), key=lambda entry: -entry.used_at)
    return [entry.id for entry in found]


@pytest.mark.parametrize("line", ["inspect ", "show ", "invalidate ", "rm "])
def test_ids_are_completed(ask, ids, line):
    """All that begin so; those that were used last come first, and none twice."""
    assert ask(f"llm-cache {line}") == ids
    assert ask(f"llm-cache {line}{ids[2][:5]}") == [ids[2]]
    assert ids[0] not in ask(f"llm-cache {line}{ids[0]} ")


def test_digits_are_completed_as_they_were_typed(ask, ids):
    """In capitals, or more of them than an id has."""
    assert ask(f"llm-cache inspect {ids[0][:4].upper()}") == [ids[0][:4].upper() + ids[0][4:]]
    assert ask("llm-cache inspect xyz") == []
    [long] = ask(f"llm-cache inspect {ids[1]}")
    assert long == ids[1]


def test_ids_in_the_trash_are_completed_to_be_restored(ask, tmp_path):
    """And no other."""
    with LLMCache(tmp_path / "cache") as opened:
        opened.put("p", "kept", n=1)
        opened.put("q", "removed", n=2)
        [gone] = [entry.id for entry in opened.entries("q")]
        opened.invalidate_prefix("q", keep=True)
    assert ask("llm-cache restore ", directory=tmp_path / "cache") == [gone]


def test_a_tenant_on_the_line_is_respected(ask):
    """Only what is theirs; the flag itself is completed from all."""
    assert ask("llm-cache --tenant acme ls ") == ["theirs"]
    assert ask("llm-cache ls --tenant acme ") == ["theirs"]
    assert "theirs" in ask("llm-cache ls ")


def test_what_a_shell_or_a_terminal_would_obey_is_not_completed(ask):
    """Only plain words are."""
    assert sorted(ask("llm-cache --tenant ")) == ["acme", "evil-not"]


def test_values_of_params_are_not_completed(ask):
    """Nor what could be taken for them."""
    assert ask("llm-cache why intro_page topic=") == []
    assert ask("llm-cache ls --param topic=") == []


def test_directory_and_settings_on_the_line_are_respected(ask, cache, here, tmp_path):
    """Before what the environment says."""
    assert "other" in ask(f"llm-cache --cache-dir {cache} ls ", directory=tmp_path / "none")
    assert ask(f"llm-cache ls --cache-dir {tmp_path} ") == []
    (here / "mine.toml").write_text(f'[cache]\ncache_dir = "{cache}"\n')
    found = ask("llm-cache --config mine.toml ls ot", directory=None)
    assert found == ["other"]


def test_models_and_versions_are_completed(ask, tmp_path):
    """What has answered, and of which version."""
    with LLMCache(tmp_path / "cache") as opened:
        opened.get_or_generate_sync(
            "p",
            lambda: Generated("text", usage=Usage(model="gpt-5-mini")),
            policy=CachePolicy(version="v2"),
        )
    assert ask("llm-cache ls --model ", directory=tmp_path / "cache") == ["gpt-5-mini"]
    assert ask("llm-cache ls --version ", directory=tmp_path / "cache") == ["v2"]


@pytest.mark.parametrize("shell", SHELLS)
def test_what_is_said_of_an_id_is_one_short_line(cache, monkeypatch, capfd, shell):
    """Whatever its params hold."""
    monkeypatch.setenv("_LLM_CACHE_COMPLETE", f"{shell}_complete")
    monkeypatch.setenv("COMP_WORDS", "llm-cache inspect ")
    monkeypatch.setenv("COMP_CWORD", "" if shell == "fish" else "2")
    monkeypatch.setenv("LLM_CACHE_DIR", str(cache))
    app.run([])
    lines = capfd.readouterr().out.splitlines()
    with LLMCache(cache) as opened:
        entries = len(list(opened.entries()))
    assert len(lines) == entries * (3 if shell == "zsh" else 1)
    assert max(map(len, lines)) < 80
    assert not any("\x1b" in line for line in lines)


def nothing(tmp_path):
    """No directory at all."""


def no_entries(tmp_path):
    """A cache in which nothing is kept."""
    LLMCache(tmp_path / "place").put("p", "x")
    with LLMCache(tmp_path / "place") as opened:
        opened.clear_all()


def garbage(tmp_path):
    """A file that is none."""
    (tmp_path / "place").mkdir(mode=0o700)
    (tmp_path / "place" / "cache.db").write_bytes(b"notes\n" * 1000)


def damaged(tmp_path):
    """A file that is cut off."""
    with LLMCache(tmp_path / "place") as opened:
        opened.put("p", "x" * 10_000)
    os.truncate(tmp_path / "place" / "cache.db", 5000)


def open_to_all(tmp_path):
    """A directory that anybody may write to."""
    with LLMCache(tmp_path / "place") as opened:
        opened.put("p", "x")
    (tmp_path / "place").chmod(0o777)


def wrong_settings(tmp_path):
    """A file of settings that is none."""
    with LLMCache(tmp_path / "place") as opened:
        opened.put("p", "x")
    (tmp_path / "here" / "cache.toml").write_text("[cache")


@pytest.mark.parametrize(
    "make", [nothing, no_entries, garbage, damaged, open_to_all, wrong_settings]
)
@pytest.mark.parametrize("line", ["ls ", "inspect ", "restore ", "ls --version ", "--tenant "])
def test_what_cannot_be_read_completes_nothing_and_says_nothing(ask, tmp_path, make, line):
    """Exit 0, and not a file more or less."""
    make(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    assert ask(f"llm-cache {line}", directory=tmp_path / "place") == []
    assert sorted(tmp_path.rglob("*")) == before


def test_a_live_cache_is_completed_from_its_log(ask, tmp_path):
    """What was just written is there; the application goes on."""
    with LLMCache(tmp_path / "cache") as opened:
        opened.put("p", "x")
        before = sorted(tmp_path.rglob("*"))
        assert ask("llm-cache ls ", directory=tmp_path / "cache") == ["p"]
        opened.put("q", "y")
        assert ask("llm-cache ls ", directory=tmp_path / "cache") == ["p", "q"]
        assert sorted(tmp_path.rglob("*")) == before
        assert opened.peek("p").value == "x"


DIES = 'LLMCache(directory).put("p", "x"); say("kept"); hear()'


@pytest.mark.parametrize("gone", [[], ["-shm"]], ids=["with its log", "without its index"])
def test_what_a_killed_application_left_is_read_as_it_is(ask, start, tmp_path, gone):
    """Its log is neither moved into the file nor given an index."""
    child = start(DIES)
    assert child.says() == "kept"
    child.kill()
    for end in gone:
        (tmp_path / "cache" / f"cache.db{end}").unlink()
    before = sorted(tmp_path.rglob("*"))
    assert ask("llm-cache ls ", directory=tmp_path / "cache") == ([] if gone else ["p"])
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("shell", SHELLS)
def test_who_asks_without_a_line_gets_nothing(monkeypatch, capfd, shell):
    """Not even an error: it would stand within what is typed."""
    monkeypatch.setenv("_LLM_CACHE_COMPLETE", f"{shell}_complete")
    monkeypatch.delenv("COMP_WORDS", raising=False)
    assert app.run([]) == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("instruction", ["tcsh_complete", "bash", "bash_fly"])
def test_an_unknown_instruction_is_wrong_usage(monkeypatch, capfd, instruction):
    """No shell of ours asks it; whoever set the variable is told so."""
    monkeypatch.setenv("_LLM_CACHE_COMPLETE", instruction)
    assert app.run([]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(f"error: _LLM_CACHE_COMPLETE={instruction} ")


# Real shells

SHOW = {
    "bash": "llm-cache() { printf '<%s>' \"$@\"; echo; }",
    "zsh": "llm-cache() { printf '<%s>' \"$@\"; echo; }",
    "fish": "function llm-cache; printf '<%s>' $argv; echo; end",
}
"""In place of the program, once completed: what words it is given."""
START = {
    "bash": ("--norc", "--noprofile", "-i"),
    "zsh": ("-f", "-i"),
    "fish": ("--no-config", "-i"),
}
LOAD = {
    "bash": 'eval "$(llm-cache completion bash)"',
    "zsh": 'autoload -U compinit; compinit -u -D; eval "$(llm-cache completion zsh)"',
    "fish": "llm-cache completion fish | source",
}
CLEAR_LINE = "\x15"


class Shell:
    """An interactive shell on a terminal, with the completion loaded."""

    def __init__(self, kind: str, cache: Path, home: Path) -> None:
        path = shutil.which(kind)
        if path is None:
            pytest.skip(f"{kind} is not installed")
        env = {
            "PATH": PATH, "HOME": str(home), "LLM_CACHE_DIR": str(cache), "PS1": "$ ",
            "HISTFILE": "/dev/null", "LC_ALL": "C.UTF-8",
        }  # fmt: skip
        self.home = home
        self._terminal = terminal.Terminal(
            cwd=home, columns=200, env=env, command=(path, *START[kind])
        )
        self._say(f"{LOAD[kind]}; {SHOW[kind]}; echo lo''aded", "loaded")

    def completes(self, typed: str) -> str:
        """Types a line, TAB and Enter; gives the words that the program gets."""
        self._terminal.shown = b""
        self._terminal.type(f"{CLEAR_LINE}{typed}\t")
        self._say("", ">\r\n")
        shown = self._terminal.shown.decode()
        return re.findall(r"<[^\r\n]*>(?=\r\n)", shown)[-1]

    def _say(self, line: str, answer: str) -> None:
        self._terminal.type(f"{line}\r")
        self._terminal.wait_for(answer)

    def close(self) -> None:
        """Ends it."""
        self._terminal.process.kill()
        self._terminal.end()


@pytest.fixture(scope="module", params=SHELLS)
def shell(request, cache, tmp_path_factory):
    """One of the three, for all tests."""
    opened = Shell(request.param, cache, tmp_path_factory.mktemp(request.param))
    yield opened
    opened.close()


@pytest.mark.parametrize(
    ("typed", "words"),
    {
        "llm-cache insp": "<inspect>",
        "llm-cache ls --jsonl --so": "<ls><--jsonl><--sort>",
        "llm-cache ls --color al": "<ls><--color><always>",
        "llm-cache ls intro_": "<ls><intro_page>",
        "llm-cache ls 'intro_": "<ls><intro_page>",
        "llm-cache ls 数": "<ls><数学>",
        "llm-cache ls '$(touch pwned)' --jsonl -p ot": "<ls><$(touch pwned)><--jsonl><-p><other>",
        "llm-cache --tenant acme ls ": "<--tenant><acme><ls><theirs>",
        "llm-cache --tenant evil": "<--tenant><evil-not>",
    }.items(),
)
def test_a_shell_puts_in_what_was_meant(shell, typed, words):
    """The only plain word that begins so; nothing is executed, neither of the cache nor typed."""
    assert shell.completes(typed) == words
    assert not (shell.home / "pwned").exists()


@pytest.mark.parametrize("shell", ["zsh", "fish"], indirect=True)
def test_a_colon_is_completed_over(shell):
    """But by bash, which begins another word there."""
    assert shell.completes("llm-cache ls intro:") == "<ls><intro:page>"


@pytest.mark.parametrize("shell", ["zsh"], indirect=True)
def test_a_value_beside_its_flag_leaves_the_flag(shell):
    """Though zsh replaces the whole word, and Click completes only the value."""
    assert shell.completes("llm-cache ls --prefix=ot") == "<ls><--prefix=other>"
    assert shell.completes("llm-cache stats --by=p") == "<stats><--by=prefix>"


def test_a_shell_completes_ids(shell, cache):
    """Whatever is said beside them."""
    with LLMCache(cache) as opened:
        [entry] = opened.entries("intro_page")
    assert shell.completes(f"llm-cache inspect {entry.id[:5]}") == f"<inspect><{entry.id}>"
    assert not (shell.home / "pwned").exists()


def test_a_shell_completes_directories(shell):
    """With its own way to do so."""
    (shell.home / "some where").mkdir(exist_ok=True)
    words = shell.completes("llm-cache --cache-dir som").replace("/>", ">")  # zsh takes it back
    assert words == "<--cache-dir><some where>"


# The command


@pytest.mark.parametrize("kind", SHELLS)
def test_the_script_is_clicks_own(cli, kind):
    """A pipe gets nothing but the script; the shells above run it."""
    shown = cli("completion", kind)
    assert (shown.code, shown.err) == (0, "")
    script = click.shell_completion.get_completion_class(kind)
    assert shown.out == script(app.commands, {}, "llm-cache", "_LLM_CACHE_COMPLETE").source()


@pytest.mark.parametrize("kind", SHELLS)
def test_a_terminal_is_told_how_to_install_it(screen, kind):
    """One line that says where to put it."""
    shown = screen("completion", kind, columns=200)
    assert shown.code == 0
    assert shown.out.splitlines()[-1].startswith("hint: ")
    assert f"llm-cache completion {kind}" in shown.out.splitlines()[-1]


def test_an_unknown_shell_is_wrong_usage(cli):
    """Exit 2; the ones there are are named."""
    shown = cli("completion", "tcsh")
    assert (shown.code, shown.out) == (2, "")
    assert "bash" in shown.err


def test_completing_what_is_in_the_cache_is_light(cache, here):
    """Neither pydantic nor rich nor asyncio, also where the cache is read."""
    script = (
        "import sys, atexit, json\n"
        "atexit.register(lambda: sys.stderr.write(json.dumps(list(sys.modules))))\n"
        "from llm_cache.cli import main\nmain([])"
    )
    env = {
        "_LLM_CACHE_COMPLETE": "bash_complete", "COMP_WORDS": "llm-cache ls ot", "COMP_CWORD": "2",
        "LLM_CACHE_DIR": str(cache),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=here, env=terminal.clean_environment(**env),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "plain,other\n"
    assert {"asyncio", "pydantic", "rich"}.isdisjoint(json.loads(done.stderr))
