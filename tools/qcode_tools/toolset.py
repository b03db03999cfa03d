"""The tools that a model is given in a session, and the one way in which each of its calls is run."""

from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel

from qcode_tools.arguments import validated, written
from qcode_tools.cap import DEFAULT_CAP, Spill, cap, shorten
from qcode_tools.clean import visible
from qcode_tools.early import Look
from qcode_tools.errors import ToolError
from qcode_tools.offload import compute
from qcode_tools.reach import reach_of
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect, Reach, Tool, ToolContext, ToolOutput, ToolSpec

_DISPLAY_LIMIT = 60_000
"""Characters of what the user is shown of a result."""

Aliases = Mapping[str, tuple[str, Mapping[str, Any]]]
"""Other names of tools: the right name, and arguments that the other name implies."""


Check = Callable[[Mapping[str, Any], Look], Awaitable[None]]
"""Gets the arguments that are complete, under their right names. Raises: ToolError, SandboxError."""

Settled = Callable[[Mapping[str, Any], Look], Awaitable[dict[str, Any] | None]]
"""Gets the arguments so far, the last of them not complete; gives those of the call where what may still come would
change nothing. Raises: ToolError, SandboxError."""


@dataclass(frozen=True, slots=True)
class FunctionTool:
    """A tool made of a function. `only_reads` tells whether a call changes nothing, whatever `spec.effect` says;
    `rehearses`, whether it heeds `ToolContext.rehearsal`."""

    spec: ToolSpec
    args: type[BaseModel]
    function: Callable[[Any, ToolContext], Awaitable[ToolOutput]]
    only_reads: Callable[[Any], bool] = lambda args: False
    check: Check | None = None
    """Looks at a call while it is written; see `Toolset.check`."""
    settled: Settled | None = None
    """Looks at an argument while it is written; see `Toolset.settled`."""
    rehearses: bool = False
    more_paths: Callable[[Any], Iterable[str]] = lambda args: ()
    """Paths that stand deeper in the arguments than `path` does. Raises: ToolError."""

    def accept(self, given: dict[str, Any]) -> BaseModel:
        """Raises: ToolError, one line for each argument that does not fit."""
        return validated(self.args, self.spec.name, given)

    def reach(self, args: Any) -> Reach:
        """Raises: ToolError."""
        effect = Effect.READ if self.only_reads(args) else self.spec.effect
        return reach_of(self.spec.name, effect, args, more_paths=self.more_paths(args))

    async def run(self, args: Any, ctx: ToolContext) -> ToolOutput:
        """Raises: ToolError, SandboxError."""
        return await self.function(args, ctx)


class Toolset:
    """Tools by name, with the state that they keep through a session. One for each session."""

    def __init__(self, tools: Iterable[Tool], *, aliases: Aliases | None = None, cap: int = DEFAULT_CAP) -> None:
        """`cap` is the most characters of a result that the model gets."""
        self._tools = {tool.spec.name: tool for tool in tools}
        self._aliases = dict(aliases or {})
        self._cap = cap
        self._spill = Spill()

    @property
    def specs(self) -> tuple[ToolSpec, ...]:
        """The tools as the model sees them, always in the same order."""
        return tuple(tool.spec for tool in self._tools.values())

    def spec(self, name: str) -> ToolSpec | None:
        """The tool that a call by this name would run, or by another agent's name for it; None if there is none."""
        tool, _ = self._find(name)
        return None if tool is None else tool.spec

    def add(self, tools: Iterable[Tool]) -> None:
        """Put tools behind those that there are. Raises: ValueError for a name that is taken."""
        for tool in tools:
            name = tool.spec.name
            if self._find(name)[0] is not None:
                raise ValueError(f"there is a tool {name!r} already")
            self._tools[name] = tool

    def effect(self, name: str, arguments: Mapping[str, Any]) -> Effect:
        """What this very call can change; READ for one that cannot run."""
        reach = self.reach(name, arguments)
        return Effect.READ if reach is None else reach.effect

    def reach(self, name: str, arguments: Mapping[str, Any]) -> Reach | None:
        """What this very call would touch; None for one that cannot run."""
        tool, implied = self._find(name)
        if tool is None:
            return None
        try:
            return tool.reach(tool.accept({**arguments, **implied}))
        except ToolError:
            return None

    async def rehearse(self, call_id: str, name: str, arguments: dict[str, Any], ctx: ToolContext) -> ToolResult | None:
        """What a change would be, as the `display` of its result, or why it cannot be made; nothing is changed. None
        for a tool that cannot tell. Raises: SandboxError."""
        tool, _ = self._find(name)
        if not isinstance(tool, FunctionTool) or not tool.rehearses:
            return None
        return await self.run(call_id, name, arguments, replace(ctx, rehearsal=True))

    async def check(self, name: str, arguments: dict[str, Any], look: Look) -> str | None:
        """Why a call that begins with these arguments can no longer succeed, in words for the model; None where it can,
        or where nobody knows. It only reads, and counts the miss. Raises: SandboxError."""
        tool, implied = self._find(name)
        try:
            if tool is None:
                raise self._unknown(name)
            if isinstance(tool, FunctionTool) and tool.check is not None:
                await tool.check(written(tool.args, {**arguments, **implied}), look)
        except ToolError as error:
            return shorten(visible(str(error)), self._cap, "left out")
        return None

    def may_settle(self, name: str) -> bool:
        """Whether `settled` may ever say anything of a call by this name."""
        tool, _ = self._find(name)
        return isinstance(tool, FunctionTool) and tool.settled is not None

    async def settled(self, name: str, arguments: dict[str, Any], look: Look) -> dict[str, Any] | None:
        """The arguments of a call of which so much is written, the last of them in part, where what may still come
        would change nothing; None where it may. It only reads. Raises: SandboxError."""
        tool, implied = self._find(name)
        if not isinstance(tool, FunctionTool) or tool.settled is None:
            return None
        try:
            return await tool.settled(written(tool.args, {**arguments, **implied}), look)
        except ToolError:
            return None

    async def run(self, call_id: str, name: str, arguments: dict[str, Any], ctx: ToolContext) -> ToolResult:
        """Validate, run, cap. What the model did wrong is a result of status error. Raises: SandboxError."""
        tool, implied = self._find(name)
        try:
            if tool is None:
                raise self._unknown(name)
            output = await tool.run(tool.accept({**arguments, **implied}), ctx)
        except ToolError as error:
            output = ToolOutput(str(error), ok=False)
        text = await compute(len(output.content), visible, output.content)
        content, path = await cap(text, limit=self._cap, spill=self._spill, sandbox=ctx.sandbox)
        extra = {**output.extra, "characters": len(output.content)}
        if path is not None:
            extra["whole_output"] = path
        return ToolResult(
            call_id=call_id,
            name=visible(name),
            status=Status.OK if output.ok else Status.ERROR,
            content=content,
            display=shorten(visible(output.display), _DISPLAY_LIMIT, "not shown"),
            extra=extra,
        )

    def _unknown(self, name: str) -> ToolError:
        return ToolError(f"There is no tool {name!r}. The tools are: {', '.join(self._tools)}.")

    def _find(self, name: str) -> tuple[Tool | None, Mapping[str, Any]]:
        if (tool := self._tools.get(name)) is not None:
            return tool, {}
        plain = name.strip().lower().replace("-", "_")
        right, implied = self._aliases.get(plain, (plain, {}))
        return self._tools.get(right), implied
