"""No pattern of ours takes the square of a text's length: what it reads is a model's, a repository's or a program's,
and while it reads nothing else goes on."""

import ast
import importlib
import inspect
import pkgutil
import re
import signal
from collections.abc import Iterator
from types import FrameType, ModuleType
from typing import Any

APART = ("qcode_evals.parsers.", "qcode_evals.mining.ecosystems")
"""Logs are read in a process of their own (qcode_evals.parsers.reading); names of files are short."""

LENGTH, SECONDS = 8000, 0.1
"""A straight pattern takes a hundredth of these seconds of a processor, one that takes the square several times."""

UNITS = [
    "a",
    " ",
    "0",
    "_",
    "(",
    "[",
    "{",
    '"',
    "'",
    "`",
    "\\",
    "/",
    ".",
    "-",
    "=",
    ":",
    "<",
    "#",
    "&",
    "a ",
    "a.",
    "a/",
]
LINES = ["\n", "\n ", " \n"]


class TooLong(Exception):
    """A pattern is still at it."""


def modules() -> Iterator[ModuleType]:
    for root in ("qcode", "qcode_tools", "qcode_sandbox", "qcode_evals"):
        for found in pkgutil.walk_packages(importlib.import_module(root).__path__, f"{root}."):
            if not found.name.endswith(("__main__", "swift_plugin", "witness")) and not found.name.startswith(APART):
                yield importlib.import_module(found.name)


def held(module: ModuleType) -> Iterator[tuple[str, re.Pattern[str], set[str]]]:
    """Name, pattern and uses of those that a module has compiled: all that goes through a text counts as `search`."""
    source = inspect.getsource(module)
    for name, value in vars(module).items():
        several: Any = value.values() if isinstance(value, dict) else value
        for pattern in several if isinstance(value, dict | list | tuple) else [value]:
            if isinstance(pattern, re.Pattern) and isinstance(pattern.pattern, str):
                uses = re.escape(name) + r"(?:\[\w+\])?\.(search|finditer|findall|sub|split|match|fullmatch)\b"
                used = set(re.findall(uses, source)) or {"search"}
                yield name, pattern, {way if way in {"match", "fullmatch"} else "search" for way in used}


def written(module: ModuleType) -> Iterator[tuple[str, re.Pattern[str], set[str]]]:
    """The same of those that stand where they are used."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        match node:
            case ast.Call(ast.Attribute(ast.Name("re"), str(way)), [ast.Constant(str(pattern)), *others], keywords):
                said = "".join(map(ast.dump, [*others, *keywords]))
                flags = re.DOTALL * ("DOTALL" in said) | re.MULTILINE * ("MULTILINE" in said)
                if way != "compile":
                    used = {way if way in {"match", "fullmatch"} else "search"}
                    yield f"line {node.lineno}", re.compile(pattern, flags), used


def texts(pattern: re.Pattern[str]) -> Iterator[str]:
    """What a pattern may stumble over: one piece again and again, also behind a word or a sign of its own."""
    words = list(dict.fromkeys(re.findall(r"[A-Za-z_]{2,}", pattern.pattern)))[:6]
    for unit in [*UNITS, *LINES, *words]:
        for before in ["", *words, '"', "<", "["]:
            yield before + unit * (LENGTH // len(unit)) + "\x01"


def test_no_pattern_takes_the_square_of_a_text() -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        raise TooLong

    slow, seen = [], set[tuple[str, int]]()
    before = signal.signal(signal.SIGVTALRM, stop)
    try:
        for module in modules():
            for name, pattern, used in [*held(module), *written(module)]:
                if (key := (pattern.pattern, pattern.flags)) in seen:
                    continue
                seen.add(key)
                for way in used:
                    for text in texts(pattern):
                        signal.setitimer(signal.ITIMER_VIRTUAL, SECONDS)
                        try:
                            getattr(pattern, way)(text)
                        except TooLong:
                            slow.append(f"{module.__name__}.{name} ({way}) on {text[:20]!r}...")
                            break
                        finally:
                            signal.setitimer(signal.ITIMER_VIRTUAL, 0)
    finally:
        signal.signal(signal.SIGVTALRM, before)
    assert len(seen) > 200
    assert slow == []
