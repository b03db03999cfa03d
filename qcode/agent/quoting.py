"""What a small model may quote: an edit replaces a line of a file that it has seen, no other text.

Measured on the 1.5B model: it names the wrong line and the right one, and then misquotes the old text in most of its
calls; held to the lines that are there, it does not.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from textwrap import dedent

from qcode.messages import ToolCall
from qcode_sandbox.errors import SandboxFileError
from qcode_sandbox.protocol import Sandbox
from qcode_tools.parsing.languages import language_of
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect, ToolSpec

MAX_LINES = 300
"""Above it the model is left free: a grammar of thousands of lines costs more than it gives."""

_HEIGHT = 3
"""Lines of a quote at most."""

_SHORTEST = 3
"""Characters of a line that says too little to begin a quote."""

_MOST_TRIES = 2
"""Edits of one line that fail; then it is not offered again until another edit succeeds."""

_ABOUT_WORDS = re.compile(r"\b(?:typo|spelling|wording|comment|documentation)", re.IGNORECASE)
_DOCSTRING = re.compile(r"[rRbBuU]{0,2}(\"\"\"|\'\'\')")

_REWRITE = "rewrite"
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

    def instead(self, tools: Iterable[ToolSpec]) -> frozenset[str]:
        """What makes no sense as a first change, the code having been shown: all but an edit, and where there are
        functions to write anew, all but that."""
        if not self._paths:
            return frozenset()
        known = {spec.name: spec for spec in tools}
        if _REWRITE in known and any(language_of(path) for path in self._paths):
            return frozenset(known.keys() - {_REWRITE})
        return frozenset(name for name, spec in known.items() if spec.effect is not Effect.WRITE)

    def note(self, call: ToolCall, result: ToolResult) -> None:
        """Take in a call that showed or changed a file, or was to change it."""
        path, quote = call.arguments.get(_PATH), call.arguments.get(_QUOTE)
        if call.name == _TOOL and isinstance(quote, str):
            if result.status is Status.OK:
                self._failed.clear()
            else:
                self._failed[quote.strip()] += _MOST_TRIES if call.arguments.get("new_str") == quote else 1
        if result.status is Status.OK and call.name in {"view", "create", _TOOL} and isinstance(path, str):
            self._paths[path] = None

    async def choices(self, sandbox: Sandbox) -> Choices:
        """Paths, and runs of lines as they are now, each the only one of its kind in its file; {} where there are too
        many or none. The first line comes with its indentation and, for an edit keeps it, without.

        Raises: SandboxError.
        """
        there: dict[str, tuple[list[str], set[int]]] = {}
        for path in self._paths:
            try:
                text = (await sandbox.read(path)).decode("utf-8")
            except (SandboxFileError, UnicodeDecodeError):
                continue
            lines = text.splitlines()
            code = _code(lines) if path.endswith(".py") and not self._prose else None
            there[path] = (lines, code or set(range(len(lines))))
        if sum(len(lines) for lines, _ in there.values()) > MAX_LINES:
            return {}
        quotes = {quote: None for lines, wanted in there.values() for quote in _quotable(lines, wanted, _HEIGHT)}
        offered = tuple(quote for quote in quotes if self._failed[quote.strip()] < _MOST_TRIES)
        paths = tuple(there)
        return {_TOOL: {_PATH: paths, _QUOTE: offered}, _REWRITE: {_PATH: paths}} if offered else {}


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


def _quotable(lines: list[str], wanted: set[int], height: int) -> Iterator[str]:
    """Runs of up to `height` wanted lines that are unique in their file, without and with their indentation."""
    bare = [line.strip() for line in lines]
    runs = [
        (first, last)
        for first, line in enumerate(bare)
        if first in wanted and len(line) > _SHORTEST
        for last in range(first + 1, min(first + height, len(lines)) + 1)
        if bare[last - 1] and wanted.issuperset(n for n in range(first, last) if bare[n])
    ]
    kinds = Counter(tuple(bare[first:last]) for first, last in runs)
    for first, last in runs:
        text = "\n".join(lines[first:last])
        if kinds[tuple(bare[first:last])] == 1 and "</" not in text:
            yield dedent(text)
            yield text.rstrip()
