"""The messages between qcode and its engine process: one JSON object a line, over the child's stdin and stdout.

To the child: Load first, then Complete, Cancel and Count. From the child: Ready or NotLoaded, then for each request
Progress and Text as they come and at the end exactly one Done, Failed or Counted.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Load:
    """How to start; sizes in tokens, `threads` and `batch` 0 for the engine's own choice."""

    model_path: str
    context: int
    slots: int
    threads: int
    gpu_layers: int
    batch: int
    reserve: int
    speculation: str
    prefix_dir: str | None


@dataclass(frozen=True, slots=True)
class Complete:
    """Continue `prompt`; `prefix` is its part that other sessions start with too. `body` is llama.cpp's own."""

    id: int
    prompt: str
    prefix: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop writing the answer to request `id`; its Done still comes."""

    id: int


@dataclass(frozen=True, slots=True)
class Count:
    """How many tokens is `text`?"""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Ready:
    """The model is loaded; `context` is the window of one slot."""

    context: int
    details: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """The model cannot be loaded, and trying again changes nothing."""

    cause: Literal["missing", "model"]
    text: str


@dataclass(frozen=True, slots=True)
class Progress:
    """Prompt tokens known so far, those cached among them, and all that there are."""

    id: int
    processed: int
    total: int
    cached: int


@dataclass(frozen=True, slots=True)
class Text:
    """Some more of the answer."""

    id: int
    text: str


@dataclass(frozen=True, slots=True)
class Done:
    """The answer is complete. Counts in tokens; `timings` in milliseconds, from the engine's clock."""

    id: int
    stop: Literal["end", "length", "cancelled"]
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    timings: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Failed:
    """The request cannot be answered: too long for the window, refused by the engine, or broken inside."""

    id: int
    cause: Literal["overflow", "refused", "internal"]
    text: str


@dataclass(frozen=True, slots=True)
class Counted:
    """The length of the text in tokens."""

    id: int
    tokens: int


Answer = Progress | Text | Done | Failed | Counted
Message = Load | Complete | Cancel | Count | Ready | NotLoaded | Answer

_KINDS: dict[str, type[Message]] = {
    kind.__name__: kind
    for kind in (Load, Complete, Cancel, Count, Ready, NotLoaded, Progress, Text, Done, Failed, Counted)
}


def encode(message: Message) -> bytes:
    """One line, ASCII only, so that no text can break the framing."""
    fields = {item.name: getattr(message, item.name) for item in dataclasses.fields(message)}
    return json.dumps({"kind": type(message).__name__, **fields}, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """The message of one line. Raises: ValueError, KeyError or TypeError for a line that is none."""
    fields = json.loads(line)
    return _KINDS[fields.pop("kind")](**fields)
