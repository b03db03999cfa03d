"""Asks the policy, and where the policy says so a person, whether a call may run."""

from collections.abc import Awaitable, Callable

from qcode.agent.approval import Answer, Approver
from qcode.events import ApprovalAsked, ApprovalGiven, Event
from qcode.messages import ToolCall
from qcode.policy.policy import Policy
from qcode.policy.verdict import Ruling, Verdict
from qcode_sandbox.protocol import Sandbox
from qcode_tools.clean import visible
from qcode_tools.result import Status, ToolResult
from qcode_tools.spec import Reach, ToolContext
from qcode_tools.toolset import Toolset

REFUSED = "The user does not want this call; it was not run."
NOBODY = "Nobody is there to be asked, so it was not run. Reach the goal without it, or leave it out and say so."
NOT_RUN = "It was not run, and the same in other words will not be either. Go on without it."


class Permission:
    """What stands between a call and its running. Without a policy everything may run; without an approver nobody can
    be asked, and what would have to be is denied."""

    def __init__(
        self,
        toolset: Toolset,
        sandbox: Callable[[], Awaitable[Sandbox]],
        *,
        policy: Policy | None,
        approver: Approver | None,
    ) -> None:
        self._toolset = toolset
        self._sandbox = sandbox
        self._policy = policy
        self._approver = approver

    async def refusal(self, call: ToolCall, emit: Callable[[Event], None]) -> ToolResult | None:
        """The result of a call that must not run, None for one that may. Raises: SandboxError."""
        reach = self._toolset.reach(call.name, call.arguments)
        if self._policy is None or reach is None:
            return None
        verdict = await self._policy.judge(reach, await self._sandbox())
        match verdict.ruling:
            case Ruling.ALLOW:
                return None
            case Ruling.ASK if self._approver is not None:
                return await self._asked(call, reach, verdict, self._approver, emit)
            case _:
                return _denied(call, self._why(verdict))

    async def foreseen(self, name: str, arguments: dict[str, object]) -> str | None:
        """Why a call that is being written will be denied whatever else is in it; None where it may run or a person
        would be asked. Raises: SandboxError."""
        reach = self._toolset.reach(name, arguments)
        if self._policy is None or reach is None:
            return None
        verdict = await self._policy.judge(reach, await self._sandbox())
        if verdict.ruling is Ruling.ALLOW or (verdict.ruling is Ruling.ASK and self._approver is not None):
            return None
        return self._why(verdict)

    async def runs(self, command: str) -> bool:
        """Whether this shell command would run without a question. Raises: SandboxError."""
        if self._policy is None:
            return True
        reach = self._toolset.reach("bash", {"command": command})
        return reach is not None and (await self._policy.judge(reach, await self._sandbox())).ruling is Ruling.ALLOW

    async def _asked(
        self, call: ToolCall, reach: Reach, verdict: Verdict, approver: Approver, emit: Callable[[Event], None]
    ) -> ToolResult | None:
        assert self._policy is not None
        preview = verdict.preview
        if verdict.rehearse:
            context = ToolContext(sandbox=await self._sandbox(), emit=lambda text: None, rehearsal=True)
            rehearsed = await self._toolset.rehearse(call.id, call.name, call.arguments, context)
            # What cannot be done need not be asked.
            if rehearsed is not None and rehearsed.status is not Status.OK:
                return rehearsed
            preview = rehearsed.display or rehearsed.content if rehearsed is not None else preview
        asked = ApprovalAsked(
            call=call, effect=reach.effect, reason=visible(verdict.reason), rule=verdict.rule, preview=visible(preview)
        )
        emit(asked)
        decision = await approver.approve(asked)
        added = verdict.rule if decision.verdict is Answer.ALWAYS else ""
        if added:
            self._policy.add(added)
        emit(ApprovalGiven(call_id=call.id, decision=decision.verdict.value, advice=decision.advice, rule=added))
        if decision.verdict is not Answer.NO:
            return None
        return _denied(call, f"{REFUSED} {decision.advice}".strip())

    def _why(self, verdict: Verdict) -> str:
        last = NOBODY if verdict.ruling is Ruling.ASK else NOT_RUN
        return f"Denied: {visible(verdict.reason)}. {last}"


def _denied(call: ToolCall, words: str) -> ToolResult:
    return ToolResult(call_id=call.id, name=visible(call.name), status=Status.DENIED, content=words)
