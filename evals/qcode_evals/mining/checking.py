"""Whether a row is a task: its tests are run without its patch and with it, as often as asked for."""

import json
import re
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any

from pydantic import ValidationError

from qcode_evals.environments.boxes import open_box
from qcode_evals.environments.images import Images
from qcode_evals.failures import cause
from qcode_evals.grading.evidence import runner_of
from qcode_evals.grading.fresh import grade
from qcode_evals.grading.judging import Grade, Verdict
from qcode_evals.parsers.status import Status
from qcode_evals.tasks.dataset import Instance
from qcode_sandbox.errors import SandboxError
from qcode_sandbox.protocol import Sandbox

WORDS = 200
"""Characters of a reason."""

DUMB = "its tests do not run"
_START, _END = ">>>>> Start Test Output", ">>>>> End Test Output"
_TRACED = "+ "
_WRONG = re.compile(
    r"(?<!\w)\w*error(\[\w+\])?: |cannot find |no such file|no required module|not found", re.IGNORECASE
)


def lists(before: Sequence[dict[str, Status]], after: Sequence[dict[str, Status]]) -> tuple[list[str], list[str]]:
    """FAIL_TO_PASS and PASS_TO_PASS of what several runs said; a test that did not go the same way each time is in
    neither."""
    to_pass, kept = [], []
    for name in sorted(set().union(*after)):
        if not all((status := run.get(name)) is not None and status.passes for run in after):
            continue
        passed = [(status := run.get(name)) is not None and status.passes for run in before]
        if not any(passed):
            to_pass.append(name)
        elif all(passed):
            kept.append(name)
    return to_pass, kept


async def checked(row: dict[str, Any], images: Images, runs: int) -> dict[str, Any] | str:
    """A row with the lists of its tests, or why it is no task; they are run so often without its patch and with, and
    once more as any answer to it is judged."""
    try:
        instance = Instance.model_validate(row)
    except ValidationError as error:
        return f"cannot be a row: {error.errors()[0]['msg'].removeprefix('Value error, ')}"
    try:
        image = await images.ensure(instance)
        try:
            after: list[Grade] = []
            for _ in range(runs):
                after.append(await _run(instance, image, instance.patch))
                if why := _silent(instance, after[-1]):
                    return why
            before = [await _run(instance, image, "") for _ in range(runs)]
            to_pass, kept = lists([grade.statuses for grade in before], [grade.statuses for grade in after])
            if not to_pass:
                return "no test fails before it and passes after it"
            done = row | {"FAIL_TO_PASS": json.dumps(to_pass), "PASS_TO_PASS": json.dumps(kept)}
            gold = await _run(Instance.model_validate(done), image, instance.patch)
        finally:
            images.release(instance)
    except SandboxError as error:
        return f"its environment does not work: {cause(str(error))[-WORDS:]}"
    if gold.verdict is not Verdict.RESOLVED:
        return f"its own patch does not resolve it: {gold.reason}"
    return done


def _silent(instance: Instance, run: Grade) -> str:
    """Why the tests say nothing of the right code, or ""."""
    spoke = run.reported or not runner_of(instance.log_parser)
    if spoke and any(status.passes for status in run.statuses.values()):
        return ""
    return f"{DUMB}: {(_complaint(run.log) or run.reason)[-WORDS:]}"


def _complaint(log: str) -> str:
    """The line of a test log that says what is wrong; the last one where none says it is."""
    printed = log.partition(_START)[2].partition(_END)[0] or log
    lines = [line.strip() for line in printed.splitlines() if not line.startswith(_TRACED)]
    return next((line for line in lines if _WRONG.search(line) and line[-1] != ":"), "") or cause("\n".join(lines))


async def _run(instance: Instance, image: str, patch: str) -> Grade:
    box: AbstractAsyncContextManager[Sandbox] = open_box(instance, image)
    async with box as sandbox:
        return await grade(instance, patch, sandbox)
