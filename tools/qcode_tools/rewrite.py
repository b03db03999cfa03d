"""Definitions written anew: each takes the place of the one of its name in the file.

For small models: asked for the corrected function they write it well, where they name and quote single lines badly.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import dedent, indent

from qcode_tools.errors import ToolError
from qcode_tools.parsing.parser import Symbol, Tags

_FENCES = (
    re.compile(r"\A\s*```[\w+.-]*[ \t]*\n(.*?)(?:\n[ \t]*```.*)?\Z", re.DOTALL),
    re.compile(r"\A\s*``[\w+.-]*[ \t]*\n(.*?)(?:\n``.*)?\Z", re.DOTALL),
    re.compile(r"\A(.*)\n```\s*\Z", re.DOTALL),
)
_CLOSER = re.compile(r"(?<!\s)\s*</(?:new_code|parameter|function|tool_call)>?\s*\Z")
_IMPORT = re.compile(r"(?:import|from)\s+[\w.]+")


def bare_code(text: str) -> str:
    """The code without what small models put round it: a Markdown fence, a closing tag of their own making."""
    text = _CLOSER.sub("", text)
    fenced = next((found for fence in _FENCES if (found := fence.match(text))), None)
    return dedent((fenced[1] if fenced else text).strip("\n")) + "\n"


def rewritten(name: str, text: str, code: str, *, there: Tags, given: Tags) -> str:
    """The file's text with the definitions of `code`.

    `there` and `given` are what the text and the code define. What the file does not have yet goes in front of what it
    has. Raises: ToolError where it is not clear what is meant.
    """
    units = _units(given.defined, there.defined)
    known = {unit.name: _place(name, unit, there.defined) for unit in units}
    if not any(known.values()):
        has = ", ".join(f"`{symbol.name}`" for symbol in _outer(there.defined)[:20]) or "no definition"
        what = ", ".join(f"`{unit.name}`" for unit in units) or "no function or class"
        raise ToolError(f"new_code defines {what}; {name} has {has}. Write one of those whole, or use str_replace.")
    lines, written = text.splitlines(), code.splitlines()
    new = [unit for unit in units if known[unit.name] is None]
    places = [(place, unit) for unit in units if (place := known[unit.name]) is not None]
    first = min(place.line for place, _ in places)
    changes = [
        (place.line, place.last, _block(written, unit, _indent(lines[place.line - 1]))) for place, unit in places
    ]
    added = [line for line in _imports(written, given.defined) if line not in lines]
    front = [line for unit in new for line in (*_block(written, unit, ""), "", "")]
    if front or added:
        at = min((symbol.line for symbol in _outer(there.defined) if symbol.line <= first), default=first)
        changes.append((at, at - 1, [*added, *([""] if added else []), *front]))
    for start, last, block in sorted(changes, reverse=True):
        lines[start - 1 : last] = block
    result = "\n".join(lines) + ("\n" if text.endswith("\n") else "")
    if result == text:
        raise ToolError("new_code is what the file has already: nothing would change. Write what must be different.")
    return result


@dataclass(frozen=True, slots=True)
class Behind:
    """The names of the definitions that end last in a file, and the first lines that are not empty behind them."""

    names: frozenset[str]
    lines: tuple[str, ...]

    def before(self, code: str) -> str | None:
        """The code in front of these lines, where they are its last whole ones; costs the same however long it is."""
        written = code[-2 * sum(len(line) + 1 for line in self.lines) - 200 :].split("\n")
        places = [place for place, line in enumerate(written[:-1]) if line.strip()][-len(self.lines) :]
        if [written[place].rstrip() for place in places] != list(self.lines):
            return None
        copied = "\n".join(written[places[0] :])
        return code[: len(code) - len(copied)]


def last_definition(text: str, there: Tags, *, lines: int) -> Behind | None:
    """What stands behind the last definition of a file; None for one without definitions, or with fewer lines there."""
    outer = _outer(there.defined)
    last = max((symbol.last for symbol in outer), default=0)
    behind = [line.rstrip() for line in text.splitlines()[last:] if line.strip()][:lines]
    names = frozenset(symbol.name for symbol in there.defined if symbol.last == last)
    return Behind(names, tuple(behind)) if last and len(behind) == lines else None


def _units(given: Sequence[Symbol], there: Sequence[Symbol]) -> list[Symbol]:
    """What is to be replaced: the outermost definitions; of a class that was given in part, only what is in it."""
    units: list[Symbol] = []
    for symbol in _outer(given):
        same = [one for one in there if one.name == symbol.name]
        parts = _inside(symbol, given)
        if len(same) == 1 and parts and {one.name for one in _inside(same[0], there)} - {one.name for one in parts}:
            units += parts
        else:
            units.append(symbol)
    return units


def _place(name: str, unit: Symbol, there: Sequence[Symbol]) -> Symbol | None:
    same = [one for one in there if one.name == unit.name]
    outer = [one for one in same if one in _outer(there)]
    if len(same) > 1 and len(outer) != 1:
        lines = ", ".join(str(one.line) for one in same)
        raise ToolError(
            f"{name} defines `{unit.name}` at lines {lines}: say which one by changing it with str_replace."
        )
    return outer[0] if len(same) > 1 else same[0] if same else None


def _outer(symbols: Sequence[Symbol]) -> list[Symbol]:
    return [one for one in symbols if not any(_holds(other, one) for other in symbols)]


def _inside(outer: Symbol, symbols: Sequence[Symbol]) -> list[Symbol]:
    inner = [one for one in symbols if _holds(outer, one)]
    return _outer(inner)


def _holds(outer: Symbol, inner: Symbol) -> bool:
    return outer != inner and outer.line <= inner.line and inner.last <= outer.last


def _block(written: Sequence[str], unit: Symbol, indentation: str) -> list[str]:
    return indent(dedent("\n".join(written[unit.line - 1 : unit.last])), indentation).split("\n")


def _imports(written: Sequence[str], given: Sequence[Symbol]) -> list[str]:
    first = min((symbol.line for symbol in given), default=1)
    return [line for line in written[: first - 1] if _IMPORT.match(line)]


def _indent(line: str) -> str:
    return line[: len(line) - len(line.lstrip())]
