"""What came of one instance, as it is written to attempts.jsonl."""

from enum import StrEnum

from qcode.messages import Frozen, Usage


class Outcome(StrEnum):
    """How an attempt ended. INFRA_ERROR and INVALID_TASK say nothing about the agent."""

    RESOLVED = "resolved"
    UNRESOLVED = "unresolved"
    EMPTY_PATCH = "empty_patch"
    PATCH_FAILED = "patch_failed"
    """The patch does not apply."""
    TEST_TIMEOUT = "test_timeout"
    AGENT_LIMIT = "agent_limit"
    """Not resolved, and the agent was stopped by a limit."""
    AGENT_OOM = "agent_oom"
    """Not resolved, and a command of the agent's was killed for want of memory."""
    AGENT_ERROR = "agent_error"
    """Not resolved, and the agent ended with an error of its own."""
    INFRA_ERROR = "infra_error"
    """Sandbox, image, package index or model server failed, twice."""
    INVALID_TASK = "invalid_task"
    """The controls said before that the row tests nothing here: its own patch fails, or no patch resolves it."""

    @property
    def counts(self) -> bool:
        """Whether it is the agent's own, and so in the denominator of its score."""
        return self not in {Outcome.INFRA_ERROR, Outcome.INVALID_TASK}


class Seconds(Frozen):
    """Wall time by phase; of the agent's, what the model read, what it wrote and what tools took."""

    image: float = 0.0
    agent: float = 0.0
    grading: float = 0.0
    prefill: float = 0.0
    decode: float = 0.0
    tools: float = 0.0

    @property
    def total(self) -> float:
        return self.image + self.agent + self.grading


def attempt_folder(instance_id: str, repeat: int) -> str:
    """Where an attempt's logs are, relative to the output folder."""
    return f"logs/{instance_id}" + (f"/repeat-{repeat + 1}" if repeat else "")


class Evidence(StrEnum):
    """What a verdict rests on."""

    REPORT = "report"
    """Log, exit code, and a signed report of the tests' own process."""
    CANARY = "canary"
    """Log and exit code, where no witness speaks the tests' language; a test that must fail, put behind them, did."""
    LOG = "log"
    """Log and exit code alone: tested code could forge them."""
    SCRIPT = "script"
    """A task's own test script, in the container that the agent worked in."""


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
    repeat: int = 0
    """Which of several attempts at the task, from 0."""
    key: str
    settings: str = ""
    """Hash of the agent with its settings and qcode's version: one run's attempts have the same."""
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
    evidence: Evidence | None = None
    removed: tuple[RemovedChange, ...] = ()
    usage: Usage = Usage()
    steps: int = 0
    oom_kills: int = 0
    seconds: Seconds = Seconds()
    retries: int = 0
    """How many phases failed for reasons of infrastructure and were done again in a fresh sandbox."""
    image: str = ""
    trajectory: str = ""
    """Path of the session's log, relative to the output folder where it lies in it."""
