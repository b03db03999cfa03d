"""Looking up names, the outline of a file, and a map of the repository, each in a bounded number of characters."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path

from qcode_sandbox.protocol import Sandbox
from qcode_tools import files
from qcode_tools.errors import ToolError
from qcode_tools.parsing.languages import language_of
from qcode_tools.parsing.parser import Symbol, shared_parser
from qcode_tools.spec import ToolOutput
from qcode_tools.symbols.index import Index, Indexer
from qcode_tools.symbols.ranking import Ranked, ranked

MAP_CHARACTERS = 5_000
"""About 1,500 tokens."""

_PLACES = 20
_REFERRING = 10
_OUTLINE = 400


class Symbols:
    """Answers for one session."""

    def __init__(self, cache_path: Path | None) -> None:
        self._indexer = Indexer(cache_path)

    async def find(self, sandbox: Sandbox, name: str) -> ToolOutput:
        """Where a name is defined, and which files refer to it. Raises: ToolError, SandboxError."""
        name = name.strip().strip("`'\"()").rpartition(".")[2].rpartition("::")[2]
        if not name:
            raise ToolError("name is empty: give the name of a function, class or method")
        index = await self._indexer.index(sandbox)
        places = _defined(index, lambda symbol: symbol.name == name)
        note = ""
        if not places:
            low = name.lower()
            places = _defined(index, lambda symbol: low in symbol.name.lower())
            note = f"Nothing is called exactly {name}; like it:\n" if places else ""
        if not places:
            return ToolOutput(f"No definition of {name}.{_rest(index)} Use grep for other text.")
        # The exact definition in shorter files first would say nothing: by name, then by place.
        places.sort(key=lambda place: (len(place[1].name), place[0], place[1].line))
        lines = [f"{path}:{_lines(symbol)}: {symbol.text.strip()}" for path, symbol in places[:_PLACES]]
        if len(places) > _PLACES:
            lines.append(f"[... {len(places) - _PLACES} more]")
        referring = [(tags.referred[name], path) for path, tags in index.files.items() if name in tags.referred]
        referring.sort(key=lambda each: (-each[0], each[1]))
        if referring:
            shown = ", ".join(f"{path} ({count})" for count, path in referring[:_REFERRING])
            more = f" and {len(referring) - _REFERRING} more files" if len(referring) > _REFERRING else ""
            lines.append(f"Referred to in: {shown}{more}")
        return ToolOutput(note + "\n".join(lines), extra={"definitions": len(places)})

    async def outline(self, sandbox: Sandbox, path: str, task: str) -> ToolOutput:
        """The definitions of a file; of a folder, the map of what is in it. Raises: ToolError, SandboxError."""
        try:
            file = await files.read(sandbox, path)
        except files.IsFolder as folder:
            return await self.map(sandbox, task, below=files.shown(sandbox, folder.path))
        language = language_of(file.path)
        tags = None if language is None else await shared_parser().tags(language, file.data)
        if tags is None:
            raise ToolError(f"{file.shown} has no outline: it is in no language that is known here. View it instead.")
        if not tags.defined:
            return ToolOutput(f"{file.shown} defines nothing.")
        lines = [f"{_lines(symbol):>9} {symbol.text}" for symbol in tags.defined[:_OUTLINE]]
        if len(tags.defined) > _OUTLINE:
            lines.append(f"[... {len(tags.defined) - _OUTLINE} more]")
        return ToolOutput(f"{file.shown} defines:\n" + "\n".join(lines), extra={"definitions": len(tags.defined)})

    async def map(self, sandbox: Sandbox, task: str, *, below: str = ".") -> ToolOutput:
        """The definitions that matter most for `task`. Raises: ToolError, SandboxError."""
        index = await self._indexer.index(sandbox)
        found = await asyncio.to_thread(ranked, index.files, task)
        if below != ".":
            found = [each for each in found if each.path.startswith(f"{below}/")]
        if not found:
            return ToolOutput(f"No definitions are known here.{_rest(index)} Use glob and grep.")
        text = map_text(found, MAP_CHARACTERS)
        return ToolOutput(text + _rest(index), extra={"files": len(index.files), "missing": index.missing})


def map_text(found: Iterable[Ranked], characters: int) -> str:
    """The best definitions that fit, by file, files and lines in the order of the best and of the file."""
    chosen: dict[str, list[Symbol]] = {}
    left = characters
    for each in found:
        line = f"{each.symbol.line:>6} {each.symbol.text}\n"
        cost = len(line) + (0 if each.path in chosen else len(each.path) + 2)
        if cost > left:
            break
        left -= cost
        chosen.setdefault(each.path, []).append(each.symbol)
    parts = []
    for path, symbols in chosen.items():
        lines = {symbol.line: symbol.text for symbol in symbols}
        parts.append(f"{path}:\n" + "".join(f"{line:>6} {lines[line]}\n" for line in sorted(lines)))
    return "".join(parts).rstrip()


def _defined(index: Index, fits: Callable[[Symbol], bool]) -> list[tuple[str, Symbol]]:
    return [(path, symbol) for path, tags in index.files.items() for symbol in tags.defined if fits(symbol)]


def _lines(symbol: Symbol) -> str:
    return str(symbol.line) if symbol.last <= symbol.line else f"{symbol.line}-{symbol.last}"


def _rest(index: Index) -> str:
    return f"\n[{index.missing:,} more files were not looked at]" if index.missing else ""
