"""The product as an agent: the loop of `qcode run` in the instance's container, with one backend for all attempts."""

from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcode.agent.limits import Limits
from qcode.agent.profile import PROFILES
from qcode.app.solve import Solve
from qcode.app.wiring import Model, RunOptions, choose_model
from qcode.errors import BackendError
from qcode_evals.agents import OpenBox, Prediction
from qcode_evals.dataset import Instance
from qcode_sandbox.errors import SandboxError
from qcode_tools.toolsets import build_toolset


@dataclass(frozen=True, slots=True)
class Product:
    """qcode. Session logs go to `folder`/logs/<instance>/. All attempts send the same first part of the prompt to the
    one backend, which keeps it cached between them."""

    chosen: Model
    limits: Limits
    folder: Path
    name: str = "qcode"
    grades_empty: bool = False

    @property
    def model(self) -> str:
        """The backend's name for the model."""
        return self.chosen.backend.info.model

    @property
    def settings(self) -> dict[str, Any]:
        """Engine, tools, sampling and limits."""
        return {
            "engine": self.chosen.backend.info.engine,
            "toolset": self.chosen.toolset,
            "sampling": self.chosen.sampling.model_dump(mode="json"),
            "max_turns": self.limits.max_turns,
            "max_tokens": self.limits.max_tokens,
            "max_seconds": self.limits.max_seconds,
        }

    async def solve(self, instance: Instance, open_box: OpenBox) -> Prediction:
        """Give it the problem statement, and nothing else of the row. Raises: SandboxError, BackendError."""
        solve = Solve(
            task=instance.problem_statement,
            backend=self.chosen.backend,
            open_sandbox=open_box,
            sandbox_name="docker",
            toolset=build_toolset(self.chosen.toolset),
            profile=PROFILES[self.chosen.toolset],
            limits=self.limits,
            sampling=self.chosen.sampling,
            cwd=Path(instance.environment.workdir),
            session_dir=self.folder / "logs" / instance.instance_id,
        )
        async with aclosing(solve.events()) as events:
            async for _ in events:
                pass
        outcome = solve.outcome
        assert outcome is not None, "a run that was read to its end has an outcome"
        if isinstance(outcome.error, SandboxError | BackendError):
            raise outcome.error
        return Prediction(
            patch=outcome.patch,
            stop_reason=outcome.reason.value,
            limited=outcome.reason.is_limit,
            error=str(outcome.error) if outcome.error is not None else "",
            usage=outcome.usage,
            steps=outcome.steps,
            trajectory=outcome.session,
        )

    async def aclose(self) -> None:
        """End the backend."""
        await self.chosen.backend.aclose()


def product(options: RunOptions, folder: Path) -> Product:
    """Start the model that the options ask for. Raises: ConfigError, ModelFileError."""
    limits = Limits(max_turns=options.max_turns, max_tokens=options.max_tokens, max_seconds=options.max_seconds)
    return Product(choose_model(options), limits, folder)
