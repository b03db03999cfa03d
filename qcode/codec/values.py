"""Finds where an argument's value ends, whatever tags the value itself holds (rules M1 to M3)."""

from collections.abc import Mapping
from typing import Any

from qcode.codec.lexer import Kind, Token
from qcode.codec.output import Output
from qcode.codec.reader import Reader, Steps
from qcode.codec.value import Value

_MAX_DOUBLED = 3

_AFTER_FUNCTION = (Kind.TOOL_CLOSE, Kind.TOOL_OPEN, Kind.FUNCTION, Kind.END, Kind.CUT)

_SUSPECT_LIMIT = 2000
"""Characters after a call without `</parameter>` that are read to see whether its value goes on."""


class ValueReader:
    """Reads values; one at a time."""

    def __init__(self, reader: Reader, output: Output) -> None:
        self._reader = reader
        self._output = output
        self._lenient = False

    def read(
        self, index: int, key: str, declared: Mapping[str, Any], taken: Mapping[str, str], *, may_end: bool
    ) -> Steps[str | None]:
        """Read the value of `key` up to and with its closing tag; None when the answer ended inside it.

        `declared` are the tool's parameters, `taken` those that the call has; `may_end` tells that the call has all
        that it needs with this one.
        """
        reader = self._reader
        value = Value()
        examples = _Examples()
        line_start = True
        fallback: _Fallback | None = None
        while True:
            token = yield from reader.next()
            kind = token.kind
            if fallback is not None:
                fallback.keep(token)
            if kind is Kind.TEXT:
                self._output.argument(index, key, value.add(token.raw))
                line_start = _at_line_start(token.raw, before=line_start)
                continue
            if kind is Kind.END:
                if fallback is None or not may_end:
                    reader.put_back([token])
                    return None
                self._lenient = True
                reader.put_back(fallback.tokens())
                self._output.recoveries += 1
                return fallback.text
            ended = False
            match kind:
                case Kind.PARAMETER_CLOSE:
                    if not examples.in_function:
                        ended = yield from self._closes(declared)
                        if not ended and fallback is None and (yield from self._half_closes()):
                            fallback = _Fallback(value)
                    elif examples.is_bare:
                        ended = yield from self._closes_outer()
                case Kind.PARAMETER if line_start and not examples.in_function:
                    if token.name in declared and token.name not in taken and token.name != key:
                        ended = self._unclosed(token)
                case Kind.TOOL_OPEN:
                    if (yield from self._peek_kind()) is Kind.FUNCTION:
                        examples.open_wrapper()
                case Kind.FUNCTION:
                    if (yield from self._peek_kind()) in (Kind.PARAMETER, Kind.FUNCTION_CLOSE):
                        examples.open_function()
                case Kind.FUNCTION_CLOSE:
                    if not examples.close_function() and (yield from self._function_ends()):
                        ended = self._unclosed(token)
                case Kind.TOOL_CLOSE:
                    if not examples.close_wrapper() and (yield from self._call_ends()):
                        ended = self._unclosed(token)
            if ended:
                self._output.recoveries += not token.exact and kind is Kind.PARAMETER_CLOSE
                self._output.argument(index, key, value.close())
                return value.text
            self._output.argument(index, key, value.add(token.raw))
            line_start = False

    def _unclosed(self, token: Token) -> bool:
        """The value ends before `token`, without `</parameter>`."""
        self._reader.put_back([token])
        self._output.recoveries += 1
        return True

    def _peek_kind(self) -> Steps[Kind]:
        """The kind of the next token that is not blank."""
        read = yield from self._reader.blanks()
        self._reader.put_back(read)
        return read[-1].kind

    def _closes(self, declared: Mapping[str, Any]) -> Steps[bool]:
        """Whether the grammar goes on after `</parameter>` (rule M1)."""
        read = yield from self._reader.blanks()
        token = read[-1]
        goes_on = False
        match token.kind:
            case Kind.PARAMETER:
                goes_on = not token.raw.startswith("<parameter>") or token.name in declared
            case Kind.TOOL_CLOSE | Kind.END:
                goes_on = True
            case Kind.CUT:
                goes_on = not token.raw.startswith(("</p", "<|", "<th"))
            case Kind.FUNCTION_CLOSE:
                for _ in range(_MAX_DOUBLED):
                    read += yield from self._reader.blanks()
                    if read[-1].kind is not Kind.FUNCTION_CLOSE:
                        break
                goes_on = self._lenient or read[-1].kind in _AFTER_FUNCTION
            case Kind.TOOL_OPEN:
                after = yield from self._reader.blanks()
                goes_on = after[-1].kind is Kind.FUNCTION
                read += after
        self._reader.put_back(read)
        return goes_on

    def _half_closes(self) -> Steps[bool]:
        """Whether `</function>` follows, though after it nothing that must."""
        return (yield from self._peek_kind()) is Kind.FUNCTION_CLOSE

    def _closes_outer(self) -> Steps[bool]:
        """Whether a `</parameter>` after an example without wrapper, itself not closed, closes the whole call."""
        read = []
        expected = True
        for kind in (Kind.FUNCTION_CLOSE, Kind.TOOL_CLOSE):
            read += yield from self._reader.blanks()
            if read[-1].kind is not kind:
                expected = False
                break
        if expected:
            read += yield from self._reader.blanks()
            expected = read[-1].kind is not Kind.PARAMETER_CLOSE
        self._reader.put_back(read)
        return expected

    def _function_ends(self) -> Steps[bool]:
        """Whether `</function>` ends a value without `</parameter>` (rule M3)."""
        read = yield from self._reader.blanks()
        ends = read[-1].kind in (Kind.TOOL_OPEN, Kind.FUNCTION, Kind.END, Kind.CUT)
        if read[-1].kind is Kind.TOOL_CLOSE:
            after = yield from self._reader.until(lambda _: False, limit=_SUSPECT_LIMIT)
            ends = after[-1].kind is not Kind.PARAMETER_CLOSE
            read += after
        self._reader.put_back(read)
        return ends

    def _call_ends(self) -> Steps[bool]:
        """Whether `</tool_call>` ends a value without `</parameter>` and `</function>` (rule M3)."""
        read = yield from self._reader.blanks()
        ends = read[-1].kind is Kind.END
        if read[-1].kind is Kind.TOOL_OPEN:
            after = yield from self._reader.blanks()
            ends = after[-1].kind is Kind.FUNCTION
            read += after
        self._reader.put_back(read)
        return ends


