"""What the documentation shows works."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
SHORT_LINES = ("README.md", "architecture.md", "decisions/README.md")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    """The fenced blocks of one language."""
    return [text for kind, text in BLOCK.findall(page.read_text("utf-8")) if kind == language]


def name_of(page):
    """What a page is called in a report."""
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=name_of)
def test_python_examples_run(page, tmp_path):
    """All of a page's examples, one after the other, as one program in an empty directory."""
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks(page, "python")), "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", program.name],
        cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if page == ROOT / "README.md":
        assert done.stdout == "the model is asked\n"


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "toml")], ids=name_of)
def test_toml_examples_are_settings(page, tmp_path):
    """They are accepted as they stand."""
    from llm_cache.config import check_config

    for number, text in enumerate(blocks(page, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(text, "utf-8")
        assert check_config(file) == []


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page):
    """Each relative link names a file, and a heading, that is there; so does each test named."""
    text = page.read_text("utf-8")
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#]*)#?([^)]*)\)", text):
        file = page.parent / target if target else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), f"{target}#{anchor}"
    for path in re.findall(r"`(tests/[\w/.]+)`", text):
        assert (ROOT / path).exists(), path


def anchors(page):
    """What GitHub makes of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_each_decision_is_one_short_page():
    """Context, choice, consequence; its number in order, its title in the list."""
    listed = (ROOT / "docs" / "decisions" / "README.md").read_text("utf-8")
    for number, page in enumerate(DECISIONS, 1):
        lines = page.read_text("utf-8").splitlines()
        title = lines[0].removeprefix(f"# {number:03}. ")
        assert f"- [{number:03}]({page.name}) {title}\n" in listed
        headings = [line for line in lines if line.startswith("## ")]
        assert headings == ["## Context", "## Choice", "## Consequence"], page.name
        assert len(lines) <= 60, page.name


def test_lines_are_short():
    """The pages for developers can be read, and compared, in a terminal."""
    for page in (*DECISIONS, *(ROOT / "docs" / name for name in SHORT_LINES)):
        lines = page.read_text("utf-8").splitlines()
        assert [line for line in lines if len(line) > 120] == [], name_of(page)


def test_the_picture_shows_the_floors():
    """The architecture's rooms stand on the floors that the import linter holds."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    contracts = settings["tool"]["importlinter"]["contracts"]
    (layers,) = (each["layers"] for each in contracts if each["type"] == "layers")
    (picture,) = blocks(ROOT / "docs" / "architecture.md", "mermaid")
    floors = re.findall(r"^  subgraph .*?\n(.*?)^  end$", picture, re.MULTILINE | re.DOTALL)
    drawn = [re.findall(r'^    (\w+)\["\1"\]$', floor, re.MULTILINE) for floor in floors]
    assert [set(rooms) for rooms in drawn] == [set(layer.split(" | ")) for layer in layers]


def test_the_architecture_names_modules_that_are_there():
    """Each module and room that it names is found under that name."""
    package = ROOT / "llm_cache"
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = re.findall(r"`([a-z]\w*/[\w/]+(?:\.py)?)`", text)
    doors = {
        f"{room}/{door}"
        for room, cell in re.findall(r"^\| `([\w/]+)` \|.*\| (.*) \|$", text, re.MULTILINE)
        for door in re.findall(r"`(\w+)`", cell)
    }
    assert len(named) > 10
    assert len(doors) > 20
    for name in (*named, *doors):
        path = ROOT / name if name.startswith("tests/") else package / name
        assert path.exists() or path.with_suffix(".py").exists(), name


def test_nobody_is_told_to_install_somebody_elses_package():
    """The name on the public index is not ours."""
    for page in (*PAGES, ROOT / "CHANGELOG.md"):
        assert not re.search(r"pip install (-\S+ )*['\"]?llm-cache", page.read_text("utf-8"))


def test_the_readme_is_a_screen_and_a_half():
    """A reader sees the whole of it at a glance."""
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 125


def test_the_example_settings_warm_the_lessons(tmp_path):
    """`cache.toml.example` plans the three common configurations and a matrix, and makes them."""
    import asyncio

    from llm_cache import LLMCache, load_config

    config = load_config(ROOT / "cache.toml.example", cache_dir=tmp_path)
    with LLMCache(config=config) as cache:
        plan = cache.warm_plan()
        assert [(s.prefix, len(s.items)) for s in plan.sets] == [
            ("intro_page", 3),
            ("word_problem", 16),
        ]
        report = asyncio.run(cache.warm(plan))
        assert (report.made, report.failed) == (19, [])
        again = asyncio.run(cache.warm())
        assert (again.made, again.fresh) == (0, 19)
    tables = tomllib.loads((ROOT / "cache.toml.example").read_text("utf-8"))
    subtopics = [params["subtopic"] for params in tables["warm"][0]["params"]]
    assert subtopics == ["adding-fractions", "subtracting-fractions", "synthesis"]


def test_the_lessons_around_the_cached_texts_are_fresh(tmp_path):
    """Two lessons share their texts and differ in their problems."""
    program = (
        "import asyncio\nfrom examples.lessons import lesson\n"
        "one, other = asyncio.run(lesson()), asyncio.run(lesson())\n"
        "head = one.partition('- ')[0]\n"
        "assert other.startswith(head) and one != other\nprint('fresh')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT, env={"LLM_CACHE_DIR": str(tmp_path), "PATH": ""},
        capture_output=True, text=True, timeout=50, check=True,
    )  # fmt: skip
    assert done.stdout == "fresh\n"
    assert done.stderr.count("offline") == 1
