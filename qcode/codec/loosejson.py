"""JSON as models write it: read strictly where it is valid, else with the slips forgiven that they are known for.

Those are raw line breaks and unescaped quotes in strings, unknown escapes, single quotes, Python's True, False and
None, commas too many, and closing brackets that are missing at the end.
"""

import contextlib
import json
import math
import re
from typing import Any

_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|(.))", re.DOTALL)
_PLAIN = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'", "\n": "\n"}
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_WORD = re.compile(r"""[^\s,:{}\[\]()"']+""")
_BLANK = re.compile(r"[ \t\r\n]*")
_STRING = {quote: re.compile(rf"(?:[^{quote}\\]|\\.)*+", re.DOTALL) for quote in "\"'"}
_MAX_DIGITS = 4000

AFTER_STRING = frozenset(",:}])")
"""One of these stands behind a string's closing quote, white space aside; any other quote belongs to the string."""


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, with line breaks in its strings forgiven; None for anything else."""
    return _object(text, strict=False)


def exact_object(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is; None for anything else."""
    return _object(text, strict=True)


def loose_object(text: str) -> dict[str, Any] | None:
    """The object that `text` was meant to be; None where that cannot be told."""
    found = json_object(text)
    if found is not None:
        return found
    try:
        value = _Loose(text).whole()
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _object(text: str, *, strict: bool) -> dict[str, Any] | None:
    try:
        value = json.loads(text, strict=strict, parse_constant=str, parse_float=_finite)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict):
        return None
    return _whole(value) if "\\ud" in text.lower() else value


def unescaped(text: str) -> str:
    """The inside of a string with its escapes resolved, unknown ones left; halves of surrogate pairs stay halves."""
    if "\\" not in text:
        return text
    with contextlib.suppress(ValueError):
        return str(json.loads(f'"{text}"', strict=False))
    return _ESCAPE.sub(lambda match: chr(int(match[1], 16)) if match[1] else _plain(match[2]), text)


def characters(text: str) -> str:
    """The text with surrogate pairs joined, and lone halves, which no file can hold, replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _plain(letter: str) -> str:
    return _PLAIN.get(letter, "\\" + letter)


def _finite(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _whole(value: Any) -> Any:
    match value:
        case str():
            return characters(value)
        case dict():
            return {characters(key): _whole(item) for key, item in value.items()}
        case list():
            return [_whole(item) for item in value]
        case _:
            return value


class _Loose:
    """Reads one text. Raises: ValueError where it makes no sense, RecursionError where it nests too deep."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def whole(self) -> Any:
        value = self._value()
        if self._next():
            raise ValueError("text behind the value")
        return value

    def _next(self) -> str:
        """The next character that is not blank; "" at the end."""
        match = _BLANK.match(self._text, self._at)
        self._at = match.end() if match else self._at
        return self._text[self._at : self._at + 1]

    def _value(self) -> Any:
        first = self._next()
        if first == "{":
            return self._mapping()
        if first in ("[", "("):
            return self._list("]" if first == "[" else ")")
        if first in ('"', "'"):
            return self._string(first)
        word = self._word()
        if word in _WORDS:
            return _WORDS[word]
        if len(word) > _MAX_DIGITS:
            raise ValueError("a number beyond reason")
        return json.loads(word, parse_constant=str, parse_float=_finite)

    def _mapping(self) -> dict[str, Any]:
        self._at += 1
        found: dict[str, Any] = {}
        while not self._closes("}"):
            first = self._next()
            key = self._string(first) if first in ('"', "'") else self._word()
            if self._next() != ":":
                raise ValueError("a key without a value")
            self._at += 1
            found[key] = self._value()
            self._comma("}")
        return found

    def _list(self, closer: str) -> list[Any]:
        self._at += 1
        found = []
        while not self._closes(closer):
            found.append(self._value())
            self._comma(closer)
        return found

    def _closes(self, closer: str) -> bool:
        """Whether the container ends here, by its bracket or by the end of the text."""
        while self._next() == ",":
            self._at += 1
        following = self._next()
        self._at += following == closer
        return following in ("", closer)

    def _comma(self, closer: str) -> None:
        if self._next() not in ("", ",", closer):
            raise ValueError("no comma between two values")

    def _word(self) -> str:
        match = _WORD.match(self._text, self._at)
        if match is None:
            raise ValueError("no value")
        self._at = match.end()
        return match[0]

    def _string(self, quote: str) -> str:
        parts = []
        at = self._at + 1
        while True:
            match = _STRING[quote].match(self._text, at)
            end = match.end() if match else at
            if end >= len(self._text) or self._text[end] == "\\":
                raise ValueError("a string without its end")
            parts.append(unescaped(self._text[at:end]))
            self._at = at = end + 1
            following = self._next()
            if not following or following in AFTER_STRING:
                return characters("".join(parts))
            parts.append(quote)
