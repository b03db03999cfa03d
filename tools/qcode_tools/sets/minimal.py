"""The set "minimal": a shell and nothing else, as mini-swe-agent has it."""

from qcode_tools.sets.base import SHELLS, State, bash
from qcode_tools.spec import Tool
from qcode_tools.toolset import Aliases


def tools(state: State) -> tuple[Tool, ...]:
    """The one tool."""
    return (bash(state),)


ALIASES: Aliases = dict.fromkeys(SHELLS, ("bash", {}))
