"""Parses source text in a child process.

Grammars are generated C with hand-written scanners, and the text is anybody's: what goes wrong there must neither end
the session nor reach the user's files. So they run in a process that can only compute (seal.py); one that crashes or
takes too long is killed, the text counts as not parsed, and the next request starts a new one. It is shared by all
sessions of the process, and ends with it.
"""

import asyncio
import json
import os
import select
import subprocess
import sys
import threading
import time
import weakref
from dataclasses import dataclass
from functools import cache
from typing import IO, Any, cast

SECONDS = 10.0
_START_SECONDS = 30.0
SIZE_LIMIT = 1_000_000
"""Bytes of a text; a larger one is data or generated, and is not parsed."""

_ENVIRONMENT = {"PATH", "HOME", "PYTHONPATH", "PYTHONUSERBASE", "VIRTUAL_ENV"}
"""What Python finds its packages by."""


@dataclass(frozen=True, slots=True)
class SyntaxIssue:
    """Lines that do not parse, from 1, inclusive; the fault is somewhere in them."""

    first: int
    last: int
    what: str


@dataclass(frozen=True, slots=True)
class Symbol:
    """A definition: its lines (from 1, inclusive) and the text of the line that names it."""

    name: str
    kind: str
    line: int
    last: int
    text: str


@dataclass(frozen=True, slots=True)
class Tags:
    """What a file defines, in order, and how often it refers to which names."""

    defined: tuple[Symbol, ...]
    referred: dict[str, int]


@dataclass(frozen=True, slots=True)
class Node:
    """A node of a syntax tree: how deep it lies, what it is (to its parent: `field`), and its bytes. `named` is False
    for a token such as a parenthesis."""

    depth: int
    type: str
    field: str
    start: int
    end: int
    named: bool


class Parser:
    """One request at a time; blocking work happens in threads."""

    def __init__(self, seconds: float = SECONDS) -> None:
        """`seconds`: how long an answer may take."""
        self._seconds = seconds
        self._lock = threading.Lock()
        self._child: subprocess.Popen[bytes] | None = None
        self._languages: frozenset[str] = frozenset()
        self.sealed = False
        """Whether the child gave up its rights; known once it runs."""

    @property
    def process(self) -> int | None:
        """The child's number, None while there is none."""
        return self._child.pid if self._child is not None and self._running() else None

    async def errors(self, language: str, source: bytes) -> list[SyntaxIssue] | None:
        """Places that do not parse, in order, a bounded number; None where it cannot be told."""
        found = await asyncio.to_thread(self.ask, "errors", language, source)
        return None if found is None else sorted((SyntaxIssue(*issue) for issue in found), key=lambda i: i.first)

    async def tags(self, language: str, source: bytes) -> Tags | None:
        """Definitions and references; None where they cannot be told."""
        return await asyncio.to_thread(self.tags_now, language, source)

    def tree_now(self, language: str, source: bytes) -> list[Node] | None:
        """Every node of the syntax tree before its children; None where it cannot be told: a text with a syntax error,
        or a very large one; blocking."""
        found = self.ask("tree", language, source)
        return None if found is None else [Node(*each) for each in found]

    def tags_now(self, language: str, source: bytes) -> Tags | None:
        """The same, blocking."""
        found = self.ask("tags", language, source)
        return None if found is None else Tags(tuple(Symbol(*each) for each in found["defined"]), found["referred"])

    def ask(self, what: str, language: str, source: bytes) -> Any:
        """The child's answer, None where there is none; blocking."""
        if len(source) > SIZE_LIMIT:
            return None
        with self._lock:
            if not self._running() and not self._start():
                return None
            if language not in self._languages:
                return None
            request = json.dumps({"do": what, "language": language, "size": len(source)}).encode() + b"\n" + source
            return self._exchange(request, self._seconds)

    def _running(self) -> bool:
        return self._child is not None and self._child.poll() is None

    def _start(self) -> bool:
        self._child = subprocess.Popen(
            [sys.executable, "-P", "-m", "qcode_tools.parsing.child"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            cwd="/",
            env={name: value for name, value in os.environ.items() if name in _ENVIRONMENT},
            start_new_session=True,
        )
        os.set_blocking(cast("IO[bytes]", self._child.stdin).fileno(), False)
        weakref.finalize(self, _end, self._child)
        ready = self._exchange(b"", _START_SECONDS)
        if not isinstance(ready, dict):
            return False
        self.sealed = bool(ready["sealed"])
        self._languages = frozenset(ready["languages"])
        return True

    def _exchange(self, request: bytes, seconds: float) -> Any:
        child = self._child
        assert child is not None
        try:
            line = _talk(child, request, time.monotonic() + seconds)
            if line.endswith(b"\n"):
                return json.loads(line)
        except OSError:
            pass
        _end(child)
        return None


def _talk(child: "subprocess.Popen[bytes]", request: bytes, until: float) -> bytes:
    """Write a request and read the line that answers it; less than a line if none comes in time. Raises: OSError."""
    to, of = cast("IO[bytes]", child.stdin).fileno(), cast("IO[bytes]", child.stdout).fileno()
    ready = select.poll()
    ready.register(of, select.POLLIN)
    left = memoryview(request)
    if left:
        ready.register(to, select.POLLOUT)
    answer = bytearray()
    while not answer.endswith(b"\n"):
        events = ready.poll(max(0.0, until - time.monotonic()) * 1000)
        if not events:
            return b""
        for descriptor, _ in events:
            if descriptor == of:
                part = os.read(of, 1 << 16)
                if not part:
                    return b""
                answer += part
                continue
            left = left[os.write(to, left) :]
            if not left:
                ready.unregister(to)
    return bytes(answer)


def _end(child: "subprocess.Popen[bytes]") -> None:
    child.kill()
    child.wait()
    for pipe in (child.stdin, child.stdout):
        if pipe is not None:
            try:
                pipe.close()
            except OSError:  # what was not written yet
                continue


@cache
def shared_parser() -> Parser:
    """The parser of this process."""
    return Parser()
