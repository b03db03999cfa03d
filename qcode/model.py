"""The seam between the agent and whatever runs the model."""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from qcode.deltas import (
    ArgumentDone,
    EngineRestarted,
    ModelChanged,
    PrefillProgress,
    Recovered,
    Retrying,
    TextDelta,
    ThinkingDelta,
    ToolCallDelta,
)
from qcode.messages import Assistant, Frozen, Message
from qcode_tools.spec import ToolSpec

Delta = (
    PrefillProgress
    | TextDelta
    | ThinkingDelta
    | ToolCallDelta
    | ArgumentDone
    | Recovered
    | Retrying
    | EngineRestarted
    | ModelChanged
)
"""What a backend yields before its one Assistant message. After EngineRestarted or Retrying the answer starts again
from nothing: a reader drops the deltas it has seen of it. ModelChanged comes before anything of an answer."""

ToolChoice = Literal["auto", "required", "none"]


class Thinking(Frozen):
    """Whether a model that can do both reasons before it answers, and for how many tokens at most."""

    enabled: bool
    budget: int | None = None


class Sampling(Frozen):
    """How the next token is chosen; None leaves a value to the engine. `thinking` is None where there is no choice."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    repetition_penalty: float | None = None
    max_tokens: int = 4096
    seed: int | None = None
    thinking: Thinking | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One prompt. `tool_choice` "required" asks the engine to end the answer with a call, after a short free text, and
    "none" to write none; the tools stand in the prompt all the same, so that it goes on where it was.

    `choices` (tool, parameter, values) are the only strings that a constrained engine may write there; they are no part
    of the prompt, and other backends pass over them. So are `withheld`, tools that it may not call now.

    `stopped` is asked after each delta. As soon as it says yes, the backend stops the model and ends the answer with
    what is there, stop CANCELLED; a call that was being written has those of its arguments that were complete.

    `session` is the same for all requests of a conversation: by it a router in front of several servers knows which of
    them has read the prompt before.
    """

    system: str
    history: tuple[Message, ...]
    tools: tuple[ToolSpec, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)
    tool_choice: ToolChoice = "auto"
    choices: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    withheld: frozenset[str] = frozenset()
    stopped: Callable[[], bool] = field(default=lambda: False, compare=False)
    session: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class BackendInfo:
    """Who answers: `model` as the user knows it, `engine` such as "llama.cpp" or "openai", window in tokens
    (None when the server does not tell)."""

    model: str
    engine: str
    context_window: int | None
    details: Mapping[str, str] = field(default_factory=dict)


class Backend(Protocol):
    """Something that answers requests, one at a time per caller; closed with `aclose`."""

    @property
    def info(self) -> BackendInfo: ...

    def stream(self, request: Request) -> AsyncGenerator[Delta | Assistant, None]:
        """Yield deltas, then exactly one Assistant.

        Closing the generator early cancels generation, and its usage is lost; `request.stopped` ends it in order.
        Raises: BackendError.
        """
        ...

    async def count_tokens(self, request: Request) -> int | None:
        """Exact length of the prompt in tokens, or None where the server cannot tell. Raises: BackendError."""
        ...

    async def aclose(self) -> None:
        """Release what the backend holds; safe to call twice."""
        ...


class Reachable(Backend, Protocol):
    """A backend that can be got ready, and asked whether it is there, before the first request."""

    def start(self) -> None:
        """Begin to get ready, beside whatever comes first; needs a running event loop."""
        ...

    async def ready(self) -> BackendInfo:
        """Wait until it can answer; who it is, as far as that can be known. Raises: BackendError, ModelFileError."""
        ...
