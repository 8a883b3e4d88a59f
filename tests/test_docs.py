"""What the documentation shows works."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page, language):
    """The fenced blocks of one language."""
    return [text for kind, text in BLOCK.findall(page.read_text("utf-8")) if kind == language]


@pytest.mark.parametrize("page", [p for p in PAGES if blocks(p, "python")], ids=lambda p: p.name)
def test_python_examples_run(page, tmp_path):
    """All of a page's examples, one after the other, as one program in an empty directory."""
    program = tmp_path / "page.py"
    program.write_text("\n".join(blocks(page, "python")), "utf-8")
    done = subprocess.run(
        [sys.executable, "-W", "error", program.name],
        cwd=tmp_path, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    if page.name == "README.md":
        assert done.stdout == "the model is asked\n"


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_toml_examples_are_settings(page, tmp_path):
    """They are accepted as they stand."""
    from llm_cache.config import check_config

    for number, text in enumerate(blocks(page, "toml")):
        file = tmp_path / f"{number}.toml"
        file.write_text(text, "utf-8")
        assert check_config(file) == []


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.name)
def test_links_lead_somewhere(page):
    """Each relative link names a file that is there, and so does each test that is named."""
    text = page.read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (page.parent / target).exists(), target
    if page.name == "reliability.md":
        for path in re.findall(r"`(tests/[\w/.]+)`", text):
            assert (ROOT / path).exists(), path


def test_nobody_is_told_to_install_somebody_elses_package():
    """The name on the public index is not ours."""
    for page in (*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"):
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
