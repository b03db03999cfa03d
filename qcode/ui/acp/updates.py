"""Events as session/update notifications."""

import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from acp.helpers import (
    SessionUpdate,
    ToolCallContentVariant,
    plan_entry,
    start_tool_call,
    text_block,
    tool_content,
    tool_diff_content,
    update_agent_message_text,
    update_agent_thought_text,
    update_plan,
    update_tool_call,
    update_user_message_text,
)
from acp.schema import ToolCallLocation, ToolKind

from qcode.deltas import EngineRestarted, ModelChanged, Retrying, TextDelta, ThinkingDelta
from qcode.events import (
    AssistantDone,
    ChangesUndone,
    Compacted,
    Event,
    Notice,
    Steered,
    ToolFinished,
    ToolOutput,
    ToolStarted,
)
from qcode.messages import Assistant, Message, Tool, ToolCall, User
from qcode.ui.sanitize import visible
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect
from qcode_tools.toolset import Toolset

OUTPUT_S = 0.2
"""How often the output of a running command is sent, for each time it is sent whole."""

OUTPUT_CHARACTERS = 20_000
_OLD, _NEW, _WHOLE = ("old_str", "old_string"), ("new_str", "new_string"), ("file_text", "content")
_PATHS = ("path", "file_path", "absolute_path")


def thought(line: str) -> SessionUpdate:
    """A line of qcode's own for the user, which is none of the model's words."""
    return update_agent_thought_text(f"\n{visible(line)}\n")


class Updates:
    """Turns the events of one session into updates, in order."""

    def __init__(self, toolset: Callable[[], Toolset], cwd: Path) -> None:
        """`toolset` gives the tools of the model that answers now."""
        self._toolset = toolset
        self._cwd = cwd
        self._output: dict[str, str] = {}
        self._changes: set[str] = set()
        """Calls that were announced with the change that they make."""
        self._sent = 0.0
        self._spoke = False

    def of(self, event: Event) -> Iterator[SessionUpdate]:
        """What an editor is told of an event."""
        match event:
            case TextDelta(text=text):
                self._spoke = True
                yield update_agent_message_text(visible(text))
            case ThinkingDelta(text=text):
                yield update_agent_thought_text(visible(text))
            case AssistantDone(message=message):
                # A backend that does not stream, or an answer that was repaired.
                if message.text.strip() and not self._spoke:
                    yield update_agent_message_text(visible(message.text))
                self._spoke = False
                yield from map(self.announced, message.tool_calls)
            case Retrying(error=error) | EngineRestarted(error=error):
                self._spoke = False
                yield thought(f"{error}; asking again")
            case ToolStarted(call=call):
                yield update_tool_call(call.id, status="in_progress")
            case ToolOutput(call_id=call_id, text=text):
                yield from self._more(call_id, text)
            case ToolFinished(result=result):
                yield from self._finished(result)
            case Notice(text=text):
                yield thought(text)
            case ModelChanged() | Compacted():
                yield thought(event.words)
            case Steered(text=text):
                yield update_user_message_text(visible(text))
            case ChangesUndone(changed=changed) if changed:
                yield update_agent_message_text(visible(f"taken back: {', '.join(changed)}"))
            case _:
                pass

    def replayed(self, history: Iterable[Message]) -> Iterator[SessionUpdate]:
        """What was said before, as session/load tells it."""
        for message in history:
            match message:
                case User(text=text):
                    yield update_user_message_text(visible(text))
                case Assistant(text=text, thinking=thinking, tool_calls=calls):
                    if thinking:
                        yield update_agent_thought_text(visible(thinking))
                    if text:
                        yield update_agent_message_text(visible(text))
                    yield from map(self.announced, calls)
                case Tool(result=result):
                    yield from self._finished(result)

    def announced(self, call: ToolCall) -> SessionUpdate:
        """A call that the model made and that has not begun."""
        path = next((str(call.arguments[name]) for name in _PATHS if call.arguments.get(name)), None)
        change = list(self._change(call, path))
        if change:
            self._changes.add(call.id)
        return start_tool_call(
            call.id,
            _title(call, path),
            kind=self._kind(call),
            status="pending",
            content=change,
            locations=[ToolCallLocation(path=self._absolute(path))] if path else None,
            raw_input=call.arguments,
        )

    def _kind(self, call: ToolCall) -> ToolKind:
        match self._toolset().effect(call.name, call.arguments):
            case Effect.WRITE:
                return "edit"
            case Effect.EXEC:
                return "execute"
            case _:
                name = call.name.lower()
                return "search" if any(word in name for word in ("grep", "glob", "search", "find")) else "read"

    def _change(self, call: ToolCall, path: str | None) -> Iterator[ToolCallContentVariant]:
        given = call.arguments
        old, new, whole = (next((given[k] for k in names if k in given), None) for names in (_OLD, _NEW, _WHOLE))
        if path is None or self._toolset().effect(call.name, given) is not Effect.WRITE:
            return
        if isinstance(new, str):
            yield tool_diff_content(self._absolute(path), new, old if isinstance(old, str) else None)
        elif isinstance(whole, str):
            yield tool_diff_content(self._absolute(path), whole)

    def _absolute(self, path: str) -> str:
        return str(self._cwd / path)

    def _more(self, call_id: str, text: str) -> Iterator[SessionUpdate]:
        self._output[call_id] = (self._output.get(call_id, "") + text)[-OUTPUT_CHARACTERS:]
        if time.monotonic() - self._sent >= OUTPUT_S:
            self._sent = time.monotonic()
            yield update_tool_call(call_id, content=[_text(self._output[call_id])])

    def _finished(self, result: ToolResult) -> Iterator[SessionUpdate]:
        self._output.pop(result.call_id, None)
        done = result.status is Status.OK
        # Content replaces what the call had: a change that was made stays to be seen.
        shown = None if done and result.call_id in self._changes else [_text(result.display or result.content)]
        yield update_tool_call(result.call_id, status="completed" if done else "failed", content=shown)
        todos = result.extra.get("todos")
        if isinstance(todos, list):
            yield update_plan(map(_entry, todos))


def _title(call: ToolCall, path: str | None) -> str:
    what = path or call.arguments.get("command") or next(iter(call.arguments.values()), "")
    line = visible(" ".join(str(what).split()))
    return f"{visible(call.name)} {line[:200]}".rstrip()


def _text(text: str) -> ToolCallContentVariant:
    return tool_content(text_block(visible(text)))


def _entry(todo: dict[str, Any]) -> Any:
    status = todo.get("status")
    return plan_entry(
        visible(str(todo.get("content", ""))),
        status=status if status in ("pending", "in_progress", "completed") else "pending",
    )
