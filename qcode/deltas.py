"""What a backend yields while it answers, before its one complete message."""

from typing import Any, Literal

from qcode.messages import Frozen


class PrefillProgress(Frozen):
    """The prompt is being read: `processed` of `total` tokens, `cached` of them for free."""

    event: Literal["prefill_progress"] = "prefill_progress"
    processed: int
    total: int
    cached: int


class TextDelta(Frozen):
    """Some more of the answer's text."""

    event: Literal["text_delta"] = "text_delta"
    text: str


class ThinkingDelta(Frozen):
    """Some more of the model's thinking."""

    event: Literal["thinking_delta"] = "thinking_delta"
    text: str


class ToolCallDelta(Frozen):
    """Some more of a tool call that is being written; `index` counts the calls of this answer from 0.

    `name` comes once, first; then `argument` names the argument that `text` continues, or is "" where `text` is raw
    JSON without a part of a text in it, as servers that parse calls send it.
    """

    event: Literal["tool_call_delta"] = "tool_call_delta"
    index: int
    name: str = ""
    argument: str = ""
    text: str = ""


class ArgumentDone(Frozen):
    """One argument of a call that is being written is complete; `index` as in ToolCallDelta.

    Its call may still break off. Should the same argument come twice, the later one counts.
    """

    event: Literal["argument_done"] = "argument_done"
    index: int
    argument: str
    value: Any


class Recovered(Frozen):
    """Something in the form of a call was repaired; `kind` is one of qcode.codec.Recovery."""

    event: Literal["recovered"] = "recovered"
    kind: str


class Retrying(Frozen):
    """The backend failed and is asked again; `attempt` counts from 1."""

    event: Literal["retrying"] = "retrying"
    attempt: int
    wait_s: float
    error: str


class EngineRestarted(Frozen):
    """The engine died and is back; the answer starts again from nothing."""

    event: Literal["engine_restarted"] = "engine_restarted"
    error: str


class ModelChanged(Frozen):
    """From here on the conversation is answered by another model, or by the same in another window.

    `before` is the last one ("" where its name was not known); the window is in tokens (None: the server does not
    tell). `reason` is "chosen" where the user wanted it, "found" where the server came back so, "replaced" where the
    engine has loaded another file under the same name.

    `tools` and `system` are what the model is given from now on, where that changed too. `reads` are about the tokens
    that it has to read anew, 0 where that is not known.
    """

    event: Literal["model_changed"] = "model_changed"
    model: str
    before: str
    engine: str = ""
    window: int | None = None
    reason: Literal["chosen", "found", "replaced"] = "chosen"
    toolset: str = ""
    tools: tuple[str, ...] = ()
    system: str = ""
    reads: int = 0

    @property
    def words(self) -> str:
        """One line for people."""
        window = f"; its window is {self.window:,} tokens" if self.window else ""
        if self.reason == "replaced":
            return f"the file of {self.model} was replaced: what answers from here on may be another model{window}"
        if not self.before:
            return f"{self.model} answers{window}"
        if self.model != self.before:
            return f"the model that answers is now {self.model}; until here it was {self.before}{window}"
        tools = f"; its tools are now those of the set {self.toolset}" if self.toolset else ""
        return f"{self.model} goes on otherwise{tools}{window}"
