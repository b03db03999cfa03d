"""Reads a JSON object that comes in pieces: its members, each once it is complete, and its strings as they come."""

import json
import re
from collections.abc import Iterator

from qcode.codec.loosejson import characters

_IN_STRING = re.compile(r'["\\]')
_OUTSIDE = re.compile(r'["{}\[\],]')
_BETWEEN = re.compile(r'["{}\[\],:]')
_WHOLE = re.compile(r'(?:[^"\\]|\\(?:u[0-9a-fA-F]{4}|[^u]))*')
_FIRST_HALF = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}\Z")
_LONGEST_ESCAPE = len(r"\ud83d\ude00")


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


class Strings:
    """Feed it the same JSON; it gives the text of those members that are strings, while they come. Time is linear in
    what comes. What is no JSON gives whatever it gives: the whole is judged elsewhere."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._name: str | None = None
        self._key: list[str] = []
        self._rest = ""

    def feed(self, piece: str) -> Iterator[tuple[str, str]]:
        """The member's name and some more of its text."""
        text, self._rest = self._rest + piece, ""
        position = 0
        while position < len(text):
            if not self._in_string:
                found = _BETWEEN.search(text, position)
                if found is None:
                    return
                position = found.end()
                self._between(found[0])
                continue
            whole = _WHOLE.match(text, position)
            end = whole.end() if whole else position
            written, position = text[position:end], end
            ends = text[position : position + 1] == '"'
            if not ends and (half := _FIRST_HALF.search(written)):
                written, position = written[: half.start()], position - len(half[0])
            if written and self._depth == 1:
                yield from self._told(written)
            if ends:
                self._in_string = False
                position += 1
            elif position < len(text):
                # An escape of which the rest is still to come.
                self._rest = text[position:] if len(text) - position < _LONGEST_ESCAPE else ""
                return

    def _between(self, mark: str) -> None:
        match mark:
            case '"':
                self._in_string = True
            case "{" | "[":
                self._depth += 1
            case "}" | "]":
                self._depth -= 1
            case ":" if self._depth == 1:
                self._name = "".join(self._key)
            case "," if self._depth == 1:
                self._name = None
                self._key.clear()

    def _told(self, written: str) -> Iterator[tuple[str, str]]:
        try:
            text = characters(json.loads(f'"{written}"', strict=False))
        except ValueError:
            return
        if self._name is None:
            self._key.append(text)
        else:
            yield self._name, text
