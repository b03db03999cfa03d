"""What came of one instance, as it is written to attempts.jsonl."""

from enum import StrEnum

from qcode.messages import Frozen, Usage


class Outcome(StrEnum):
    """How an attempt ended. Only INFRA_ERROR says nothing about the agent."""

    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    EMPTY_PATCH = "empty_patch"
    PATCH_FAILED = "patch_failed"
    """The patch does not apply."""
    TEST_TIMEOUT = "test_timeout"
    AGENT_LIMIT = "agent_limit"
    """Not resolved, and the agent was stopped by a limit."""
    AGENT_ERROR = "agent_error"
    """Not resolved, and the agent ended with an error of its own."""
    INFRA_ERROR = "infra_error"
    """Sandbox, image, package index or model server failed, twice."""


class Seconds(Frozen):
    """Wall time by phase."""

    image: float = 0.0
    agent: float = 0.0
    grading: float = 0.0

    @property
    def total(self) -> float:
        return self.image + self.agent + self.grading


class Count(Frozen):
    """Listed tests that went as they should, of how many."""

    passed: int
    listed: int


class RemovedChange(Frozen):
    """A file whose change was not graded, and why."""

    path: str
    why: str


class Attempt(Frozen):
    """One line of attempts.jsonl. `key` is a hash of the row and of what the agent is; a run is resumed by it."""

    instance_id: str
    key: str
    agent: str
    model: str
    outcome: Outcome
    resolved: bool
    reason: str = ""
    stop_reason: str = ""
    """Why the agent's turn ended, in its own words."""
    fail_to_pass: Count | None = None
    pass_to_pass: Count | None = None
    exit_code: int | None = None
    removed: tuple[RemovedChange, ...] = ()
    usage: Usage = Usage()
    steps: int = 0
    seconds: Seconds = Seconds()
    retries: int = 0
    """How many phases failed for reasons of infrastructure and were done again in a fresh sandbox."""
    image: str = ""
    trajectory: str = ""
    """Path of the session's log, relative to the output folder where it lies in it."""
