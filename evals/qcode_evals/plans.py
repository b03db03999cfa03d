"""From what the user named to the agent that makes the patches; the same on this machine and on a node of a cluster."""

from dataclasses import dataclass

from qcode.app.wiring import RunOptions
from qcode_evals.agents import Agent, Empty, Gold


@dataclass(frozen=True, slots=True)
class Plan:
    """Which agent, with which options, and how many of its requests are with the model at a time. Can be pickled."""

    name: str
    options: RunOptions
    requests: int

    def agent(self) -> Agent:
        """The agent; for the product, its model is started. Raises: ConfigError, ModelFileError."""
        match self.name:
            case "gold":
                return Gold()
            case "empty":
                return Empty()
            case _:
                from qcode_evals.product import product

                return product(self.options, requests=self.requests)
