"""Collects what a parser finds in an answer: events for the eye, and the final result."""

from typing import Any

from qcode.codec.fences import Markdown, Place
from qcode.codec.lexer import BLANKS
from qcode.codec.types import (
    ArgumentFinished,
    ArgumentText,
    CallFinished,
    CallStarted,
    CodecEvent,
    Parsed,
    ParsedCall,
    Problem,
    Text,
)

_FENCES = ("```", "~~~")

_FENCED = (
    "The call stands in a code fence, where it is only shown, so it was not executed: write it again without the fence"
)

_MISFORMED = (
    "What looks like a tool call could not be read, so nothing was executed: write <tool_call>, <function=NAME>, then "
    "<parameter=KEY>, its value and </parameter> for each argument, </function> and </tool_call>, each on its own line"
)


class Output:
    """`take` gives the events since the last time; `parsed` the result."""

    def __init__(self) -> None:
        self.markdown = Markdown()
        self.recoveries = 0
        self.truncated = False
        self.misformed = False
        """A call was tried outside of code, and stayed text."""
        self.fenced = False
        """A call to a known tool was shown in a fenced block."""
        self._events: list[CodecEvent] = []
        self._content: list[str] = []
        self._blank: list[str] | None = []
        self._calls: list[ParsedCall] = []
        self._problems: list[str] = []

    def take(self) -> list[CodecEvent]:
        """The events that have come up."""
        events, self._events = self._events, []
        return events

    def parsed(self) -> Parsed:
        """The answer as far as it is known."""
        return Parsed(
            content="".join(self._content),
            tool_calls=tuple(self._calls),
            truncated=self.truncated,
            problems=tuple(self._problems),
            recoveries=self.recoveries,
        )

    def content(self, text: str) -> None:
        """Text outside calls; what is blank between two calls, or before the first, is only their framing."""
        if not text:
            return
        self.markdown.feed(text)
        if self._blank is not None:
            if not text.strip(BLANKS):
                self._blank.append(text)
                return
            text = "".join(self._blank) + text
            self._blank = None
        self._show(text)

    def start(self, name: str) -> int:
        """A call begins; returns its index."""
        self._blank = []
        self._events.append(CallStarted(len(self._calls), name))
        return len(self._calls)

    def argument(self, index: int, name: str, text: str) -> None:
        """Some more of an argument."""
        if text:
            self._events.append(ArgumentText(index, name, text))

    def finish_argument(self, index: int, name: str, value: Any) -> None:
        """An argument is complete."""
        self._events.append(ArgumentFinished(index, name, value))

    def finish_call(self, index: int, name: str, arguments: dict[str, Any]) -> None:
        """The call that began is complete."""
        call = ParsedCall(name, arguments)
        self._calls.append(call)
        self._events.append(CallFinished(index, call))
        self.markdown.reset()

    def problem(self, line: str) -> None:
        """Something that the model has to be told."""
        self._problems.append(line)
        self._events.append(Problem(line))

    def cut_off(self, line: str) -> None:
        """The answer ended inside a call."""
        self.truncated = True
        self._blank = None
        self.problem(line)

    def finish(self) -> None:
        """The answer is over: an answer without calls is kept to the last blank."""
        if self._calls or self.truncated:
            return
        if self._blank:
            self._show("".join(self._blank))
        if self.misformed:
            self.problem(_MISFORMED)
        elif self.fenced and (self.markdown.place is Place.CODE or "".join(self._content).rstrip().endswith(_FENCES)):
            self.problem(_FENCED)

    def _show(self, text: str) -> None:
        self._content.append(text)
        self._events.append(Text(text))
