"""A Request as the body of a chat completion, always well formed whatever the history went through.

Format: platform.openai.com/docs/api-reference/chat/create; `top_k`, `repetition_penalty` (vLLM), `repeat_penalty` and
`return_progress` (llama.cpp) are extensions.
"""

import json
import math
from collections.abc import Iterable, Iterator
from typing import Any

from qcode.messages import Assistant, Message, Tool, User
from qcode.model import Request
from qcode_tools.result import ToolResult

EXTENSIONS = ("top_k", "repetition_penalty", "repeat_penalty", "return_progress")
"""Fields that OpenAI itself does not know; a strict server may refuse them."""

OPTIONAL = (*EXTENSIONS, "stream_options", "seed", "top_p", "temperature")
"""Fields that a server may do without."""

COUNTED_WITH_EACH_CHUNK = {"include_usage": True, "continuous_usage_stats": True}
"""`stream_options` of vLLM."""


def body(request: Request, model: str) -> dict[str, Any]:
    """The body with every field that qcode would like to send."""
    sampling = request.sampling
    fields: dict[str, Any] = {
        "model": model,
        "messages": messages(request),
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "seed": sampling.seed,
        "top_k": sampling.top_k,
        "repetition_penalty": sampling.repetition_penalty,
        "repeat_penalty": sampling.repetition_penalty,
        "return_progress": True,
    }
    if request.tools:
        fields["tools"] = tools(request)
        fields["tool_choice"] = request.tool_choice
    return {name: value for name, value in fields.items() if value is not None}


def tools(request: Request) -> list[dict[str, Any]]:
    """The tools as OpenAI's function tools.

    `oneOf` beside the properties is for our own grammar: OpenAI refuses it there, and templates would print it.
    """
    return [
        {
            "type": "function",
            "function": {
                "name": tool.name,
                "description": tool.description,
                "parameters": {key: value for key, value in tool.parameters.items() if key != "oneOf"},
            },
        }
        for tool in request.tools
    ]


def messages(request: Request) -> list[dict[str, Any]]:
    """System prompt and history; every call has exactly one result, in the order of the calls."""
    system = [{"role": "system", "content": request.system}] if request.system else []
    return [*system, *_history(request.history)]


def encoded(fields: dict[str, Any]) -> bytes:
    """The body as JSON in UTF-8; half of a surrogate pair, which is not text, becomes a question mark."""
    return json.dumps(fields, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _history(history: Iterable[Message]) -> Iterator[dict[str, Any]]:
    # Chat templates match results to calls by order and refuse a call without one, so the results that follow an
    # answer are collected first: an interrupted session may have left some out.
    open_calls: dict[str, ToolResult | None] = {}
    for message in history:
        match message:
            case Tool(result=result):
                if result.call_id in open_calls:
                    open_calls[result.call_id] = result
            case User(text=text):
                yield from _results(open_calls)
                yield {"role": "user", "content": text}
            case Assistant():
                yield from _results(open_calls)
                open_calls.update(dict.fromkeys(call.id for call in message.tool_calls))
                yield _assistant(message)
    yield from _results(open_calls)


def _assistant(message: Assistant) -> dict[str, Any]:
    fields: dict[str, Any] = {"role": "assistant", "content": message.text}
    if message.tool_calls:
        fields["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(_finite(call.arguments), ensure_ascii=False)},
            }
            for call in message.tool_calls
        ]
    return fields


def _results(open_calls: dict[str, ToolResult | None]) -> Iterator[dict[str, Any]]:
    for call_id, result in open_calls.items():
        content = "cancelled: no result" if result is None else result.content
        yield {"role": "tool", "tool_call_id": call_id, "content": content}
    open_calls.clear()


def _finite(value: Any) -> Any:
    """The value with NaN and infinities as text: JSON has no word for them, and servers refuse Python's."""
    match value:
        case dict():
            return {key: _finite(item) for key, item in value.items()}
        case list():
            return [_finite(item) for item in value]
        case float() if not math.isfinite(value):
            return str(value)
        case _:
            return value
