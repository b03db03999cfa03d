"""Everything that happens in a session, as frozen data with one discriminator, `event`.

Deltas are for the eye and are not written to the session's log: the message that they add up to is (AssistantDone,
ToolFinished).
"""

from enum import StrEnum
from functools import cache
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter

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
from qcode.messages import Assistant, Frozen, Message, ToolCall, Usage
from qcode_tools.result import ToolResult
from qcode_tools.spec import Effect


class Reason(StrEnum):
    """Why a turn ended. All but ERROR and INTERRUPTED are normal endings."""

    FINISHED = "finished"
    MAX_TURNS = "max_turns"
    MAX_TOKENS = "max_tokens"
    MAX_SECONDS = "max_seconds"
    CONTEXT_FULL = "context_full"
    LOOP = "loop"
    NO_PROGRESS = "no_progress"
    INTERRUPTED = "interrupted"
    ERROR = "error"

    @property
    def is_limit(self) -> bool:
        """True where the work stopped short of its end but can still be used."""
        return self in {
            Reason.MAX_TURNS, Reason.MAX_TOKENS, Reason.MAX_SECONDS, Reason.CONTEXT_FULL, Reason.LOOP,
            Reason.NO_PROGRESS,
        }  # fmt: skip


class SessionStarted(Frozen):
    """First line of a session's log."""

    event: Literal["session_started"] = "session_started"
    session_id: str
    qcode_version: str
    started_at: str
    """ISO 8601, UTC."""
    cwd: str
    model: str
    engine: str
    sandbox: str
    system: str
    tools: tuple[str, ...]
    settings: dict[str, Any] = {}
    forked_from: str = ""
    """Id of the session whose beginning this one has."""


class TurnStarted(Frozen):
    """What the model gets at the beginning of a turn; `said` are the user's own words, where there is more to it."""

    event: Literal["turn_started"] = "turn_started"
    text: str
    said: str = ""


class StepStarted(Frozen):
    """A request to the model is about to be sent; `step` counts from 1 within the turn."""

    event: Literal["step_started"] = "step_started"
    step: int


class AssistantDone(Frozen):
    """One complete answer of the model, and how long it took in seconds."""

    event: Literal["assistant_done"] = "assistant_done"
    message: Assistant
    seconds: float = 0.0
    first_token_s: float | None = None


class CallStopped(Frozen):
    """The model was stopped while it wrote a call that could no longer succeed. `call` has the arguments that were
    complete; `reason` is what the model is told as its result."""

    event: Literal["call_stopped"] = "call_stopped"
    call: ToolCall
    reason: str


class Feedback(Frozen):
    """Words that the loop itself puts to the model: a call that cannot be understood, a reminder to act."""

    event: Literal["feedback"] = "feedback"
    text: str
    cause: str


class WentBack(Frozen):
    """The conversation was taken back to its first `kept` messages, because what followed led nowhere."""

    event: Literal["went_back"] = "went_back"
    kept: int


class Rewound(Frozen):
    """The user took the conversation back to before turn `turn`, counted from 1 over the session."""

    event: Literal["rewound"] = "rewound"
    turn: int


class Cleared(Frozen):
    """The user began a new conversation; the files stay as they are."""

    event: Literal["cleared"] = "cleared"


class Steered(Frozen):
    """Words of the user while the model worked, put before its next step."""

    event: Literal["steered"] = "steered"
    text: str


class ShellRan(Frozen):
    """A command of the user's own ran in the sandbox. The model is told `told`."""

    event: Literal["shell_ran"] = "shell_ran"
    command: str
    output: str
    exit_code: int
    told: str


class FilesChanged(Frozen):
    """What a call changed in the work tree, numbered from 1 over the session; `patch` is a git diff, base64 where
    `coded` (it is not UTF-8), "" where it is too large to keep."""

    event: Literal["files_changed"] = "files_changed"
    number: int
    call_id: str
    paths: tuple[str, ...]
    patch: str
    coded: bool = False


class ChangesUndone(Frozen):
    """Changes were taken back, by their numbers. `changed` are the files that this changed; `kept` those that were left
    as they are, because somebody else changed them in the same place, or the change was too large to be kept."""

    event: Literal["changes_undone"] = "changes_undone"
    numbers: tuple[int, ...]
    changed: tuple[str, ...]
    kept: tuple[str, ...]
    told: str
    """What the model is told of it, "" for nothing."""


class GuideShown(Frozen):
    """The model works in a subfolder that has instructions of its own: the file, and what the model is told."""

    event: Literal["guide_shown"] = "guide_shown"
    path: str
    told: str


