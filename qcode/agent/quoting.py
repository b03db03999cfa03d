"""What a small model may quote: an edit replaces a line of a file that it has seen, no other text.

Measured on the 1.5B model: it names the wrong line and the right one, and then misquotes the old text in most of its
calls; held to the lines that are there, it does not.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from textwrap import dedent

from qcode.messages import ToolCall
from qcode_sandbox.errors import SandboxFileError
from qcode_sandbox.protocol import Sandbox
from qcode_tools.result import Status, ToolResult

MAX_LINES = 300
"""Above it the model is left free: a grammar of thousands of lines costs more than it gives."""

_MOST_ABOVE = 4
"""Lines that a quote takes in from above to be the only one of its kind."""

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
        """Paths and lines as they are now; {} where there are too many or none. A line comes without its indentation,
        which an edit keeps; one that a file has more than once comes with the lines above it that make it the only one.

        Raises: SandboxError.
        """
        quotes: dict[str, None] = {}
        there: list[str] = []
        for path in self._paths:
            try:
                text = (await sandbox.read(path)).decode("utf-8")
            except (SandboxFileError, UnicodeDecodeError):
                continue
            there.append(path)
            lines = text.splitlines()
            if len(lines) > 2 * MAX_LINES:
                return {}
            quotes.update(dict.fromkeys(_quotable(lines)))
        if not quotes or len(quotes) > MAX_LINES:
            return {}
        return {_TOOL: {_PATH: tuple(there), _QUOTE: tuple(quotes)}}


def _quotable(lines: list[str]) -> Iterator[str]:
    """One quote for each line worth quoting, unique in its file where a few lines above can make it so."""
    bare = [line.strip() for line in lines]
    at: dict[str, list[int]] = defaultdict(list)
    for number, line in enumerate(bare):
        at[line].append(number)
    for number, line in enumerate(bare):
        if len(line) <= 3 or "</" in line:
            continue
        first, twins = number, [other for other in at[line] if other != number]
        while (twins or not bare[first]) and first > 0 and number - first < _MOST_ABOVE:
            first -= 1
            back = number - first
            twins = [twin for twin in twins if twin >= back and bare[twin - back] == bare[first]]
        quote = dedent("\n".join(lines[first : number + 1]))
        if not twins and bare[first] and "</" not in quote:
            yield quote if first < number else line
