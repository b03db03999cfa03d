"""The tool sets that there are, as data over the same functions: "swe" and "small"."""

import shlex
from collections.abc import Awaitable, Callable, Mapping
from importlib import resources
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from qcode_tools import early, search, shell
from qcode_tools.arguments import schema
from qcode_tools.cap import DEFAULT_CAP
from qcode_tools.edit import Editor, Replacement
from qcode_tools.errors import ToolError
from qcode_tools.history import EditHistory
from qcode_tools.spec import Effect, Tool, ToolContext, ToolOutput, ToolSpec
from qcode_tools.toolset import Aliases, Check, FunctionTool, Toolset
from qcode_tools.view import view

_ROOM_FOR_WORDS = 400
"""Characters of a view that are not the file's."""


def build_toolset(name: str, *, cap: int = DEFAULT_CAP) -> Toolset:
    """A fresh set for one session. `cap` is the most characters of a result. Raises: KeyError for an unknown name."""
    make, aliases = _SETS[name]
    return Toolset(make(EditHistory(), cap - _ROOM_FOR_WORDS), aliases=aliases, cap=cap)


class _Args(BaseModel):
    model_config = ConfigDict(defer_build=True, frozen=True)


def _joined(given: Any) -> Any:
    """A command that is given as a list of words, with or without a shell in front."""
    if not isinstance(given, list) or not all(isinstance(word, str) for word in given):
        return given
    shell_first = len(given) == 3 and given[0] in {"bash", "sh", "/bin/bash", "/bin/sh"} and given[1] in {"-c", "-lc"}
    return given[2] if shell_first else shlex.join(given)


class BashArgs(_Args):
    command: Annotated[str, BeforeValidator(_joined)]
    timeout: int = Field(shell.DEFAULT_SECONDS, description=f"seconds, {shell.DEFAULT_SECONDS} if not given")


class GlobArgs(_Args):
    pattern: str = Field(description="such as **/*.py")
    path: str = Field(".", description="folder to search in")


class GrepArgs(_Args):
    pattern: str = Field(description="regular expression")
    path: str = Field(".", description="folder or file to search in")
    include: str | None = Field(None, description="only files like this, such as *.py")


class ViewArgs(_Args):
    path: str
    start_line: int | None = None
    end_line: int | None = None


class StrReplaceArgs(_Args):
    path: str
    old_str: str = Field(description="text to replace, exactly as in the file, found only once")
    new_str: str = Field(description="text to put there")


class CreateArgs(_Args):
    path: str
    file_text: str = Field(description="the whole content")


class FinishArgs(_Args):
    summary: str = Field(description="what was done, in a sentence")

    @model_validator(mode="before")
    @classmethod
    def _silent(cls, given: dict[str, Any]) -> dict[str, Any]:
        return {"summary": "", **given}


_COMMANDS = ("view", "create", "str_replace", "insert", "undo_edit")
_OTHER_COMMANDS = {
    "read": "view", "open": "view", "cat": "view", "show": "view",
    "write": "create", "create_file": "create", "replace": "str_replace", "edit": "str_replace",
    "insert_line": "insert", "insert_text": "insert", "undo": "undo_edit",
}  # fmt: skip
_NEEDED = {
    "view": (), "create": ("file_text",), "str_replace": ("old_str", "new_str"), "insert": ("insert_line", "new_str"),
    "undo_edit": (),
}  # fmt: skip


def _command(given: Any) -> Any:
    plain = given.strip().lower() if isinstance(given, str) else given
    return _OTHER_COMMANDS.get(plain, plain) if isinstance(plain, str) else plain


class EditorArgs(_Args):
    command: Annotated[Literal["view", "create", "str_replace", "insert", "undo_edit"], BeforeValidator(_command)]
    path: str
    file_text: str | None = Field(None, description="for create: the whole content")
    old_str: str | None = Field(
        None, description="for str_replace: text to replace, exactly as in the file, found only once"
    )
    new_str: str | None = Field(None, description="for str_replace and insert: the new text")
    insert_line: int | None = Field(None, description="for insert: line after which to insert, 0 for the top")
    view_range: tuple[int, int] | None = Field(None, description="for view: [first, last] line, -1 for the end")

    @model_validator(mode="before")
    @classmethod
    def _infer(cls, given: dict[str, Any]) -> dict[str, Any]:
        """A call without `command` whose other arguments leave no doubt."""
        if "command" in given:
            return given
        fits = "str_replace" if "old_str" in given else "insert" if "insert_line" in given else None
        fits = fits or ("create" if "file_text" in given else "view" if set(given) <= {"path", "view_range"} else None)
        return given if fits is None else {**given, "command": fits}


def _tool(
    name: str,
    args: type[BaseModel],
    effect: Effect,
    function: Callable[[Any, ToolContext], Awaitable[ToolOutput]],
    *,
    ends_turn: bool = False,
    check: Check | None = None,
) -> FunctionTool:
    spec = ToolSpec(name, _description(name), schema(args), effect, ends_turn)
    return FunctionTool(spec, args, function, check=check)


def _description(name: str) -> str:
    return resources.files("qcode_tools").joinpath("descriptions", f"{name}.md").read_text(encoding="utf-8").strip()


async def _bash(args: BashArgs, ctx: ToolContext) -> ToolOutput:
    return await shell.bash(ctx, args.command, args.timeout)


async def _glob(args: GlobArgs, ctx: ToolContext) -> ToolOutput:
    return await search.glob(ctx.sandbox, args.pattern, args.path)


