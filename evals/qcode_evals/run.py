"""Drive all attempts of a run: images, agent, grading, each with what is retried and what is not."""

import asyncio
import hashlib
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TypeVar

from qcode import __version__
from qcode.errors import BackendError
from qcode_evals.agents import Agent, Prediction
from qcode_evals.attempt import Attempt, Count, Outcome, RemovedChange, Seconds
from qcode_evals.dataset import Instance
from qcode_evals.environment import Images
from qcode_evals.grading import Grade, Split, Verdict, grade
from qcode_evals.progress import Progress
from qcode_evals.report import Results
from qcode_evals.sources import SourceError
from qcode_sandbox.errors import SandboxError
from qcode_sandbox.protocol import Sandbox

Infrastructure = (SandboxError, SourceError, BackendError)
"""What may fail without the agent's doing; done once more, then an infra_error."""

OpenBox = Callable[[Instance, str], AbstractAsyncContextManager[Sandbox]]
"""Opens a fresh sandbox for an instance from an image."""

T = TypeVar("T")


def attempt_key(instance: Instance, agent: Agent) -> str:
    """Hash of all that an attempt's result depends on: the row, the agent and its settings, qcode's version."""
    settings = {} if agent.name in {"gold", "empty"} else dict(agent.settings) | {"qcode": __version__}
    parts = [instance.digest, agent.name, agent.model, settings]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


@dataclass
class _Work:
    """One attempt while it is being made."""

    instance: Instance
    key: str
    image: str = ""
    prediction: Prediction | None = None
    grade: Grade | None = None
    retries: int = 0
    seconds: dict[str, float] = field(default_factory=dict)


@dataclass
class Run:
    """A run over instances with one agent, `workers` attempts at a time."""

    instances: Sequence[Instance]
    agent: Agent
    images: Images
    open_box: OpenBox
    results: Results
    progress: Progress
    workers: int

    async def run(self) -> list[Attempt]:
        """Every instance's attempt, earlier ones of a resumed run included, in the data set's order.

        Each is on disk when the next begins. Cancelling leaves what is finished, and no container.
        Raises: ResultsError if the output folder cannot be written to.
        """
        attempts: dict[str, Attempt] = {}
        waiting: list[Instance] = []
        for instance in self.instances:
            earlier = self.results.finished(instance.instance_id, attempt_key(instance, self.agent))
            if earlier is None:
                waiting.append(instance)
            else:
                attempts[instance.instance_id] = earlier
                self.progress.done(earlier, earlier=True)
        queue = iter(waiting)

        async def work() -> None:
            for instance in queue:
                attempts[instance.instance_id] = await self._attempt(instance)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(min(self.workers, len(waiting))):
                    group.create_task(work())
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [attempts[instance.instance_id] for instance in self.instances]

    async def _attempt(self, instance: Instance) -> Attempt:
        work = _Work(instance, attempt_key(instance, self.agent))
        try:
            await self._phase(work, "image", self._image)
            await self._phase(work, "agent", self._solve)
            if work.prediction is not None and (work.prediction.patch.strip() or self.agent.grades_empty):
                await self._phase(work, "grading", self._grade)
            attempt = self._attempt_of(work)
        except Infrastructure as error:
            attempt = self._attempt_of(work, failure=error)
        patch = work.prediction.patch if work.prediction is not None else None
        self.results.add(attempt, patch=patch, grade=work.grade)
        self.progress.done(attempt)
        return attempt

    async def _phase(self, work: _Work, name: str, step: Callable[[_Work], Awaitable[None]]) -> None:
        """Do a step, and once more in a fresh sandbox if the infrastructure failed."""
        started = time.monotonic()
        self.progress.phase(work.instance.instance_id, name)
        try:
            try:
                await step(work)
            except Infrastructure as error:
                work.retries += 1
                self.progress.retry(work.instance.instance_id, name, str(error))
                await step(work)
        finally:
            work.seconds[name] = round(time.monotonic() - started, 3)

    async def _image(self, work: _Work) -> None:
        work.image = await self.images.ensure(work.instance)

    async def _solve(self, work: _Work) -> None:
        work.prediction = await self.agent.solve(work.instance, lambda: self.open_box(work.instance, work.image))

    async def _grade(self, work: _Work) -> None:
        assert work.prediction is not None, "the agent's phase comes first"
        async with self.open_box(work.instance, work.image) as sandbox:
            work.grade = await grade(work.instance, work.prediction.patch, sandbox)

    def _attempt_of(self, work: _Work, *, failure: Exception | None = None) -> Attempt:
        prediction, graded = work.prediction or Prediction(""), work.grade
        outcome, reason = _outcome(prediction, graded) if failure is None else (Outcome.INFRA_ERROR, str(failure))
        trajectory = prediction.trajectory
        if trajectory is not None and trajectory.is_relative_to(self.results.folder):
            trajectory = trajectory.relative_to(self.results.folder)
        return Attempt(
            instance_id=work.instance.instance_id,
            key=work.key,
            agent=self.agent.name,
            model=self.agent.model,
            outcome=outcome,
            resolved=outcome is Outcome.RESOLVED,
            reason=reason,
            stop_reason=prediction.stop_reason,
            fail_to_pass=_count(graded.fail_to_pass) if graded else None,
            pass_to_pass=_count(graded.pass_to_pass) if graded else None,
            exit_code=graded.exit_code if graded else None,
            removed=tuple(RemovedChange(path=item.path, why=item.why) for item in graded.removed) if graded else (),
            usage=prediction.usage,
            steps=prediction.steps,
            seconds=Seconds(**work.seconds),
            retries=work.retries,
            image=work.image,
            trajectory=str(trajectory) if trajectory is not None else "",
        )


def _count(split: Split) -> Count:
    return Count(passed=len(split.success), listed=len(split.success) + len(split.failure))


def _outcome(prediction: Prediction, graded: Grade | None) -> tuple[Outcome, str]:
    """The attempt's outcome and why. What the agent was stopped by matters only where the patch does not resolve."""
    if graded is not None and graded.verdict is Verdict.RESOLVED:
        return Outcome.RESOLVED, ""
    if prediction.error:
        return Outcome.AGENT_ERROR, prediction.error
    why = graded.reason if graded is not None else ""
    if prediction.limited:
        return Outcome.AGENT_LIMIT, why
    if not prediction.patch.strip():
        return Outcome.EMPTY_PATCH, why
    assert graded is not None, "every patch that is not empty is graded"
    match graded.verdict:
        case Verdict.PATCH_FAILED:
            return Outcome.PATCH_FAILED, why
        case Verdict.TEST_TIMEOUT:
            return Outcome.TEST_TIMEOUT, why
        case _:
            return Outcome.UNRESOLVED, why
