"""Reads whole answers that are exactly in Qwen3-Coder's form, with a few searches instead of token by token.

It gives what the parser gives, and leaves to it whatever is not beyond doubt: a tag out of place, a tag in a value,
code that may hold a call.
"""

import re
from collections.abc import Mapping
from typing import Any

from qcode.codec.fences import Markdown, Place
from qcode.codec.lexer import BLANKS
from qcode.codec.schema import properties, typed
from qcode.codec.types import Function, Parsed, ParsedCall

_OPENER = "<tool_call>"
_HEADER = re.compile(r"<tool_call>\n<function=([\w.-]{1,200})>\n")
_PARAMETER = re.compile(
    r"<parameter=([\w.-]{1,200})>\n([^<]*+(?:<(?!/?(?:tool_call|function|parameter))[^<]*+)*+)</parameter>\n"
)
_END = re.compile(r"""</function>\n</tool_call>(?!["'`\\])""")
_DOUBTFUL = re.compile(r"<(?=/?[tfp|]|/?\Z)")
"""What may begin one of the format's tags outside of a call."""


def parse_exact(text: str, functions: Mapping[str, Function]) -> Parsed | None:
    """The answer; None where it is not, or may not be, in the exact form."""
    calls: list[ParsedCall] = []
    content: list[str] = []
    markdown = Markdown()
    done = 0
    while (at := text.find(_OPENER, done)) >= 0:
        between = text[done:at]
        header = _HEADER.match(text, at)
        if header is None or _DOUBTFUL.search(between):
            return None
        if between:
            markdown.feed(between)
            if markdown.place is not Place.PROSE:
                return None
            content += [between] if between.strip(BLANKS) else []
        function = functions.get(header[1])
        if function is None and not markdown.at_line_start:
            return None
        found = _arguments(text, header.end(), function)
        if found is None:
            return None
        arguments, done = found
        calls.append(ParsedCall(header[1], arguments))
        markdown.reset()
    rest = text[done:]
    if _DOUBTFUL.search(rest):
        return None
    if not calls or rest.strip(BLANKS):
        content.append(rest)
    return Parsed(content="".join(content), tool_calls=tuple(calls))


def _arguments(text: str, at: int, function: Function | None) -> tuple[dict[str, Any], int] | None:
    """The arguments from `at` on, and where their call ends."""
    root = function.parameters if function else {}
    declared = properties(root)
    arguments: dict[str, Any] = {}
    while (parameter := _PARAMETER.match(text, at)) is not None:
        key, value = parameter.groups()
        if key in arguments:
            return None
        arguments[key] = typed(value.removesuffix("\n"), declared.get(key), root)
        at = parameter.end()
    end = _END.match(text, at)
    return (arguments, end.end()) if end else None