async def _grep(args: GrepArgs, ctx: ToolContext) -> ToolOutput:
    return await search.grep(ctx.sandbox, args.pattern, args.path, args.include)


async def _finish(args: FinishArgs, ctx: ToolContext) -> ToolOutput:
    del ctx
    return ToolOutput("Done.", args.summary, extra={"summary": args.summary})


async def _check_edit(command: Any, given: Mapping[str, Any], look: early.Look, history: EditHistory) -> None:
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


def _swe(history: EditHistory, view_limit: int) -> tuple[Tool, ...]:
    async def edit(args: EditorArgs, ctx: ToolContext) -> ToolOutput:
        editor = Editor(ctx.sandbox, history)
        new = args.new_str if args.new_str is not None or args.command != "insert" else args.file_text
        text = args.file_text if args.file_text is not None else args.new_str
        match args.command:
            case "view":
                first, last = args.view_range or (None, None)
                return await view(ctx.sandbox, args.path, first=first, last=last, limit=view_limit, history=history)
            case "create" if text is not None:
                return await editor.create(args.path, text)
            case "str_replace" if args.old_str is not None and new is not None:
                return await editor.replace([Replacement(args.path, args.old_str, new)])
            case "insert" if args.insert_line is not None and new is not None:
                return await editor.insert(args.path, args.insert_line, new)
            case "undo_edit":
                return await editor.undo(args.path)
        absent = [f"`{name}`" for name in _NEEDED[args.command] if getattr(args, name) is None]
        raise ToolError(
            f"command {args.command} also needs {' and '.join(absent)} (an empty text must be given as one)"
        )

    async def check(given: Mapping[str, Any], look: early.Look) -> None:
        await _check_edit(_command(given.get("command")), given, look, history)

    spec = ToolSpec(
        "str_replace_editor",
        _description("str_replace_editor"),
        {
            **schema(EditorArgs),
            "oneOf": [
                {"properties": {"command": {"const": command}}, "required": ["command", "path", *_NEEDED[command]]}
                for command in _COMMANDS
            ],
        },
        Effect.WRITE,
    )
    return (
        _tool("bash", BashArgs, Effect.EXEC, _bash),
        FunctionTool(spec, EditorArgs, edit, only_reads=lambda args: args.command == "view", check=check),
        _tool("glob", GlobArgs, Effect.READ, _glob),
        _tool("grep", GrepArgs, Effect.READ, _grep),
    )


def _small(history: EditHistory, view_limit: int) -> tuple[Tool, ...]:
    # No more than a small model can tell apart: it used an insert again and again where it meant a replacement.
    async def show(args: ViewArgs, ctx: ToolContext) -> ToolOutput:
        return await view(
            ctx.sandbox, args.path, first=args.start_line, last=args.end_line, limit=view_limit, history=history
        )

    async def str_replace(args: StrReplaceArgs, ctx: ToolContext) -> ToolOutput:
        edit = Replacement(args.path, args.old_str, args.new_str)
        return await Editor(ctx.sandbox, history, guarded=True).replace([edit])

    async def create(args: CreateArgs, ctx: ToolContext) -> ToolOutput:
        return await Editor(ctx.sandbox, history, guarded=True).create(args.path, args.file_text)

    def check(command: str) -> Check:
        async def look_at(given: Mapping[str, Any], look: early.Look) -> None:
            await _check_edit(command, given, look, history)

        return look_at

    return (
        _tool("bash", BashArgs, Effect.EXEC, _bash),
        _tool("view", ViewArgs, Effect.READ, show, check=check("view")),
        _tool("str_replace", StrReplaceArgs, Effect.WRITE, str_replace, check=check("str_replace")),
        _tool("create", CreateArgs, Effect.WRITE, create, check=check("create")),
        _tool("grep", GrepArgs, Effect.READ, _grep),
        _tool("finish", FinishArgs, Effect.READ, _finish, ends_turn=True),
    )


_SHELLS: Aliases = dict.fromkeys(("shell", "execute_bash", "run_shell_command", "run", "terminal", "sh"), ("bash", {}))
_SEARCHES: Aliases = {"grep_search": ("grep", {}), "search": ("grep", {}), "find": ("glob", {}), "ls": ("glob", {})}
_EDITING: dict[str, str] = {
    "view": "view", "read_file": "view", "read": "view", "open": "view", "cat": "view", "view_file": "view",
    "create": "create", "write_file": "create", "create_file": "create", "write": "create",
    "str_replace": "str_replace", "edit": "str_replace", "edit_file": "str_replace", "replace": "str_replace",
    "insert": "insert", "undo_edit": "undo_edit", "undo": "undo_edit",
}  # fmt: skip
_SWE_ALIASES: Aliases = {
    **_SHELLS,
    **_SEARCHES,
    **{other: ("str_replace_editor", {"command": command}) for other, command in _EDITING.items()},
    "str_replace_based_edit_tool": ("str_replace_editor", {}),
    "editor": ("str_replace_editor", {}),
}
_SMALL_ALIASES: Aliases = {
    **_SHELLS,
    "grep_search": ("grep", {}),
    "search": ("grep", {}),
    **{other: (command, {}) for other, command in _EDITING.items() if command not in {"insert", "undo_edit"}},
    **dict.fromkeys(("submit", "done", "complete", "attempt_completion"), ("finish", {})),
}

_SETS: dict[str, tuple[Callable[[EditHistory, int], tuple[Tool, ...]], Aliases]] = {
    "swe": (_swe, _SWE_ALIASES),
    "small": (_small, _SMALL_ALIASES),
}