class _Examples:
    """The calls that a value shows, as far as they are open: a stack of wrappers and functions."""

    __slots__ = ("_functions", "_stack")

    def __init__(self) -> None:
        self._stack: list[Kind] = []
        self._functions = 0

    @property
    def in_function(self) -> bool:
        """Whether some function is open."""
        return self._functions > 0

    @property
    def is_bare(self) -> bool:
        """Whether the last one opened is a function without wrapper."""
        return self._stack[-1:] == [Kind.FUNCTION] and self._stack[-2:-1] != [Kind.TOOL_OPEN]

    def open_wrapper(self) -> None:
        """`<tool_call>` before a header."""
        self._stack.append(Kind.TOOL_OPEN)

    def open_function(self) -> None:
        """A header that a tag follows."""
        self._stack.append(Kind.FUNCTION)
        self._functions += 1

    def close_function(self) -> bool:
        """`</function>`: False when none is open."""
        return self._functions > 0 and self._close(Kind.FUNCTION)

    def close_wrapper(self) -> bool:
        """`</tool_call>`: False when it closes nothing here, though functions may be open."""
        if len(self._stack) > self._functions:
            return self._close(Kind.TOOL_OPEN)
        return self._functions > 0

    def _close(self, kind: Kind) -> bool:
        """Drop what was opened last, down to one of `kind`."""
        while True:
            opened = self._stack.pop()
            self._functions -= opened is Kind.FUNCTION
            if opened is kind:
                return True


class _Fallback:
    """A place where the value may have ended after all, and what came after it."""

    def __init__(self, value: Value) -> None:
        self.text = value.text_if_closed()
        self._tokens: list[Token] = []
        self._texts: list[str] = []

    def keep(self, token: Token) -> None:
        """One more token after that place."""
        if token.kind is Kind.TEXT:
            self._texts.append(token.raw)
            return
        self._merge()
        self._tokens.append(token)

    def tokens(self) -> list[Token]:
        """All that came after it."""
        self._merge()
        return self._tokens

    def _merge(self) -> None:
        if self._texts:
            self._tokens.append(Token(Kind.TEXT, "".join(self._texts)))
            self._texts.clear()


def _at_line_start(text: str, *, before: bool) -> bool:
    newline = text.rfind("\n")
    return (newline >= 0 or before) and not text[newline + 1 :].strip(" \t\r")
