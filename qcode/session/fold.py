"""History is a fold over the log, so that resume, fork and replay are the same as going on."""

from collections.abc import Iterable

from qcode.events import AssistantDone, Event, Feedback, ToolFinished, TurnStarted, WentBack
from qcode.messages import Assistant, Message, Tool, ToolCall, User
from qcode_tools.result import Status, ToolResult

CANCELLED = "This call was not carried out: the session was interrupted."


def fold(events: Iterable[Event]) -> tuple[Message, ...]:
    """The conversation that the events add up to. Calls that nobody answered are closed as cancelled: an interrupt and
    a crash look the same to the model."""
    history: list[Message] = []
    pending: list[ToolCall] = []

    def close() -> None:
        history.extend(Tool(result=cancelled(call)) for call in pending)
        pending.clear()

    for event in events:
        match event:
            case TurnStarted(text=text) | Feedback(text=text):
                close()
                history.append(User(text=text))
            case AssistantDone(message=message):
                close()
                history.append(message)
                pending.extend(message.tool_calls)
            case ToolFinished(result=result):
                pending[:] = [call for call in pending if call.id != result.call_id]
                history.append(Tool(result=result))
            case WentBack(kept=kept):
                pending.clear()
                del history[kept:]
            case _:
                pass
    close()
    return tuple(history)


def cancelled(call: ToolCall) -> ToolResult:
    """The answer to a call that was not carried out."""
    return ToolResult(call_id=call.id, name=call.name, status=Status.CANCELLED, content=CANCELLED)


def final_text(history: Iterable[Message]) -> str:
    """The last words of the model."""
    return next((m.text for m in reversed(tuple(history)) if isinstance(m, Assistant)), "")
