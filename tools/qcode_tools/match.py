"""Where in a text an edit is meant to go: exactly there, or at the one place that differs in whitespace only."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

MOST_LISTED = 20
_NUMBERED = re.compile(r"\A *(\d+)\t")
"""What the view tool writes in front of a line."""


@dataclass(frozen=True, slots=True)
class Found:
    """One place: text[start:end] becomes `new`. `note` says what was overlooked to find it, "" for an exact match."""

    start: int
    end: int
    new: str
    note: str = ""


@dataclass(frozen=True, slots=True)
class Several:
    """More than one place: their line numbers, from 1; `more` if the list was cut."""

    lines: tuple[int, ...]
    more: bool


def locate(text: str, old: str, new: str) -> Found | Several | None:
    """Find the one place that `old` (not empty) stands for, and what is to stand there. All line ends are "\\n"."""
    for wanted, replacement, note in _readings(old, new):
        exact = _exact(text, wanted)
        if isinstance(exact, Several):
            return exact
        if exact is not None:
            return Found(exact, exact + len(wanted), replacement, note)
        if (loose := _tolerant(text, wanted, replacement)) is not None:
            return Found(loose.start, loose.end, loose.new, note or loose.note) if isinstance(loose, Found) else loose
    return None


def unfenced(text: str) -> str:
    """`text` without the Markdown fence that some models put round a value."""
    found = re.fullmatch(r"\s*```[\w+.-]*[ \t]*\n(.*?)\n?```\s*", text, re.DOTALL)
    return text if found is None or "\n```" in found[1] else found[1]


def _readings(old: str, new: str) -> list[tuple[str, str, str]]:
    readings = [(old, new, "")]
    if (plain := _unnumbered(old)) is not None:
        readings.append((plain, _drop_numbers(new), "without the line numbers that old_str was given with"))
    if (bare := unfenced(old)) != old and bare:
        readings.append((bare, unfenced(new), "without the ``` that old_str was given with"))
    return readings


def _unnumbered(old: str) -> str | None:
    numbers = [_NUMBERED.match(line) for line in old.removesuffix("\n").split("\n")]
    counted = [int(found[1]) for found in numbers if found is not None]
    if len(counted) < len(numbers) or counted != list(range(counted[0], counted[0] + len(counted))):
        return None
    return _drop_numbers(old) or None


def _drop_numbers(text: str) -> str:
    return "\n".join(_NUMBERED.sub("", line, count=1) if _NUMBERED.match(line) else line for line in text.split("\n"))


def _positions(text: str, wanted: str) -> list[int]:
    found: list[int] = []
    position = text.find(wanted)
    while position >= 0 and len(found) <= MOST_LISTED:
        found.append(position)
        position = text.find(wanted, position + 1)
    return found


def _several(lines: list[int]) -> Several:
    unique = sorted(set(lines))
    return Several(tuple(unique[:MOST_LISTED]), more=len(lines) > MOST_LISTED)


def _exact(text: str, wanted: str) -> int | Several | None:
    found = _positions(text, wanted)
    if len(found) > 1:
        return _several([text.count("\n", 0, position) + 1 for position in found])
    return found[0] if found else None


def _tolerant(text: str, old: str, new: str) -> Found | Several | None:
    """Whole lines, compared without trailing whitespace, then without indentation, which is carried over."""
    wanted = old.split("\n")
    lead = next((i for i, line in enumerate(wanted) if line.strip()), len(wanted))
    trail = next((i for i, line in enumerate(reversed(wanted)) if line.strip()), 0)
    core = wanted[lead : len(wanted) - trail]
    if not core:
        return None
    lines = text.split("\n")
    for bare, note in (
        (str.rstrip, "ignoring whitespace at line ends"),
        (str.strip, "with the indentation of the file"),
    ):
        starts = _line_matches(lines, core, bare)
        shifts = {at: shift for at in starts if (shift := _indentation(core, lines[at : at + len(core)])) is not None}
        if len(shifts) > 1:
            return _several([at + 1 for at in shifts])
        if shifts:
            ((at, shift),) = shifts.items()
            replacement, kept = _replacement(new, lead=lead, trail=trail)
            start, end = _span(lines, at, at + len(core), take=trail - kept)
            return Found(start, end, _carry(core, lines[at : at + len(core)], replacement, shift), note)
    return None


def _line_matches(lines: list[str], core: list[str], bare: Callable[[str], str]) -> list[int]:
    # A search in joined text: linear, where comparing windows of lines is not.
    hay = "\n" + "\n".join(map(bare, lines)) + "\n"
    found = _positions(hay, "\n" + "\n".join(map(bare, core)) + "\n")
    return [hay.count("\n", 0, position) for position in found]


def _replacement(new: str, *, lead: int, trail: int) -> tuple[list[str], int]:
    """The lines of `new` without the blank ones that `old` has round its core too; how many that were at its end."""
    if not new:
        return [], 0
    lines = new.split("\n")
    first = 0
    while first < min(lead, len(lines)) and not lines[first].strip():
        first += 1
    last = 0
    while last < min(trail, len(lines) - first) and not lines[-1 - last].strip():
        last += 1
    return lines[first : len(lines) - last], last


def _span(lines: list[str], first: int, last: int, *, take: int) -> tuple[int, int]:
    """Offsets of lines[first:last], with up to `take` line ends after them while what follows is blank."""
    start = sum(map(len, lines[:first])) + first
    end = start + sum(map(len, lines[first:last])) + (last - first - 1)
    while take > 0 and last < len(lines):
        end += 1
        take -= 1
        if take and not lines[last].strip():
            end += len(lines[last])
            last += 1
        else:
            break
    return start, end


def _carry(core: list[str], there: list[str], new: list[str], shift: "_Shift") -> str:
    """`new` in the file's indentation; lines that it only repeats from `core` stay as they are in the file."""
    shortest = min(len(core), len(new))
    head = 0
    while head < shortest and new[head].rstrip() == core[head].rstrip():
        head += 1
    tail = 0
    while tail < shortest - head and new[-1 - tail].rstrip() == core[-1 - tail].rstrip():
        tail += 1
    middle = [shift.apply(line) for line in new[head : len(new) - tail]]
    return "\n".join([*there[:head], *middle, *there[len(there) - tail :]])


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip(" \t"))]


