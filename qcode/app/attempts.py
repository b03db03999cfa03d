"""What happens when several attempts are made at a task, as frozen data with one discriminator, `event`.

Attempts count from 0; the log of what happened in one is its own session's.
"""

from typing import Literal

from qcode.events import Reason
from qcode.messages import Frozen


class AttemptEnded(Frozen):
    """One of several attempts at a task is over; attempts count from 0, and each has a session of its own. `patch` is
    its change, so that one which is not chosen is not lost."""

    event: Literal["attempt_ended"] = "attempt_ended"
    attempt: int
    reason: Reason
    steps: int
    changed_lines: int
    seconds: float
    session: str
    error: str | None = None
    patch: str = ""


class AttemptJudged(Frozen):
    """What tests say of the change that the attempts in `agreeing` came to: whether the given command passes, how many
    of the repository's tests it breaks, how many examples of the task come out right, of how many, how many tests of
    other attempts pass, of how many, and how many attempts, on average, give its answers to calls like the examples."""

    event: Literal["attempt_judged"] = "attempt_judged"
    attempt: int
    agreeing: tuple[int, ...]
    applies: bool
    verified: bool | None
    broken: int
    examples: tuple[int, int] = (0, 0)
    reproduced: tuple[int, int]
    alike: float = 0.0
    changed_lines: int


class AttemptChosen(Frozen):
    """The attempt whose change is delivered, and why it was preferred to the next best."""

    event: Literal["attempt_chosen"] = "attempt_chosen"
    attempt: int
    why: str
    of: int
    agreeing: tuple[int, ...]
    verified: bool | None = None


AttemptEvent = AttemptEnded | AttemptJudged | AttemptChosen
