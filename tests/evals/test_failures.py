"""What is told of a failure is its cause."""

from pathlib import Path

import pytest

from qcode_evals.attempt import Attempt, Outcome
from qcode_evals.failures import cause
from qcode_evals.running.making import Made
from qcode_evals.running.results import Results, ResultsError

STEPS = "the image x:1 cannot be built: Step 7/12 : ARG A=b\n---> 12ab\nStep 8/12 : RUN pip install nothing\n"
RUNNING = f"{STEPS}---> Running in 12ab\n"
ENDED = (
    "Removing intermediate container 12ab\nThe command '/bin/sh -c pip && \\\necho error' returned a non-zero code: 1"
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("the engine is gone", "the engine is gone"),
        ("", ""),
        (f"{RUNNING}\x1b[91mERROR: No matching distribution\x1b[0m\n[notice] a new pip\n{ENDED}",
         "ERROR: No matching distribution"),
        (f"{RUNNING}the tree is 1, the row says 2\n{ENDED}", "the tree is 1, the row says 2"),
        (f"{RUNNING}{ENDED}", "echo error' returned a non-zero code: 1"),
        (f"cannot be built: a\nlong\nlog\n{ENDED}", "log"),
    ],
)  # fmt: skip
def test_of_a_build_the_last_word_of_the_failed_command(text: str, said: str) -> None:
    assert cause(text) == said


def test_a_full_disk_is_the_machines_failure(tmp_path: Path) -> None:
    results = Results(tmp_path, resume=False)
    (tmp_path / "predictions.jsonl").symlink_to("/dev/full")
    attempt = Attempt(instance_id="a", key="k", agent="a", model="m", outcome=Outcome.RESOLVED, resolved=True)
    with pytest.raises(ResultsError, match="No space left on device; what is there is kept for --resume") as raised:
        results.add(Made(attempt, "x", None))
    assert raised.value.exit_code == 4
