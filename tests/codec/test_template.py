"""The chat template that servers are given writes what qcode writes for its own engine."""

import json
from pathlib import Path

import pytest
from jinja2 import Environment

from qcode.backends.openai_compat import payload
from qcode.codec import render
from qcode.messages import Assistant, Message, Tool, ToolCall, User
from qcode.model import Request
from qcode_tools.result import Status, ToolResult
from qcode_tools.toolsets import build_toolset

TEMPLATE = Path(__file__).parents[2] / "benchmarks" / "qwen3_coder.jinja"
ASKED = User(text="Do <it> & see")
CALLS = Assistant(
    text=" I look. ",
    tool_calls=(
        ToolCall(id="a", name="bash", arguments={"command": "ls <a> &", "timeout": 5, "x": None, "y": [1, "é"]}),
        ToolCall(id="b", name="bash", arguments={}),
    ),
)
HISTORIES: dict[str, tuple[Message, ...]] = {
    "a question": (ASKED,),
    "calls, their results, and more": (
        ASKED,
        CALLS,
        Tool(result=ToolResult(call_id="a", name="bash", status=Status.OK, content="a\nb")),
        Tool(result=ToolResult(call_id="b", name="bash", status=Status.ERROR, content="é<")),
        Assistant(text="done\n"),
        User(text="more"),
    ),
    "a result last": (
        ASKED,
        CALLS.model_copy(update={"tool_calls": CALLS.tool_calls[:1]}),
        Tool(result=ToolResult(call_id="a", name="bash", status=Status.OK, content="")),
    ),
}


@pytest.mark.parametrize("history", HISTORIES.values(), ids=HISTORIES)
@pytest.mark.parametrize("toolset", ["swe", "small"])
@pytest.mark.parametrize("system", ["Be good.", ""])
def test_it_writes_what_render_writes(history: tuple[Message, ...], toolset: str, system: str) -> None:
    request = Request(system, history, build_toolset(toolset).specs)
    messages = payload.messages(request)
    for message in messages:
        for call in message.get("tool_calls", ()):
            call["function"]["arguments"] = json.loads(call["function"]["arguments"])
    # As transformers sets it up.
    environment = Environment(trim_blocks=True, lstrip_blocks=True)
    environment.filters["tojson"] = lambda value: json.dumps(value, ensure_ascii=False)
    template = environment.from_string(TEMPLATE.read_text(encoding="utf-8"))
    written = template.render(messages=messages, tools=payload.tools(request), add_generation_prompt=True)
    assert written == render(system, history, request.tools)
