"""The loop: ask the model, carry out its calls, until it is done or a limit is reached."""

import asyncio
import os
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from functools import partial

from qcode.agent.approval import Approver
from qcode.agent.asides import Asides
from qcode.agent.changes import Watch
from qcode.agent.compaction import Compaction
from qcode.agent.finish import FinishCheck, reminder
from qcode.agent.known import Known
from qcode.agent.limits import Budget, Limits
from qcode.agent.listening import listen
from qcode.agent.mentions import named_paths, with_mentions
from qcode.agent.permission import Permission
from qcode.agent.precheck import Foreseen, Precheck
from qcode.agent.profile import Profile
from qcode.agent.question import is_question
from qcode.agent.quoting import Quotes
from qcode.agent.repetition import LIMIT, NUDGE, Repetition
from qcode.agent.trial import RUNS, Trial
from qcode.agent.withholding import withheld
from qcode.deltas import ModelChanged
from qcode.errors import ContextOverflow, QcodeError
from qcode.events import (
    AssistantDone,
    CallStopped,
    Compacted,
    CompactionCause,
    Event,
    Reason,
    StepStarted,
    ToolFinished,
    ToolOutput,
    ToolStarted,
    TurnFinished,
    TurnStarted,
)
from qcode.messages import Assistant, Message, Stop, ToolCall
from qcode.model import Backend, Request, Sampling
from qcode.policy.policy import Mode, Policy
from qcode.session.fold import final_text
from qcode_sandbox.errors import SandboxError
from qcode_sandbox.protocol import Sandbox
from qcode_tools.result import Status
from qcode_tools.spec import Effect, ToolContext
from qcode_tools.toolset import Toolset

Emit = Callable[[Event], None]
PATIENCE = 3
"""Answers in a row without a call that are answered with a reminder."""


