"""What the sets share: the state of a session, how a tool is made, and arguments that several sets have alike."""

import shlex
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from qcode_tools import early, search, shell
from qcode_tools.arguments import HIDDEN, schema
from qcode_tools.edit import Editor
from qcode_tools.history import EditHistory
from qcode_tools.jobs import Jobs
from qcode_tools.spec import Effect, ToolContext, ToolOutput, ToolSpec
from qcode_tools.toolset import Check, FunctionTool, Settled
from qcode_tools.view import view

if TYPE_CHECKING:
    from qcode_tools.symbols.tool import Symbols


@dataclass(frozen=True)
class State:
    """What the tools of one session remember. `view_limit` is in characters; in the folder `cache` is kept what was
    found out about source files, None to keep nothing."""

    view_limit: int
    cache: Path | None = None
    history: EditHistory = field(default_factory=EditHistory)
    jobs: Jobs = field(default_factory=Jobs)

    @cached_property
    def symbols(self) -> "Symbols":
        # Few sessions look up symbols, and every one would pay for the import.
        from qcode_tools.symbols.tool import Symbols

        return Symbols(None if self.cache is None else self.cache / "symbols.sqlite")

    def editor(self, ctx: ToolContext, *, guarded: bool = False, undoable: bool = False) -> Editor:
        return Editor(ctx.sandbox, self.history, guarded=guarded, undoable=undoable, rehearsal=ctx.rehearsal)

    async def view(self, ctx: ToolContext, path: str, first: int | None, last: int | None) -> ToolOutput:
        """Raises: ToolError, SandboxError."""
        return await view(ctx.sandbox, path, first=first, last=last, limit=self.view_limit, history=self.history)


class Args(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True)


def _joined(given: Any) -> Any:
    """A command that is given as a list of words, with or without a shell in front."""
    if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
        return given
    shell_first = len(given) == 3 and given[0] in {"bash", "sh", "/bin/bash", "/bin/sh"} and given[1] in {"-c", "-lc"}
    return given[2] if shell_first else shlex.join(given)


Command = Annotated[str, BeforeValidator(_joined)]


class BashArgs(Args):
    command: Command
    timeout: int = Field(shell.DEFAULT_SECONDS, description=f"seconds, {shell.DEFAULT_SECONDS} if not given")
    background: bool = Field(False, json_schema_extra=HIDDEN)
    tty: bool = Field(False, json_schema_extra=HIDDEN)


class GlobArgs(Args):
    pattern: str = Field(description="such as **/*.py")
    path: str = Field(".", description="folder to search in")


class GrepArgs(Args):
    pattern: str = Field(description="regular expression")
    path: str = Field(".", description="folder or file to search in")
    include: str | None = Field(None, description="only files like this, such as *.py")


class FinishArgs(Args):
    summary: str = Field(description="what was done, in a sentence")

    @model_validator(mode="before")
    @classmethod
    def _silent(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {"summary": "", **given}


def tool(
    name: str,
    args: type[BaseModel],
    effect: Effect,
    function: Callable[[Any, ToolContext], Awaitable[ToolOutput]],
    *,
    ends_turn: bool = False,
    check: Check | None = None,
    described_as: str = "",
    rehearses: bool = False,
    settled: Settled | None = None,
) -> FunctionTool:
    """A tool with the description of its name, or of the tool that it is `described_as`."""
    spec = ToolSpec(name, description(described_as or name), schema(args), effect, ends_turn)
    return FunctionTool(spec, args, function, check=check, rehearses=rehearses, settled=settled)


def description(name: str) -> str:
    """The words for the model."""
    return resources.files("qcode_tools").joinpath("descriptions", f"{name}.md").read_text(encoding="utf-8").strip()


class PlainBashArgs(BashArgs):
    """For models that would write the time out each time."""

    timeout: int = Field(shell.DEFAULT_SECONDS, json_schema_extra=HIDDEN)


def bash(state: State, args: type[BashArgs] = BashArgs) -> FunctionTool:
    """The shell."""

    async def run(args: BashArgs, ctx: ToolContext) -> ToolOutput:
        return await shell.bash(
            ctx, args.command, args.timeout, jobs=state.jobs, background=args.background, tty=args.tty
        )

    return tool("bash", args, Effect.EXEC, run)


async def glob(args: GlobArgs, ctx: ToolContext) -> ToolOutput:
    """Raises: ToolError, SandboxError."""
    return await search.glob(ctx.sandbox, args.pattern, args.path)


async def grep(args: GrepArgs, ctx: ToolContext) -> ToolOutput:
    """Raises: ToolError, SandboxError."""
    return await search.grep(ctx.sandbox, args.pattern, args.path, args.include)


async def finish(args: FinishArgs, ctx: ToolContext) -> ToolOutput:
    """The model's last word."""
    del ctx
    return ToolOutput("Done.", args.summary, extra={"summary": args.summary})


async def check_edit(command: Any, given: Mapping[str, Any], look: early.Look, history: EditHistory) -> None:
    """What can be said of an edit while it is written. `given` has the names of the swe set.

    Raises: ToolError, SandboxError.
    """
    match given:
        case {"path": str(path), **rest}:
            pass
        case _:
            return
    match command, rest:
        case "view", _:
            await early.viewable(look, path)
        case "create", _:
            await early.writable(look, path)
        case "str_replace", {"old_str": str(old)}:
            await early.replaceable(look, history, path, old)
        case "str_replace", _:
            await early.replaceable(look, history, path, None)
        case "insert", {"insert_line": int(line)}:
            await early.insertable(look, path, line)
        case "insert", _:
            await early.insertable(look, path, None)


SHELLS = ("bash", "shell", "execute_bash", "run_shell_command", "run", "terminal", "sh")
SEARCHES = ("grep", "grep_search", "search", "search_file_content", "ripgrep")
LISTS = ("glob", "find", "ls", "find_files")
EDITING: dict[str, str] = {
    "view": "view", "read_file": "view", "read": "view", "open": "view", "cat": "view", "view_file": "view",
    "create": "create", "write_file": "create", "create_file": "create", "write": "create",
    "str_replace": "str_replace", "edit": "str_replace", "edit_file": "str_replace", "replace": "str_replace",
    "multi_edit": "str_replace", "multiedit": "str_replace",
    "insert": "insert", "undo_edit": "undo_edit", "undo": "undo_edit",
}  # fmt: skip
"""Other agents' names of the editing tools, and the editor's command for each."""
