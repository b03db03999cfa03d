"""From what the user named to the agent that makes the patches; the same on this machine and on a node of a cluster."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from qcode.app.options import RunOptions
from qcode_evals.agents.controls import Empty, Gold
from qcode_evals.agents.protocol import Agent
from qcode_evals.environments.room import FLOOR_GB, Room

if TYPE_CHECKING:
    from qcode_evals.environments.images import OnBuild
    from qcode_evals.environments.opening import Environments, Opener
    from qcode_evals.server.inflight import Places


@dataclass(frozen=True, slots=True)
class Plan:
    """Which agent, with which options, and how many of its requests are with the model at a time. Can be pickled."""

    name: str
    options: RunOptions
    requests: int
    attempts: int = 1
    boxes: Literal["docker", "process"] = "docker"
    """Containers of images, or namespaces of the machine for rows that need none."""
    disk_floor_gb: float = FLOOR_GB
    """Below it no image is built, and those of earlier tasks are removed."""
    tuned: bool = False
    """`requests` are the most that a server may be found to take well."""

    async def environments(
        self, on_build: "OnBuild | None" = None, on_note: Callable[[str], None] | None = None
    ) -> "tuple[Environments, Opener]":
        """What boxes are made from, and how one is opened. Raises: SandboxUnavailable."""
        if self.boxes == "process":
            from qcode_evals.environments.process_boxes import Trees, open_process_box

            return Trees(), open_process_box
        from qcode_evals.environments.boxes import open_box
        from qcode_evals.environments.images import Images
        from qcode_sandbox.pip_settings import pip_settings

        settings = await pip_settings()
        room = Room(self.disk_floor_gb, on_note) if on_note else Room(self.disk_floor_gb)
        return Images(settings, room=room, on_build=on_build) if on_build else Images(settings, room=room), open_box

    def agent(self, places: "Places | None" = None) -> Agent:
        """The agent; for the product, its model is started. `places` are those of a whole cluster.

        Raises: ConfigError, ModelFileError.
        """
        match self.name:
            case "gold":
                return Gold()
            case "empty":
                return Empty()
            case "qcode":
                from qcode_evals.agents.product import product

                return product(
                    self.options, requests=self.requests, attempts=self.attempts, tuned=self.tuned, places=places
                )
            case name:
                import os

                from qcode.agent.limits import Limits
                from qcode_evals.agents.command.agent import command_agent
                from qcode_evals.agents.command.definition import load_definition

                options = self.options
                sampling = {"temperature": options.temperature, "seed": options.seed}
                return command_agent(
                    load_definition(name),
                    base_url=options.base_url or os.environ.get("QCODE_BASE_URL"),
                    model=options.model,
                    key=os.environ.get("QCODE_API_KEY"),
                    sampling={key: value for key, value in sampling.items() if value is not None},
                    limits=Limits(
                        max_turns=options.max_turns, max_tokens=options.max_tokens, max_seconds=options.max_seconds
                    ),
                    requests=self.requests,
                    tuned=self.tuned,
                    places=places,
                    on_line=options.notice,
                )
