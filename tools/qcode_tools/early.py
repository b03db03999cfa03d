"""What can be said of a call while it is still being written: that it can no longer succeed, whatever comes, or that
nothing more of it is wanted.

Each check reads and changes nothing but the session's count of misses, and says what the tool itself would say. It
raises ToolError for the model, SandboxError when the sandbox is gone.
"""

from dataclasses import dataclass, field

from qcode_sandbox.protocol import Sandbox
from qcode_tools import files, plan
from qcode_tools.errors import ToolError
from qcode_tools.history import EditHistory
from qcode_tools.match import Several, locate
from qcode_tools.offload import compute
from qcode_tools.parsing.languages import language_of
from qcode_tools.parsing.parser import shared_parser
from qcode_tools.rewrite import Behind, bare_code, last_definition

_NO_CHANCE = 3
"""So many lines of a file, one after the other, nobody writes by chance."""


@dataclass(frozen=True, slots=True)
class Look:
    """What the checks of one answer see of the sandbox: nothing runs while it is written, so a file is read once."""

    sandbox: Sandbox
    _files: dict[str, files.File] = field(default_factory=dict)
    _behind: dict[str, Behind | None] = field(default_factory=dict)

    async def file(self, path: str) -> files.File:
        """Raises: ToolError (IsFolder for a folder), SandboxError."""
        if path not in self._files:
            self._files[path] = await files.read(self.sandbox, path)
        return self._files[path]

    async def behind(self, path: str) -> Behind | None:
        """The last definition of a file and what stands behind it; None where that cannot be told, or is too little to
        be known again. Raises: ToolError, SandboxError."""
        if path not in self._behind:
            file = await self.file(path)
            text, language = file.document().text, language_of(file.path)
            tags = await shared_parser().tags(language, text.encode()) if language else None
            found = last_definition(text, tags, lines=_NO_CHANCE) if tags else None
            self._behind[path] = found
        return self._behind[path]


async def viewable(look: Look, path: str) -> None:
    """There is such a file or folder."""
    try:
        await look.file(path)
    except files.IsFolder:
        return


async def writable(look: Look, path: str) -> None:
    """A file can stand there."""
    await files.read_if_there(look.sandbox, files.resolve(look.sandbox, path))


async def replaceable(look: Look, history: EditHistory, path: str, old: str | None, *, once: bool = True) -> None:
    """There is such a text file, and `old`, once it is known, is in it at one place; or at any where not `once`.

    Without `old` a folder is let pass: one call may hold several edits, each of which names a file in it.
    """
    try:
        file = await look.file(path)
    except files.IsFolder:
        if old is None:
            return
        raise
    text = file.document().text
    if old is None:
        return
    old = old.replace("\r\n", "\n")
    if not old:
        raise ToolError(plan.EMPTY_OLD)
    match await compute(len(text), locate, text, old, ""):
        case Several() as several if once:
            raise ToolError(plan.ambiguous(file.shown, several))
        case None:
            misses = history.missed(file.path)
            raise ToolError(await compute(len(text), plan.not_found, file, old, "", misses))


async def insertable(look: Look, path: str, line: int | None) -> None:
    """There is such a text file, and `line`, once it is known, is in it."""
    file = await look.file(path)
    plan.check_line(file, file.document(), 0 if line is None else line)


async def before_a_copy(look: Look, path: str, code: str) -> str | None:
    """The new code of a file without its end, where that begins to copy what stands in the file behind its definitions:
    it stays as it is, so the rest need not be written. None where nothing shows that. Raises: ToolError, SandboxError.

    A small model asked for a function was seen to write the rest of the file too, a quarter of all that it wrote.
    """
    behind = await look.behind(path)
    kept = behind.before(code) if behind is not None else None
    language = language_of(path)
    if behind is None or kept is None or language is None:
        return None
    source = bare_code(kept).encode()
    # The same lines may stand in a text that the definition holds.
    if await shared_parser().errors(language, source) != []:
        return None
    tags = await shared_parser().tags(language, source)
    return kept if tags and any(symbol.name in behind.names for symbol in tags.defined) else None
