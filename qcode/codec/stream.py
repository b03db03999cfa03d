"""The codec's way in: an answer in pieces, or whole, to its text and its calls (rule S)."""

from collections.abc import Iterable

from qcode.codec.lexer import Lexer, Token
from qcode.codec.message import MessageReader
from qcode.codec.output import Output
from qcode.codec.reader import StopMarks
from qcode.codec.types import CodecEvent, Parsed, Tool


class StreamParser:
    """`feed` it an answer in any pieces, `finish` once; `result` is what `parse` gives for the whole."""

    def __init__(self, tools: Iterable[Tool] | None = ()) -> None:
        self._lexer = Lexer()
        self._marks = StopMarks()
        self._output = Output()
        self._steps = MessageReader(self._output, tools).read()
        next(self._steps)
        self._finished = False

    def feed(self, chunk: str) -> list[CodecEvent]:
        """What is certain with this piece. Raises: ValueError after `finish`."""
        if self._finished:
            raise ValueError("the answer is finished")
        return self._pass_on(self._lexer.feed(chunk))

    def finish(self) -> list[CodecEvent]:
        """What the end of the answer makes certain; nothing when called again."""
        if self._finished:
            return []
        self._finished = True
        return self._pass_on(self._lexer.finish())

    def result(self) -> Parsed:
        """The answer as far as it is known; whole after `finish`."""
        return self._output.parsed()

    def _pass_on(self, tokens: list[Token]) -> list[CodecEvent]:
        for token in self._marks.pass_on(tokens):
            try:
                self._steps.send(token)
            except StopIteration:
                break
        return self._output.take()


def parse(text: str, tools: Iterable[Tool] | None = ()) -> Parsed:
    """Read a whole answer."""
    parser = StreamParser(tools)
    parser.feed(text)
    parser.finish()
    return parser.result()
