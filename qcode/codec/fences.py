"""Tells code in Markdown text from prose: fenced blocks, and inline spans within a line.

Source: CommonMark 0.31, "Fenced code blocks" and "Code spans" (here a span ends on the line where it began).
"""

import re
from collections import defaultdict
from enum import Enum, auto

from qcode.codec.lexer import Kind, Token


class Place(Enum):
    """Where the text has come to. UNDECIDED: in code, if a matching run of backticks follows on this line."""

    PROSE = auto()
    CODE = auto()
    UNDECIDED = auto()


_RUN = re.compile(r"`+|~+")
_FENCE = re.compile(r"^ {0,3}(`{3,}(?=[^`\n]*$)|~{3,})([^\n]*)", re.MULTILINE)
"""A line that may open or close a fenced block: its run, and what follows it."""
_RUN_OR_BREAK = re.compile(r"`+|\n")
_MAX_INDENT = 3
_MIN_FENCE = 3


class Markdown:
    """Follows the text outside calls: `feed` it all of it, in order, in any pieces."""

    __slots__ = ("_blank", "_closing", "_fence", "_fence_line", "_fresh", "_indent", "_run", "_runs", "_unread")

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begin anew, at the start of a line outside all code."""
        self._unread: list[str] = []
        self._fence = ""
        self._new_line()

    def feed(self, text: str) -> None:
        """Some more of the text."""
        self._unread.append(text)

    def _read(self) -> None:
        """Look at what was fed: its whole lines for fences only, the line that goes on for all that matters in it."""
        if not self._unread:
            return
        text = "".join(self._unread)
        self._unread.clear()
        if self._fresh:
            end = text.rfind("\n") + 1
        else:
            first = text.find("\n") + 1
            self._read_line(text[:first] if first else text)
            if not first:
                return
            text = text[first:]
            end = text.rfind("\n") + 1
        if end:
            self._read_lines(text[:end])
        self._read_line(text[end:])

    def _read_lines(self, text: str) -> None:
        for match in _FENCE.finditer(text):
            run, info = match[1], match[2]
            if not self._fence:
                self._fence = run
            elif run.startswith(self._fence) and not info.strip():
                self._fence = ""

    def _read_line(self, text: str) -> None:
        """Some more of one line, its line break at most at the end."""
        done = 0
        if text:
            self._fresh = False
        if "`" in text or "~" in text:
            for match in _RUN.finditer(text):
                self._plain(text[done : match.start()])
                if self._run and self._run[0] != match[0][0]:
                    self._end_run()
                self._run += match[0]
                done = match.end()
        self._plain(text[done:] if done else text)

    @property
    def place(self) -> Place:
        """Where a tag stands that comes now."""
        self._read()
        self._end_run()
        if self._fence:
            return Place.CODE
        return Place.UNDECIDED if self._runs else Place.PROSE

    @property
    def in_fence(self) -> bool:
        """Whether a fenced block is open."""
        self._read()
        return bool(self._fence)

    @property
    def at_line_start(self) -> bool:
        """Nothing but blanks on this line so far."""
        self._read()
        return self._blank and not self._run

    def undecided(self) -> "Undecided":
        """For the tags from here on, when `place` is UNDECIDED."""
        self._read()
        return Undecided(self._runs, fence_line=self._fence_line)

    def _new_line(self) -> None:
        self._fresh = True
        self._indent = 0
        self._blank = True
        self._closing = False
        self._fence_line = False
        self._run = ""
        self._runs: list[int] = []

    def _plain(self, text: str) -> None:
        """Text of the line without backticks and tildes."""
        if not text:
            return
        self._end_run()
        if text.endswith("\n"):
            self._rest_of_line(text[:-1])
            self._end_line()
        else:
            self._rest_of_line(text)

    def _rest_of_line(self, text: str) -> None:
        if self._blank:
            words = text.lstrip(" ")
            self._indent += len(text) - len(words)
            if words:
                self._indent = _MAX_INDENT + 1
                self._blank = not words.strip()
        elif self._closing and text.strip():
            self._closing = False

    def _end_run(self) -> None:
        run = self._run
        if not run:
            return
        self._run = ""
        opens = self._blank and self._indent <= _MAX_INDENT and len(run) >= _MIN_FENCE
        self._blank = False
        if self._fence:
            self._closing = opens and run.startswith(self._fence)
        elif run[0] == "~":
            if opens:
                self._fence = run
        elif self._runs:
            self._fence_line = False
            if self._runs[0] == len(run):
                self._runs = []
            else:
                self._runs.append(len(run))
        else:
            self._runs = [len(run)]
            self._fence_line = opens

    def _end_line(self) -> None:
        self._end_run()
        if self._closing:
            self._fence = ""
        elif self._fence_line:
            self._fence = "`" * self._runs[0]
        self._new_line()


class Undecided:
    """Tags after a run of backticks that may yet be closed: `hold` the tokens until it says that all is known."""

    __slots__ = ("_fence_line", "_items", "_open", "_run")

    def __init__(self, runs: list[int], *, fence_line: bool) -> None:
        self._open = runs[0]
        self._items: list[int | Token] = list(runs)
        self._fence_line = fence_line
        self._run = 0

    def hold(self, token: Token) -> bool:
        """True when it is known of every tag held so far whether it is code: `in_code` of the tokens is set."""
        if token.kind is not Kind.TEXT:
            if self._end_run() or token.kind is Kind.END:
                return self._settle()
            token.in_code = None
            self._items.append(token)
            return False
        done = 0
        for match in _RUN_OR_BREAK.finditer(token.raw):
            if match.start() > done and self._end_run():
                return self._settle()
            if match[0] == "\n":
                self._end_run()
                return self._settle()
            self._run += len(match[0])
            done = match.end()
        if done < len(token.raw) and self._end_run():
            return self._settle()
        return False

    def _end_run(self) -> bool:
        """True when the run that ends here closes the span."""
        run, self._run = self._run, 0
        if not run:
            return False
        self._fence_line = False
        self._items.append(run)
        return run == self._open

    def _settle(self) -> bool:
        later: dict[int, list[int]] = defaultdict(list)
        for position in range(len(self._items) - 1, -1, -1):
            item = self._items[position]
            if isinstance(item, int):
                later[item].append(position)
        code_until = len(self._items) if self._fence_line else -1
        for position, item in enumerate(self._items):
            if isinstance(item, Token):
                item.in_code = position < code_until
                continue
            later[item].pop()
            if position > code_until and later[item]:
                code_until = later[item][-1]
        return True
