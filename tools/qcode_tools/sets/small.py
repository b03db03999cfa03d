"""The set "small": flat tools, no more than a small model can tell apart."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from qcode_tools import early
from qcode_tools.edit import Replacement
from qcode_tools.sets.base import (
    EDITING,
    SEARCHES,
    SHELLS,
    Args,
    FinishArgs,
    GrepArgs,
    PlainBashArgs,
    State,
    bash,
    check_edit,
    finish,
    grep,
    tool,
)
from qcode_tools.spec import Effect, Tool, ToolContext, ToolOutput
from qcode_tools.toolset import Aliases, Check


class ViewArgs(Args):
    path: str
    start_line: int | None = None
    end_line: int | None = None


class StrReplaceArgs(Args):
    path: str
    old_str: str = Field(description="text to replace, exactly as in the file, found only once")
    new_str: str = Field(description="text to put there")


class RewriteArgs(Args):
    path: str
    new_code: str = Field(description="the whole new text of the function")


class CreateArgs(Args):
    path: str
    file_text: str = Field(description="the whole content")


def tools(state: State) -> tuple[Tool, ...]:
    """The tools, in the order in which the model sees them."""

    # No insert: a small model used it again and again where it meant a replacement.
    async def show(args: ViewArgs, ctx: ToolContext) -> ToolOutput:
        return await state.view(ctx, args.path, args.start_line, args.end_line)

    async def str_replace(args: StrReplaceArgs, ctx: ToolContext) -> ToolOutput:
        return await state.editor(ctx, guarded=True).replace([Replacement(args.path, args.old_str, args.new_str)])

    async def rewrite(args: RewriteArgs, ctx: ToolContext) -> ToolOutput:
        return await state.editor(ctx, guarded=True).rewrite(args.path, args.new_code)

    async def create(args: CreateArgs, ctx: ToolContext) -> ToolOutput:
        return await state.editor(ctx, guarded=True).create(args.path, args.file_text)

    def check(command: str) -> Check:
        async def look_at(given: Mapping[str, Any], look: early.Look) -> None:
            await check_edit(command, given, look, state.history)

        return look_at

    async def settled(given: Mapping[str, Any], look: early.Look) -> dict[str, Any] | None:
        match given:
            case {"path": str(path), "new_code": str(code)}:
                kept = await early.before_a_copy(look, path, code)
                return None if kept is None else {**given, "new_code": kept}
        return None

    return (
        bash(state, PlainBashArgs),
        tool("view", ViewArgs, Effect.READ, show, check=check("view")),
        tool("rewrite", RewriteArgs, Effect.WRITE, rewrite, check=check("view"), rehearses=True, settled=settled),
        tool("str_replace", StrReplaceArgs, Effect.WRITE, str_replace, check=check("str_replace"), rehearses=True),
        tool("create", CreateArgs, Effect.WRITE, create, check=check("create"), rehearses=True),
        tool("grep", GrepArgs, Effect.READ, grep),
        tool("finish", FinishArgs, Effect.READ, finish, ends_turn=True),
    )


ALIASES: Aliases = {
    **dict.fromkeys(SHELLS, ("bash", {})),
    **dict.fromkeys(SEARCHES, ("grep", {})),
    **{other: (command, {}) for other, command in EDITING.items() if command not in {"insert", "undo_edit"}},
    **dict.fromkeys(("submit", "done", "complete", "attempt_completion"), ("finish", {})),
}
