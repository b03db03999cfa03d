"""The controls: gold makes the patch that the row has, empty makes none. Their outcomes say what a score is worth."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from qcode_evals.agents.protocol import Place, Prediction
from qcode_evals.environments.opening import OpenBox
from qcode_evals.grading.in_place import solve
from qcode_evals.server.presence import UNWATCHED, Watch
from qcode_evals.tasks.dataset import Instance


@dataclass(frozen=True, slots=True)
class _Control:
    """What both have in common: no model, nothing to find out and nothing to release."""

    name: str
    model: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    grades_empty: bool = True
    watch: Watch = UNWATCHED
    places: None = None

    async def ready(self) -> None:
        """Nothing to find out."""

    async def aclose(self) -> None:
        """Nothing to release."""


@dataclass(frozen=True, slots=True)
class Gold(_Control):
    """The data set's own patch: whatever it does not resolve is wrong with the row or with this machine."""

    name: str = "gold"
    model: str = "gold"

    async def solve(self, instance: Instance, open_box: OpenBox, place: Place) -> Prediction:
        """The row's patch, which needs no sandbox; or what the task's solution does."""
        if (verifier := instance.environment.verifier) is not None:
            async with open_box() as box:
                await solve(instance, verifier, box)
        return Prediction(instance.patch)


@dataclass(frozen=True, slots=True)
class Empty(_Control):
    """No patch, but graded all the same: an instance that this resolves does not test anything."""

    name: str = "empty"
    model: str = "empty"

    async def solve(self, instance: Instance, open_box: OpenBox, place: Place) -> Prediction:
        """Nothing; needs a sandbox only where that is what is judged."""
        if instance.environment.verifier is not None:
            async with open_box():
                pass
        return Prediction("")
