"""Reading tokens one by one with any look-ahead, in code that may pause between two pieces of an answer."""

from collections import deque
from collections.abc import Callable, Generator, Iterable
from typing import TypeAlias, TypeVar

from qcode.codec.lexer import Kind, Token

T = TypeVar("T")
Steps: TypeAlias = Generator[None, Token, T]
"""A parser that is paused: it is sent the next token and returns a T in the end."""


class Reader:
    """The tokens of an answer: those put back first, then those that are sent to the paused parser."""

    __slots__ = ("_back",)

    def __init__(self) -> None:
        self._back: deque[Token] = deque()

    def next(self) -> Steps[Token]:
        """The next token; END again and again at the end, if it is put back."""
        if self._back:
            return self._back.popleft()
        return (yield)

    def put_back(self, tokens: Iterable[Token]) -> None:
        """Let `tokens` come again, in their order."""
        self._back.extendleft(reversed(list(tokens)))

    def blanks(self) -> Steps[list[Token]]:
        """White space, and as the last one the first token that is something else."""
        read = [(yield from self.next())]
        while read[-1].is_blank:
            read.append((yield from self.next()))
        return read

    def until(self, stop: Callable[[Token], bool], *, limit: int) -> Steps[list[Token]]:
        """Text of at most `limit` characters and, last, the tag that follows it.

        The last one is text where there is more of it than that, or where `stop` holds for it.
        """
        read = []
        length = 0
        while True:
            token = yield from self.next()
            read.append(token)
            length += len(token.raw)
            if token.kind is not Kind.TEXT or length > limit or stop(token):
                return read


def raw_of(tokens: Iterable[Token]) -> str:
    """The text that the tokens were read from."""
    return "".join(token.raw for token in tokens)


class StopMarks:
    """Takes the model's end-of-turn marks away where nothing but white space follows them (rule R8)."""

    __slots__ = ("_held",)

    def __init__(self) -> None:
        self._held: list[Token] = []

    def pass_on(self, tokens: Iterable[Token]) -> list[Token]:
        """The tokens that can be read by now; a mark in the middle of an answer is text."""
        passed: list[Token] = []
        for token in tokens:
            if token.kind is Kind.STOP_MARK or (self._held and token.is_blank):
                self._held.append(token)
                continue
            if self._held:
                cut_mark = token.kind is Kind.CUT and token.raw.startswith("<|")
                if cut_mark:
                    continue
                if token.kind is not Kind.END:
                    passed.extend(Token(Kind.TEXT, held.raw) for held in self._held)
                self._held.clear()
            passed.append(token)
        return passed
