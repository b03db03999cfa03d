"""What a small model may quote: an edit replaces a line of a file that it has seen, no other text.

Measured on the 1.5B model: it names the wrong line and the right one, and then misquotes the old text in most of its
calls; held to the lines that are there, it does not.
"""

from collections.abc import Iterable, Mapping

from qcode.messages import ToolCall
from qcode_sandbox.errors import SandboxFileError
from qcode_sandbox.protocol import Sandbox
from qcode_tools.result import Status, ToolResult

MAX_LINES = 300
"""Above it the model is left free: a grammar of thousands of lines costs more than it gives."""

_TOOL, _PATH, _QUOTE = "str_replace", "path", "old_str"

Choices = Mapping[str, Mapping[str, tuple[str, ...]]]


class Quotes:
    """Remembers which files were shown, and offers their lines."""

    def __init__(self) -> None:
        self._paths: dict[str, None] = {}

    def saw(self, paths: Iterable[str]) -> None:
        """These files were shown with the task."""
        self._paths.update(dict.fromkeys(paths))

    def note(self, call: ToolCall, result: ToolResult) -> None:
        """Take in a call that showed or changed a file."""
        path = call.arguments.get(_PATH)
        if result.status is Status.OK and call.name in {"view", "create", _TOOL} and isinstance(path, str):
            self.saw([path])

    async def choices(self, sandbox: Sandbox) -> Choices:
        """Paths and lines as they are now; {} where there are too many or none. Lines come without their indentation,
        which an edit keeps.

        Raises: SandboxError.
        """
        lines: dict[str, None] = {}
        there: list[str] = []
        for path in self._paths:
            try:
                text = (await sandbox.read(path)).decode("utf-8")
            except (SandboxFileError, UnicodeDecodeError):
                continue
            there.append(path)
            stripped = (line.strip() for line in text.split("\n"))
            lines.update(dict.fromkeys(line for line in stripped if len(line) > 3 and "</" not in line))
        if not lines or len(lines) > MAX_LINES:
            return {}
        return {_TOOL: {_PATH: tuple(there), _QUOTE: tuple(lines)}}
