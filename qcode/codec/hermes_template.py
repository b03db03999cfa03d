"""The parts of a prompt in the form of Qwen2.5's and Qwen3's chat templates.

Source of the form: the Jinja templates published with Qwen2.5 and Qwen3, kept by llama.cpp as
models/templates/Qwen-Qwen3-0.6B.jinja; both write tools, calls and their results alike.
"""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from qcode.codec.types import Function
from qcode.control import plain

if TYPE_CHECKING:
    from qcode.messages import Assistant

RESULTS_BEGIN = "<|im_start|>user"

_TOOLS = (
    "# Tools\n\nYou may call one or more functions to assist with the user query.\n\nYou are provided with function "
    "signatures within <tools></tools> XML tags:\n<tools>"
)
_HOW_TO_CALL = (
    "\n</tools>\n\nFor each function call, return a json object with function name and arguments within "
    "<tool_call></tool_call> XML tags:\n<tool_call>\n"
    '{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
)


def system(text: str, tools: Sequence[Function]) -> str:
    """The first turn."""
    if not tools:
        return f"<|im_start|>system\n{plain(text)}<|im_end|>\n" if text else ""
    before = f"{plain(text)}\n\n" if text else ""
    listed = "".join(f"\n{plain(_tool(function))}" for function in tools)
    return f"<|im_start|>system\n{before}{_TOOLS}{listed}{_HOW_TO_CALL}<|im_end|>\n"


def result(text: str) -> str:
    """A tool's answer."""
    return f"\n<tool_response>\n{plain(text)}\n</tool_response>"


def assistant(message: "Assistant", *, thinking: bool) -> str:
    """An answer; what it was thought over only with `thinking`, as the template has it since the last question."""
    parts = ["<|im_start|>assistant\n"]
    thought = message.thinking.strip("\n") if thinking else ""
    text = message.text
    if thought:
        parts.append(f"<think>\n{plain(thought)}\n</think>\n\n")
        text = text.lstrip("\n")
    if message.tool_calls:
        text = text.strip()
    parts.append(plain(text))
    for position, call in enumerate(message.tool_calls):
        arguments = json.dumps(call.arguments, ensure_ascii=False)
        parts.append("\n" if position or text else "")
        parts.append(f'<tool_call>\n{{"name": "{plain(call.name)}", "arguments": {plain(arguments)}}}\n</tool_call>')
    parts.append("<|im_end|>\n")
    return "".join(parts)


def _tool(function: Function) -> str:
    # `oneOf` is for the grammar: the tool's description says in words which parameters go together.
    parameters = {key: value for key, value in function.parameters.items() if key != "oneOf"}
    described = {"name": function.name, "description": function.description.strip(), "parameters": parameters}
    return json.dumps({"type": "function", "function": described}, ensure_ascii=False)
