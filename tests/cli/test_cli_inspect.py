"""`llm-cache inspect`: everything known about an entry, and its text to the byte."""

import json
import re
from datetime import datetime

import pytest

from llm_cache import CachePolicy, Generated, Usage
from llm_cache.api.cache import LLMCache

PAGE_LINES = 202


def test_terminal_shows_facts_and_the_beginning_of_the_text(screen, lessons):
    """The prefix and its state, the params, the facts, then twelve lines."""
    shown = screen("inspect", lessons.page[:6])
    lines = shown.out.splitlines()
    assert shown.code == 0
    assert lines[0].startswith("intro_page  ")
    assert lines[0].endswith(f"\x1b[32mfresh\x1b[0m · {lessons.page}")
    assert '  grade="5"  subject=math' in lines[1]
    labels = [line.split()[0] for line in lines[lines.index("") :] if line[2:3].isalpha()]
    assert labels[:5] == ["made", "expires", "used", "size", "tokens"]
    assert "used      11 times, last 2h ago" in shown.out
    assert "ttl 7d, built-in" in shown.out
    assert "\n  # Adding fractions\n" in shown.out
    raw = f"llm-cache inspect {lessons.page} --raw for the exact value"
    assert lines[-1] == f"  (first 12 of {PAGE_LINES} lines; {raw})"
    assert "Line 9 " in shown.out
    assert "Line 10 " not in shown.out


def test_expired_entry_says_since_when(screen, lessons):
    """Past its ttl, an entry tells how long ago that was."""
    shown = screen("inspect", lessons.old_page)
    assert "\x1b[33mexpired\x1b[0m" in shown.out.splitlines()[0]
    assert "  expired   2d ago, " in shown.out


def test_unknown_figures_are_not_zero(screen, lessons):
    """What was never measured is a dash."""
    shown = screen("inspect", lessons.cooking)
    assert "used      never" in shown.out
    assert re.search("  tokens    –  +cost –\n", shown.out)
    assert "$" not in shown.out
    assert "0 ms" not in shown.out


def test_value_that_is_no_text_is_shown_as_json(screen, lessons):
    """A dict is laid out, its names in bold."""
    out = screen("inspect", lessons.sports).out
    assert '\n    \x1b[1m"text"\x1b[0m: "Tom and sports",\n' in out


def test_ttl_origin_is_the_line_in_the_file(cli, lessons, here):
    """Who decided the ttl can be looked up."""
    (here / "cache.toml").write_text('[prefixes.intro_page]\nversion = ""\nttl = "3d"\n')
    entry = json.loads(cli("inspect", lessons.page, "--json").out)["entries"][0]
    assert entry["ttl_seconds"] == 3 * 86_400
    assert (entry["ttl_source"], entry["ttl_origin"]) == (
        "prefix",
        "cache.toml:3 [prefixes.intro_page]",
    )


def test_ttl_of_defaults_and_of_the_call_have_their_origins(cli, lessons, here):
    """The file's defaults by line, the call by its name."""
    (here / "cache.toml").write_text('[defaults]\nttl = "2d"\n')
    with LLMCache(lessons.directory) as cache:
        cache.put("fact", "42", ttl="1h", q=1)
    (fact,) = cli("ls", "fact", "-q").out.split()
    both = json.loads(cli("inspect", fact, lessons.sports, "--json").out)["entries"]
    assert [entry["ttl_origin"] for entry in both] == ["the call", "cache.toml:2 [defaults]"]


SETTINGS = """\
[defaults]
stale_if_error = "30d"

[prefixes.intro_page]
ttl = "3d"
grace = "1d"
"""


def test_how_much_longer_it_is_given_has_its_origins(screen, cli, lessons, here):
    """In grace, then as a fallback, each until when and by which line."""
    (here / "cache.toml").write_text(SETTINGS)
    out = screen("inspect", lessons.page).out
    assert re.search(r"\n  stale     until [-\d]+ [:\d]+ +grace 24h, cache.toml:6\n", out)
    pattern = r"\n  fallback  until [-\d]+ [:\d]+ +stale_if_error 30d, cache.toml:2\n"
    assert re.search(pattern, out)
    entry = json.loads(cli("inspect", lessons.page, "--json").out)["entries"][0]
    ends = [entry[name] for name in ("expires_at", "stale_until", "fallback_until")]
    first, *later = map(datetime.fromisoformat, ends)
    assert [(end - first).days for end in later] == [1, 30]


