"""What a small model may quote: an edit replaces a line of a file that it has seen, no other text.

Measured on the 1.5B model: it names the wrong line and the right one, and then misquotes the old text in most of its
calls; held to the lines that are there, it does not.
"""

import re
from collections import Counter, defaultdict
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

_MOST_TRIES = 2
"""Edits of one line that fail; then it is not offered again until another edit succeeds."""

_ABOUT_WORDS = re.compile(r"\b(?:typo|spelling|wording|comment|documentation)", re.IGNORECASE)
_DOCSTRING = re.compile(r"[rRbBuU]{0,2}(\"\"\"|\'\'\')")

_TOOL, _PATH, _QUOTE = "str_replace", "path", "old_str"

Choices = Mapping[str, Mapping[str, tuple[str, ...]]]


class Quotes:
    """Remembers which files were shown, and offers their lines."""

    def __init__(self) -> None:
        self._paths: dict[str, None] = {}
        self._failed: Counter[str] = Counter()
        self._prose = False

    def begin(self, task: str, paths: Iterable[str]) -> None:
        """These files were shown with the task. Comments and docstrings may be quoted only if it is about words."""
        self._prose = _ABOUT_WORDS.search(task) is not None
        self._paths.update(dict.fromkeys(paths))

    def note(self, call: ToolCall, result: ToolResult) -> None:
        """Take in a call that showed or changed a file, or was to change it."""
        path, quote = call.arguments.get(_PATH), call.arguments.get(_QUOTE)
        if call.name == _TOOL and isinstance(quote, str):
            if result.status is Status.OK:
                self._failed.clear()
            else:
                self._failed[quote] += _MOST_TRIES if call.arguments.get("new_str") == quote else 1
        if result.status is Status.OK and call.name in {"view", "create", _TOOL} and isinstance(path, str):
            self._paths[path] = None

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
            code = _code(lines) if path.endswith(".py") and not self._prose else None
            quotes.update(dict.fromkeys(_quotable(lines, code or set(range(len(lines))))))
        quotes = {quote: None for quote in quotes if self._failed[quote] < _MOST_TRIES}
        if not quotes or len(quotes) > MAX_LINES:
            return {}
        return {_TOOL: {_PATH: tuple(there), _QUOTE: tuple(quotes)}}


def _code(lines: list[str]) -> set[int]:
    """Which lines of a Python file are no comment and in no string that stands for itself. Read as text: the file may
    not parse."""
    code: set[int] = set()
    ends: str | None = None
    for number, line in enumerate(lines):
        bare = line.strip()
        opened = _DOCSTRING.match(bare)
        if ends is not None:
            ends = None if ends in bare else ends
        elif opened is not None:
            ends = None if opened[1] in bare[opened.end() :] else opened[1]
        elif bare and not bare.startswith("#"):
            code.add(number)
    return code


def _quotable(lines: list[str], wanted: set[int]) -> Iterator[str]:
    """One quote for each wanted line worth quoting, unique in its file where a few lines above can make it so."""
    bare = [line.strip() for line in lines]
    at: dict[str, list[int]] = defaultdict(list)
    for number, line in enumerate(bare):
        at[line].append(number)
    for number, line in enumerate(bare):
        if number not in wanted or len(line) <= 3 or "</" in line:
            continue
        first, twins = number, [other for other in at[line] if other != number]
        while (twins or not bare[first]) and first > 0 and number - first < _MOST_ABOVE:
            first -= 1
            back = number - first
            twins = [twin for twin in twins if twin >= back and bare[twin - back] == bare[first]]
        quote = dedent("\n".join(lines[first : number + 1]))
        if not twins and bare[first] and "</" not in quote:
            yield quote if first < number else line
