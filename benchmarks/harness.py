"""`make bench-evals`: how close a run comes to the work that is in it, and what it leaves behind.

64 attempts on 8 sandboxes with a scripted agent that waits: the ideal is the sum of all phases over 8. Fails above 1.15
times the ideal, when memory grows with the number of tasks, or when a container, a volume or a process stays.
`make soak-evals` is the same with 46 sandboxes, more than the cores can feed, where only what stays is judged.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ATTEMPTS, WORKERS, MOST = 64, 8, 1.15
GROWTH_MB = 20.0
"""Resident memory that may be added between the first eight attempts and the last."""


def call(command: str) -> str:
    return f"<tool_call>\n<function=bash>\n<parameter=command>\n{command}\n</parameter>\n</function>\n</tool_call>"


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def stays() -> list[str]:
    """Containers and volumes of this process."""
    found = []
    for kind in (["ps", "-a"], ["volume", "ls"]):
        listing = ["docker", *kind, "--filter", "label=qcode", "--format", '{{.Label "qcode.owner"}}']
        found += subprocess.run(listing, capture_output=True, text=True, check=True).stdout.splitlines()
    return [owner for owner in found if owner.startswith(f"{os.getpid()}/")]


def children() -> list[str]:
    """Processes that this one began and that are still there."""
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text(encoding="ascii").split()


async def measure(dataset: Path, seconds: float, total: int, workers: int) -> list[str]:
    from qcode.app.options import RunOptions
    from qcode_evals.environments.boxes import open_box
    from qcode_evals.environments.images import Images
    from qcode_evals.running.controls import Controls
    from qcode_evals.running.executors.local import LocalExecutor
    from qcode_evals.running.making import Maker
    from qcode_evals.running.plans import Plan
    from qcode_evals.running.progress import Lines
    from qcode_evals.running.results import Results
    from qcode_evals.running.run import Run
    from qcode_evals.tasks.dataset import load
    from qcode_sandbox.pip_settings import pip_settings

    rows = load(dataset)[:16]
    memory: list[float] = []

    class Watched(Lines):
        def done(self, attempt: object, *, earlier: bool = False) -> None:
            memory.append(resident_mb())
            print(f"{len(memory)} of {total}: {memory[-1]:.0f} MB", file=sys.stderr, flush=True)

    with tempfile.TemporaryDirectory(prefix="qcode-bench-") as name:
        folder = Path(name)
        script = folder / "model.jsonl"
        answers = [{"text": call(f"sleep {seconds}; echo '# x' >> $(ls python_programs/*.py | head -1)")}]
        answers.append({"text": "Done.", "repeat": 5})
        script.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
        agent = Plan("qcode", RunOptions(repo=Path(), model=f"scripted:{script}"), workers).agent()
        images = Images(await pip_settings())
        for row in rows:
            await images.ensure(row)
        opened = descriptors()
        watcher = Watched(total)
        maker = Maker(agent, images, open_box, watcher, folder / "out")
        run = Run(
            rows, agent, LocalExecutor(maker, workers), Results(folder / "out", resume=False), watcher,
            Controls(folder / "controls.jsonl"), total // len(rows),
        )  # fmt: skip
        began = time.monotonic()
        attempts = await run.run()
        wall = time.monotonic() - began
        await agent.aclose()
    work = sum(attempt.seconds.total for attempt in attempts)
    ratio, growth = wall / (work / workers), memory[-1] - memory[workers - 1]
    outcomes = sorted({str(attempt.outcome) for attempt in attempts})
    left, began_here = stays(), children()
    kept = descriptors() - opened
    judged = total >= 8 * workers
    target = f"(target: at most {MOST})" if judged else "(not judged)"
    stayed = f"{len(left)} containers and volumes, {len(began_here)} processes, {max(kept, 0)} descriptors"
    lines = [
        f"| {total} attempts on {workers} sandboxes, scripted agent of {seconds:g} s | | |",
        "| --- | --- | --- |",
        f"| wall time | {wall:.1f} s | {ratio:.2f} times the ideal {work / workers:.1f} s {target} |",
        f"| memory of the harness | {memory[-1]:.0f} MB | {growth:+.1f} MB since the first {workers} attempts |",
        f"| left behind | {stayed} | outcomes: {', '.join(outcomes)} |",
    ]
    if (judged and ratio > MOST) or began_here or growth > GROWTH_MB or left or "infra_error" in outcomes:
        raise SystemExit("\n".join([*lines, "not good enough"]))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="rows of which the first 16 are tried 4 times each")
    parser.add_argument("--seconds", type=float, default=4.0, help="how long the agent waits (default: 4)")
    parser.add_argument("--attempts", type=int, default=ATTEMPTS, help="a multiple of 16 (default: 64)")
    parser.add_argument("--workers", type=int, default=WORKERS, help="sandboxes (default: 8)")
    args = parser.parse_args()
    print("\n".join(asyncio.run(measure(args.dataset, args.seconds, args.attempts, args.workers))))


if __name__ == "__main__":
    main()
