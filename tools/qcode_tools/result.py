"""The answer to one tool call, for its three readers."""

from enum import StrEnum
from typing import Any

from pydantic import BaseModel, ConfigDict


class Status(StrEnum):
    """How a call ended."""

    OK = "ok"
    ERROR = "error"
    DENIED = "denied"
    CANCELLED = "cancelled"


class ToolResult(BaseModel):
    """`content` is for the model, `display` for the user ("" means: show the content), `extra` for the log."""

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    call_id: str
    name: str
    status: Status
    content: str
    display: str = ""
    extra: dict[str, Any] = {}
