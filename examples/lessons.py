"""A small lesson service: what a model writes is kept, what is computed is computed afresh.

    python -m examples.lessons

An intro page and the context of a word problem come from a model, through any OpenAI-compatible
endpoint (`OPENAI_BASE_URL`, `OPENAI_API_KEY`, `OPENAI_MODEL`); they are slow, cost money and may
well be the same tomorrow: they are cached. The problems and their solutions are plain arithmetic,
different each time: they are not. Without an endpoint a plain offline text takes the model's place.
"""

from __future__ import annotations

import asyncio
import functools
import os
import random
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from llm_cache import Generated, Usage, cached_llm_call

if TYPE_CHECKING:
    from openai import AsyncOpenAI

DEFAULT_MODEL = "gpt-5-mini"
SIGNS = {"addition": "+", "subtraction": "-", "multiplication": "x", "division": ":"}


@cached_llm_call("intro_page", ttl_hours=168)
async def generate_intro_page(
    subject: str, topic: str, subtopic: str, grade: str, difficulty: str
) -> Generated[str]:
    """The page that opens a lesson, in Markdown."""
    return await ask_model(
        f"Write the introduction of a {difficulty} {subject} lesson for grade {grade} about "
        f"{plain(subtopic)} ({plain(topic)}), in Markdown: a title and three short paragraphs.",
        offline=f"# {plain(subtopic).capitalize()}\n\n"
        f"This {difficulty} lesson for grade {grade} is about {plain(subtopic)}, a part of "
        f"{plain(topic)} in {subject}. First we look at an example, then you try it yourself.\n",
    )


@cached_llm_call("word_problem")
async def generate_word_problem_context(
    subject: str, operation: str, context_type: str
) -> Generated[str]:
    """The setting that problems of one operation are told in."""
    return await ask_model(
        f"In two sentences, set the scene of a {subject} word problem about {context_type} that "
        f"calls for {operation}. Use no numbers.",
        offline=f"A class plans a day of {context_type}. To get it right they need {operation}.",
    )


@dataclass(frozen=True)
class Problem:
    """An exercise and its solution, regenerated each time."""

    text: str
    solution: int


def make_problem(operation: str, chance: random.Random) -> Problem:
    """A problem that comes out even."""
    one, other = chance.randint(2, 12), chance.randint(2, 12)
    match operation:
        case "addition":
            left, solution = one, one + other
        case "subtraction":
            left, solution = one + other, one
        case "multiplication":
            left, solution = one, one * other
        case _:
            left, solution = one * other, one
    return Problem(f"{left} {SIGNS[operation]} {other} = ?", solution)


async def lesson(operation: str = "addition", context_type: str = "sports") -> str:
    """A whole lesson: two cached texts around three fresh problems."""
    intro, context = await asyncio.gather(
        generate_intro_page("math", "fractions", "adding-fractions", "5", "medium"),
        generate_word_problem_context("math", operation, context_type),
    )
    chance = random.Random()  # noqa: S311 - exercises, not secrets
    problems = [make_problem(operation, chance) for _ in range(3)]
    exercises = "\n".join(f"- {problem.text}" for problem in problems)
    solutions = ", ".join(str(problem.solution) for problem in problems)
    return f"{intro}\n\n## Exercises\n\n{context}\n\n{exercises}\n\nSolutions: {solutions}\n"


async def ask_model(prompt: str, *, offline: str) -> Generated[str]:
    """What the model answers, and took; `offline`, and a word about it, without an endpoint."""
    if not (os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_KEY")):
        say_offline()
        return Generated(offline)
    answer = await client().chat.completions.create(
        model=os.environ.get("OPENAI_MODEL", DEFAULT_MODEL),
        messages=[{"role": "user", "content": prompt}],
    )
    text = answer.choices[0].message.content
    if not text:
        # Raised, not returned: an empty page would be kept for a week.
        msg = f"the model gave no text ({answer.choices[0].finish_reason})"
        raise RuntimeError(msg)
    used = answer.usage
    return Generated(
        text,
        Usage(
            model=answer.model,
            input_tokens=used.prompt_tokens if used else None,
            output_tokens=used.completion_tokens if used else None,
        ),
    )


def client() -> AsyncOpenAI:
    """The official client: `pip install --group examples` in the checkout."""
    from openai import AsyncOpenAI

    return AsyncOpenAI(api_key=os.environ.get("OPENAI_API_KEY", "none"))


@functools.cache
def say_offline() -> None:
    """Says once that no model is asked."""
    message = "lessons: neither OPENAI_BASE_URL nor OPENAI_API_KEY is set: writing offline texts"
    print(message, file=sys.stderr)


def plain(name: str) -> str:
    """`adding-fractions` as a reader sees it."""
    return name.replace("-", " ")


if __name__ == "__main__":
    print(asyncio.run(lesson()))