class Agent:
    """A conversation with a model that acts in a sandbox. The history only grows at its end, so that the prompt's
    prefix stays as it was and is not evaluated again."""

    def __init__(
        self,
        *,
        backend: Backend,
        toolset: Toolset,
        sandbox: Callable[[], Awaitable[Sandbox]],
        profile: Profile,
        limits: Limits,
        sampling: Sampling,
        history: Iterable[Message] = (),
        policy: Policy | None = None,
        approver: Approver | None = None,
        watch: Watch | None = None,
        compact_at: float | None = None,
        asides: Asides | None = None,
        talking: bool = False,
    ) -> None:
        """`sandbox` is awaited when the first tool runs: the model reads its prompt while the sandbox starts. Without
        a policy every call may run; without an approver what the policy would ask about is denied. `watch` stands
        around each call that runs. `compact_at` is the share of the window at which the conversation is shortened;
        `asides` is what the model is to hear besides. `talking`: somebody talks with it, and may only ask something."""
        self._backend = backend
        self._toolset = toolset
        self._sandbox = sandbox
        self._profile = self._led = profile
        self._talking = talking
        self._policy = policy
        self._system = profile.system
        self._limits = limits
        self._sampling = sampling
        self._known = Known(history, goes_back=profile.goes_back)
        self._quotes = Quotes()
        self._foreseen: dict[str, Foreseen] = {}
        self._permission = Permission(toolset, sandbox, policy=policy, approver=approver)
        self._trial = Trial()
        self._watch = watch
        self.asides = asides if asides is not None else Asides()
        self._compaction = Compaction(
            backend, share=compact_at, changes=lambda call: toolset.effect(call.name, call.arguments) is Effect.WRITE
        )
        self._aborted: QcodeError | SandboxError | None = None
        self._task = ""
        # Of chance, so that it says nothing of who asks.
        self._session = os.urandom(16).hex()

    @property
    def history(self) -> list[Message]:
        """What the model knows, for reading and for putting something else in its place."""
        return self._known.messages

    def abort(self, turn: "asyncio.Task[TurnFinished] | asyncio.Task[None]", error: QcodeError | SandboxError) -> None:
        """End the running turn with this error: what it needs has failed elsewhere."""
        self._aborted = error
        turn.cancel()

    async def turn(self, text: str, emit: Emit, *, preface: str = "") -> TurnFinished:
        """Work on the user's words to the end. Every ending is an event. `preface` is put before them for the model.

        Raises: QcodeError, SandboxError, CancelledError, each after its TurnFinished.
        """
        budget = Budget(self._limits)
        self._aborted = None

        def end(reason: Reason, error: BaseException | None = None) -> TurnFinished:
            self._known.close_calls()
            finished = TurnFinished(
                reason=reason,
                text=final_text(self.history),
                steps=budget.steps,
                usage=budget.usage,
                seconds=round(budget.elapsed_s, 3),
                error=None if error is None else str(error),
            )
            emit(finished)
            return finished

        try:
            async with asyncio.timeout(budget.deadline_s) as clock:
                await self._begin(text, emit, preface)
                reason = await self._steps(budget, emit)
        except TimeoutError:
            if not clock.expired():
                raise
            reason = Reason.MAX_SECONDS
        except ContextOverflow as error:
            return end(Reason.CONTEXT_FULL, error)
        except (QcodeError, SandboxError) as error:
            end(Reason.ERROR, error)
            raise
        except asyncio.CancelledError:
            if self._aborted is not None:
                end(Reason.ERROR, self._aborted)
                raise self._aborted from None
            end(Reason.INTERRUPTED)
            raise
        return end(reason)

    async def compact(
        self,
        emit: Emit,
        cause: CompactionCause,
        *,
        focus: str = "",
        window: int | None = None,
        budget: Budget | None = None,
    ) -> Compacted | None:
        """Shorten the conversation, so that it fits a window of so many tokens (None: the model's own); None, and a
        notice that says why, if it cannot be. Raises: BackendError."""
        done = await self._compaction.shorten(self._request, emit, cause=cause, focus=focus, window=window)
        if done is not None:
            if budget is not None:
                budget.usage += done.usage
            self._known.shortened(done.history)
        return done

    def forget_counts(self) -> None:
        """What was counted so far was of other prompts: another model, or other tools."""
        self._compaction.forget_counts(len(self.history))

    @property
    def _request(self) -> Request:
        return Request(self._system, tuple(self.history), self._toolset.specs, self._sampling, session=self._session)

    async def _begin(self, said: str, emit: Emit, preface: str) -> None:
        self._known.hear(self.asides, emit)
        self._task = text = said
        self._led = self._profile.to_answer() if self._asked(said) else self._profile
        if self._profile.mentions:
            sandbox = await self._sandbox()
            if self._led is self._profile and await self._permission.runs(RUNS):
                await self._trial.prepare(text, named_paths(text), sandbox)
            text, shown = await with_mentions(said, sandbox)
            self._quotes.begin(said, shown)
        text = _joined(text, self._led.hints.opening)
        text = _joined(preface, text) if preface else text
        self._known.said(text)
        emit(TurnStarted(text=text, said=said if text != said else ""))

    async def _steps(self, budget: Budget, emit: Emit) -> Reason:
        repetition, check, silent = Repetition(), FinishCheck(thorough=self._led.thorough), 0
        while True:
            if (limit := budget.reached()) is not None:
                return limit
            self._known.hear(self.asides, emit)
            if self._known.in_vain:
                return Reason.NO_PROGRESS
            budget.steps += 1
            emit(StepStarted(step=budget.steps))
            if await self._compaction.due(self._request):
                await self.compact(emit, CompactionCause.SHARE, budget=budget)
            try:
                answer = await self._ask(budget, emit, check)
            except ContextOverflow:
                if not await self.compact(emit, CompactionCause.OVERFLOW, budget=budget):
                    raise
                answer = await self._ask(budget, emit, check)
            if not answer.tool_calls:
                if self.asides:
                    continue
                words = reminder(answer, must_call=self._led.tool_choice == "required") or check.objection()
                if words is None:
                    return Reason.FINISHED
                silent += 1
                if silent > PATIENCE:
                    return Reason.NO_PROGRESS
                if answer.stop is Stop.LENGTH:
                    self._known.attempts.broken()
                self._known.go_back(emit)
                self._known.feedback(words, "no_call", emit)
                continue
            silent = 0
            for call in answer.tool_calls:
                reason = await self._act(call, emit, repetition=repetition, check=check)
                if reason is Reason.FINISHED and self.asides:
                    self._known.close_calls()
                    break
                if reason is not None:
                    return reason
            if not self._known.go_back(emit) and answer.problems:
                self._known.feedback("\n".join(answer.problems), "malformed", emit)

    def _asked(self, words: str) -> bool:
        """Whether these words are to be answered in words, by a model that is else held to calls."""
        planning = self._policy is not None and self._policy.mode is Mode.PLAN
        return self._talking and self._profile.tool_choice == "required" and (planning or is_question(words))

    async def _ask(self, budget: Budget, emit: Emit, check: FinishCheck) -> Assistant:
        left = budget.tokens_left
        sampling = self._known.attempts.bolder(self._sampling) if self._led.goes_back else self._sampling
        if left is not None:
            sampling = sampling.model_copy(update={"max_tokens": min(sampling.max_tokens, left)})
        precheck = Precheck(self._toolset, self._sandbox, denied=self._permission.foreseen)
        request = replace(
            self._request,
            sampling=sampling,
            tool_choice=self._led.tool_choice,
            choices=await self._quotes.choices(await self._sandbox()) if self._led.quotes else {},
            withheld=withheld(check, self._quotes, self._toolset.specs, question=self._led is not self._profile),
            stopped=precheck.over,
        )

        def keep(done: AssistantDone) -> None:
            budget.usage += done.message.usage
            self._known.answered(done.message)
            emit(done)

        def tell(event: Event) -> None:
            if isinstance(event, ModelChanged):
                self.forget_counts()
            emit(event)

        answer, foreseen = await listen(self._backend, request, precheck, emit=tell, keep=keep)
        if foreseen is not None:
            self._foreseen[answer.tool_calls[-1].id] = foreseen
            if answer.usage.stopped_calls:
                emit(CallStopped(call=answer.tool_calls[-1], reason=foreseen.words))
        return answer

    async def _act(self, call: ToolCall, emit: Emit, *, repetition: Repetition, check: FinishCheck) -> Reason | None:
        spec = self._toolset.spec(call.name)
        ends = spec is not None and spec.ends_turn
        effect = self._toolset.effect(call.name, call.arguments)
        objection = check.objection() if ends else None
        foreseen = self._foreseen.pop(call.id, None) or (Foreseen(objection) if objection is not None else None)
        result = foreseen.answer(call) if foreseen is not None else await self._permission.refusal(call, emit)
        emit(ToolStarted(call=call))
        started = time.monotonic()
        if result is None:
            context = ToolContext(
                sandbox=await self._sandbox(),
                emit=lambda text: emit(ToolOutput(call_id=call.id, text=text)),
                task=self._task,
            )
            run = partial(self._toolset.run, call.id, call.name, call.arguments, context)
            if effect is Effect.WRITE and await self._permission.runs(RUNS):
                run = partial(self._trial.around, call, effect, run, context.sandbox)
            result = await (run() if self._watch is None else self._watch(call, effect, run))
        check.note(effect, result)
        self._quotes.note(call, result)
        times = repetition.note(call, result, effect)
        words = NUDGE if times == LIMIT - 1 else self._led.hints.after(effect, result, untried=check.untried)
        words = "" if ends else words
        result = result.model_copy(update={"content": _joined(result.content, words)})
        self._known.happened(effect, result)
        emit(ToolFinished(result=result, seconds=round(time.monotonic() - started, 3)))
        if ends and result.status is Status.OK:
            return Reason.FINISHED
        return Reason.LOOP if times >= LIMIT else None


def _joined(text: str, words: str) -> str:
    return f"{text.rstrip()}\n\n{words}" if words else text
