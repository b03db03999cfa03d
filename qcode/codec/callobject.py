"""Follows a JSON object that should be a call while it is still being written: its name, its arguments, its end."""

import re
from enum import Enum, auto

from qcode.codec.loosejson import AFTER_STRING, characters, unescaped

ARGUMENT_KEYS = ("arguments", "parameters")

_PLAIN = re.compile(r"""[^"'{}\[\]:,]+""")
_BLANK = re.compile(r"[ \t\r\n]+")
_STRING = {quote: re.compile(rf"(?:[^{quote}\\]|\\[^u]|\\u.{{4}})*+", re.DOTALL) for quote in "\"'"}


class _Role(Enum):
    """What a string is for."""

    KEY = auto()
    NAME = auto()
    ARGUMENT = auto()
    ALL_ARGUMENTS = auto()
    OTHER = auto()


class CallObject:
    """`feed` it text from the object's opening brace on.

    A quote ends a string only where JSON goes on behind it, so that quotes which a model forgot to escape are kept.
    """

    def __init__(self) -> None:
        self.name: str | None = None
        self.first_key: str | None = None
        self.pieces: list[tuple[str, str, bool]] = []
        """Arguments and some more of their text, for the reader to take away; "" is the JSON of all of them. True:
        the argument is a string, and this is all of it."""
        self.duplicates = 0
        """Arguments that came more than once."""
        self._arguments: set[str] = set()
        self._stack: list[str] = []
        self._keys: dict[int, str] = {}
        self._key_next = False
        self._call_depth = 1
        self._arguments_depth = 0
        self._raw = False
        self._quote = ""
        self._behind = ""
        self._escape = ""
        self._half = ""
        self._role = _Role.OTHER
        self._parts: list[str] = []

    @property
    def in_string(self) -> bool:
        """Whether a string is open, and was not just about to end."""
        return bool(self._quote) and not self._behind

    def feed(self, text: str) -> int | None:
        """The index after the object's last brace; None while it goes on. Raises: ValueError where it is none,
        whose first argument is the index of the character that shows it."""
        at = 0
        raw_from = 0
        while at < len(text):
            if self._quote and not self._behind:
                at = self._string(text, at)
                continue
            if self._behind:
                blank = _BLANK.match(text, at)
                if blank:
                    self._behind += blank[0]
                    at = blank.end()
                elif text[at] in AFTER_STRING:
                    self._close_string()
                else:
                    self._behind, literal = "", self._behind
                    self._piece(literal)
                continue
            plain = _PLAIN.match(text, at)
            if plain:
                self._plain(plain[0], at)
                at = plain.end()
                continue
            character = text[at]
            at += 1
            if character in "\"'":
                self._open_string(character)
            elif character in "{[":
                if self._stack and len(self._stack) == self._arguments_depth:
                    self._raw, raw_from = True, at - 1
                self._open(character)
            elif character in "}]":
                if not self._stack or self._stack.pop() != ("{" if character == "}" else "["):
                    raise ValueError(at - 1)
                self._key_next = False
                if self._raw and len(self._stack) == self._arguments_depth:
                    self._show(text[raw_from:at])
                    self._raw = False
                if not self._stack:
                    return at
            elif character == ":":
                if not self._stack or self._stack[-1] != "{" or not self._key_next:
                    raise ValueError(at - 1)
                self._key_next = False
            elif self._stack:
                self._key_next = self._stack[-1] == "{"
        if self._raw:
            self._show(text[raw_from:])
        return None

    def _open(self, bracket: str) -> None:
        depth = len(self._stack)
        key = self._keys.get(depth)
        self._stack.append(bracket)
        self._keys.pop(depth + 1, None)
        self._key_next = bracket == "{"
        if bracket != "{" or depth != self._call_depth or self._arguments_depth:
            return
        if key in ARGUMENT_KEYS:
            self._arguments_depth = depth + 1
        elif key == "function" and depth == 1:
            self._call_depth = 2

    def _plain(self, text: str, at: int) -> None:
        """Numbers, words and white space between strings and brackets."""
        words = "".join(text.split())
        if not words:
            return
        if self.first_key is None:
            raise ValueError(at + len(text) - len(text.lstrip()))
        if len(self._stack) == self._arguments_depth and not self._key_next:
            self._show(words)

    def _open_string(self, quote: str) -> None:
        self._quote = quote
        self._parts = []
        depth = len(self._stack)
        key = self._keys.get(depth)
        if self._key_next:
            self._role = _Role.KEY
        elif depth == self._arguments_depth:
            self._role = _Role.ARGUMENT
        elif depth == self._call_depth and key in ("name", "function"):
            self._role = _Role.NAME
        elif depth == self._call_depth and key in ARGUMENT_KEYS:
            self._role = _Role.ALL_ARGUMENTS
        else:
            self._role = _Role.OTHER

    def _string(self, text: str, at: int) -> int:
        """Some more of a string; the index where it, or the text, ends."""
        if self._escape:
            wanted = 6 if (self._escape + text[at : at + 1])[1:2] == "u" else 2
            taken = text[at : at + wanted - len(self._escape)]
            self._escape += taken
            if len(self._escape) == wanted:
                self._escape, escape = "", self._escape
                self._piece(unescaped(escape))
            return at + len(taken)
        match = _STRING[self._quote].match(text, at)
        end = match.end() if match else at
        if end > at:
            self._piece(unescaped(text[at:end]))
        if end == len(text):
            return end
        if text[end] == self._quote:
            self._behind = self._quote
            return end + 1
        self._escape = text[end:]
        return len(text)

    def _piece(self, text: str) -> None:
        """Some more of a string's characters; half a surrogate pair waits for the other half."""
        if self._role is _Role.OTHER:
            return
        text, self._half = self._half + text, ""
        if "\ud800" <= text[-1:] <= "\udbff":
            text, self._half = text[:-1], text[-1]
        self._add(characters(text))

    def _add(self, text: str) -> None:
        self._parts.append(text)
        if self._role is _Role.ARGUMENT:
            self._show(text)
        elif self._role is _Role.ALL_ARGUMENTS and text:
            self.pieces.append(("", text, False))

    def _show(self, text: str) -> None:
        if text:
            self.pieces.append((self._keys.get(self._arguments_depth, ""), text, False))

    def _close_string(self) -> None:
        if self._half:
            half, self._half = self._half, ""
            self._add(characters(half))
        whole = "".join(self._parts)
        depth = len(self._stack)
        match self._role:
            case _Role.KEY:
                self._keys[depth] = whole
                if depth == self._arguments_depth:
                    self.duplicates += whole in self._arguments
                    self._arguments.add(whole)
                if self.first_key is None:
                    self.first_key = whole
            case _Role.NAME:
                self.name = self.name or whole
            case _Role.ARGUMENT:
                self.pieces.append((self._keys.get(depth, ""), whole, True))
        self._quote = self._behind = ""
        self._role = _Role.OTHER
        self._parts = []
