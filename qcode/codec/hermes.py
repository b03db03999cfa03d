"""Reads the calls of Qwen2.5's and Qwen3's own form, JSON inside `<tool_call>` (rule R9)."""

import json
from collections.abc import Mapping
from typing import Any

from qcode.codec.lexer import BLANKS, Kind, Token
from qcode.codec.output import Output
from qcode.codec.reader import Reader, Steps, raw_of
from qcode.codec.schema import fitted, properties
from qcode.codec.types import Function


class HermesReader:
    """Reads one JSON object where a function's header should stand."""

    def __init__(self, reader: Reader, output: Output, functions: Mapping[str, Function]) -> None:
        self._reader = reader
        self._output = output
        self._functions = functions
        self._hopeless = False

    def read(self, *, any_name: bool) -> Steps[bool]:
        """After `<tool_call>`: True when the object was a call; if not, all that was read comes again."""
        if self._hopeless:
            return False
        scan = _ObjectEnd()
        read: list[Token] = []
        while True:
            token = yield from self._reader.next()
            if token.kind is Kind.END:
                return self._ended(read, any_name=any_name)
            end = scan.feed(token.raw)
            if end is None:
                read.append(token)
                continue
            text = raw_of(read) + token.raw[:end]
            call = _call(text) if end else None
            if call is None and end:
                self._output.misformed = True
            rest = token.raw[end:]
            if call is None or not (any_name or call[0] in self._functions):
                self._reader.put_back([*read, token])
                return False
            self._reader.put_back([Token(Kind.TEXT, rest)] if rest else [])
            name, arguments = call
            function = self._functions.get(name, Function(name))
            declared = properties(function.parameters)
            index = self._output.start(name)
            self._output.recoveries += 1
            self._output.finish_call(
                index,
                name,
                {key: fitted(value, declared.get(key), function.parameters) for key, value in arguments.items()},
            )
            return True

    def _ended(self, read: list[Token], *, any_name: bool) -> bool:
        self._hopeless = True
        end = Token(Kind.END, "")
        if any_name:
            self._output.cut_off(
                "The answer ended inside a call, so it was not executed: write the whole call again, and less text in "
                "one call if it is long"
            )
            self._reader.put_back([end])
            return True
        self._reader.put_back([*read, end])
        return False


class _ObjectEnd:
    """Finds the end of a JSON object that arrives in pieces."""

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._escaped = False
        self._first = True

    def feed(self, text: str) -> int | None:
        """The index after the object's last brace; None while it goes on; 0 when it is none."""
        for index, character in enumerate(text):
            if self._escaped:
                self._escaped = False
            elif self._in_string:
                self._escaped = character == "\\"
                self._in_string = character != '"'
            elif self._depth and self._first and character not in BLANKS and character != '"':
                return 0
            elif character == '"':
                self._in_string = True
                self._first = False
            elif character in "{[":
                self._depth += 1
            elif character in "}]":
                self._depth -= 1
                if not self._depth:
                    return index + 1
        return None


def _call(text: str) -> tuple[str, dict[str, Any]] | None:
    """Name and arguments of {"name": ..., "arguments": {...}}; None for anything else."""
    found = json_object(text)
    if found is None:
        return None
    function = found.get("function")
    if isinstance(function, dict):
        found = function
    name = found.get("name", function)
    arguments = found.get("arguments", found.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = json_object(arguments)
    if not isinstance(name, str) or not name or not isinstance(arguments, dict):
        return None
    return name, arguments


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that `text` is, with line breaks in its strings forgiven; None for anything else."""
    try:
        value = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
