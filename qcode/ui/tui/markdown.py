"""An answer's Markdown while it is written: what is complete is drawn once, only its last block, or the last item of a
list, is drawn again."""

import re
from collections.abc import Iterator
from typing import ClassVar

from markdown_it import MarkdownIt
from markdown_it.token import Token
from rich.console import Console, ConsoleOptions, RenderResult
from rich.markdown import CodeBlock, Heading, ListElement, Markdown, MarkdownElement
from rich.segment import Segment
from rich.style import Style
from rich.syntax import Syntax
from textual.strip import Strip

from qcode.ui.sanitize import visible
from qcode.ui.tui.canvas import Canvas

_PARSER = MarkdownIt("commonmark", {"html": False}).enable("strikethrough").enable("table")
"""Without HTML: a model's <tag> is text, and text is shown."""


class _PlainHeading(Heading):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        self.text.justify = "left"
        yield self.text


class _Code(CodeBlock):
    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        ground = console.get_style("markdown.code_block").bgcolor
        colour = "default" if ground is None else ground.name
        yield Syntax(
            str(self.text).rstrip("\n"), self.lexer_name, theme=self.theme, word_wrap=True, background_color=colour
        )


class _List(ListElement):
    """Each item's width depends on its own number alone, so that it may be drawn before the list is complete."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for number, item in enumerate(self.items, self.list_start or 0):
            if self.list_type == "bullet_list_open":
                yield from item.render_bullet(console, options)
            else:
                yield from item.render_number(console, options, number, max(10, number))


class _Document(Markdown):
    elements: ClassVar[dict[str, type[MarkdownElement]]] = {
        **Markdown.elements,
        "heading_open": _PlainHeading,
        "bullet_list_open": _List,
        "ordered_list_open": _List,
        "fence": _Code,
        "code_block": _Code,
    }

    def __init__(self, tokens: list[Token], code_theme: str) -> None:
        # Not by the parent's __init__, which builds a parser each time. No hyperlinks: a link is shown with its target.
        self.markup, self.parsed, self.style, self.justify, self.hyperlinks = "", tokens, "none", None, False
        self.code_theme = self.inline_code_theme = code_theme
        self.inline_code_lexer = None


class StreamedMarkdown:
    """Text that grows, as lines. Each `draw` costs what its last Markdown block costs, of a list its last item, however
    long the text is."""

    def __init__(self, text: str = "") -> None:
        self.text = visible(text)
        self.forget()

    def append(self, text: str) -> None:
        """Some more of it."""
        self.text += visible(text)

    def forget(self) -> None:
        """Drop what was drawn; the next `draw` begins anew."""
        self._drawn_for: tuple[int, str] | None = None
        self._settled: list[Strip] = []
        self._end = 0
        self._number: int | None = None
        self._last: tuple[tuple[str, int | None], list[Strip]] = (("", None), [])
        self._code = _OpenFence("")

    def draw(self, canvas: Canvas, width: int) -> list[Strip]:
        """All of it as lines of at most `width` cells."""
        if self._drawn_for != (width, canvas.palette.name):
            self.forget()
            self._drawn_for = (width, canvas.palette.name)
        tail = self.text[self._end :]
        tokens = self._parsed(tail)
        while cut := self._settle(tail, tokens, canvas, width):
            self._end += cut
            tail = tail[cut:]
            tokens = self._parsed(tail)
        lines = list(self._settled)
        self._append(lines, self._last_lines(tail, tokens, canvas, width), tokens)
        return lines

    def _parsed(self, tail: str) -> list[Token]:
        tokens = _PARSER.parse(tail)
        if self._number is not None and tokens and tokens[0].type == "ordered_list_open":
            tokens[0].attrs["start"] = self._number
        return tokens

    def _settle(self, tail: str, tokens: list[Token], canvas: Canvas, width: int) -> int:
        """Draw for good what nothing that follows can change; how many characters of the tail that is."""
        if _MARK.search(tail):
            return 0
        if line := _last_block(tokens):
            self._append(self._settled, _document(tokens[: _whole(tokens, line)], canvas, width), tokens)
            self._number = None
        elif len(items := _items(tokens)) > 1:
            line = (tokens[items[-1]].map or [0])[0]
            self._append(self._settled, _document([*tokens[: items[-1]], tokens[-1]], canvas, width), tokens)
            self._number = int(tokens[0].attrs.get("start", 1)) + len(items) - 1
        return _offset(tail, line)

    def _append(self, lines: list[Strip], more: list[Strip], tokens: list[Token]) -> None:
        if self._number is not None and tokens and tokens[0].type in _LISTS:
            lines += more
        else:
            self.join(lines, more)

    def _last_lines(self, tail: str, tokens: list[Token], canvas: Canvas, width: int) -> list[Strip]:
        source = tail.rstrip()
        if (source, self._number) == self._last[0]:
            return self._last[1]
        if len(tokens) == 1 and tokens[0].type == "fence" and _long_or_open(tokens[0], tail):
            if not source.startswith(self._code.source):
                self._code = _OpenFence("")
            return self._code.draw(tokens[0], source, canvas, width)
        drawn = _document(tokens, canvas, width)
        self._last = ((source, self._number), drawn)
        return drawn

    @staticmethod
    def join(lines: list[Strip], more: list[Strip]) -> None:
        """Put a block's lines behind others, a blank line between."""
        if lines and more:
            lines.append(Strip([]))
        lines += more


