"""What the checks ask: short conversations with the same system prompt and tools, which are read once."""

from collections.abc import Iterator
from dataclasses import replace
from enum import StrEnum

from qcode.messages import Assistant, Message, Tool, ToolCall, User
from qcode.model import Request, Sampling
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect, ToolSpec

SYSTEM = "You are an agent in a repository. You answer with tool calls."

_TEXT, _NUMBER, _FLAG = {"type": "string"}, {"type": "integer"}, {"type": "boolean"}
WAIT = ToolSpec(
    "wait",
    "Wait for some seconds.",
    {
        "type": "object",
        "properties": {"seconds": _NUMBER, "quietly": _FLAG},
        "required": ["seconds", "quietly"],
    },
    Effect.READ,
)
SHOW = ToolSpec(
    "show", "Show a file.", {"type": "object", "properties": {"path": _TEXT}, "required": ["path"]}, Effect.READ
)
TOOLS = (WAIT, SHOW)

LONGER = "notes about the harbour, the lighthouse, eleven wooden boats and a dog that watches them from the pier"

GREEDY = Sampling(temperature=0.0, seed=1, max_tokens=64)


def _call(number: int, name: str, **arguments: str | int | bool) -> ToolCall:
    return ToolCall(id=f"call_{number}", name=name, arguments=arguments)


def _result(number: int, name: str, content: str) -> Tool:
    return Tool(result=ToolResult(call_id=f"call_{number}", name=name, status=Status.OK, content=content))


class Question(StrEnum):
    """What is asked; before it come two examples of the same kind, which even a small model goes on with."""

    SHOW = "Show c.txt."
    WAIT = "Wait 7 seconds, quietly."
    SHOW_TWO = "Show e.txt and f.txt."


def _shown(number: int, *paths: str) -> Iterator[Message]:
    yield User(text=f"Show {' and '.join(paths)}.")
    yield Assistant(tool_calls=tuple(_call(number + i, "show", path=path) for i, path in enumerate(paths)))
    for i, path in enumerate(paths):
        yield _result(number + i, "show", f"this is {path}")


def _waited(number: int, seconds: int) -> Iterator[Message]:
    yield User(text=f"Wait {seconds} seconds, quietly.")
    yield Assistant(tool_calls=(_call(number, "wait", seconds=seconds, quietly=True),))
    yield _result(number, "wait", "done")


_EXAMPLES: dict[Question, tuple[Message, ...]] = {
    Question.SHOW: (*_shown(1, "a.txt"), *_shown(2, "b.txt")),
    Question.WAIT: (*_waited(1, 3), *_waited(2, 5)),
    Question.SHOW_TWO: (*_shown(1, "a.txt", "b.txt"), *_shown(3, "c.txt", "d.txt")),
}

COUNT = "Count from 1 to 300 in words, one a line."


def question(words: Question, *, max_tokens: int = 48) -> Request:
    """Examples and then these words."""
    sampling = GREEDY.model_copy(update={"max_tokens": max_tokens})
    return Request(SYSTEM, (*_EXAMPLES[words], User(text=words.value)), TOOLS, sampling)


def plain(words: str, *, system: str = "You are brief.", max_tokens: int = 48) -> Request:
    """A question without history and tools."""
    return Request(system, (User(text=words),), (), GREEDY.model_copy(update={"max_tokens": max_tokens}))


def next_turn(request: Request, *, content: str) -> Request:
    """The turn after a question about a file: its call and what it gave."""
    history = (*request.history, Assistant(tool_calls=(_call(5, "show", path="c.txt"),)), _result(5, "show", content))
    return replace(request, history=history, sampling=request.sampling.model_copy(update={"max_tokens": 1}))


SECRET = "kiwi-4711"


def long_prompt(lines: int) -> str:
    """A text whose first line must be known at its end; each further line has the same number of tokens."""
    filler = "\n".join(["The boat in the harbour is blue and its sail is grey."] * lines)
    return f"The secret word is {SECRET}.\n{filler}\nWhat is the secret word in the first line? Answer with that word."
