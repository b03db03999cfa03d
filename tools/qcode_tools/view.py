"""Shows files with line numbers, and folders two levels deep."""

from qcode_sandbox.protocol import Sandbox
from qcode_tools import files, show
from qcode_tools.errors import ToolError
from qcode_tools.history import EditHistory
from qcode_tools.listing import list_tree
from qcode_tools.offload import compute
from qcode_tools.spec import ToolOutput

_ENTRIES = 200


async def view(
    sandbox: Sandbox, path: str, *, first: int | None, last: int | None, limit: int, history: EditHistory
) -> ToolOutput:
    """Lines `first` to `last` of a file (from 1, inclusive; None or -1: to the end), or what is in a folder.

    At most about `limit` characters, in whole lines. Raises: ToolError, SandboxError.
    """
    try:
        file = await files.read(sandbox, path)
    except files.IsFolder as folder:
        return await _folder(sandbox, folder.path)
    shown = await compute(len(file.data), _lines, file, first, last, limit)
    history.saw(file.path, file.data)
    return shown


def _lines(file: files.File, first: int | None, last: int | None, limit: int) -> ToolOutput:
    text = file.document().text
    if not text:
        return ToolOutput(f"{file.shown} is empty.")
    lines = text.removesuffix("\n").split("\n")
    start, end = _range(first, last, len(lines), file.shown)
    shown_to, size = start - 1, 0
    while shown_to < end and size <= limit:
        size += min(len(lines[shown_to]), show.LINE_LIMIT) + 8
        shown_to += 1
    # The line that went over the limit is left for the next part, unless it is the only one.
    if size > limit and shown_to > start:
        shown_to -= 1
    content = show.numbered(lines[start - 1 : shown_to], start)
    if shown_to < end or end < len(lines) or start > 1:
        content += f"\n[{file.shown}: lines {start}-{shown_to} of {len(lines)}]"
    return ToolOutput(content, extra={"lines": [start, shown_to], "of": len(lines)})


def _range(first: int | None, last: int | None, count: int, name: str) -> tuple[int, int]:
    start = max(1, first or 1)
    end = count if last is None or last == -1 else last
    if start > count:
        raise ToolError(f"{name} has only {count} line{'' if count == 1 else 's'}: there is no line {start}")
    if end < start:
        raise ToolError(f"the range ends (line {end}) before it begins (line {start})")
    return start, min(end, count)


async def _folder(sandbox: Sandbox, path: str) -> ToolOutput:
    entries = await list_tree(sandbox, path)
    name = files.shown(sandbox, path)
    if not entries:
        return ToolOutput(f"{name} is an empty folder.")
    lines = entries[:_ENTRIES]
    if len(entries) > _ENTRIES:
        lines.append(f"[... {len(entries) - _ENTRIES:,} more; view a folder further down, or use glob]")
    return ToolOutput(f"{name} has, two levels deep:\n" + "\n".join(lines))
