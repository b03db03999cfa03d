"""Finds the members of a JSON object that comes in pieces, each as soon as it is complete."""

import re
from collections.abc import Iterator

_IN_STRING = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["{}\[\],]')


class Members:
    """Feed it JSON as it comes; time and memory are linear in what comes, however it is cut. What is no object has no
    members, and nothing is checked: the texts are for a parser of JSON."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._member: list[str] = []
        self.closed = False
        """The object has ended, or is none."""

    def feed(self, piece: str) -> Iterator[str]:
        """The text, such as `"path": "a.py"`, of each member that this piece completes."""
        position = int(self._escaped and bool(piece))
        self._escaped = self._escaped and not piece
        start = 0
        while not self.closed and (found := (_IN_STRING if self._in_string else _OUTSIDE).search(piece, position)):
            position = found.end()
            match found[0]:
                case '"':
                    self._in_string = not self._in_string
                case "\\":
                    self._escaped = position == len(piece)
                    position += 1
                case "[" if self._depth == 0:
                    self.closed = True
                case "{" | "[":
                    self._depth += 1
                    if self._depth == 1:
                        start = position
                case ",":
                    if self._depth == 1:
                        yield self._complete(piece[start : found.start()])
                        start = position
                case _:
                    self._depth -= 1
                    if self._depth <= 0:
                        self.closed = True
                        if text := self._complete(piece[start : found.start()]):
                            yield text
        if self._depth >= 1:
            self._member.append(piece[start:])

    def _complete(self, rest: str) -> str:
        text = "".join([*self._member, rest])
        self._member.clear()
        return text.strip()
