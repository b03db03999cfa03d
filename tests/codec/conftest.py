"""Reads an answer whole and in pieces; every test of the codec goes through here, so rule S holds for all its cases."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from qcode.codec import (
    ArgumentFinished,
    ArgumentText,
    CallFinished,
    CallStarted,
    Parsed,
    Problem,
    StreamParser,
    Text,
    parse,
)

STRING = {"type": "string"}

TOOLS: list[dict[str, Any]] = [
    {
        "name": "bash",
        "description": "Run a command.",
        "parameters": {
            "type": "object",
            "properties": {"command": STRING, "timeout": {"type": "integer"}},
            "required": ["command"],
        },
    },
    {
        "type": "function",
        "function": {
            "name": "write_file",
            "parameters": {
                "type": "object",
                "properties": {"path": STRING, "content": STRING},
                "required": ["path", "content"],
            },
        },
    },
    {"name": "list_all", "parameters": {"type": "object", "properties": {}}},
    {"name": "free"},
]


def pieces(text: str, seed: int) -> list[str]:
    """`text` cut at random; seed 0 cuts it into single characters, 1 at every "<"."""
    if seed == 0:
        return list(text)
    if seed == 1:
        first, *rest = text.split("<")
        return [first, *("<" + part for part in rest)]
    chance = random.Random(seed)
    found = []
    while text:
        length = chance.choice((1, 1, 2, 3, 5, 8, 20, 50))
        found.append(text[:length])
        text = text[length:]
    return found


def stream(text: str, tools: Any, seed: int) -> Parsed:
    """The result of the pieces, after a look at their events."""
    parser = StreamParser(tools)
    events = []
    for piece in pieces(text, seed):
        events += parser.feed(piece)
    events += parser.finish()
    result = parser.result()
    assert "".join(event.text for event in events if isinstance(event, Text)) == result.content
    finished = [event for event in events if isinstance(event, CallFinished)]
    assert [event.call for event in finished] == list(result.tool_calls)
    assert len({event.index for event in finished}) == len(finished)
    assert [event for event in events if isinstance(event, Problem)] == list(result.problems)
    started: list[str] = []
    arguments: dict[str, Any] = {}
    for event in events:
        match event:
            case CallStarted():
                assert event.index == len(started)
                started.append(event.name)
                arguments = {}
            case ArgumentText():
                assert event.text
                assert event.index == len(started) - 1
            case ArgumentFinished():
                assert event.index == len(started) - 1
                arguments[event.argument] = event.value
            case CallFinished():
                assert started[event.index] == event.call.name
                assert not arguments or arguments == event.call.arguments
    return result


@pytest.fixture
def read() -> Callable[..., Parsed]:
    """`parse`, for an answer that gives the same in pieces."""

    def check(text: str, tools: Any = TOOLS) -> Parsed:
        whole = parse(text, tools)
        for seed in range(8):
            assert stream(text, tools, seed) == whole, f"cut with seed {seed}"
        return whole

    return check
