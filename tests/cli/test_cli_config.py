"""`llm-cache config`: what is in force and where it came from."""

import json
import stat
import tomllib

import pytest

SETTINGS = '[cache]\ncache_dir = "c"\nmax_disk = "2GiB"\n\n[prefixes.intro_page]\nttl = "3d"\n'


@pytest.fixture
def settings(here):
    """A settings file in the working directory."""
    path = here / "cache.toml"
    path.write_text(SETTINGS)
    return path


def test_show_names_the_origin_of_every_setting(cli, settings):
    """File and line, flag, or built-in."""
    lines = [line.split("\t") for line in cli("config", "show").out.splitlines()]
    rows = {key: (value, origin) for key, value, origin in lines}
    assert rows["cache.max_disk"] == ("2GiB", "cache.toml:3")
    assert rows["prefixes.intro_page.ttl"] == ("3d", "cache.toml:6")
    assert rows["cache.cache_dir"][1] == "--cache-dir"
    assert rows["cache.enabled"] == ("true", "built-in")


def test_show_on_a_terminal_is_a_table(screen, settings):
    """Titles, and nothing wider than the terminal."""
    lines = screen("config", "show").out.splitlines()
    assert lines[0].split() == ["SETTING", "VALUE", "FROM"]
    assert all(len(line) <= 80 for line in lines)


def test_show_without_a_file_says_how_to_get_one(screen):
    """The built-in values, and the command for a first file."""
    assert "llm-cache config init writes one" in screen("config", "show").out


def test_show_toml_is_a_settings_file(cli, settings):
    """What is printed is TOML that says the same."""
    document = tomllib.loads(cli("config", "show", "--toml").out)
    assert document["cache"]["max_disk"] == "2GiB"


def test_show_json(cli, settings):
    """Each setting with value, origin, file and line."""
    document = json.loads(cli("config", "show", "--json").out)
    assert document["source"] == str(settings)
    assert document["settings"]["prefixes.intro_page.ttl"] == {
        "value": "3d",
        "origin": "cache.toml:6",
        "kind": "file",
        "file": str(settings),
        "line": 6,
    }


def test_path_is_the_file_in_force(cli, settings):
    """On stdout, for a script; exit 1 where there is none."""
    assert cli("config", "path").out == f"{settings}\n"
    settings.unlink()
    shown = cli("config", "path")
    assert (shown.code, shown.out) == (1, "")


def test_check_says_all_that_is_wrong(cli, settings):
    """Every problem a line, with its place; exit 2."""
    settings.write_text('[cache]\nmax_dsk = "1GiB"\n[defaults]\nttl = -3\n')
    shown = cli("config", "check")
    lines = shown.err.splitlines()
    assert (shown.code, shown.out, len(lines)) == (2, "", 2)
    assert lines[0].startswith("error: cache.toml:2: cache.max_dsk is unknown")
    assert lines[1].startswith("error: cache.toml:4: defaults.ttl")


def test_check_of_a_good_file(cli, settings, tmp_path):
    """The one in force, or the one that is named."""
    assert "cache.toml is all right: 1 prefix, 0 sets to warm." in cli("config", "check").err
    other = tmp_path / "other.toml"
    other.write_text('[cache]\nenabled = "yes"\n')
    assert cli("config", "check", other).code == 2


def test_init_writes_a_file_that_is_in_force(cli, here):
    """It is there, it is good, it is nobody's but the user's; and it is not written over."""
    assert cli("config", "init").code == 0
    path = here / "cache.toml"
    assert stat.S_IMODE(path.stat().st_mode) & 0o022 == 0
    assert cli("config", "check").code == 0
    assert cli("config", "path").out == f"{path}\n"
    path.write_text("[cache]\n")
    shown = cli("config", "init")
    assert shown.code == 1
    assert shown.err == "error: cache.toml is there already\nhint: --force replaces it\n"
    assert path.read_text() == "[cache]\n"
    assert cli("config", "init", "--force").code == 0
    assert path.read_text() != "[cache]\n"


def test_init_writes_where_config_says(cli, tmp_path):
    """--config names the file to be."""
    assert cli("--config", tmp_path / "new.toml", "config", "init").code == 0
    assert (tmp_path / "new.toml").exists()


def test_wrong_settings_touch_nothing(cli, settings, lessons):
    """Exit 2 with file, line, key and a guess, before any cache is opened."""
    settings.write_text('[cache]\nmax_dsk = "1GiB"\n')
    shown = cli("clear", "--yes")
    assert shown.code == 2
    assert shown.err == (
        "error: cache.toml:2: cache.max_dsk is unknown\nhint: did you mean 'max_disk'?\n"
    )
    assert lessons.ids_there() == lessons.all_ids


def test_settings_file_that_is_not_there(cli, tmp_path):
    """A file that was named has to exist."""
    shown = cli("--config", tmp_path / "none.toml", "ls")
    assert shown.code == 2
    assert "none.toml: does not exist" in shown.err


@pytest.mark.parametrize("args", [["config"], []])
def test_group_alone_shows_its_help(cli, args):
    """On stderr, with exit 2: nothing was done."""
    shown = cli(*args)
    assert (shown.code, shown.out) == (2, "")
    assert shown.err.startswith("Usage: llm-cache")
