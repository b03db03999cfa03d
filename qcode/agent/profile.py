"""How the loop treats a model: data, chosen by the model's tool set."""

from dataclasses import dataclass, field, replace
from importlib import resources

from qcode.agent.coach import Hints
from qcode.model import ToolChoice

_NO_NETWORK = " that has no network"


@dataclass(frozen=True, slots=True)
class Profile:
    """`tool_choice` "required" makes every answer end in a call, so a tool that ends the turn must exist; `thorough`
    asks once before the model finishes without a change or without having tried it; `mentions` shows the files that the
    task names with it; `quotes` lets an edit quote only lines of files that were shown; `goes_back` forgets what led to
    a change that failed; `hints` stand at the end of results; `reaching`: the sandbox has a way to
    some hosts, and the prompt does not say that it has no network."""

    toolset: str
    prompt: str
    tool_choice: ToolChoice = "auto"
    thorough: bool = False
    mentions: bool = False
    quotes: bool = False
    goes_back: bool = False
    hints: Hints = field(default_factory=Hints)
    reaching: bool = False

    @property
    def system(self) -> str:
        """The system prompt. It holds nothing of the folder, the day or the machine, so it is the same everywhere."""
        text = resources.files("qcode.agent").joinpath("prompts", self.prompt).read_text(encoding="utf-8").strip()
        return text.replace(_NO_NETWORK, "") if self.reaching else text

    def to_answer(self) -> "Profile":
        """The same for words that only ask something: the model may look, and answers in words."""
        return replace(self, tool_choice="auto", thorough=False, quotes=False, goes_back=False, hints=Hints())

    def in_a_network(self, *, reaching: bool) -> "Profile":
        """The same for a sandbox from which some hosts are reached, or none."""
        return replace(self, reaching=reaching)


_SAY_THEN_CHANGE = (
    "Say in one sentence what is wrong and what it must be. Then call rewrite with the whole corrected function."
)

PROFILES = {
    "swe": Profile(toolset="swe", prompt="swe.md"),
    "qwen-code": Profile(toolset="qwen-code", prompt="qwen-code.md"),
    "minimal": Profile(toolset="minimal", prompt="minimal.md"),
    "small": Profile(
        toolset="small",
        prompt="small.md",
        tool_choice="required",
        thorough=True,
        mentions=True,
        quotes=True,
        goes_back=True,
        hints=Hints(
            opening=_SAY_THEN_CHANGE,
            after_reading=_SAY_THEN_CHANGE,
            after_change="Now try it with bash: run the tests, or an example of the task with python3 -c.",
            after_success="If this shows that the task is done, call finish. If not, say what is still wrong.",
            after_failure="Say what is still wrong and what it must be. Then call rewrite with the whole function.",
        ),
    ),
}