@dataclass(frozen=True, slots=True)
class _Shift:
    """Which indentation of the file each indentation of the model stands for."""

    known: dict[str, str]

    def apply(self, line: str) -> str:
        indent = _indent(line)
        if len(indent) == len(line):
            return line
        return self._of(indent) + line[len(indent) :]

    def _of(self, indent: str) -> str:
        if indent in self.known:
            return self.known[indent]
        below = [given for given in self.known if indent.startswith(given)]
        if below:
            base = max(below, key=len)
            return self.known[base] + self._translated(indent[len(base) :])
        above = [given for given in self.known if given.startswith(indent)]
        if above:
            base = min(above, key=len)
            return self.known[base].removesuffix(self._translated(base[len(indent) :]))
        return indent

    def _translated(self, rest: str) -> str:
        """Further indentation, in tabs where the file has tabs for the model's spaces, and the other way round."""
        if width := _step(self.known, " ", "\t"):
            return rest if "\t" in rest else "\t" * (len(rest) // width) + " " * (len(rest) % width)
        if width := _step({real: given for given, real in self.known.items()}, " ", "\t"):
            return rest.replace("\t", " " * width)
        return rest


def _step(known: dict[str, str], spaces: str, tab: str) -> int:
    """How many spaces on the one side stand for one tab on the other; 0 if they do not."""
    pairs = [(len(a), len(b)) for a, b in known.items() if not a.strip(spaces) and not b.strip(tab)]
    pairs = sorted(pairs) if len(pairs) > 1 else [(0, 0), *pairs]
    steps = [
        (wide - narrow) // (deep - shallow)
        for (narrow, shallow), (wide, deep) in pairwise(pairs)
        if deep > shallow and wide > narrow
    ]
    return min(steps, default=0)


def _indentation(core: list[str], there: list[str]) -> _Shift | None:
    """How the indentation differs, if it differs the same way everywhere."""
    known: dict[str, str] = {}
    for given, real in zip(core, there, strict=True):
        if given.strip() and known.setdefault(_indent(given), _indent(real)) != _indent(real):
            return None
    widths = sorted((len(given.expandtabs(8)), len(real.expandtabs(8))) for given, real in known.items())
    if any(wider <= narrower for (_, narrower), (_, wider) in pairwise(widths)):
        return None
    return _Shift(known)
