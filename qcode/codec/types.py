"""What the codec gives back: a parsed answer, its calls, and the events of one that is still being written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from qcode_tools.spec import ToolSpec


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """One call that can be executed; `arguments` are typed by the tool's schema where their text allows it."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Parsed:
    """One whole answer.

    `content` is all text that belongs to no call. `truncated` tells that the text ended inside a call, which is then
    not among `tool_calls`. `problems` are lines for the model: what could not be understood and what to write instead.
    `recoveries` counts the deviations from the exact form that were repaired.
    """

    content: str = ""
    tool_calls: tuple[ParsedCall, ...] = ()
    truncated: bool = False
    problems: tuple[str, ...] = ()
    recoveries: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """Some more of the content; it is never taken back."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call to `name` begins; `index` counts the calls of this answer from 0."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class ArgumentText:
    """Some more of the raw text of `argument`, for the eye: the call's arguments are those of CallFinished.

    Should the same argument come twice in a call, the later text counts.
    """

    index: int
    argument: str
    text: str


@dataclass(frozen=True, slots=True)
class ArgumentFinished:
    """`argument` is complete, and this is its typed value; its call may still break off."""

    index: int
    argument: str
    value: Any


@dataclass(frozen=True, slots=True)
class CallFinished:
    """The call is complete and can be executed."""

    index: int
    call: ParsedCall


@dataclass(frozen=True, slots=True)
class Problem:
    """A line for the model about a call that cannot be executed; one that had started is dropped."""

    text: str


CodecEvent: TypeAlias = Text | CallStarted | ArgumentText | ArgumentFinished | CallFinished | Problem

Tool: TypeAlias = "ToolSpec | Mapping[str, Any]"
"""A ToolSpec, OpenAI's {"type": "function", "function": {...}}, or that inner mapping alone."""


@dataclass(frozen=True, slots=True)
class Function:
    """A tool in the one form that this package works with; `parameters` is its JSON schema, {} where it has none."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
