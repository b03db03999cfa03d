"""The seam between a run and the machines that make its attempts."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from qcode_evals.running.making import Job, Made


class Executor(Protocol):
    """Makes attempts, some at a time."""

    @property
    def elsewhere(self) -> bool:
        """Whether other machines make them, which may reach a model that this one does not."""
        ...

    @property
    def pace(self) -> str:
        """How many requests the model's server took at a time, in words, after a run; "" where that was given."""
        ...

    def run(self, jobs: Sequence[Job]) -> AsyncGenerator[Made, None]:
        """Every job's attempt, as they are done. Closing the generator stops the rest and leaves no container."""
        ...
