"""A cache as a lesson service of two weeks leaves it: for pictures, and tests of what is shown.

Everything is relative to now, and nothing is left to chance: the same screens come out each time,
but for dates.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from pathlib import Path

from llm_cache import CacheConfig, LLMCache, Usage, load_config
from llm_cache.core.entry import Entry
from llm_cache.core.usage import Paid
from llm_cache.core.values.codec import UNTYPED
from llm_cache.engine.generation import new_entry
from llm_cache.store.records import Counts, EntryUse, UsageDay

HOUR_S, DAY_S = 3600.0, 86_400.0
SETTINGS = """\
[cache]
cache_dir = ".cache/llm"
max_disk = "1GiB"

[prefixes.intro_page]
ttl = "7d"
grace = "1d"
stale_if_error = "30d"

[prefixes.word_problem]
ttl = "24h"

[prices."gpt-5-mini"]
input = 0.25
output = 2.00

[[warm]]
prefix = "intro_page"
generate = "lessons_of_pictures:intro_page"
matrix = { subject = ["math"], topic = ["fractions"], subtopic = [
    "adding-fractions", "subtracting-fractions", "multiplying-fractions", "dividing-fractions",
], grade = ["4", "5"], difficulty = ["medium"] }

[[warm]]
prefix = "word_problem"
generate = "lessons_of_pictures:word_problem"
matrix = { operation = ["addition", "subtraction", "multiplication", "division"], context_type = [
    "sports", "cooking", "shopping", "travel",
] }
"""
GENERATORS = '''\
"""Generators that take no time; a provider refuses one of the requests."""

from llm_cache import Generated, Usage, cached_llm_call


@cached_llm_call("intro_page")
def intro_page(
    subject: str, topic: str, subtopic: str, grade: str, difficulty: str
) -> Generated[str]:
    usage = Usage(model="gpt-5-mini", input_tokens=812, output_tokens=640)
    return Generated(f"# {subtopic}", usage)


@cached_llm_call("word_problem")
def word_problem(operation: str, context_type: str) -> Generated[str]:
    if (operation, context_type) == ("division", "sports"):
        raise RuntimeError("429: too many requests")
    usage = Usage(model="gpt-5-mini", input_tokens=95, output_tokens=60)
    return Generated(f"A day of {context_type}, and some {operation}.", usage)
'''
PAGE = """\
# Adding fractions

Two pizzas lie on the table. From one, **three of eight** slices are left, \
from the other *two of eight*. How much pizza is that together?

## The idea

- Fractions with the same *denominator* are parts of the same size.
- Add the **numerators**, and keep the denominator: `3/8 + 2/8 = 5/8`.

1. Look whether the denominators are the same.
2. Add the numerators.
3. Simplify, where that is possible.

> What if the denominators differ? Then make them the same first.

## Try it

Add one half and one quarter. Draw a picture if it helps.
"""


def make_showcase(directory: Path) -> CacheConfig:
    """Fills a cache under `directory`, which gets a cache.toml and its generators, too."""
    (directory / "cache.toml").write_text(SETTINGS, "utf-8")
    (directory / "lessons_of_pictures.py").write_text(GENERATORS, "utf-8")
    config = load_config(directory / "cache.toml", environ={}, cwd=directory)
    clock = _Clock()
    with LLMCache(config=config, clock=clock) as cache:
        for number, (subtopic, grade, age_s, hits) in enumerate(_PAGES):
            clock.now = clock.begun - age_s
            text = PAGE if not number else PAGE.replace("Adding fractions", subtopic) * (1 + number)
            usage = Usage(model="gpt-5-mini", input_tokens=812, output_tokens=1204 + 31 * number)
            params = {"subject": "math", "topic": "fractions", "subtopic": subtopic, "grade": grade}
            _keep(cache, "intro_page", text, usage, params | {"difficulty": "medium"}, 3.5, hits)
        for number, operation in enumerate(("addition", "subtraction", "multiplication")):
            for place, context in enumerate(("sports", "cooking", "shopping", "travel")):
                clock.now = clock.begun - (number + 5 * place + 1) * HOUR_S * 2.1
                text = f"A class plans a day of {context}. To get it right they need {operation}."
                usage = Usage(model="gpt-5-mini", input_tokens=95, output_tokens=64 + number)
                params = {"operation": operation, "context_type": context}
                hits = (37 * number + 11 * place) % 50
                _keep(cache, "word_problem", text, usage, params, 1.2, hits)
        _use(cache, clock.begun)
    return config


_PAGES = (
    ("adding-fractions", "5", 2.2 * HOUR_S, 142),
    ("subtracting-fractions", "5", 2.3 * HOUR_S, 61),
    ("adding-fractions", "4", 30 * HOUR_S, 17),
    ("multiplying-fractions", "5", 7.4 * DAY_S, 40),
    ("dividing-fractions", "5", 39 * DAY_S, 12),
)


class _Clock:
    """A clock that is set back and forth."""

    def __init__(self) -> None:
        self.begun = self.now = time.time()

    def __call__(self) -> float:
        return self.now


def _keep(
    cache: LLMCache,
    prefix: str,
    text: str,
    usage: Usage,
    params: dict[str, str],
    seconds: float,
    hits: int,
) -> None:
    """Keeps a text as if generating it had taken so long, and it had been used so often."""
    components = cache._engine.components
    call = cache._engine.call(prefix, lambda: None, None, params, {}, UNTYPED)
    entry = new_entry(components, call, Paid(text, components.prices.priced(usage), seconds))
    assert isinstance(entry, Entry)
    components.store.put(entry)
    if hits:
        components.store.add_usage([], [EntryUse(entry.key, hits, time.time() - 190.0)])


def _use(cache: LLMCache, now: float) -> None:
    days = []
    for back in range(14):
        day = datetime.fromtimestamp(now - back * DAY_S, UTC).date().isoformat()
        for prefix, per_day, misses, seconds, usd in (
            ("intro_page", 152 - 5 * back, 3 + back, 3.5, 0.0026),
            ("word_problem", 87 - 3 * back, 4 + back // 2, 1.2, 0.00015),
        ):
            counts = Counts(
                hits=per_day,
                misses=misses,
                coalesced=back % 4,
                generations=misses,
                generation_seconds=misses * seconds,
                cost_usd=misses * usd,
                input_tokens=misses * 800,
                output_tokens=misses * 1200,
                saved_seconds=per_day * seconds,
                saved_usd=per_day * usd,
                saved_input_tokens=per_day * 800,
                saved_output_tokens=per_day * 1200,
            )
            days.append(UsageDay(day, "", prefix, "gpt-5-mini", counts))
    cache._engine.components.store.add_usage(days, [])


SCREENS = {
    "ls": "ls",
    "ls-selected": "ls 'intro*' --param grade=5 --sort saved",
    "inspect": "inspect 1fc4",
    "stats": "stats",
    "why": "why intro_page subject=math topic=fractions subtopic=adding-fractions grade=6 "
    "difficulty=medium",
    "prune": "prune --dry-run",
    "warm-plan": "warm --dry-run",
    "invalidate": "invalidate -p word_problem --unused --dry-run",
}
"""By name, what is typed, one after the other: what is shown stays the same but for dates."""
PICTURES = {**SCREENS, "warm": "warm", "doctor": "doctor"}
