"""Examples that a task states: what to call, and what it should give.

A Python prompt in an issue shows what happens now, so its output counts only where it is called expected; in a
docstring of a file it is the promise, as doctest reads it.
"""

import ast
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass

MOST = 8
"""Examples that are run after each change."""

_LONGEST = 500_000
"""Characters of a file that is looked through."""

_PROMPT = re.compile(r"^([ \t]*)>>> (.*(?:\n[ \t]*\.\.\.(?: .*|$))*)", re.MULTILINE)
_EXPECTED = re.compile(
    r"^[^\w\n]*expected(?: +(?:output|result|value|behaviou?r))?\W*:[ \t]*(`+)?(.+?)(?(1)`+.*)$", re.I | re.M
)


@dataclass(frozen=True, slots=True)
class Example:
    """Python source, and the text of the value that it should give; None where that is not said."""

    source: str
    expected: str | None


def examples_in_task(text: str) -> list[Example]:
    """Those of an issue, in order."""
    found = list(_PROMPT.finditer(text))
    ends = [*(match.start() for match in found[1:]), len(text)]
    return [
        Example(re.sub(r"\n[ \t]*\.\.\. ?", "\n", match[2]), said[2].strip() if said else None)
        for match, end in zip(found, ends, strict=False)
        for said in [_EXPECTED.search(text, match.end(), end)]
    ]


def examples_in_file(text: str) -> list[Example]:
    """Those of a Python file's docstrings, and of other strings that stand there by themselves."""
    from doctest import DocTestParser

    found = []
    for string in _strings(text):
        with suppress(ValueError):
            found += DocTestParser().get_examples(string)
    plain = [one for one in found if not one.options and one.exc_msg is None and "..." not in one.want]
    return [Example(one.source.strip(), one.want.strip() or None) for one in plain]


def merged(examples: Iterable[Example]) -> tuple[Example, ...]:
    """Each once, where one of them says it with what it should give; without those that are no Python."""
    found: dict[str, Example] = {}
    for one in examples:
        known = found.get(one.source)
        if (known is None or known.expected is None) and _tree(one.source) is not None:
            found[one.source] = one
    return tuple(found.values())[:MOST]


def _strings(text: str) -> Iterator[str]:
    """Those of a Python file that are statements, in order."""
    if ">>>" not in text or (tree := _tree(text)) is None:
        return
    said = [node for node in ast.walk(tree) if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)]
    for node in sorted(said, key=lambda node: node.lineno):
        assert isinstance(node.value, ast.Constant), "others are left out above"
        if isinstance(node.value.value, str):
            yield node.value.value


def _tree(text: str) -> ast.Module | None:
    """What the text is as Python, None where it is not."""
    if len(text) > _LONGEST:
        return None
    try:
        return ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
