"""What one server will not be sent: learned from its refusals, remembered for the next request."""

import re
from typing import Any

from qcode.backends.openai_compat import thought
from qcode.backends.openai_compat.faults import is_overflow, room_for_answer
from qcode.backends.openai_compat.payload import EXTENSIONS

SMALLEST_ANSWER = 256
"""Tokens: with less room than that beside the prompt, the prompt does not fit."""

# vLLM of a request before its window was known: half of it is left for the prompt.
_ANSWER_LIMIT = re.compile(r"max_tokens=\d+ cannot be greater than max_model_len=(\d+)")

_EXTRAS = (*EXTENSIONS, *thought.FIELDS)
_DROPPABLE = (*_EXTRAS, "stream_options", "seed")


def adapted(fields: dict[str, Any], words: str) -> dict[str, Any] | None:
    """The body that may be accepted after a refusal in these words, each time a simpler one; None if it will not be."""
    room = room_for_answer(words)
    if room is not None and SMALLEST_ANSWER <= room < fields.get("max_tokens", 0):
        return fields | {"max_tokens": room}
    if (limit := _ANSWER_LIMIT.search(words)) and fields.get("max_tokens", 0) > int(limit[1]) // 2:
        return fields | {"max_tokens": int(limit[1]) // 2}
    if is_overflow(words):
        return None
    # vLLM without a tool parser refuses "auto"; with "none" it still shows the tools to the model, and the calls stay
    # in the text, where qcode.codec reads them.
    if re.search(r"enable-auto-tool-choice|tool-call-parser", words) and fields.get("tool_choice", "none") != "none":
        return fields | {"tool_choice": "none"}
    if "tool_choice" in words and fields.get("tool_choice") == "required":
        return fields | {"tool_choice": "auto"}
    if "max_completion_tokens" in words and "max_tokens" in fields:
        return _without(fields, {"max_tokens"}) | {"max_completion_tokens": fields["max_tokens"]}
    if "response_format" in fields and re.search(r"response_format|structural_tag|structured.output|grammar", words):
        return _without(fields, {"response_format"})
    named = {name for name in _DROPPABLE if name in fields and re.search(rf"\b{name}\b", words)}
    unwelcome = named or {name for name in _EXTRAS if name in fields} or {"response_format"} & fields.keys()
    return _without(fields, unwelcome) if unwelcome else None


class Habits:
    """What this server refused so far."""

    def __init__(self) -> None:
        self._dropped: set[str] = set()
        self._choices: dict[str, str] = {}
        self._completion_tokens = False

    def apply(self, fields: dict[str, Any]) -> dict[str, Any]:
        """The body as this server takes it."""
        fields = _without(fields, self._dropped)
        if self._completion_tokens and "max_tokens" in fields:
            fields = _without(fields, {"max_tokens"}) | {"max_completion_tokens": fields["max_tokens"]}
        if "tool_choice" in fields:
            fields["tool_choice"] = self._choices.get(fields["tool_choice"], fields["tool_choice"])
        return fields

    def remember(self, wanted: dict[str, Any], accepted: dict[str, Any]) -> None:
        """`accepted` went through where `wanted` did not. The room for one answer is not a habit."""
        self._dropped |= wanted.keys() - accepted.keys() - {"max_tokens", "response_format"}
        self._completion_tokens |= "max_completion_tokens" in accepted
        if wanted.get("tool_choice") != accepted.get("tool_choice"):
            self._choices[wanted["tool_choice"]] = accepted["tool_choice"]


def _without(fields: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in names}
