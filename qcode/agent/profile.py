"""How the loop treats a model: data, chosen by the model's tool set."""

from dataclasses import dataclass
from importlib import resources

from qcode.model import ToolChoice


@dataclass(frozen=True, slots=True)
class Profile:
    """`tool_choice` "required" makes every answer end in a call, so a tool that ends the turn must exist; `thorough`
    asks once before the model finishes without a change or without having tried it."""

    toolset: str
    prompt: str
    tool_choice: ToolChoice = "auto"
    thorough: bool = False

    @property
    def system(self) -> str:
        """The system prompt. It holds nothing of the folder, the day or the machine, so it is the same everywhere."""
        return resources.files("qcode.agent").joinpath("prompts", self.prompt).read_text(encoding="utf-8").strip()


PROFILES = {
    "swe": Profile(toolset="swe", prompt="swe.md"),
    "small": Profile(toolset="small", prompt="small.md", tool_choice="required", thorough=True),
}
