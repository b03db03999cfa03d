"""Judging in place: a task's own test script in the container that the agent worked in, as Terminal-Bench has it.

What the agent left running is still there, for the task may be to leave a server running. So this grade is worth what
the script is worth, and no more: nothing of fresh.py's evidence stands behind it.
"""

import asyncio
import json
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from qcode_evals.attempt import Evidence
from qcode_evals.environments.opening import PLAIN, Fittings, OpenBox
from qcode_evals.grading.judging import Grade, Verdict
from qcode_evals.tasks.dataset import Instance, Verifier
from qcode_sandbox.errors import SandboxError, SandboxFileError
from qcode_sandbox.protocol import Sandbox

_COPY_S = 120.0
_TESTS, _SOLUTION, _REWARDS = "/tests", "/solution", "/logs/verifier"


def judged(instance: Instance, verifier: Verifier, open_box: OpenBox, keep: Callable[[Grade], None]) -> OpenBox:
    """Boxes that are judged before they are closed; `keep` gets the grade, unless the box failed before it."""

    @asynccontextmanager
    async def opened(fittings: Fittings = PLAIN, /) -> AsyncIterator[Sandbox]:
        async with open_box(fittings) as box:
            yield box
            keep(await verify(instance, verifier, box))

    return opened


async def verify(instance: Instance, verifier: Verifier, box: Sandbox) -> Grade:
    """Run the tests. Raises: SandboxError."""
    await box.exec(f"rm -rf {_REWARDS}/* {_TESTS}/*; mkdir -p {_REWARDS} {_TESTS}", timeout_s=_COPY_S)
    await _put(box, Path(verifier.tests), _TESTS)
    ran = await box.exec(f"bash {_TESTS}/test.sh", timeout_s=instance.environment.timeout_s)
    if ran.timed_out:
        return Grade(
            Verdict.TEST_TIMEOUT, f"the tests did not end within {instance.environment.timeout_s:g} s", ran.output,
            evidence=Evidence.SCRIPT,
        )  # fmt: skip
    reward = await _reward(box)
    grade = Grade(
        Verdict.RESOLVED, "", ran.output, exit_code=ran.exit_code, seconds=ran.duration_s, evidence=Evidence.SCRIPT
    )
    if reward is None:
        grade.verdict, grade.reason = Verdict.UNRESOLVED, f"test.sh wrote no reward, and left with {ran.exit_code}"
    elif reward < 1:
        grade.verdict, grade.reason = Verdict.UNRESOLVED, f"the reward is {reward:g}"
    return grade


async def solve(instance: Instance, verifier: Verifier, box: Sandbox) -> None:
    """Do what the task's own solution does. Raises: SandboxError where there is none."""
    if not verifier.solution:
        raise SandboxError(f"{instance.instance_id} has no solution/solve.sh")
    await _put(box, Path(verifier.solution), _SOLUTION)
    await box.exec(f"bash {_SOLUTION}/solve.sh", timeout_s=instance.environment.timeout_s)


async def _put(box: Sandbox, folder: Path, target: str) -> None:
    for name, data, runs in await asyncio.to_thread(_files, folder):
        await box.write(f"{target}/{name}", data)
        if runs:
            await box.exec(["chmod", "+x", f"{target}/{name}"], timeout_s=_COPY_S)


def _files(folder: Path) -> list[tuple[str, bytes, bool]]:
    """Name, bytes, and whether it may be run, of each file below."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [
        (path.relative_to(folder).as_posix(), path.read_bytes(), bool(path.stat().st_mode & 0o100)) for path in paths
    ]


async def _reward(box: Sandbox) -> float | None:
    for name in ("reward.txt", "reward.json"):
        try:
            text = (await box.read(f"{_REWARDS}/{name}")).decode("utf-8", "replace").strip()
            value = json.loads(text)
            reward = float(value["reward"] if isinstance(value, dict) else value)
            return reward if math.isfinite(reward) else None
        except SandboxFileError:
            continue
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            return None
    return None
