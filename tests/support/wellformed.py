"""What every history that is sent to a model must be, whatever the model wrote before."""

import json
import re
from typing import Any

from qcode.codec import parse
from qcode_tools.spec import ToolSpec

_TURN = re.compile(r"<\|im_start\|>(system|user|assistant)\n(.*?)<\|im_end\|>\n", re.DOTALL)
_RESULT = re.compile(r"<tool_response>\n(.*?)\n</tool_response>\n", re.DOTALL)


def check_prompt(prompt: str, tools: tuple[ToolSpec, ...]) -> None:
    """A prompt in ChatML: turns and nothing else, calls in the exact form, and a result for each of them."""
    assert prompt.endswith("<|im_start|>assistant\n")
    turns = _TURN.findall(prompt)
    written = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in turns)
    assert written == prompt.removesuffix("<|im_start|>assistant\n")
    assert [role for role, _ in turns].count("system") == 1
    open_calls = 0
    for role, text in turns:
        results = _RESULT.findall(text) if role == "user" else []
        if results:
            assert "".join(f"<tool_response>\n{result}\n</tool_response>\n" for result in results) == text
        assert len(results) == open_calls
        parsed = parse(text, tools) if role == "assistant" else None
        if parsed is not None and parsed.tool_calls:
            assert not parsed.recoveries
            assert not parsed.problems
        open_calls = len(parsed.tool_calls) if parsed is not None else 0
    assert open_calls == 0


def check_messages(messages: list[dict[str, Any]]) -> None:
    """Messages of OpenAI's form: arguments are JSON objects, ids are unique, each call is answered once and at once."""
    seen: set[str] = set()
    waiting: list[str] = []
    for message in messages:
        assert isinstance(message["content"], str)
        if message["role"] == "tool":
            assert message["tool_call_id"] == waiting.pop(0)
            continue
        assert not waiting
        for call in message.get("tool_calls", []):
            assert call["id"] not in seen
            assert call["type"] == "function"
            assert call["function"]["name"]
            assert isinstance(json.loads(call["function"]["arguments"]), dict)
            seen.add(call["id"])
            waiting.append(call["id"])
    assert not waiting
    json.dumps(messages).encode()
