"""The parts of a prompt in the form of Qwen3-Coder's chat template.

Source of the form: the Jinja template published with Qwen3-Coder and kept by llama.cpp as
models/templates/Qwen3-Coder.jinja.
"""

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from qcode.codec.types import Function
from qcode.control import plain

if TYPE_CHECKING:
    from qcode.messages import Assistant

RESULTS_BEGIN = "<|im_start|>user\n"

DEFAULT_SYSTEM = "You are Qwen, a helpful AI assistant that can interact with a computer to solve tasks."

_HOW_TO_CALL = """

If you choose to call a function ONLY reply in the following format with NO suffix:

<tool_call>
<function=example_function_name>
<parameter=example_parameter_1>
value_1
</parameter>
<parameter=example_parameter_2>
This is the value for the second parameter
that can span
multiple lines
</parameter>
</function>
</tool_call>

<IMPORTANT>
Reminder:
- Function calls MUST follow the specified format: an inner <function=...></function> block must be nested within \
<tool_call></tool_call> XML tags
- Required parameters MUST be specified
- You may provide optional reasoning for your function call in natural language BEFORE the function call, but NOT after
- If there is no function call available, answer the question like normal with your current knowledge and do not tell \
the user about function calls
</IMPORTANT>"""

_SHOWN_APART = frozenset({"name", "type", "description"})
_NOT_SHOWN = frozenset({"type", "properties", "oneOf"})
"""`oneOf` is for the grammar: the tool's description says in words which parameters go together."""


def system(text: str, tools: Sequence[Function]) -> str:
    """The first turn."""
    if not tools:
        return f"<|im_start|>system\n{plain(text)}<|im_end|>\n" if text else ""
    listed = "".join(map(_tool, tools))
    return (
        f"<|im_start|>system\n{plain(text) or DEFAULT_SYSTEM}\n\n# Tools\n\n"
        f"You have access to the following functions:\n\n<tools>{plain(listed)}\n</tools>{_HOW_TO_CALL}<|im_end|>\n"
    )


def _tool(function: Function) -> str:
    parts = [
        f"\n<function>\n<name>{function.name}</name>\n<description>{function.description.strip()}</description>"
        "\n<parameters>"
    ]
    declared = function.parameters.get("properties")
    for name, schema in declared.items() if isinstance(declared, Mapping) else ():
        parts.append(f"\n<parameter>\n<name>{name}</name>")
        if isinstance(schema, Mapping):
            if "type" in schema:
                parts.append(f"\n<type>{schema['type']}</type>")
            if "description" in schema:
                parts.append(f"\n<description>{str(schema['description']).strip()}</description>")
            parts += _keys(schema, without=_SHOWN_APART)
        parts.append("\n</parameter>")
    parts += _keys(function.parameters, without=_NOT_SHOWN)
    parts.append("\n</parameters>\n</function>")
    return "".join(parts)


def _keys(schema: Mapping[str, Any], *, without: frozenset[str]) -> list[str]:
    return [f"\n<{key}>{_scalar_or_json(value)}</{key}>" for key, value in schema.items() if key not in without]


def result(text: str) -> str:
    """A tool's answer."""
    return f"<tool_response>\n{plain(text)}\n</tool_response>\n"


def assistant(message: "Assistant", *, thinking: bool) -> str:
    """An answer; its thinking has no place in this form."""
    if not message.tool_calls:
        return f"<|im_start|>assistant\n{plain(message.text)}<|im_end|>\n"
    parts = ["<|im_start|>assistant"]
    text = message.text.strip()
    if text:
        parts.append(f"\n{plain(text)}\n")
    for call in message.tool_calls:
        parts.append(f"\n<tool_call>\n<function={plain(call.name)}>\n")
        for name, value in call.arguments.items():
            parts.append(f"<parameter={plain(name)}>\n{plain(_scalar_or_json(value))}\n</parameter>\n")
        parts.append("</function>\n</tool_call>")
    parts.append("<|im_end|>\n")
    return "".join(parts)


def _scalar_or_json(value: Any) -> str:
    """Text as it is, containers as JSON, other scalars as Jinja's `string` filter prints them: True, False, None."""
    if isinstance(value, Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False)
    return value if isinstance(value, str) else str(value)
