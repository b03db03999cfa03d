"""The grammar's top: text, thinking, and the tags in them that may begin a call (rules N and X)."""

import re
from collections.abc import Iterable

from qcode.codec.fences import Place
from qcode.codec.lexer import Kind, Token
from qcode.codec.openers import CUT_LINE, Openers
from qcode.codec.output import Output
from qcode.codec.reader import Reader, Steps, raw_of
from qcode.codec.schema import functions
from qcode.codec.types import Dialect, ThinkingMode, Tool

_OPENER_CUT = len("<tool")
"""Characters of an opener at the very end of an answer from which on it counts as one that was cut."""

_LINE_OBJECT = re.compile(r"^[^\S\n]*\{", re.MULTILINE)

_NAMELESS = re.compile(r"^[^\S\n]*<function>\s*(?:<name>\s*)?([\w.-]+)", re.MULTILINE)
"""How small models begin a call that nobody can read, after the list of tools in the template."""

_OPENERS = (Kind.TOOL_OPEN, Kind.FUNCTION)
_CLOSERS = (Kind.TOOL_CLOSE, Kind.FUNCTION_CLOSE)


class MessageReader:
    """Reads one answer."""

    def __init__(
        self, reader: Reader, output: Output, tools: Iterable[Tool] | None, *, dialect: Dialect, thinking: ThinkingMode
    ) -> None:
        self._output = output
        self._functions = functions(tools)
        self._reader = reader
        self._openers = Openers(reader, output, self._functions, dialect)
        self._dialect = dialect
        self._thinking = thinking
        self._thinking_ends = True
        self._closed_nothing = False
        self.in_text = False
        """It waits for text, outside of calls and thinking, with nothing held up."""

    def read(self) -> Steps[None]:
        """Read to the end."""
        output = self._output
        if self._thinking is ThinkingMode.BEGUN:
            yield from self._think()
        while True:
            self.in_text = not self._reader.tokens
            token = yield from self._reader.next()
            self.in_text = False
            kind = token.kind
            if kind is Kind.END:
                output.misformed = output.misformed or self._nameless()
                output.finish()
                return
            if kind in _OPENERS or (kind is Kind.THINK_OPEN and self._thinking_ends):
                place = yield from self._place(token)
                if place is Place.UNDECIDED:
                    continue
                if place is Place.PROSE:
                    yield from self._opened(token)
                    continue
                if token.name in self._functions and output.markdown.in_fence:
                    output.fenced = True
            if kind is Kind.CUT:
                self._cut(token)
            elif kind in _CLOSERS:
                self._closer(token)
            elif kind is Kind.TEXT and "{" in token.raw and self._dialect is Dialect.HERMES:
                yield from self._objects(token)
            else:
                output.content(token.raw)

    def _opened(self, token: Token) -> Steps[None]:
        """A tag outside of code that may begin a call, or begins the thinking."""
        match token.kind:
            case Kind.TOOL_OPEN:
                yield from self._openers.wrapped(token)
            case Kind.FUNCTION:
                yield from self._openers.bare(token)
            case _:
                if self._thinking is ThinkingMode.TEXT:
                    self._output.content(token.raw)
                yield from self._think()

    def _place(self, token: Token) -> Steps[Place]:
        """Where a tag stands; when the line must be read on for that, it is put back with the answer noted."""
        if token.in_code is not None:
            return Place.CODE if token.in_code else Place.PROSE
        place = self._output.markdown.place
        if place is Place.UNDECIDED:
            undecided = self._output.markdown.undecided()
            held = [token]
            while not undecided.hold(held[-1]):
                held.append((yield from self._reader.next()))
            self._reader.put_back(held)
        return place

    def _closer(self, token: Token) -> None:
        """A closing tag that closes nothing: behind an opener that stayed text, a call was meant."""
        if self._output.markdown.place is Place.PROSE:
            self._closed_nothing = True
            if self._openers.tried:
                self._output.misformed = True
        self._output.content(token.raw)

    def _nameless(self) -> bool:
        """Whether a call to a known tool was tried with `<function>` and the name behind it, and closed."""
        if not self._closed_nothing:
            return False
        return any(name in self._functions for name in _NAMELESS.findall(self._output.parsed().content))

    def _cut(self, token: Token) -> None:
        """A tag that the end of the answer cut (rule X1)."""
        opener = "<tool_call".startswith(token.raw[:10]) or "<function".startswith(token.raw[:9])
        markdown = self._output.markdown
        if opener and len(token.raw) >= _OPENER_CUT and markdown.at_line_start and markdown.place is Place.PROSE:
            self._output.cut_off(CUT_LINE)
        else:
            self._output.content(token.raw)

    def _think(self) -> Steps[None]:
        """After `<think>`: a call waits to see whether the thinking ends; if not, it counts (rule N6)."""
        output = self._output
        apart = self._thinking is not ThinkingMode.TEXT
        show = output.thinking if apart else output.content
        waiting: list[Token] = []
        while True:
            token = yield from self._reader.next()
            if token.kind is Kind.THINK_CLOSE:
                show(raw_of(waiting) + ("" if apart else token.raw))
                output.end_thinking(apart=apart)
                return
            if token.kind is Kind.END:
                self._thinking_ends = False
                self._reader.put_back([*waiting, token])
                return
            opens = token.kind in _OPENERS and output.markdown.place is not Place.CODE
            if waiting or opens or token.kind is Kind.CUT:
                waiting.append(token)
            else:
                show(token.raw)

    def _objects(self, token: Token) -> Steps[None]:
        """Text in the dialect of JSON: an object at the beginning of a line may be a call without its opener."""
        output = self._output
        done = 0
        for match in _LINE_OBJECT.finditer(token.raw):
            output.content(token.raw[done : match.end() - 1])
            done = match.end() - 1
            if not output.markdown.at_line_start:
                continue
            self._reader.put_back([Token(Kind.TEXT, token.raw[done:])])
            if output.markdown.place is not Place.PROSE:
                output.fenced = (yield from self._openers.names_tool()) or output.fenced
            elif (yield from self._openers.bare_object()):
                return
            first = yield from self._reader.next()
            output.content("{")
            rest = first.raw[1:]
            self._reader.put_back([Token(Kind.TEXT, rest)] if rest else [])
            return
        output.content(token.raw[done:])