class CompactionCause(StrEnum):
    """Why a conversation was shortened."""

    SHARE = "share"
    """The prompt had reached the set share of the window."""
    ASKED = "asked"
    OVERFLOW = "overflow"
    """The backend said that the prompt does not fit."""
    MODEL = "model"
    """The model that is to answer next has a smaller window."""


class Compacted(Frozen):
    """The conversation was shortened: `history` is what the model knows from now on.

    `before` and `after` are the prompt's tokens, counted where `exact`, else estimated. `how`: old results of tools
    were left out ("results"), or all but the beginning and the last steps became the model's own summary ("summary"),
    which cost `usage`, or went without one ("cut").
    """

    event: Literal["compacted"] = "compacted"
    history: tuple[Message, ...]
    cause: CompactionCause
    how: Literal["results", "summary", "cut"]
    before: int
    after: int
    exact: bool
    usage: Usage = Usage()
    seconds: float = 0.0

    @property
    def words(self) -> str:
        """One line for people."""
        how = {
            "results": "old results of tools were left out",
            "summary": "the model's summary stands for what came before",
            "cut": "what came between the first words and the last steps was left out",
        }
        about = "" if self.exact else "about "
        return f"shortened from {about}{self.before:,} to {self.after:,} tokens: {how[self.how]}"


class CompactionUndone(Frozen):
    """The last shortening was taken back: the conversation is what it was, with what came after it."""

    event: Literal["compaction_undone"] = "compaction_undone"


class Queued(Frozen):
    """What the user has typed ahead and not said yet: all of it, in order. In the log, so that a crash loses none."""

    event: Literal["queued"] = "queued"
    words: tuple[str, ...]


class Notice(Frozen):
    """One line for the user that the model does not get."""

    event: Literal["notice"] = "notice"
    text: str


class ApprovalAsked(Frozen):
    """The policy wants a person's word on a call before it runs.

    `reason` says why in one line; `preview` is what will happen: a unified diff, or the commands that a script runs,
    one a line; `rule` is what "always" would add, "" where no rule can be offered. What a model or a file wrote is in
    all of them as text, with control and bidi characters spelled out.
    """

    event: Literal["approval_asked"] = "approval_asked"
    call: ToolCall
    effect: Effect
    reason: str
    rule: str = ""
    preview: str = ""


class ApprovalGiven(Frozen):
    """What the person said. `advice` is for the model; `rule` is the rule that "always" added."""

    event: Literal["approval_given"] = "approval_given"
    call_id: str
    decision: Literal["once", "always", "no"]
    advice: str = ""
    rule: str = ""


class ToolStarted(Frozen):
    """A call is about to run."""

    event: Literal["tool_started"] = "tool_started"
    call: ToolCall


class ToolOutput(Frozen):
    """Output of a running tool, as it comes."""

    event: Literal["tool_output"] = "tool_output"
    call_id: str
    text: str


class ToolFinished(Frozen):
    """A call was answered."""

    event: Literal["tool_finished"] = "tool_finished"
    result: ToolResult
    seconds: float = 0.0


class TurnFinished(Frozen):
    """The end of a turn, whichever way it came."""

    event: Literal["turn_finished"] = "turn_finished"
    reason: Reason
    text: str = ""
    steps: int = 0
    usage: Usage = Usage()
    seconds: float = 0.0
    error: str | None = None


Event = Annotated[
    SessionStarted
    | TurnStarted
    | StepStarted
    | PrefillProgress
    | TextDelta
    | ThinkingDelta
    | ToolCallDelta
    | ArgumentDone
    | Recovered
    | Retrying
    | EngineRestarted
    | ModelChanged
    | AssistantDone
    | CallStopped
    | Feedback
    | WentBack
    | Rewound
    | Cleared
    | Steered
    | ShellRan
    | FilesChanged
    | ChangesUndone
    | GuideShown
    | Compacted
    | CompactionUndone
    | Queued
    | Notice
    | ApprovalAsked
    | ApprovalGiven
    | ToolStarted
    | ToolOutput
    | ToolFinished
    | TurnFinished,
    Field(discriminator="event"),
]

TRANSIENT = (PrefillProgress, TextDelta, ThinkingDelta, ToolCallDelta, ArgumentDone, ToolOutput)
"""Events that no log keeps."""


@cache
def event_adapter() -> TypeAdapter[Event]:
    """The parser of any event's JSON; built once, where it is needed, because that costs milliseconds."""
    return TypeAdapter(Event)
