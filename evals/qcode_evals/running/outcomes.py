"""What an attempt came to, by what its agent and its grade say."""

import traceback
from pathlib import PurePath

from qcode_evals.agents.protocol import Prediction
from qcode_evals.attempt import Outcome
from qcode_evals.grading.judging import Grade, Verdict

_WORDS = 300


def outcome_of(prediction: Prediction, graded: Grade | None) -> tuple[Outcome, str]:
    """The attempt's outcome and why. What the agent was stopped by matters only where the patch does not resolve."""
    if graded is not None and graded.verdict is Verdict.RESOLVED:
        return Outcome.RESOLVED, ""
    if prediction.error:
        return Outcome.AGENT_ERROR, prediction.error
    why = graded.reason if graded is not None else ""
    if prediction.oom_kills:
        return Outcome.AGENT_OOM, why or f"{prediction.oom_kills} commands were killed for want of memory"
    if prediction.limited:
        return Outcome.AGENT_LIMIT, why
    if not prediction.patch.strip():
        return Outcome.EMPTY_PATCH, why
    assert graded is not None, "every patch that is not empty is graded"
    match graded.verdict:
        case Verdict.PATCH_FAILED:
            return Outcome.PATCH_FAILED, why
        case Verdict.TEST_TIMEOUT:
            return Outcome.TEST_TIMEOUT, why
        case _:
            return Outcome.UNRESOLVED, why


def outcome_of_fault(fault: Exception, *, began: bool, answered: bool) -> tuple[Outcome, str]:
    """The same where the harness itself broke on the attempt; whether the agent `began`, and `answered` with a patch.

    What an agent or its patch makes happen never takes the attempt out of the score: who fails could choose to.
    """
    place = traceback.extract_tb(fault.__traceback__)[-1]
    said = f"{type(fault).__name__}: {fault}"[:_WORDS]
    why = f"a fault of the harness, please report it: {said} ({PurePath(place.filename).name}:{place.lineno})"
    if answered:
        return Outcome.UNRESOLVED, why
    return Outcome.AGENT_ERROR if began else Outcome.INFRA_ERROR, why
