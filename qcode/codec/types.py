"""What the codec gives back: a parsed answer, its calls, and the events of one that is still being written."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

if TYPE_CHECKING:
    from qcode_tools.spec import ToolSpec


class Dialect(StrEnum):
    """The form in which a model writes its calls: tags with plain text (Qwen3-Coder), or JSON (Qwen2.5, Qwen3)."""

    QWEN3_CODER = "qwen3_coder"
    HERMES = "hermes"


class ThinkingMode(StrEnum):
    """What a model's thinking, `<think>…</think>`, is: TEXT like any other; IN_TAGS, apart from the content; BEGUN by
    the prompt, so that the answer starts within it; SKIPPED, an empty one that ends the prompt."""

    TEXT = "text"
    IN_TAGS = "in_tags"
    BEGUN = "begun"
    SKIPPED = "skipped"


class Recovery(StrEnum):
    """A deviation from the exact form that was repaired."""

    MISSING_OPENER = "missing_opener"
    MISSING_CLOSER = "missing_closer"
    DOUBLED_TAG = "doubled_tag"
    STRAY_CLOSER = "stray_closer"
    FOREIGN_CLOSER = "foreign_closer"
    TAG_FORM = "tag_form"
    STRAY_TEXT = "stray_text"
    DUPLICATE_ARGUMENT = "duplicate_argument"
    ARGUMENTS_FORM = "arguments_form"
    OTHER_DIALECT = "other_dialect"
    BROKEN_JSON = "broken_json"


class ProblemKind(StrEnum):
    """Why a call cannot be executed."""

    TRUNCATED = "truncated"
    FENCED = "fenced"
    MISFORMED = "misformed"


@dataclass(frozen=True, slots=True)
class ParsedCall:
    """One call that can be executed; `arguments` are typed by the tool's schema where their text allows it."""

    name: str
    arguments: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Text:
    """Some more of the content; it is never taken back."""

    text: str


@dataclass(frozen=True, slots=True)
class ThinkingText:
    """Some more of the model's thinking."""

    text: str


@dataclass(frozen=True, slots=True)
class CallStarted:
    """A call to `name` begins; `index` counts the calls that began in this answer from 0."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class ArgumentText:
    """Some more of the text of `argument`, for the eye: of a string its characters, else as the model writes it.

    `argument` is "" where the text is JSON of all arguments. Should an argument come twice, the later text counts.
    """

    index: int
    argument: str
    text: str


@dataclass(frozen=True, slots=True)
class ArgumentFinished:
    """`argument` is complete, though its call may not be; `value` is typed as it will be in the call."""

    index: int
    argument: str
    value: Any


@dataclass(frozen=True, slots=True)
class CallFinished:
    """The call is complete and can be executed."""

    index: int
    call: ParsedCall


@dataclass(frozen=True, slots=True)
class Recovered:
    """Something was repaired."""

    kind: Recovery


@dataclass(frozen=True, slots=True)
class Problem:
    """A call that cannot be executed; one that had started is dropped. `text` is a line that tells the model what to
    write."""

    kind: ProblemKind
    text: str


CodecEvent: TypeAlias = (
    Text | ThinkingText | CallStarted | ArgumentText | ArgumentFinished | CallFinished | Recovered | Problem
)


@dataclass(frozen=True, slots=True)
class Parsed:
    """One whole answer.

    `content` is all text that belongs to no call and no thinking. `truncated` tells that the text ended inside a call,
    which is then not among `tool_calls`.
    """

    content: str = ""
    tool_calls: tuple[ParsedCall, ...] = ()
    truncated: bool = False
    problems: tuple[Problem, ...] = ()
    recoveries: tuple[Recovery, ...] = ()
    thinking: str = ""


Tool: TypeAlias = "ToolSpec | Mapping[str, Any]"
"""A ToolSpec, OpenAI's {"type": "function", "function": {...}}, or that inner mapping alone."""


@dataclass(frozen=True, slots=True)
class Function:
    """A tool in the one form that this package works with; `parameters` is its JSON schema, {} where it has none."""

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
