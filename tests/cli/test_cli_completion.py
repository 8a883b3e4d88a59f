"""Completion, in real shells: what is put in is what was meant, and nothing of it is executed."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import terminal

from llm_cache.api.cache import LLMCache
from llm_cache.cli import app, shell_words
from llm_cache.cli.commands.completion import SCRIPTS

# The program of this checkout comes first.
PATH = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
HOSTILE = {
    "dollar": "$(touch pwned)",
    "tick": "`touch pwned`",
    "var": "$HOME ${PATH}",
    "semi": "a; touch pwned",
    "amp": "a && touch pwned > pwned",
    "glob": "*?[a-z]{b,c}~",
    "history": "wow!! !x",
    "double": 'say "hello"',
    "single": "it's",
    "both": 'it\'s "$(touch pwned)"',
    "back": "C:\\dir\\n",
    "colon": "a:b c",
    "equals": "a=b=c",
    "tilde": "~root",
    "dash": "-n",
    "paren": "f(x) # note",
    "quotes": "''",
    "wide": "数学 é",
}


@pytest.fixture(scope="module")
def cache(tmp_path_factory) -> Path:
    """A cache whose params are out to be executed."""
    directory = tmp_path_factory.mktemp("completion") / "cache"
    with LLMCache(directory) as opened:
        opened.put("intro_page", "x", topic="frac tions", grade="5", n=7, done=True, quoted='"a"')
        opened.put("intro:page", "x", topic="algebra")
        opened.put("hostile", "x", **HOSTILE)
        opened.put("escape", "x", esc="\x1b]52;c;AAAA\x07", bidi="a\u202eb", line="a\nb", ok="fine")
        with opened.tenant("acme"):
            opened.put("theirs", "x", secret_plan="sell")
    return directory


# What is answered, asked as the scripts ask


@pytest.fixture
def ask(cache, monkeypatch, capfd):
    """Completes a line as a script does; gives what may come, without its kind."""

    def call(line, *, shell="fish", directory=cache, breaks=""):
        monkeypatch.setenv("_LLM_CACHE_COMPLETE", f"{shell}_complete")
        monkeypatch.setenv("COMP_WORDS", line)
        monkeypatch.setenv("COMP_BREAKS", breaks)
        if directory is not None:
            monkeypatch.setenv("LLM_CACHE_DIR", str(directory))
        assert app.run([]) == 0
        out, err = capfd.readouterr()
        assert err == ""
        return [line.partition(",")[2].partition("\t")[0] for line in out.splitlines()]

    return call


def test_commands_are_completed_in_their_order(ask):
    """Other names of them where nothing else begins so."""
    assert ask("llm-cache ")[:3] == ["ls", "inspect", "invalidate"]
    assert ask("llm-cache l") == ["ls"]
    assert ask("llm-cache li") == ["list"]
    assert ask("llm-cache r") == ["restore"]
    assert ask("llm-cache rm") == ["rm"]
    assert ask("llm-cache config ") == ["show", "path", "check", "init"]


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
    assert ask("llm-cache ls --color=a") == ["--color=auto", "--color=always"]
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


def test_names_of_params_are_completed_up_to_the_mark(ask):
    """Of the prefix that was named; those that were given already are not given again."""
    assert ask("llm-cache why intro_page t") == ["topic="]
    assert ask("llm-cache why intro_page topic=x t") == []
    names = ask("llm-cache ls --prefix intro_page --param ")
    assert sorted(names) == ["done=", "grade=", "n=", "quoted=", "topic="]


def test_values_of_params_are_completed_as_one_would_type_them(ask):
    """A text as it is, in quotes where it would else be another; anything else as JSON."""
    assert ask("llm-cache why intro_page grade=") == ["grade=5"]
    assert ask("llm-cache why intro_page n=") == ["n=7"]
    assert ask("llm-cache why intro_page done=") == ["done=true"]
    assert ask("llm-cache why intro_page quoted=") == [r'quoted="\"a\""']
    assert ask("llm-cache ls intro_page --param topic=") == ["topic=frac tions"]


def test_what_a_terminal_would_obey_is_not_completed(ask):
    """A shell lists what there is as it is."""
    assert sorted(ask("llm-cache why escape ")) == ["bidi=", "esc=", "line=", "ok="]
    for name, there in {"esc": [], "bidi": [], "line": [], "ok": ["ok=fine"]}.items():
        assert ask(f"llm-cache why escape {name}=") == there


def test_a_tenant_on_the_line_is_respected(ask):
    """Only what is theirs; the flag itself is completed from all."""
    assert ask("llm-cache --tenant acme ls ") == ["theirs"]
    assert ask("llm-cache ls --tenant acme ") == ["theirs"]
    assert ask("llm-cache --tenant ") == ["acme"]
    assert "theirs" in ask("llm-cache ls ")


def test_directory_and_settings_on_the_line_are_respected(ask, cache, here, tmp_path):
    """Before what the environment says."""
    assert "hostile" in ask(f"llm-cache --cache-dir {cache} ls ", directory=tmp_path / "none")
    assert ask(f"llm-cache ls --cache-dir {tmp_path} ") == []
    (here / "mine.toml").write_text(f'[cache]\ncache_dir = "{cache}"\n')
    found = ask("llm-cache --config mine.toml ls ho", directory=None)
    assert found == ["hostile"]


def test_models_and_versions_are_completed(ask, tmp_path):
    """What has answered, and of which version."""
    from llm_cache import CachePolicy, Generated, Usage

    with LLMCache(tmp_path / "cache") as opened:
        opened.get_or_generate_sync(
            "p",
            lambda: Generated("text", usage=Usage(model="gpt-5-mini")),
            policy=CachePolicy(version="v2"),
        )
    assert ask("llm-cache ls --model ", directory=tmp_path / "cache") == ["gpt-5-mini"]
    assert ask("llm-cache ls --version ", directory=tmp_path / "cache") == ["v2"]


def test_what_is_said_of_a_choice_is_one_short_line(cache, monkeypatch, capfd):
    """Whatever it is that params hold."""
    for name, value in {
        "_LLM_CACHE_COMPLETE": "zsh_complete", "LLM_CACHE_DIR": str(cache),
        "COMP_WORDS": "llm-cache inspect ",
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    app.run([])
    out = capfd.readouterr().out
    assert "\x1b" not in out
    assert len(out.splitlines()) == 3 * 5
    assert max(map(len, out.splitlines())) < 80


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
@pytest.mark.parametrize("line", ["ls ", "inspect ", "restore ", "why p ", "ls --param n="])
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


@pytest.mark.parametrize("question", ["bash_complete", "tcsh_complete", "", "bash"])
def test_a_question_nobody_understands_is_answered_with_nothing(monkeypatch, capfd, question):
    """Without the line, or from a shell we do not know."""
    monkeypatch.setenv("_LLM_CACHE_COMPLETE", question)
    monkeypatch.delenv("COMP_WORDS", raising=False)
    assert app.run([]) == 0
    assert capfd.readouterr() == ("", "")


# Words and quotes


@pytest.mark.parametrize(
    ("text", "words", "word", "kept"),
    [
        ("a b", ("a",), "b", 0),
        ("a b ", ("a", "b"), "", 0),
        ("a 'b c' d", ("a", "b c"), "d", 0),
        ("a 'b c", ("a",), "b c", 0),
        ('a "b\\"$c', ("a",), 'b"$c', 0),
        ('a "b\\c', ("a",), "b\\c", 0),
        ("a b\\ c", ("a",), "b c", 0),
        ("a b\\", ("a",), "b", 0),
        ("a '' b", ("a", ""), "b", 0),
        ("a b:c", ("a",), "b:c", 2),
        ("a b:c:", ("a",), "b:c:", 4),
        ("a --p=b:c", ("a",), "--p=b:c", 6),
        ("a 'b:c", ("a",), "b:c", 0),
        ("a b\\:c", ("a",), "b:c", 0),
        ("a b='c:d", ("a",), "b=c:d", 2),
        ("a b:c d", ("a", "b:c"), "d", 0),
    ],
)
def test_a_line_is_split_as_bash_does(text, words, word, kept):
    """And where it begins a word anew."""
    line = shell_words.split(text, breaks=":=")
    assert (line.words, line.word, line.kept) == (words, word, kept)


def test_fish_escapes_within_single_quotes():
    """As no other shell."""
    assert shell_words.split(r"a 'it\'s b", is_fish=True).word == "it's b"
    assert shell_words.split(r"a 'C:\d\\", is_fish=True).word == "C:\\d\\"


@pytest.mark.parametrize("quote", ["", "'", '"'])
@pytest.mark.parametrize("text", [*HOSTILE.values(), "%@+,./-_:="], ids=str)
def test_bash_reads_a_quoted_text_back_to_the_letter(text, quote, here):
    """Whichever quotation mark is open."""
    word = quote + shell_words.quoted_for_bash(text, quote)
    word += "" if quote and word.endswith(quote) else quote  # as readline does
    done = subprocess.run(
        [shutil.which("bash"), "-c", f"printf %s {word}"], cwd=here, check=True,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout == text
    assert list(here.iterdir()) == []


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


@pytest.fixture(scope="module", params=["bash", "zsh", "fish"])
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
        "llm-cache ls intro_": "<ls><intro_page>",
        "llm-cache ls intro:": "<ls><intro:page>",
        "llm-cache ls intro:pa": "<ls><intro:page>",
        "llm-cache ls -p intro:": "<ls><-p><intro:page>",
        "llm-cache ls --prefix=intro:": "<ls><--prefix=intro:page>",
        "llm-cache ls --prefix=ho": "<ls><--prefix=hostile>",
        "llm-cache ls 'intro:": "<ls><intro:page>",
        "llm-cache why intro_page to": "<why><intro_page><topic=>",
        "llm-cache why intro_page topic=": "<why><intro_page><topic=frac tions>",
        "llm-cache why intro_page topic=frac\\ t": "<why><intro_page><topic=frac tions>",
        "llm-cache why intro_page 'topic=frac t": "<why><intro_page><topic=frac tions>",
        "llm-cache why intro_page topic='frac t": "<why><intro_page><topic=frac tions>",
        'llm-cache why intro_page topic="frac t': "<why><intro_page><topic=frac tions>",
        "llm-cache ls -p intro_page --param=gr": "<ls><-p><intro_page><--param=grade=>",
        "llm-cache ls -p intro_page --param=grade=": "<ls><-p><intro_page><--param=grade=5>",
        "llm-cache --tenant acme ls ": "<--tenant><acme><ls><theirs>",
    }.items(),
)
def test_a_shell_puts_in_what_was_meant(shell, typed, words):
    """The program gets whole words, whatever was quoted before."""
    assert shell.completes(typed) == words


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize(
    ("shell", "quote"),
    [("bash", ""), ("bash", "'"), ("bash", '"'), ("zsh", ""), ("fish", "")],  # we quote for bash
    indirect=["shell"],
)
def test_a_shell_takes_hostile_text_as_text(shell, name, quote):
    """Not one character of it is expanded, executed or lost."""
    words = shell.completes(f"llm-cache why hostile {quote}{name}=")
    assert words == f"<why><hostile><{name}={HOSTILE[name]}>"
    assert not (shell.home / "pwned").exists()


def test_a_shell_does_not_execute_what_is_typed_so_far(shell):
    """A half-typed command substitution is text to the program that completes."""
    assert shell.completes("llm-cache ls '$(touch pwned)' --jsonl -p ho").endswith("<hostile>")
    assert not (shell.home / "pwned").exists()


@pytest.mark.parametrize("flag", ["--cache-dir ", "--cache-dir="])
def test_a_shell_completes_directories(shell, flag):
    """With its own way to do so."""
    (shell.home / "some where").mkdir(exist_ok=True)
    words = shell.completes(f"llm-cache {flag}som").replace("/>", ">")  # zsh takes it back
    assert words == f"<--cache-dir{'><' if flag.endswith(' ') else '='}some where>"


# The command


@pytest.mark.parametrize("kind", SCRIPTS)
def test_the_script_is_printed_for_a_pipe_as_it_is(cli, kind):
    """Nothing but the script, and nothing on stderr."""
    shown = cli("completion", kind)
    assert (shown.code, shown.out, shown.err) == (0, SCRIPTS[kind], "")


@pytest.mark.parametrize("kind", SCRIPTS)
def test_a_terminal_is_told_how_to_install_it(screen, kind):
    """One line that says where to put it."""
    shown = screen("completion", kind, columns=200)
    assert shown.code == 0
    assert shown.out.splitlines()[-1].startswith("hint: ")
    assert f"llm-cache completion {kind}" in shown.out.splitlines()[-1]


@pytest.mark.parametrize("kind", SCRIPTS)
def test_the_shell_itself_finds_no_fault_with_the_script(kind):
    """It is parsed, and not run."""
    path = shutil.which(kind)
    if path is None:
        pytest.skip(f"{kind} is not installed")
    done = subprocess.run(
        [path, "-n"], input=SCRIPTS[kind], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


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
        "_LLM_CACHE_COMPLETE": "bash_complete", "COMP_WORDS": "llm-cache ls ho",
        "LLM_CACHE_DIR": str(cache),
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=here, env=terminal.clean_environment(**env),
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert done.stdout == "plain,hostile\n"
    assert {"asyncio", "pydantic", "rich"}.isdisjoint(json.loads(done.stderr))