def test_what_the_code_said_is_told_as_that(screen, cli, lessons, here):
    """How much longer an entry is given by the word of a call or a decorator, whose that is."""
    (here / "cache.toml").write_text('[defaults]\ngrace = "3h"\n')
    said = CachePolicy(ttl="1h", ttl_jitter=0.5, stale_if_error="30d")
    with LLMCache(lessons.directory) as cache:
        cache.put("fact", "42", policy=said, q=1)
    (fact,) = cli("ls", "fact", "-q").out.split()
    out = " ".join(screen("inspect", fact).out.split())
    assert re.search(r"ttl 1h less \d+m \d\ds of jitter, the call ", out)
    assert re.search(r" stale until [-\d]+ [:\d]+ grace 3h, cache.toml:2 ", out)
    assert re.search(r" fallback until [-\d]+ [:\d]+ stale_if_error 30d, the call ", out)
    [entry] = json.loads(cli("inspect", fact, "--json").out)["entries"]
    assert (entry["stale_origin"], entry["fallback_origin"]) == (
        "cache.toml:2 [defaults]",
        "the call",
    )
    assert (entry["call_stale_if_error_seconds"], entry["call_ttl_jitter"]) == (30 * 86_400, 0.5)
    assert entry["decorator_grace_seconds"] is None


def test_fallback_that_ends_with_the_grace_is_not_told(screen, lessons, here):
    """An entry in grace is stale already."""
    (here / "cache.toml").write_text('[defaults]\ngrace = "2d"\nstale_if_error = "1d"\n')
    out = screen("inspect", lessons.page).out
    assert "\n  stale     until" in out
    assert "fallback" not in out


def test_what_never_expires_is_given_for_ever(screen, lessons, here):
    """Then there is no afterwards."""
    (here / "cache.toml").write_text('[prefixes.intro_page]\nttl = "forever"\ngrace = "1d"\n')
    out = screen("inspect", lessons.page).out
    assert re.search(r"\n  expires   never +ttl forever, cache.toml:2 ", out)
    assert "stale" not in out


def test_grace_without_end(screen, lessons, here):
    """It is told as that."""
    (here / "cache.toml").write_text('[prefixes.intro_page]\ngrace = "forever"\n')
    assert re.search(r"  stale     for ever +grace forever, ", screen("inspect", lessons.page).out)


def test_jitter_shows_in_the_ttl(screen, cli, lessons, here):
    """By how much this one is shorter."""
    (here / "cache.toml").write_text('[prefixes.intro_page]\nttl = "2d"\nttl_jitter = 0.5\n')
    out = " ".join(screen("inspect", lessons.page).out.split())
    assert re.search(r"ttl 2d less (\d+h \d\dm|\d+m \d\ds) of jitter, cache.toml:2 ", out)
    entry = json.loads(cli("inspect", lessons.page, "--json").out)["entries"][0]
    made, ends = (datetime.fromisoformat(entry[n]) for n in ("created_at", "expires_at"))
    assert 1 < (ends - made).total_seconds() / 86_400 < 2
    assert entry["policy"]["ttl_jitter"] == 0.5


def test_json_has_the_policy_in_force(cli, lessons, here):
    """What applies beside the ttl; `forever` where there is no end, null where nothing was said."""
    (here / "cache.toml").write_text(
        '[defaults]\ntimeout = "forever"\n'
        '[prefixes.fact]\ngrace = "1h"\nversion = "2"\nstore_if = ["not_empty"]\n'
    )
    with LLMCache(lessons.directory) as cache:
        cache.put("fact", "42", ttl="1h", q=1)
    (fact,) = cli("ls", "fact", "-q").out.split()
    entry = json.loads(cli("inspect", fact, "--json").out)["entries"][0]
    policy = entry["policy"]
    assert [policy[name] for name in ("grace_seconds", "timeout_seconds")] == [3600, "forever"]
    assert [policy[name] for name in ("version", "mode")] == ["2", "live"]
    assert policy["store_if"] == ["not_empty"]
    assert (entry["call_ttl_seconds"], entry["decorator_ttl_seconds"]) == (3600, None)
    assert entry["key"] != entry["request"]


def test_model_tokens_and_cost_are_told(screen, lessons):
    """Who made it, of how much, and for how much."""
    usage = Usage(model="big", input_tokens=1812, output_tokens=None, cost_usd=0.25)
    with LLMCache(lessons.directory) as cache:
        cache.put("priced", Generated("x", usage), q=1)
        (entry,) = cache.entries("priced")
    out = screen("inspect", entry.id).out
    assert re.search("  made      .* ago by big", out)
    assert re.search(r"  tokens    1,812 in, – out  +cost \$0.25\n", out)


