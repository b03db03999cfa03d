"""Who makes the patch: the controls (gold, empty) and the product."""

from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from qcode.messages import Usage
from qcode_evals.dataset import Instance
from qcode_evals.inflight import Places
from qcode_evals.presence import UNWATCHED, Watch
from qcode_sandbox.protocol import Sandbox
from qcode_sandbox.service import Service


@dataclass(frozen=True, slots=True)
class Fittings:
    """What a box has beside the instance's image: a service of ours, and volumes by name at read-only places."""

    service: Service | None = None
    volumes: Mapping[str, str] = field(default_factory=dict)


PLAIN = Fittings()


class OpenBox(Protocol):
    """Opens a fresh sandbox from the instance's image."""

    def __call__(self, fittings: Fittings = PLAIN, /) -> AbstractAsyncContextManager[Sandbox]:
        """Raises (on entering): SandboxError."""
        ...


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


@dataclass(frozen=True, slots=True)
class Gold:
    """The data set's own patch: whatever it does not resolve is wrong with the row or with this machine."""

    name: str = "gold"
    model: str = "gold"
    settings: Mapping[str, Any] = field(default_factory=dict)
    grades_empty: bool = True
    watch: Watch = UNWATCHED
    places: None = None

    async def ready(self) -> None:
        """Nothing to find out."""

    async def solve(self, instance: Instance, open_box: OpenBox, place: Place) -> Prediction:
        """The row's patch, which needs no sandbox; or what the task's solution does."""
        if (verifier := instance.environment.verifier) is not None:
            from qcode_evals.verifying import solve

            async with open_box() as box:
                await solve(instance, verifier, box)
        return Prediction(instance.patch)

    async def aclose(self) -> None:
        """Nothing to release."""


@dataclass(frozen=True, slots=True)
class Empty:
    """No patch, but graded all the same: an instance that this resolves does not test anything."""

    name: str = "empty"
    model: str = "empty"
    settings: Mapping[str, Any] = field(default_factory=dict)
    grades_empty: bool = True
    watch: Watch = UNWATCHED
    places: None = None

    async def ready(self) -> None:
        """Nothing to find out."""

    async def solve(self, instance: Instance, open_box: OpenBox, place: Place) -> Prediction:
        """Nothing; needs a sandbox only where that is what is judged."""
        if instance.environment.verifier is not None:
            async with open_box():
                pass
        return Prediction("")

    async def aclose(self) -> None:
        """Nothing to release."""
