"""The region of a file that a text which is not in it was most likely meant for."""

import difflib
import re
from collections import defaultdict
from dataclasses import dataclass

_WORDS_TRIED = 60
_WORDS_USED = 24
_HITS = 200
"""Words that are more frequent than this tell little about the place."""

_LINES = 60
"""Lines of the wanted text that are compared."""

_CUT = 160
_WORD = re.compile(r"\w{2,}")


@dataclass(frozen=True, slots=True)
class Region:
    """Lines `first` to `last` (from 1, inclusive) and how they differ from what was wanted."""

    first: int
    last: int
    difference: str


def closest_region(text: str, wanted: str) -> Region | None:
    """Find it by the rare words that both share: each occurrence votes for where `wanted` would begin.

    Linear in the size of the text.
    """
    lines = wanted.strip("\n").split("\n")[:_LINES]
    words: dict[str, list[int]] = defaultdict(list)
    for number, line in enumerate(lines):
        for word in _WORD.findall(line):
            words[word].append(number)
    tried = sorted(words, key=len, reverse=True)[:_WORDS_TRIED]
    counted = sorted((count, word) for word in tried if (count := text.count(word)))
    used = [(count, word) for count, word in counted if count <= _HITS][:_WORDS_USED] or counted[:1]
    start = _vote(text, words, used)
    if start is None:
        return None
    total = text.count("\n") + 1
    start = max(0, min(start, total - 1))
    there = _slice(text, start, len(lines))
    words_there = set(_WORD.findall("\n".join(there)))
    if len(words_there.intersection(tried)) * 3 < len(tried):
        return None
    return Region(start + 1, start + len(there), _difference(lines, there, start + 1))


def _vote(text: str, words: dict[str, list[int]], used: list[tuple[int, str]]) -> int | None:
    hits: list[tuple[int, str, float]] = []
    for count, word in used:
        position = text.find(word)
        for _ in range(min(count, _HITS)):
            hits.append((position, word, len(word) / count))
            position = text.find(word, position + 1)
            if position < 0:
                break
    votes: dict[int, float] = defaultdict(float)
    line = seen = 0
    for position, word, weight in sorted(hits):
        line += text.count("\n", seen, position)
        seen = position
        for number in dict.fromkeys(words[word][:5]):
            votes[line - number] += weight
    if not votes:
        return None
    # A line more or less in between does not take the votes of the neighbours away.
    return max(votes, key=lambda at: (votes[at] + 0.5 * (votes.get(at - 1, 0) + votes.get(at + 1, 0)), -at))


def _slice(text: str, first: int, count: int) -> list[str]:
    position = 0
    for _ in range(first):
        position = text.find("\n", position) + 1
    lines: list[str] = []
    while len(lines) < count and position <= len(text):
        end = text.find("\n", position)
        end = len(text) if end < 0 else end
        lines.append(text[position:end])
        position = end + 1
    if lines and not lines[-1] and position > len(text):
        lines.pop()
    return lines


def _difference(wanted: list[str], there: list[str], first: int) -> str:
    bare_wanted, bare_there = [line.strip() for line in wanted], [line.strip() for line in there]
    matcher = difflib.SequenceMatcher(None, bare_wanted, bare_there, autojunk=False)
    for kind, a, a_end, b, _ in matcher.get_opcodes():
        match kind:
            case "replace":
                return f"Line {first + b} differs:\n  old_str: {_short(wanted[a])}\n  file:    {_short(there[b])}"
            case "delete":
                return f"The file does not have this line of old_str: {_short(wanted[a])}" + (
                    "" if a_end - a == 1 else f" (and {a_end - a - 1} after it)"
                )
            case "insert":
                return f"old_str lacks line {first + b}: {_short(there[b])}"
    for offset, (mine, real) in enumerate(zip(wanted, there, strict=False)):
        if mine != real:
            return (
                f"Line {first + offset} differs in whitespace:\n"
                f"  old_str: {_short(_spaces(mine))}\n  file:    {_short(_spaces(real))}"
            )
    return "It differs only in the blank lines around it."


def _short(line: str) -> str:
    return line if len(line) <= _CUT else f"{line[:_CUT]} [...]"


def _spaces(line: str) -> str:
    indent = line[: len(line) - len(line.lstrip())]
    return indent.replace("\t", "<tab>").replace(" ", "·") + line[len(indent) :]
