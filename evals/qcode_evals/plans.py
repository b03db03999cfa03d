"""From what the user named to the agent that makes the patches; the same on this machine and on a node of a cluster."""

from qcode.app.wiring import RunOptions
from qcode_evals.agents import Agent, Empty, Gold


def build(name: str, options: RunOptions, *, requests: int) -> Agent:
    """The agent of a name; for the product, its model is started. Raises: ConfigError, ModelFileError."""
    match name:
        case "gold":
            return Gold()
        case "empty":
            return Empty()
        case _:
            from qcode_evals.product import product

            return product(options, requests=requests)