class _OpenFence:
    """A code block that is not closed yet, or very long: coloured line by line, each line once."""

    def __init__(self, source: str) -> None:
        self.source = source
        self._lines: list[Strip] = []
        self._drawn = 0

    def draw(self, token: Token, source: str, canvas: Canvas, width: int) -> list[Strip]:
        self.source = source
        code = token.content.split("\n")
        if code and not code[-1]:
            code.pop()
        syntax = Syntax("", _language(token), theme=canvas.palette.code, background_color=canvas.palette.raised)
        closed = source != source.rstrip("`~") and not _is_open(token, source)
        complete = len(code) if closed else max(0, len(code) - 1)
        for line in code[self._drawn : complete]:
            self._lines += _code_line(line, syntax, canvas, width)
        self._drawn = max(self._drawn, complete)
        rest = [part for line in code[self._drawn :] for part in _code_line(line, syntax, canvas, width)]
        return [*self._lines, *rest]


_LONG = 400
"""Lines of a code block that are coloured one by one even when it is closed, so that no frame takes long."""


def _code_line(line: str, syntax: Syntax, canvas: Canvas, width: int) -> list[Strip]:
    text = syntax.highlight(line)
    text.rstrip()
    ground = Style(bgcolor=canvas.palette.raised)
    drawn = canvas.draw(text, width)
    return [Strip([*strip, Segment(" " * max(0, width - strip.cell_length), ground)]) for strip in drawn]


def _language(token: Token) -> str:
    return token.info.partition(" ")[0] or "text"


def _is_open(token: Token, source: str) -> bool:
    last = source.rpartition("\n")[2].strip()
    return not (source.count("\n") > 0 and last.startswith(token.markup) and not last.strip(token.markup[0]))


def _long_or_open(token: Token, tail: str) -> bool:
    return _is_open(token, tail.rstrip()) or token.content.count("\n") > _LONG


def _last_block(tokens: list[Token]) -> int:
    """The line in which the last block at the top begins; 0 where there is only one, or none."""
    return next((t.map[0] for t in reversed(tokens) if t.level == 0 and t.nesting >= 0 and t.map), 0)


_MARK = re.compile(r"(?:^|\n)[ \t]*(?:\d{1,9}[.)]?|[-+*_=~`#>|:][-+*_=~`#>|: ]*| )$")
"""A last line that has only begun: a 3 may be a paragraph, and the third item of the list before it."""

_LISTS = ("bullet_list_open", "ordered_list_open")


def _items(tokens: list[Token]) -> list[int]:
    """Where the items of a list begin that is all there is."""
    if not tokens or tokens[0].type not in _LISTS:
        return []
    return [place for place, token in enumerate(tokens) if token.type == "list_item_open" and token.level == 1]


def _whole(tokens: list[Token], line: int) -> int:
    """How many tokens are of the blocks before that line."""
    return next(i for i, t in enumerate(tokens) if t.level == 0 and t.nesting >= 0 and t.map and t.map[0] >= line)


def _offset(text: str, line: int) -> int:
    place = 0
    for _ in range(line):
        place = text.index("\n", place) + 1
    return place


def _document(tokens: list[Token], canvas: Canvas, width: int) -> list[Strip]:
    for token in tokens:
        for child in token.children or ():
            child.content = visible(child.content)
    lines: list[Strip] = []
    for block in _blocks(tokens):
        drawn = canvas.draw(_Document(block, canvas.palette.code), width)
        while drawn and not drawn[-1].text.strip():
            drawn.pop()
        while drawn and not drawn[0].text.strip():
            drawn.pop(0)
        StreamedMarkdown.join(lines, drawn)
    return lines


def _blocks(tokens: list[Token]) -> Iterator[list[Token]]:
    block: list[Token] = []
    for token in tokens:
        block.append(token)
        if token.level == 0 and token.nesting <= 0:
            yield block
            block = []
