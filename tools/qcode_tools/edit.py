"""Changes of files in a sandbox: replace, insert, create, undo."""

from dataclasses import dataclass

from qcode_sandbox.protocol import Sandbox
from qcode_tools import files, plan
from qcode_tools.errors import ToolError
from qcode_tools.history import Change, EditHistory
from qcode_tools.match import Several
from qcode_tools.offload import compute
from qcode_tools.spec import ToolOutput
from qcode_tools.syntax import new_syntax_error


@dataclass(frozen=True, slots=True)
class Editor:
    """The edits of one session in one sandbox. Each file is read anew for each edit.

    `guarded` refuses an edit that leaves a file which no longer parses, as SWE-agent does for its models.
    """

    sandbox: Sandbox
    history: EditHistory
    guarded: bool = False

    async def str_replace(self, path: str, old: str, new: str) -> ToolOutput:
        """Replace the one occurrence of `old` by `new`. Raises: ToolError, SandboxError."""
        old, new = _lf(old), _lf(new)
        if not old:
            raise ToolError(plan.EMPTY_OLD)
        if old == new:
            raise ToolError("old_str and new_str are the same: nothing would change. Write what must be different.")
        async with self.history.lock:
            file = await files.read(self.sandbox, path)
            match await compute(len(file.data), plan.replacement, file, old, new):
                case plan.Plan() as planned:
                    return await self._carry_out(file.path, file.shown, planned)
                case Several() as several:
                    raise ToolError(plan.ambiguous(file.shown, several))
                case None:
                    misses = self.history.missed(file.path)
                    raise ToolError(await compute(len(file.data), plan.not_found, file, old, new, misses))

    async def insert(self, path: str, line: int, text: str) -> ToolOutput:
        """Put lines after line `line`; 0 is before the first. Raises: ToolError, SandboxError."""
        async with self.history.lock:
            file = await files.read(self.sandbox, path)
            planned = await compute(len(file.data), plan.insertion, file, line, _lf(text))
            return await self._carry_out(file.path, file.shown, planned)

    async def create(self, path: str, text: str) -> ToolOutput:
        """Write a whole file; one that is there is replaced and keeps its encoding. Raises: ToolError, SandboxError."""
        full = files.resolve(self.sandbox, path)
        name = files.shown(self.sandbox, full)
        async with self.history.lock:
            before = await files.read_if_there(self.sandbox, full)
            if before is None:
                planned = await compute(len(text), plan.creation, full, name, text)
            else:
                size = len(before) + len(text)
                planned = await compute(size, plan.overwriting, files.File(full, name, before), _lf(text))
            return await self._carry_out(full, name, planned)

    async def undo(self, path: str) -> ToolOutput:
        """Take the last edit of a file back. Raises: ToolError, SandboxError."""
        async with self.history.lock:
            change = next(filter(None, map(self.history.last, files.meant(self.sandbox, path))), None)
            if change is None:
                raise ToolError(f"there is no edit of {path} to take back")
            name = files.shown(self.sandbox, change.path)
            if await files.read_if_there(self.sandbox, change.path) != change.after:
                raise ToolError(
                    f"{name} was changed by something else since your last edit, and undo_edit would lose that: "
                    "view it and edit it instead"
                )
            if change.before is None:
                await self._remove(change.path, name)
                self.history.undone(change)
                return ToolOutput(f"Took back the creation of {name}: the file is gone.")
            await files.write(self.sandbox, change.path, change.before)
            self.history.undone(change)
            size = len(change.after) + len(change.before)
            display = await compute(size, plan.bytes_diff, change.after, change.before, name)
            return ToolOutput(f"Took back the last edit of {name}:\n{display}".rstrip(), display)

    async def _remove(self, path: str, name: str) -> None:
        ran = await self.sandbox.exec(["rm", "-f", "--", path], timeout_s=10)
        if ran.exit_code != 0:
            raise ToolError(f"cannot remove {name}: {ran.output.strip()}")

    async def _carry_out(self, path: str, name: str, planned: plan.Plan) -> ToolOutput:
        problem = await new_syntax_error(self.sandbox, path, before=planned.before, after=planned.after)
        # What is only likely must not keep a file from being written for ever.
        if problem is not None and problem.sure and self.guarded:
            raise ToolError(
                f"Nothing was changed. With this edit {problem.words[0].lower()}{problem.words[1:]}\n"
                "Write it anew, whole and with the right indentation."
            )
        await files.write(self.sandbox, path, planned.after)
        self.history.edited(Change(path, planned.before, planned.after))
        said = [planned.words, planned.shown]
        if problem is None:
            return ToolOutput("\n".join(filter(None, said)), planned.diff)
        error = problem.words
        said += [error, "Fix it with another edit, or take it back with undo_edit."]
        return ToolOutput("\n".join(filter(None, said)), f"{planned.diff}{error}\n", extra={"syntax_error": error})


def _lf(text: str) -> str:
    return text.replace("\r\n", "\n")