def test_what_is_beside_the_params_is_told(screen, lessons):
    """Whose it is, which version, and that a secret was taken out."""
    with LLMCache(lessons.directory) as cache, cache.tenant("acme"):
        cache.put("own", "x", policy=CachePolicy(version="v2"), q=1, api_key="sk-secret")
        (entry,) = cache.entries("own")
    out = screen("inspect", entry.id).out
    assert "(tenant acme)  (version v2)  (partly redacted)" in out
    assert "sk-secret" not in out


def test_raw_is_the_text_to_the_byte(piped, lessons):
    """Nothing is added, nothing escaped."""
    text = "a\x1b[31mb\r\n\u202eé\n\n"
    with LLMCache(lessons.directory) as cache:
        cache.put("odd", text, q=1)
    (odd,) = piped("ls", "odd", "-q").out.split()
    assert piped("inspect", odd, "--raw").out == text


def test_raw_of_anything_else_is_json(cli, lessons):
    """A value that is no text is its JSON."""
    shown = cli("inspect", lessons.sports, "--raw").out
    assert shown == '{"text": "Tom and sports", "numbers": [1, 2]}'


def test_raw_on_a_terminal_cannot_take_it_over(screen, lessons):
    """There, what a terminal would obey is escaped; lines and tabs stay."""
    with LLMCache(lessons.directory) as cache:
        cache.put("odd", "one\x1b]52;c;aGk=\x07\n\ttwo", q=1)
        (odd,) = (entry.id for entry in cache.entries("odd"))
    assert screen("inspect", odd, "--raw").out == "one\\x1b]52;c;aGk=\\x07\n\ttwo"


def test_raw_takes_one_id(cli, lessons):
    """Two values in a row could not be told apart."""
    assert cli("inspect", lessons.page, lessons.sports, "--raw").code == 2


def test_json_has_everything(cli, lessons):
    """The fields of ls, the ttl, and the value."""
    document = json.loads(cli("inspect", lessons.sports, lessons.page, "--json").out)
    first, second = document["entries"]
    assert document["schema"] == 1
    assert first["value"] == {"text": "Tom and sports", "numbers": [1, 2]}
    assert second["hits"] == 11
    assert second["saved_seconds"] == pytest.approx(second["generation_seconds"] * 11)
    assert first["saved_usd"] is None


def test_pipe_gets_a_line_a_field(cli, lessons):
    """A name, a tab, the value; the text is on one line, as JSON."""
    fields = dict(line.split("\t") for line in cli("inspect", lessons.page).out.splitlines())
    assert fields["id"] == lessons.page
    assert json.loads(fields["value"]).startswith("# Adding fractions\n")
    assert json.loads(fields["params"])["grade"] == "5"


def test_id_that_is_not_there(cli, lessons):
    """Exit 3; what is there is shown all the same."""
    shown = cli("inspect", lessons.page, "ffffffff")
    assert shown.code == 3
    assert lessons.page in shown.out
    assert shown.err.startswith("error: no entry has the id 'ffffffff'\nhint: ")


@pytest.mark.parametrize("typed", ["abc", "xyzt", "", "9" * 65, "12 4"])
def test_what_is_no_id_is_a_mistake(cli, typed):
    """Too short, too long, not hex: exit 2."""
    assert cli("inspect", typed).code == 2


def test_ids_may_be_upper_case_and_whole_keys(cli, lessons):
    """Whatever the eye or another tool made of it."""
    key = json.loads(cli("inspect", lessons.page, "--json").out)["entries"][0]["key"]
    for typed in (lessons.page.upper(), key, key[:20]):
        assert f"id\t{lessons.page}\n" in cli("inspect", typed).out


def test_ambiguous_id_lists_the_candidates(cli, lessons):
    """Four digits that two keys begin with: exit 2, and both are named."""
    with LLMCache(lessons.directory) as cache:
        seen: dict[str, int] = {}
        for number in range(2000):
            digits = cache_key(cache, number)[:4]
            if digits in seen:
                break
            seen[digits] = number
        else:
            pytest.fail("no two keys share four digits")
        for one in (seen[digits], number):
            cache.put("many", "x", number=one)
        ids = {entry.id for entry in cache.entries("many")}
    shown = cli("inspect", digits)
    assert (shown.code, shown.out) == (2, "")
    assert all(f"{one} (many)" in shown.err for one in ids)


def cache_key(cache: LLMCache, number: int) -> str:
    """The key that an entry of `many` would have."""
    from llm_cache.core.keys import Identity, canonical_params

    return Identity("many", canonical_params({"number": number})).key.hex()
