"""The conversation as data: what is stored, replayed and rendered into a prompt."""

from collections import Counter
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from qcode_tools.result import ToolResult


class Frozen(BaseModel):
    """Immutable data that round-trips through JSON and refuses unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class Usage(Frozen):
    """Tokens and requests spent. `prompt_tokens` includes `cached_tokens`, those that were not evaluated again."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    requests: int = 0
    cache_untold: int = 0
    """Requests whose server did not say how much was cached: 0 is not known to be none."""
    recoveries: int = 0
    """How often something in the form of a call was repaired."""
    recovered: dict[str, int] = {}
    """The same by kind (qcode.codec.Recovery)."""
    stopped_calls: int = 0
    """Calls that were stopped while they were written: they could no longer succeed, or there was nothing to add."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            requests=self.requests + other.requests,
            cache_untold=self.cache_untold + other.cache_untold,
            recoveries=self.recoveries + other.recoveries,
            recovered=dict(Counter(self.recovered) + Counter(other.recovered)),
            stopped_calls=self.stopped_calls + other.stopped_calls,
        )


class Stop(StrEnum):
    """Why the model stopped."""

    END = "end"
    TOOL_CALLS = "tool_calls"
    LENGTH = "length"
    CANCELLED = "cancelled"


class ToolCall(Frozen):
    """One call that the model asked for; `arguments` are decoded but not yet validated."""

    id: str
    name: str
    arguments: dict[str, Any]


class User(Frozen):
    """What the user, or the loop on the user's behalf, says."""

    role: Literal["user"] = "user"
    text: str


class Assistant(Frozen):
    """One complete answer of the model."""

    role: Literal["assistant"] = "assistant"
    text: str = ""
    thinking: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    stop: Stop = Stop.END
    usage: Usage = Usage()
    problems: tuple[str, ...] = ()
    """One line each, for the model: calls in this answer that could not be understood."""
    written: str = ""
    """For the log: the answer as the model wrote it, where something in it was repaired or not understood."""


class Tool(Frozen):
    """The answer to one tool call."""

    role: Literal["tool"] = "tool"
    result: ToolResult


Message = Annotated[User | Assistant | Tool, Field(discriminator="role")]
