"""A conversation in the forms that training and other programs take.

openai: `messages` with `tool_calls`, `weight` 0 where nothing is to be learned, and `tools`. ms-swift: roles tool_call
and tool_response, `loss` per message, `tools` as JSON text. sharegpt: `conversations` with function_call and
observation, and `loss` too. Only what the model wrote well is learned from: not an answer whose call failed or was not
understood, nor, unless it is asked for, one that had to be repaired. What reads as a control token of a tokenizer is
kept from being one, as it was in the prompts.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from qcode.control import plain
from qcode.deltas import ModelChanged
from qcode.events import Event, SessionStarted
from qcode.messages import Assistant, Message, Tool, ToolCall, User
from qcode.session.fold import fold
from qcode_tools.result import Status
from qcode_tools.spec import ToolSpec
from qcode_tools.toolsets import NAMES, build_toolset


@dataclass(frozen=True, slots=True)
class Transcript:
    """A system prompt, the tools that there were, and what was said. `repaired`: whether answers that were repaired are
    learned from, as they stand here after it."""

    system: str
    tools: tuple[ToolSpec, ...]
    history: tuple[Message, ...]
    repaired: bool = False

    def learned(self, place: int) -> bool:
        """Whether a model shall learn to write this answer."""
        message = self.history[place]
        if not isinstance(message, Assistant) or message.problems or (message.written and not self.repaired):
            return False
        for answer in (self.history[i] for i in range(place + 1, len(self.history))):
            if not isinstance(answer, Tool):
                break
            if answer.result.status is not Status.OK:
                return False
        return True


def transcript(events: Iterable[Event]) -> Transcript | None:
    """The conversation of a log as the model that answered last has it, or None if that has no beginning."""
    events = tuple(events)
    started = next((event for event in events if isinstance(event, SessionStarted)), None)
    if started is None:
        return None
    system, name, known = started.system, started.settings.get("toolset", "swe"), started.tools
    for event in events:
        if isinstance(event, ModelChanged) and event.toolset:
            system, name, known = event.system, event.toolset, event.tools
    specs = {spec.name: spec for spec in build_toolset(name).specs} if name in NAMES else {}
    return Transcript(system, tuple(specs[tool] for tool in known if tool in specs), fold(events))


def openai(said: Transcript) -> dict[str, Any]:
    """`messages` as the Chat Completions API has them."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": said.system}]
    for place, message in enumerate(said.history):
        match message:
            case User(text=text):
                messages.append({"role": "user", "content": text})
            case Assistant(text=text, tool_calls=calls):
                answer: dict[str, Any] = {"role": "assistant", "content": text, "weight": int(said.learned(place))}
                if calls:
                    answer["tool_calls"] = [_openai_call(call) for call in calls]
                messages.append(answer)
            case Tool(result=result):
                messages.append({"role": "tool", "tool_call_id": result.call_id, "content": result.content})
    return _plain({"messages": messages, "tools": _functions(said.tools)})


def swift(said: Transcript) -> dict[str, Any]:
    """`messages` and `tools` as ms-swift's agent datasets have them."""
    messages: list[dict[str, Any]] = [{"role": "system", "content": said.system}]
    messages += [{"role": kind, "content": text} | loss for kind, text, loss in _apart(said)]
    return _plain({"messages": messages, "tools": json.dumps(_functions(said.tools), ensure_ascii=False)})


def sharegpt(said: Transcript) -> dict[str, Any]:
    """`conversations` with function_call and observation."""
    turns = [{"from": _SHAREGPT[kind], "value": text} | loss for kind, text, loss in _apart(said)]
    tools = json.dumps([entry["function"] for entry in _functions(said.tools)], ensure_ascii=False)
    return _plain({"system": said.system, "conversations": turns, "tools": tools})


_SHAREGPT = {"user": "human", "assistant": "gpt", "tool_call": "function_call", "tool_response": "observation"}


def _apart(said: Transcript) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Each message by ms-swift's name for it, its text, and for what the model wrote whether it is learned from. Calls
    are messages of their own."""
    for place, message in enumerate(said.history):
        match message:
            case User(text=text):
                yield "user", text, {}
            case Assistant(text=text, tool_calls=calls):
                loss = {"loss": said.learned(place)}
                if text or not calls:
                    yield "assistant", text, loss
                for call in calls:
                    yield "tool_call", _call_text(call), loss
            case Tool(result=result):
                yield "tool_response", result.content, {}


FORMATS: dict[str, Callable[[Transcript], dict[str, Any]]] = {"openai": openai, "ms-swift": swift, "sharegpt": sharegpt}


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """The same without any text that a tokenizer takes for a control token."""
    return {plain(name): _plain_value(value) for name, value in row.items()}


def _plain_value(value: Any) -> Any:
    match value:
        case str():
            return plain(value)
        case list():
            return [_plain_value(each) for each in value]
        case dict():
            return _plain(value)
        case _:
            return value


def _functions(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    return [
        {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.parameters}}
        for t in tools
    ]


def _call_text(call: ToolCall) -> str:
    return json.dumps({"name": call.name, "arguments": call.arguments}, ensure_ascii=False)


def _openai_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.name, "arguments": json.dumps(call.arguments, ensure_ascii=False)}
    return {"id": call.id, "type": "function", "function": function}
