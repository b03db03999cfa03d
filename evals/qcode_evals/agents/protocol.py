"""The seam between a run and whoever makes the patches."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from qcode.messages import Usage
from qcode_evals.environments.opening import OpenBox
from qcode_evals.server.inflight import Places
from qcode_evals.server.presence import Watch
from qcode_evals.tasks.dataset import Instance


@dataclass(frozen=True, slots=True)
class Prediction:
    """A patch and what it cost. `limited` if a limit stopped the agent, `error` if it failed by itself; seconds that
    the model read and wrote, and that tools took; `oom_kills` are commands of its that were killed for memory.
    `starved` is what a request failed with that it had to do without."""

    patch: str
    stop_reason: str = ""
    limited: bool = False
    error: str = ""
    usage: Usage = field(default_factory=Usage)
    steps: int = 0
    prefill_s: float = 0.0
    decode_s: float = 0.0
    tools_s: float = 0.0
    oom_kills: int = 0
    starved: str = ""
    trajectory: Path | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """Which attempt at the instance it is, from 0, and the folder for what it leaves."""

    repeat: int
    folder: Path


class Agent(Protocol):
    """Something that turns a problem statement into a patch; one object serves all attempts, also at once."""

    @property
    def name(self) -> str:
        """As it was named on the command line."""
        ...

    @property
    def model(self) -> str:
        """For `model_name_or_path` in predictions.jsonl."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """JSON data: what decides its work, besides the row. A resumed run does again what had other settings."""
        ...

    @property
    def grades_empty(self) -> bool:
        """Whether the tests are run although there is no patch."""
        ...

    @property
    def watch(self) -> Watch:
        """Over the server of its model."""
        ...

    @property
    def places(self) -> Places | None:
        """For the requests of all its attempts, if it sends any."""
        ...

    async def ready(self) -> None:
        """Know what it works with: `model` and `settings` are certain after it. Raises: BackendError."""
        ...

    async def solve(self, instance: Instance, open_box: OpenBox, place: Place) -> Prediction:
        """Work on one instance. Raises: SandboxError, BackendError where the infrastructure failed."""
        ...

    async def aclose(self) -> None:
        """Release what it holds."""
        ...
