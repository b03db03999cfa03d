"""Which tags outside of code begin a call, and which are only shown (rules R and N)."""

from collections.abc import Mapping
from enum import Enum, auto

from qcode.codec.calls import CallReader
from qcode.codec.hermes import HermesReader
from qcode.codec.lexer import BLANKS, Kind, Token
from qcode.codec.output import Output
from qcode.codec.reader import Reader, Steps, raw_of
from qcode.codec.types import Dialect, Function, Recovery

_JUNK_LIMIT = 200
"""Characters of text between `<tool_call>` or a header and the next tag that do not hide a call."""

CUT_LINE = (
    "The answer ended where a call began, so nothing was executed: write the whole call, and less text in one call if "
    "it is long"
)

_MAX_DOUBLED = 3
_BEFORE_OBJECT = ("{", "[", "`", ",")


class Openers:
    """Reads on from a tag that may begin a call: the call, or the tag as content."""

    def __init__(self, reader: Reader, output: Output, functions: Mapping[str, Function], dialect: Dialect) -> None:
        self._reader = reader
        self._output = output
        self._functions = functions
        self._dialect = dialect
        self._calls = CallReader(reader, output)
        self._hermes = HermesReader(reader, output, functions, dialect)
        self.tried = False
        """An opener at the beginning of a line began no call."""

    def wrapped(self, opener: Token) -> Steps[None]:
        """After `<tool_call>`."""
        output = self._output
        at_start = output.markdown.at_line_start
        openers = [opener]
        extra = [] if opener.exact else [Recovery.TAG_FORM]
        while True:
            read = yield from self._reader.blanks()
            if read[-1].kind is not Kind.TOOL_OPEN:
                break
            openers += read
            extra.append(Recovery.DOUBLED_TAG)
        last = read[-1]
        if last.kind is Kind.TEXT and last.raw.lstrip(BLANKS)[:1] in _BEFORE_OBJECT:
            self._reader.put_back(read)
            if (yield from self._json(extra, at_start=at_start)):
                return
            read = []
        elif last.kind is Kind.TEXT and at_start:
            self._reader.put_back(read)
            read = yield from self._reader.until(_never, limit=_JUNK_LIMIT)
            if read[-1].kind is Kind.FUNCTION and read[-1].name in self._functions:
                extra.append(Recovery.STRAY_TEXT)
                last = read[-1]
        if last.kind is Kind.FUNCTION:
            start = yield from self._begins(last, wrapped=True, at_start=at_start)
            if start is _Start.CALL:
                output.recovered(*extra)
                yield from self._functions_of(last, wrapped=True)
            if start is not _Start.SHOWN:
                return
        elif last.kind in (Kind.END, Kind.CUT) and self._opener_cut(last, at_start=at_start):
            return
        self.tried = self.tried or at_start
        output.content(raw_of(openers))
        self._reader.put_back(read)

    def _json(self, extra: list[Recovery], *, at_start: bool) -> Steps[bool]:
        """JSON after `<tool_call>`: True when it was one call or several; if not, all of it comes again."""
        reader, hermes = self._reader, self._hermes
        lead = yield from hermes.lead()
        if lead is None:
            return False
        if not (yield from hermes.read(any_name=at_start)):
            reader.put_back([Token(Kind.TEXT, lead)] if lead else [])
            return False
        self._output.recovered(*extra, *([Recovery.STRAY_TEXT] if lead.strip(BLANKS) else []))
        while (lead := (yield from hermes.lead())) is not None:
            if not (yield from hermes.read(any_name=True)):
                reader.put_back([Token(Kind.TEXT, lead)] if lead else [])
                break
        yield from hermes.trail()
        yield from self._after(wrapped=True)
        return True

    def bare(self, header: Token) -> Steps[None]:
        """After `<function=NAME>` outside a call (rule R1)."""
        start = yield from self._begins(header, wrapped=False, at_start=self._output.markdown.at_line_start)
        if start is _Start.CALL:
            self._output.recovered(Recovery.MISSING_OPENER)
            yield from self._functions_of(header, wrapped=False)
        elif start is _Start.SHOWN:
            self.tried = self.tried or self._output.markdown.at_line_start
            self._output.content(header.raw)

    def names_tool(self) -> Steps[bool]:
        """Whether the JSON object that comes begins with the name of a known tool; nothing is taken."""
        return self._hermes.names_tool()

    def bare_object(self) -> Steps[bool]:
        """At a brace outside of code: True when a call in JSON without its opener began there, and was read."""
        if not (yield from self._hermes.read_bare()):
            return False
        yield from self._hermes.trail()
        yield from self._after(wrapped=False)
        return True

    def _begins(self, header: Token, *, wrapped: bool, at_start: bool) -> Steps["_Start"]:
        """Whether a call begins with this header; what was read for that comes again, doubled headers only once."""
        declared = header.name in self._functions
        if not declared and not (wrapped and at_start):
            return _Start.SHOWN
        read: list[Token] = []
        for doubled in range(_MAX_DOUBLED):
            more = yield from self._reader.until(_never if declared else _is_words, limit=_JUNK_LIMIT)
            read += more
            last = more[-1]
            if not (wrapped or at_start) and not read[0].raw.startswith(("\n", "\r")):
                break
            blank = all(token.is_blank for token in more[:-1])
            ends = (Kind.PARAMETER, Kind.FUNCTION_CLOSE, *((Kind.TOOL_CLOSE,) if wrapped else ()))
            if last.kind in ends and (declared or blank):
                self._reader.put_back(more)
                self._output.recovered(*[Recovery.DOUBLED_TAG] * doubled)
                return _Start.CALL
            if last.kind in (Kind.END, Kind.CUT) and blank and (wrapped or at_start):
                self._output.cut_off(CUT_LINE)
                self._reader.put_back([Token(Kind.END, "")])
                return _Start.CUT
            again = last.kind is Kind.FUNCTION and last.name == header.name
            if not blank or not (again or (wrapped and last.kind is Kind.TOOL_OPEN)):
                break
        self._reader.put_back(read)
        return _Start.SHOWN

    def _opener_cut(self, last: Token, *, at_start: bool) -> bool:
        """Whether the answer ended at `<tool_call>`; in the middle of a line that may be prose, and is kept."""
        if last.kind is Kind.CUT and not "<function".startswith(last.raw[: len("<function")]):
            return False
        if at_start:
            self._output.cut_off(CUT_LINE)
            self._reader.put_back([Token(Kind.END, "")])
            return True
        self._output.truncated = True
        return False

    def _functions_of(self, header: Token, *, wrapped: bool) -> Steps[None]:
        """One call, and those that follow it in its wrapper (rule R4)."""
        following: Token | None = header
        while following is not None:
            if self._dialect is Dialect.HERMES:
                self._output.recovered(Recovery.OTHER_DIALECT)
            if not following.exact:
                self._output.recovered(Recovery.TAG_FORM)
            name = following.name
            if not (yield from self._calls.read(name, self._functions.get(name))):
                return
            following = yield from self._after(wrapped=wrapped)

    def _after(self, *, wrapped: bool) -> Steps[Token | None]:
        """The closing tags after a function, and those too many (rules R2 and R3); the next function's header."""
        closed = False
        while True:
            read = yield from self._reader.blanks()
            last = read[-1]
            match last.kind:
                case Kind.TOOL_CLOSE:
                    if closed or not last.exact:
                        self._output.recovered(Recovery.STRAY_CLOSER if closed else Recovery.TAG_FORM)
                    closed = True
                    continue
                case Kind.FUNCTION_CLOSE:
                    self._output.recovered(Recovery.STRAY_CLOSER)
                    continue
                case Kind.CUT if not closed and "</tool_call".startswith(last.raw[: len("</tool_call")]):
                    continue
                case Kind.FUNCTION if wrapped and not closed:
                    start = yield from self._begins(last, wrapped=True, at_start=True)
                    if start is _Start.CALL:
                        return last
                    if start is _Start.CUT:
                        return None
            self._reader.put_back(read)
            if wrapped and not closed:
                self._output.recovered(Recovery.MISSING_CLOSER)
            return None


class _Start(Enum):
    """CUT: the answer ended before it was clear, and nothing is left of it."""

    CALL = auto()
    SHOWN = auto()
    CUT = auto()


def _never(_: Token) -> bool:
    return False


def _is_words(token: Token) -> bool:
    return not token.is_blank
