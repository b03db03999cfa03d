"""Looks at a call while the model writes it, so that one that can no longer succeed, or to which nothing more can be
added, is not paid for to its end."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from qcode.deltas import ArgumentDone, EngineRestarted, Retrying, ToolCallDelta
from qcode.errors import QcodeError
from qcode.messages import Assistant, Stop, ToolCall
from qcode.model import Delta
from qcode_sandbox.errors import SandboxError
from qcode_sandbox.protocol import Sandbox
from qcode_tools.early import Look
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Effect
from qcode_tools.toolset import Toolset

UNFINISHED = "You were stopped there, so the rest of the call was not read."


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a call that cannot succeed is answered with."""

    words: str
    status: Status = Status.ERROR

    def answer(self, call: ToolCall) -> ToolResult:
        """The result that the call gets instead of being run."""
        return ToolResult(call_id=call.id, name=call.name, status=self.status, content=self.words)


class Precheck:
    """Watches one answer: `see` every delta, ask `over` after it, `settle` at the end; entered while it is written.

    What an argument means is looked up beside the stream, which never waits for it. A call behind one that may change
    something is left alone: it is meant for what will be there then.
    """

    def __init__(
        self,
        toolset: Toolset,
        sandbox: Callable[[], Awaitable[Sandbox]],
        *,
        denied: Callable[[str, dict[str, Any]], Awaitable[str | None]] | None = None,
    ) -> None:
        """`denied` says why a call with these arguments must not run, None where it may."""
        self._toolset = toolset
        self._sandbox = sandbox
        self._look: Look | None = None
        self._task: asyncio.Task[None] | None = None
        self._name = ""
        self._arguments: dict[str, Any] = {}
        self._waiting: deque[dict[str, Any]] = deque()
        self._lost: dict[str, Any] | None = None
        self._denied = denied
        self._foreseen = Foreseen("")
        self._alone = True
        self._argument, self._text, self._fresh = "", "", False
        self._settled: dict[str, Any] | None = None

    async def __aenter__(self) -> "Precheck":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
            if not self._task.cancelled():
                self._task.result()

    def see(self, delta: Delta) -> None:
        """Take in what was just written."""
        match delta:
            case ToolCallDelta(name=name) if name:
                self._alone = self._alone and not self._may_change()
                self._begin_call(name)
                self._begin_check()
            case ToolCallDelta(argument=argument, text=text) if argument and self._toolset.may_settle(self._name):
                self._write(argument, text)
            case ArgumentDone(argument=argument, value=value):
                self._arguments = {**self._arguments, argument: value}
                self._begin_argument("")
                self._begin_check()
            case Retrying() | EngineRestarted():
                self._begin_anew()

    def over(self) -> bool:
        """Whether the call that is being written can no longer succeed, or nothing more can be added to it."""
        return self._lost is not None or self._settled is not None

    def settle(self, answer: Assistant) -> tuple[Assistant, Foreseen | None]:
        """The answer as it counts, and what its last call is answered with, None where nothing was found.

        A call that was stopped because it fails is left with the arguments that made it fail, whatever came while they
        were looked at: the same mistake then looks the same. One to which nothing can be added is complete.
        """
        *before, call = answer.tool_calls or (None,)
        lost, settled = self._lost, self._settled
        if settled is not None and lost is None and call is not None and call.name == self._name:
            if answer.usage.stopped_calls:
                call = call.model_copy(update={"arguments": {**settled, **call.arguments}})
                answer = answer.model_copy(update={"tool_calls": (*before, call), "stop": Stop.TOOL_CALLS})
            return answer, None
        if lost is None or call is None or call.name != self._name or not lost.items() <= call.arguments.items():
            return answer, None
        if not answer.usage.stopped_calls:
            return answer, self._foreseen
        call = call.model_copy(update={"arguments": lost})
        foreseen = replace(self._foreseen, words=f"{self._foreseen.words}\n{UNFINISHED}")
        return answer.model_copy(update={"tool_calls": (*before, call)}), foreseen

    def _begin_anew(self) -> None:
        self._begin_call("")
        self._alone = True

    def _begin_call(self, name: str) -> None:
        self._name = name
        self._arguments = {}
        self._lost = self._settled = None
        self._begin_argument("")
        # Another one, so that a check that is on its way finds its own no more.
        self._waiting = deque()

    def _begin_argument(self, argument: str) -> None:
        self._argument, self._text, self._fresh, self._settled = argument, "", False, None

    def _write(self, argument: str, text: str) -> None:
        if argument != self._argument:
            self._begin_argument(argument)
        self._text += text
        if "\n" in text and self._alone:
            self._fresh = True
            self._keep_checking()

    def _may_change(self) -> bool:
        """Whether the call so far, if there is one, can change what a later one finds; yes where it is not known."""
        spec = self._toolset.spec(self._name)
        if spec is None or spec.effect is Effect.READ:
            return False
        return not self._arguments or self._toolset.effect(self._name, self._arguments) is not Effect.READ

    def _begin_check(self) -> None:
        if not self._alone:
            return
        self._waiting.append(self._arguments)
        self._keep_checking()

    def _keep_checking(self) -> None:
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._check())

    async def _check(self) -> None:
        try:
            look = self._look = self._look or Look(await self._sandbox())
            while not self.over() and (self._waiting or self._fresh):
                if not self._waiting:
                    await self._check_text(look)
                    continue
                call, arguments = self._waiting, self._waiting.popleft()
                name, foreseen = self._name, None
                if (words := await self._toolset.check(name, arguments, look)) is not None:
                    foreseen = Foreseen(words)
                elif self._denied is not None and (words := await self._denied(name, arguments)) is not None:
                    foreseen = Foreseen(words, Status.DENIED)
                # A call that has ended meanwhile says itself what is wrong with it.
                if foreseen is not None and call is self._waiting:
                    self._lost, self._foreseen = arguments, foreseen
        except (QcodeError, SandboxError):
            return  # The call itself will meet it.

    async def _check_text(self, look: Look) -> None:
        self._fresh = False
        call, argument = self._waiting, self._argument
        so_far = {**self._arguments, argument: self._text}
        settled = await self._toolset.settled(self._name, so_far, look)
        # An argument that is complete meanwhile is taken as it is.
        if call is self._waiting and argument == self._argument:
            self._settled = settled
