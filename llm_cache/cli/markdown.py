"""Markdown laid out for a terminal: headings, lists, code, quotes, emphasis.

A reader sees all that is written: links, images, HTML and tables stay as they are, and so do the
marks of headings and of code. Rich lays it out; of what it makes, only text and weight are taken,
so that nothing in a text can colour, link or hide anything.
"""

from __future__ import annotations

import io
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING, ClassVar, Final

from markdown_it import MarkdownIt
from rich.console import Console
from rich.markdown import (
    BlockQuote,
    CodeBlock,
    Heading,
    ListItem,
    Markdown,
    MarkdownContext,
    MarkdownElement,
)
from rich.padding import Padding
from rich.segment import Segment
from rich.text import Text
from rich.theme import Theme

from llm_cache.cli.cells import wrap
from llm_cache.cli.text import Weight

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from markdown_it.token import Token
    from rich.console import ConsoleOptions, RenderResult
    from rich.style import Style

    from llm_cache.cli.render import Screen
    from llm_cache.cli.text import Span

_LEFT_AS_WRITTEN: Final = ("link", "image", "autolink", "reference", "html_block", "html_inline")
_WEIGHTS: Final = Theme(
    {
        "markdown.em": "italic",
        "markdown.strong": "bold",
        "markdown.s": "strike",
        "markdown.code": "none",
        **{f"markdown.h{level}": "bold" for level in range(1, 7)},
    }
)
_DEEPEST: Final = 20
"""What is nested deeper the parser leaves out."""
_CODE_INDENT: Final = 4
_QUOTE_BAR: Final = "│ "
_DRAWN_PLAINLY: Final = str.maketrans("•│─", "-|-")


def laid_out(lines: Iterable[str], cells: int, *, screen: Screen) -> list[list[Span]]:
    """The lines of a text, which were made printable, in lines of so many cells.

    A line of the text begins a new line here, too.
    """
    source = "\n".join(lines)
    tokens = _parse(source)
    if any(token.level >= _DEEPEST - 1 for token in tokens):
        return [[(part, ())] for line in source.split("\n") for part in wrap(line, cells)]
    console = Console(
        file=io.StringIO(),
        width=cells,
        color_system=None,
        force_terminal=True,
        emoji=False,
        markup=False,
        highlight=False,
        legacy_windows=False,
        theme=_WEIGHTS,
    )
    options = replace(console.options, encoding="utf-8" if screen.is_unicode else "ascii")
    drawn = console.render_lines(_AsWritten(tokens, screen), options, pad=False)
    return [list(_spans(line, screen)) for line in drawn]


class _Code(CodeBlock):
    """A block of code, without colours."""

    indent = 0

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        del console, options
        yield Padding(Text(self.text.plain.rstrip("\n")), (0, 0, 0, self.indent))


class _IndentedCode(_Code):
    """A block of code that is one by its indent."""

    indent = _CODE_INDENT


class _Item(ListItem):
    """An item of a list, with its mark before it."""

    def render_bullet(self, console: Console, options: ConsoleOptions) -> RenderResult:
        return self._render("• ", console, options)

    def render_number(
        self, console: Console, options: ConsoleOptions, number: int, last_number: int
    ) -> RenderResult:
        return self._render(f"{number}. ".rjust(len(f"{last_number - 1}. ")), console, options)

    def _render(self, mark: str, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.update(width=max(options.max_width - len(mark), 1))
        for line in console.render_lines(self.elements, room, pad=False):
            yield Segment(mark)
            yield from line
            yield Segment.line()
            mark = " " * len(mark)


class _Quote(BlockQuote):
    """A quote, with a bar before each of its lines."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.update(width=max(options.max_width - len(_QUOTE_BAR), 1))
        for line in console.render_lines(self.elements, room, pad=False):
            yield Segment(_QUOTE_BAR)
            yield from line
            yield Segment.line()


class _Heading(Heading):
    """A heading, with its marks."""

    LEVEL_ALIGN: ClassVar = {}

    def on_enter(self, context: MarkdownContext) -> None:
        super().on_enter(context)
        self.on_text(context, "#" * int(self.tag[1:]) + " ")


class _AsWritten(Markdown):
    """Markdown without what would hide, or act on, what is written."""

    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _Heading,
        "fence": _Code,
        "code_block": _IndentedCode,
        "blockquote_open": _Quote,
        "list_item_open": _Item,
    }

    def __init__(self, tokens: Iterable[Token], screen: Screen) -> None:
        super().__init__("", hyperlinks=False)
        self.parsed = list(_printable(tokens, screen))


def _parse(source: str) -> list[Token]:
    options = {"maxNesting": _DEEPEST}
    parser = MarkdownIt("commonmark", options)
    return parser.enable("strikethrough").disable(_LEFT_AS_WRITTEN).parse(source)


def _printable(tokens: Iterable[Token], screen: Screen) -> Iterator[Token]:
    """The tokens with their texts made printable once more: `&#x202e;` is a character by now."""
    for token in tokens:
        if token.type == "fence":
            token.content = _fenced(token)
        token.content = "\n".join(map(screen.words, token.content.split("\n")))
        match token.type:
            case "softbreak":
                token.type = "hardbreak"
            case "code_inline":
                token.content = f"`{token.content}`"
            case _:
                token.children = token.children and list(_printable(token.children, screen))
        yield token


def _fenced(token: Token) -> str:
    """A block of code with the lines before and after it, as far as they are there."""
    begins, ends = token.map or (0, 0)
    inside = token.content.removesuffix("\n").split("\n") if token.content else []
    is_closed = ends - begins > len(inside) + 1
    return f"{token.markup}{token.info}\n{token.content}{token.markup if is_closed else ''}"


def _spans(line: Iterable[Segment], screen: Screen) -> Iterator[Span]:
    for weights, some in groupby(line, lambda segment: _weights(segment.style)):
        text = "".join(segment.text for segment in some)
        yield screen.words(text if screen.is_unicode else text.translate(_DRAWN_PLAINLY)), weights


def _weights(style: Style | None) -> tuple[Weight, ...]:
    if style is None:
        return ()
    asked = {
        Weight.BOLD: style.bold,
        Weight.ITALIC: style.italic,
        Weight.STRUCK: style.strike,
    }
    return tuple(weight for weight, is_asked in asked.items() if is_asked)
