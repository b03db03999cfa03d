"""The work for an answer that comes in single characters grows with its length and not faster; nothing is kept waiting.

Work is counted in calls of functions, Python's and C's; each of them sees no more text than what is held back and one
character, as the second test shows.
"""

import sys
from types import FrameType

import pytest

from qcode.codec import ArgumentText, StreamParser, Text, ThinkingText

TOOLS = [{"name": "f", "parameters": {"properties": {"a": {"type": "string"}, "o": {"type": "object"}}}}]
OPENER = "<tool_call>\n<function=f>\n<parameter=a>\n"
JSON = '<tool_call>\n{"name": "f", "arguments": {"a": "'

LONG = {
    # dialect, what stands before, what is repeated
    "text": ("qwen3_coder", "", "Some words, <b>and</b> `code`.\n"),
    "text on one line": ("qwen3_coder", "", "words and < words ` and `` "),
    "openers in text": ("qwen3_coder", "", "Use <tool_call> to call.\n"),
    "thinking": ("hermes", "<think>\n", "So < so.\n\n"),
    "value": ("qwen3_coder", OPENER, "    if a < b: return 'c'\n"),
    "value of line breaks": ("qwen3_coder", OPENER, "\n"),
    "value of tags": ("qwen3_coder", OPENER, "<function=f> </parameter> </tool_call> <parameter=x> "),
    "value of half tags": ("qwen3_coder", OPENER, "<tool_cal <functio </para\n"),
    "value of examples": (
        "qwen3_coder",
        OPENER,
        "<tool_call>\n<function=f>\n<parameter=a>\nx\n</parameter>\n</function>\n</tool_call>\n",
    ),
    "value after what may be its end": ("qwen3_coder", OPENER + "x\n</parameter>\n</function>\nno, ", "it goes on.\n"),
    "JSON string": ("hermes", JSON, "line \\n and \\u00e9 \\ud83d\\ude00 and words "),
    "JSON string with quotes": ("hermes", JSON, '"so" they said. '),
    "JSON of braces": ("hermes", '<tool_call>\n{"name": "f", "arguments": {"o": {', '"k": {"l": [1, {}]}, '),
    "JSON that is text": ("hermes", "", '{"key": ["value", {}]}\n'),
    "JSON that is broken": ("hermes", "", '<tool_call>\n{"name": "f", oh}\n'),
}


def work(text: str, dialect: str) -> int:
    """Calls of functions while the text comes character by character."""
    parser = StreamParser(TOOLS, dialect=dialect)
    count = 0

    def counting(frame: FrameType, event: str, argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(counting)
    try:
        for character in text:
            parser.feed(character)
        parser.finish()
    finally:
        sys.setprofile(before)
    return count


def text_of(before: str, repeated: str, length: int) -> str:
    return before + repeated * (length // len(repeated))


@pytest.mark.parametrize(("dialect", "before", "repeated"), LONG.values(), ids=LONG)
def test_twice_the_text_is_at_most_twice_the_work(dialect: str, before: str, repeated: str) -> None:
    once, twice = (work(text_of(before, repeated, length), dialect) for length in (600, 1200))
    assert twice < 2.3 * once


WAITING = {"value after what may be its end", "value of examples"}
"""What may be the end of a value is not shown before it is known; the tags of an example are."""


@pytest.mark.parametrize("name", [name for name in LONG if name not in WAITING])
def test_what_comes_is_shown(name: str) -> None:
    dialect, before, repeated = LONG[name]
    parser = StreamParser(TOOLS, dialect=dialect)
    silent = 0
    for character in text_of(before, repeated, 2000):
        events = parser.feed(character)
        shown = any(isinstance(event, Text | ThinkingText | ArgumentText) for event in events)
        silent = 0 if shown else silent + 1
        assert silent < 100
