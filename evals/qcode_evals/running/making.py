"""One attempt from its image to its grade, each phase with a deadline, and with what is retried and what is not."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from qcode.errors import BackendError, Malformed, Overloaded, QcodeError, Unavailable
from qcode_evals.agents.protocol import Agent, Place, Prediction
from qcode_evals.attempt import Attempt, Count, Outcome, RemovedChange, Seconds, attempt_folder
from qcode_evals.environments.opening import PLAIN, Environments, Fittings, OpenBox, Opener
from qcode_evals.environments.sources import SourceError
from qcode_evals.grading.fresh import grade
from qcode_evals.grading.in_place import judged
from qcode_evals.grading.judging import Grade, Split
from qcode_evals.running.outcomes import outcome_of, outcome_of_fault
from qcode_evals.tasks.dataset import Instance
from qcode_sandbox.errors import EngineAway, SandboxError, SandboxLost
from qcode_sandbox.protocol import Sandbox


class PhaseTimeout(QcodeError):
    """For the run: a phase went on long after everything in it should have ended."""

    exit_code = 4


Infrastructure = (SandboxError, SourceError, BackendError, PhaseTimeout)
"""What may fail without the agent's doing; done once more, then an infra_error."""

Unanswered = (Unavailable, Malformed, Overloaded)
"""Of these, what a server that went away looks like."""


class ServerAway(QcodeError):
    """For the executor: the model's server went away under an attempt."""


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Seconds after which a phase counts as hung. What may take long has limits of its own, which come first: the
    agent's, and the row's for its tests (`grading` is on top of them)."""

    image: float = 3600.0
    pause: float = 10.0
    """After the engine went away, before a phase is done again: a restart of it takes some seconds."""
    agent: float = 6 * 3600.0
    grading: float = 600.0


@dataclass(frozen=True, slots=True)
class Job:
    """An attempt that is to be made."""

    instance: Instance
    repeat: int
    key: str
    settings: str = ""


@dataclass(frozen=True, slots=True)
class Made:
    """A finished attempt with what is written to its folder; `patch` is None if it never came to one. `trajectory` is
    the session's log, name and text, where it was written on another machine."""

    attempt: Attempt
    patch: str | None
    grade: Grade | None
    trajectory: tuple[str, bytes] | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """An attempt whose model's server went away: `job` is to be made again when it is back. `made` is the attempt if it
    is not, and `node` the machine of a cluster that saw it."""

    job: Job
    made: Made
    node: str = ""


class Watcher(Protocol):
    """Told what an attempt is doing."""

    def phase(self, attempt: str, name: str) -> None:
        """An attempt enters a phase: image, agent, grading."""
        ...

    def retry(self, attempt: str, phase: str, why: str) -> None:
        """The infrastructure failed in a phase, which is done once more."""
        ...


@dataclass
class _Work:
    """One attempt while it is being made; `losses` is how often the server had been seen away before it."""

    job: Job
    losses: int = 0
    image: str = ""
    prediction: Prediction | None = None
    grade: Grade | None = None
    retries: int = 0
    seconds: dict[str, float] = field(default_factory=dict)

    @property
    def instance(self) -> Instance:
        return self.job.instance


def title(instance_id: str, repeat: int) -> str:
    """An attempt's name for people."""
    return instance_id + (f" #{repeat + 1}" if repeat else "")


