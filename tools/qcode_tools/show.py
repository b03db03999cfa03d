"""Parts of a file as the model and the user see them: numbered lines, and a diff of the changed region."""

import difflib
from collections.abc import Sequence

from qcode_tools.document import common_prefix

LINE_LIMIT = 1_000
"""Characters of a line that are shown."""

_CONTEXT = 3
_HEAD, _TAIL = 30, 10
"""Lines of a changed region that are shown to the model at most."""

_DIFF_LINES = 1_000
"""difflib is quadratic at worst; a larger region is not compared."""


def numbered(lines: Sequence[str], first: int) -> str:
    """Lines with their numbers, as `cat -n` writes them; `first` is the number of the first."""
    return "\n".join(f"{number:6}\t{_cut(line)}" for number, line in enumerate(lines, first))


def region(text: str, first: int, last: int) -> str:
    """Lines `first` to `last` (from 1) of `text` and a few around them, numbered; a long region without its middle."""
    lines = text.split("\n")
    if lines and not lines[-1]:
        lines.pop()
    start, end = max(0, first - 1 - _CONTEXT), min(len(lines), last + _CONTEXT)
    if end - start <= _HEAD + _TAIL + 5:
        return numbered(lines[start:end], start + 1)
    return (
        f"{numbered(lines[start : start + _HEAD], start + 1)}\n   ... {end - start - _HEAD - _TAIL} lines not shown\n"
        f"{numbered(lines[end - _TAIL : end], end - _TAIL + 1)}"
    )


def diff(before: str, after: str, name: str, *, created: bool = False) -> str:
    """A unified diff of two texts, quick where they differ in one region."""
    head = common_prefix(before, after)
    tail = common_prefix(before[head:][::-1], after[head:][::-1])
    start = _lines_back(before, head, _CONTEXT)
    a = _diff_lines(before, start, len(before) - tail)
    b = _diff_lines(after, start, len(after) - tail)
    files = f"--- {'/dev/null' if created else 'a/' + name}\n+++ b/{name}\n"
    if len(a) + len(b) > 2 * _DIFF_LINES:
        return f"{files}@@ {len(a)} lines replaced by {len(b)} @@\n"
    above = before.count("\n", 0, start)
    hunks: list[str] = []
    for group in difflib.SequenceMatcher(None, a, b, autojunk=False).get_grouped_opcodes(_CONTEXT):
        (_, a_start, _, b_start, _), (_, _, a_end, _, b_end) = group[0], group[-1]
        hunks.append(f"@@ -{_range(above + a_start, a_end - a_start)} +{_range(above + b_start, b_end - b_start)} @@\n")
        for kind, i, i_end, j, j_end in group:
            if kind == "equal":
                hunks += [f" {line}\n" for line in a[i:i_end]]
                continue
            hunks += [f"-{line}\n" for line in a[i:i_end]]
            hunks += [f"+{line}\n" for line in b[j:j_end]]
    return files + "".join(hunks) if hunks else ""


def _lines_back(text: str, position: int, count: int) -> int:
    """Start of the line that is `count` lines before the one at `position`."""
    start = text.rfind("\n", 0, position) + 1
    for _ in range(count):
        start = text.rfind("\n", 0, max(0, start - 1)) + 1
    return start


def _diff_lines(text: str, start: int, end: int) -> list[str]:
    """The lines from `start` to the one at `end`, and some after it."""
    for _ in range(_CONTEXT + 1):
        end = text.find("\n", end) + 1
        if end == 0:
            end = len(text)
            break
    lines = text[start:end].split("\n")
    if lines[-1]:
        lines[-1] = f"{_cut(lines[-1])}\n\\ No newline at end of file"
    else:
        lines.pop()
    return lines


def _range(start: int, count: int) -> str:
    return f"{start + 1 if count else start},{count}"


def _cut(line: str) -> str:
    return line if len(line) <= LINE_LIMIT else f"{line[:LINE_LIMIT]} [... {len(line) - LINE_LIMIT:,} more characters]"
