"""`make bench-choosing RUN=DIR`: how well the best of several attempts is chosen, over a run with --attempts.

The attempts are not made again: their changes stand in the run's logs. They are chosen from once more by the rules as
they are now, in fresh boxes and without the row's tests; then those tests say which changes were right.
"""

import argparse
import asyncio
import json
import sys
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qcode.app.best_of import BestOf
from qcode.app.options import RunOptions
from qcode.app.solve import Outcome
from qcode.events import Reason
from qcode.messages import Usage
from qcode_evals.attempt import attempt_folder
from qcode_evals.grading.fresh import grade
from qcode_evals.grading.judging import Verdict
from qcode_evals.running.plans import Plan
from qcode_evals.tasks.dataset import Instance, load


@dataclass
class Recorded:
    """An attempt that was made, as far as choosing asks for it."""

    task: str
    open_sandbox: Callable[[], Any]
    outcome: Outcome

    async def events(self) -> AsyncGenerator[Any, None]:
        """They are over."""
        return
        yield


def recorded(folder: Path) -> list[Outcome]:
    """How the attempts at a task ended; [] where their changes were not written down, or some are missing."""
    ended: dict[int, Outcome] = {}
    told = []
    for line in (folder / "attempts.jsonl").read_text(encoding="utf-8").splitlines():
        match json.loads(line):
            case {"event": "attempt_ended", "patch": str(patch), **said}:
                ended[said["attempt"]] = Outcome(
                    Reason(said["reason"]), patch, said["steps"], Usage(), said["seconds"], Path(said["session"])
                )
            case {"event": "attempt_chosen", **said}:
                told = [ended[number] for number in range(said["of"])] if len(ended) == said["of"] else []
    return told


async def chosen_again(instance: Instance, outcomes: list[Outcome], images: Any, open_box: Any) -> dict[str, Any]:
    image = await images.ensure(instance)
    try:
        attempts = [Recorded(instance.problem_statement, lambda: open_box(instance, image), one) for one in outcomes]
        best = BestOf(attempts, None)  # type: ignore[arg-type]
        async with aclosing(best.events()) as events:
            async for _ in events:
                pass
        assert best.outcome is not None and best.choice is not None
        right: dict[str, bool] = {}
        for patch in {one.patch for one in outcomes}:
            if patch.strip():
                async with open_box(instance, image) as box:
                    right[patch] = (await grade(instance, patch, box)).verdict is Verdict.RESOLVED
        return {
            "now": right.get(best.outcome.patch, False), "why": best.choice.why,
            "right": sum(right.get(one.patch, False) for one in outcomes), "of": len(outcomes),
        }  # fmt: skip
    finally:
        images.release(instance)


async def measure(dataset: Path, run: Path) -> list[str]:
    images, open_box = await Plan("qcode", RunOptions(repo=Path()), 1).environments()
    await images.ready()
    made = {}
    for line in (run / "attempts.jsonl").read_text(encoding="utf-8").splitlines():
        attempt = json.loads(line)
        made[attempt["instance_id"]] = attempt["resolved"]
    lines = [
        "| task | attempts that are right | chosen then | chosen now | because |",
        "| --- | --- | --- | --- | --- |",
    ]
    then, now, any_of, one, tasks = 0, 0, 0, 0.0, 0
    for instance in load(dataset):
        name = instance.instance_id
        outcomes = recorded(run / attempt_folder(name, 0)) if name in made else []
        if not outcomes:
            print(f"{name}: no changes on record", file=sys.stderr)
            continue
        found = await chosen_again(instance, outcomes, images, open_box)
        print(name, found, file=sys.stderr, flush=True)
        tasks, then, now, any_of = tasks + 1, then + made[name], now + found["now"], any_of + (found["right"] > 0)
        one += found["right"] / found["of"]
        words = ["wrong", "right"]
        shown = f"{found['right']} of {found['of']}"
        lines.append(f"| {name} | {shown} | {words[made[name]]} | {words[found['now']]} | {found['why']} |")
    lines += [
        "",
        f"Of {tasks}: one attempt, on average {one:.1f}; chosen then {then}, chosen now {now}, any attempt {any_of}.",
    ]
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--run", type=Path, required=True, help="its output folder")
    args = parser.parse_args()
    print("\n".join(asyncio.run(measure(args.dataset, args.run))))


if __name__ == "__main__":
    main()