@dataclass(frozen=True)
class Maker:
    """Makes attempts; one object serves all, also at once. `folder` is the output folder."""

    agent: Agent
    images: Environments
    open_box: Opener
    watcher: Watcher
    folder: Path
    deadlines: Deadlines = Deadlines()

    async def make(self, job: Job) -> Made | Hit:
        """Never raises for what the infrastructure, the agent or a fault here does: that is the outcome."""
        work = _Work(job, self.agent.watch.losses)
        away = False
        try:
            await self._phase(work, "image", self._image, self.deadlines.image)
            await self._phase(work, "agent", self._solve, self.deadlines.agent)
            if work.grade is None and work.prediction and (work.prediction.patch.strip() or self.agent.grades_empty):
                limit = job.instance.environment.timeout_s + self.deadlines.grading
                await self._phase(work, "grading", self._grade, limit)
            attempt = self._attempt_of(work)
        except (*Infrastructure, ServerAway) as error:
            attempt = self._attempt_of(work, (Outcome.INFRA_ERROR, str(error)))
            away = isinstance(error, ServerAway)
        except (OSError, MemoryError, QcodeError):
            raise  # of this machine or of the run: no attempt would fare better
        except Exception as error:  # whatever one attempt's texts break here, the others go on
            came = outcome_of_fault(error, began=bool(work.image), answered=work.prediction is not None)
            attempt = self._attempt_of(work, came)
        finally:
            if work.image:
                self.images.release(job.instance)
        made = Made(attempt, work.prediction.patch if work.prediction is not None else None, work.grade)
        return Hit(job, made) if away else made

    async def _phase(self, work: _Work, name: str, step: Callable[[_Work], Awaitable[None]], limit_s: float) -> None:
        """Do a step, and once more in a fresh sandbox if the infrastructure failed."""
        started = time.monotonic()
        named = title(work.instance.instance_id, work.job.repeat)
        self.watcher.phase(named, name)
        try:
            try:
                await _in_time(step(work), name, limit_s)
            except Infrastructure as error:
                work.retries += 1
                self.watcher.retry(named, name, str(error))
                if isinstance(error, SandboxLost | EngineAway):
                    await asyncio.sleep(self.deadlines.pause)
                await _in_time(step(work), name, limit_s)
        finally:
            work.seconds[name] = round(time.monotonic() - started, 3)

    async def _image(self, work: _Work) -> None:
        assert not work.image, "it is done again only if it failed"
        work.image = await self.images.ensure(work.instance)

    async def _solve(self, work: _Work) -> None:
        place = Place(work.job.repeat, self.folder / attempt_folder(work.instance.instance_id, work.job.repeat))

        def open_box(fittings: Fittings = PLAIN, /) -> AbstractAsyncContextManager[Sandbox]:
            return self.open_box(work.instance, work.image, fittings)

        verifier = work.instance.environment.verifier
        if verifier is None:
            await self._agent(work, open_box, place)
            return

        def keep(grade: Grade) -> None:
            work.grade = grade

        opener = judged(work.instance, verifier, open_box, keep)
        await self._agent(work, opener, place)
        if work.grade is None:
            raise SandboxError("the container was gone before it could be judged")

    async def _agent(self, work: _Work, open_box: OpenBox, place: Place) -> None:
        """Let it work. Raises: ServerAway, and as the agent does."""
        watch = self.agent.watch
        try:
            prediction = await self.agent.solve(work.instance, open_box, place)
            failure: object = prediction.starved
        except Unanswered as error:
            failure = error
        if failure and (watch.losses != work.losses or (await watch.look()).lost):
            raise ServerAway(f"the model's server went away: {watch.why}")
        if isinstance(failure, Exception):
            raise failure
        work.prediction = prediction

    async def _grade(self, work: _Work) -> None:
        assert work.prediction is not None, "the agent's phase comes first"
        async with self.open_box(work.instance, work.image) as sandbox:
            work.grade = await grade(work.instance, work.prediction.patch, sandbox)

    def _attempt_of(self, work: _Work, came: tuple[Outcome, str] | None = None) -> Attempt:
        """`came`: the outcome and why, where agent and grade do not say it."""
        prediction, graded = work.prediction or Prediction(""), work.grade
        outcome, reason = came or outcome_of(prediction, graded)
        trajectory = prediction.trajectory
        if trajectory is not None and trajectory.is_relative_to(self.folder):
            trajectory = trajectory.relative_to(self.folder)
        return Attempt(
            instance_id=work.instance.instance_id,
            repeat=work.job.repeat,
            key=work.job.key,
            settings=work.job.settings,
            agent=self.agent.name,
            model=self.agent.model,
            outcome=outcome,
            resolved=outcome is Outcome.RESOLVED,
            reason=reason,
            stop_reason=prediction.stop_reason,
            fail_to_pass=_count(graded.fail_to_pass) if graded else None,
            pass_to_pass=_count(graded.pass_to_pass) if graded else None,
            exit_code=graded.exit_code if graded else None,
            evidence=graded.evidence if graded else None,
            removed=tuple(RemovedChange(path=item.path, why=item.why) for item in graded.removed) if graded else (),
            usage=prediction.usage,
            steps=prediction.steps,
            oom_kills=prediction.oom_kills,
            seconds=Seconds(
                **work.seconds, prefill=prediction.prefill_s, decode=prediction.decode_s, tools=prediction.tools_s
            ),
            retries=work.retries,
            image=work.image,
            trajectory=str(trajectory or ""),
        )


async def _in_time(step: Awaitable[None], name: str, limit_s: float) -> None:
    try:
        async with asyncio.timeout(limit_s):
            await step
    except TimeoutError:
        raise PhaseTimeout(f"the phase {name} did not end within {limit_s:g} s") from None


def _count(split: Split) -> Count:
    return Count(passed=len(split.success), listed=len(split.success) + len(split.failure))
