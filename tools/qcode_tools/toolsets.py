"""The tool sets that there are, by name."""

from collections.abc import Callable
from pathlib import Path
from typing import Literal

from qcode_tools.cap import DEFAULT_CAP
from qcode_tools.sets import minimal, qwen_code, small, swe
from qcode_tools.sets.base import State
from qcode_tools.spec import Tool
from qcode_tools.toolset import Aliases, Toolset

ToolsetName = Literal["swe", "small", "qwen-code", "minimal"]

_SETS: dict[str, tuple[Callable[[State], tuple[Tool, ...]], Aliases]] = {
    "swe": (swe.tools, swe.ALIASES),
    "small": (small.tools, small.ALIASES),
    "qwen-code": (qwen_code.tools, qwen_code.ALIASES),
    "minimal": (minimal.tools, minimal.ALIASES),
}
NAMES = tuple(_SETS)

_ROOM_FOR_WORDS = 400
"""Characters of a view that are not the file's."""


def build_toolset(name: str, *, cap: int = DEFAULT_CAP, cache: Path | None = None) -> Toolset:
    """A fresh set for one session. `cap` is the most characters of a result; in the folder `cache` is kept what was
    found out about source files, None to keep nothing. Raises: KeyError for an unknown name."""
    tools, aliases = _SETS[name]
    return Toolset(tools(State(cap - _ROOM_FOR_WORDS, cache)), aliases=aliases, cap=cap)
