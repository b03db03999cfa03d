"""An environment of many steps: the product's own loop in a task's box, with a policy in place of the model.

What the policy sees is what the product's model would see at that step, and the reward at the end is the grade of the
patch in a fresh box.
"""

import asyncio
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from qcode.agent.limits import Limits
from qcode.agent.profile import PROFILES
from qcode.app.solve import Outcome, Solve
from qcode.errors import ConfigError
from qcode.model import Request, Sampling
from qcode_evals.environments.boxes import open_box
from qcode_evals.environments.images import Images
from qcode_evals.grading.fresh import grade
from qcode_evals.grading.judging import Grade, Verdict
from qcode_evals.tasks.dataset import Instance
from qcode_evals.training.driven import Driven
from qcode_sandbox.errors import SandboxError
from qcode_tools.toolsets import ToolsetName, build_toolset


@dataclass(frozen=True, slots=True)
class Step:
    """What followed an action. `observation` is the next prompt, None when the episode is `done`; `reward` is 0 before
    that, and then 1 if the row's tests pass, else 0."""

    observation: Request | None
    reward: float
    done: bool
    info: dict[str, Any] = field(default_factory=dict)


class Env:
    """One task. An object plays one episode at a time; many objects share one `Images`."""

    def __init__(
        self, instance: Instance, images: Images, *, toolset: ToolsetName = "swe", limits: Limits | None = None,
        folder: Path | None = None,
    ) -> None:  # fmt: skip
        """`folder` is where sessions are logged; None is where qcode logs them."""
        self._instance, self._images = instance, images
        self._toolset: ToolsetName = toolset
        self._limits = limits or Limits(max_turns=50)
        self._folder = folder
        self._driven = Driven()
        self._solve: Solve | None = None
        self._episode: asyncio.Task[None] | None = None

    async def reset(self) -> Request:
        """Begin an episode in a fresh box: its first prompt. Raises: SandboxError, SourceError, SessionError."""
        await self.close()
        image = await self._images.ensure(self._instance)
        self._driven = Driven()
        self._solve = Solve(
            task=self._instance.problem_statement,
            backend=self._driven,
            open_sandbox=lambda: open_box(self._instance, image),
            sandbox_name="docker",
            toolset=build_toolset(self._toolset),
            profile=PROFILES[self._toolset],
            limits=self._limits,
            sampling=Sampling(),
            cwd=Path(self._instance.environment.workdir),
            session_dir=self._folder,
        )
        self._episode = asyncio.ensure_future(_to_the_end(self._solve))
        observation = await self._next()
        if observation is None:
            raise self._failure()
        return observation

    async def step(self, action: str, *, cut: bool = False) -> Step:
        """Let the policy's text act: calls in it are carried out. `cut`: its length ended it.

        Raises: ConfigError before `reset` or after the end; SandboxError if the box fails, which is no reward.
        """
        if self._episode is None or self._episode.done():
            raise ConfigError("the episode is over: call reset()")
        self._driven.answer(action, cut=cut)
        observation = await self._next()
        if observation is not None:
            return Step(observation, 0.0, False)
        outcome = self._outcome()
        if isinstance(outcome.error, SandboxError):
            raise outcome.error
        graded = await self._grade(outcome.patch)
        resolved = graded is not None and graded.verdict is Verdict.RESOLVED
        info = {
            "stop_reason": str(outcome.reason), "steps": outcome.steps, "patch": outcome.patch,
            "session": str(outcome.session), "reason": graded.reason if graded else "nothing was changed",
        }  # fmt: skip
        return Step(None, float(resolved), True, info)

    async def close(self) -> None:
        """End a running episode and its box."""
        if self._episode is not None:
            self._episode.cancel()
            with suppress(asyncio.CancelledError):
                await self._episode
        self._episode = None

    async def _next(self) -> Request | None:
        """The prompt that the loop waits with; None when it has ended. Raises: what the episode failed with."""
        assert self._episode is not None
        asked = asyncio.ensure_future(self._driven.asked())
        try:
            await asyncio.wait({asked, self._episode}, return_when=asyncio.FIRST_COMPLETED)
            if asked.done():
                return asked.result()
            await self._episode
            return None
        finally:
            asked.cancel()

    async def _grade(self, patch: str) -> Grade | None:
        if not patch.strip():
            return None
        async with open_box(self._instance, await self._images.ensure(self._instance)) as sandbox:
            return await grade(self._instance, patch, sandbox)

    def _outcome(self) -> Outcome:
        assert self._solve is not None
        assert self._solve.outcome is not None, "an episode that has ended has an outcome"
        return self._solve.outcome

    def _failure(self) -> BaseException:
        return self._outcome().error or ConfigError("the episode ended before its first prompt")


async def _to_the_end(solve: Solve) -> None:
    async with aclosing(solve.events()) as events:
        async for _ in events:
            pass
