"""`make bench-scale`: many attempts with process sandboxes through Ray, and what they cost the driver.

Each attempt is whole: a scripted agent's run in namespaces of its own, then grading in others. Fails when an attempt is
not resolved, when the driver's memory grows with their number, or when a sandbox stays. The full
run is 20,000 (docs/scale.md), `make bench-scale COUNT=20000`, on a machine that does nothing else.
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path

GROWTH_MB = 40.0
"""Resident memory that the driver may add between the first tenth of the attempts and the last."""
_EVERY = 20
FILES = {"calc.py": "def add(a, b):\n    return a - b\n"}
TEST = "import unittest\nfrom calc import add\n\n\nclass T(unittest.TestCase):\n    def test_add(self):\n        "
TEST += "self.assertEqual(add(2, 3), 5)\n"
SCRIPT = f"""#!/bin/bash
cd /testbed
cat >test_calc.py <<'EOF'
{TEST}EOF
: '>>>>> Start Test Output'
python3 -m unittest -v test_calc
: '>>>>> End Test Output'
"""


def row() -> dict[str, object]:
    from qcode_evals.tasks.trees import tree_hash

    modern = sys.version_info >= (3, 11)
    return {
        "instance_id": "scale__calc", "repo": "scale/calc", "problem_statement": "add() in calc.py subtracts",
        "patch": "", "test_patch": "", "log_parser": "parse_log_django", "eval_script": SCRIPT,
        "FAIL_TO_PASS": [f"test_add (test_calc.T{'.test_add' if modern else ''})"], "PASS_TO_PASS": [],
        "environment": {
            "base": "debian-bookworm-py3.11", "source": {"files": FILES, "tree": tree_hash(FILES)}, "timeout_s": 120,
        },
    }  # fmt: skip


def resident_mb() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def left_behind() -> int:
    """Folders of sandboxes whose process is gone; other runs on this machine have theirs."""
    from qcode_sandbox.owner import Owner

    found = 0
    for mark in Path(tempfile.gettempdir()).glob("qcode-box-*/owner"):
        try:
            owner = Owner.parse(mark.read_text(encoding="utf-8").split()[0])
        except (OSError, IndexError):
            continue
        found += owner is not None and owner.is_gone()
    return found


class Quiet:
    def phase(self, attempt: str, name: str) -> None: ...

    def retry(self, attempt: str, phase: str, why: str) -> None: ...


async def measure(count: int, slots: int, address: str | None, most_s: float) -> list[str]:
    from qcode.app.options import RunOptions
    from qcode_evals.running.executors.ray import RayExecutor
    from qcode_evals.running.making import Job
    from qcode_evals.running.plans import Plan
    from qcode_evals.tasks.dataset import load

    memory: list[float] = []
    outcomes: dict[str, int] = {}
    seconds = 0.0
    with tempfile.TemporaryDirectory(prefix="qcode-bench-") as name:
        folder = Path(name)
        (folder / "row.jsonl").write_text(json.dumps(row()) + "\n", encoding="utf-8")
        (instance,) = load(folder / "row.jsonl")
        script = folder / "model.jsonl"
        call = "<tool_call>\n<function=bash>\n<parameter=command>\nsed -i 's/a - b/a + b/' calc.py\n</parameter>\n"
        answers = [{"text": f"{call}</function>\n</tool_call>"}, {"text": "Done.", "repeat": 5}]
        script.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
        plan = Plan("qcode", RunOptions(repo=Path(), model=f"scripted:{script}"), slots, boxes="process")
        executor = RayExecutor(plan, Quiet(), slots, address)
        first, told = 0.0, 0.0
        rates: list[float] = []
        every = max(1, count // _EVERY)
        began = time.monotonic()
        async with aclosing(executor.run([Job(instance, number, "key") for number in range(count)])) as finished:
            async for made in finished:
                first = first or time.monotonic() - began
                outcomes[str(made.attempt.outcome)] = outcomes.get(str(made.attempt.outcome), 0) + 1
                seconds += made.attempt.seconds.total
                memory.append(resident_mb())
                passed = time.monotonic() - began
                if len(memory) % every == 0:
                    rates.append(every / max(passed - told, 1e-9))
                    told = passed
                    print(
                        f"{len(memory)} of {count}: {rates[-1]:.2f} attempts/s, {memory[-1]:.1f} MB",
                        file=sys.stderr, flush=True,
                    )  # fmt: skip
                if passed > most_s:
                    break
        wall = passed
    done = len(memory)
    growth = memory[-1] - memory[max(0, done // 10 - 1)]
    left = left_behind()
    rate = (done - 1) / max(wall - first, 1e-9)
    asked = "" if done == count else f" (of {count}, broken off after {most_s:.0f} s)"
    lines = [
        f"| {done} attempts{asked} on {slots} process sandboxes through Ray, {len(os.sched_getaffinity(0))} cores | |",
        "| --- | --- |",
        f"| attempts a second | {rate:.2f} after the first (at {first:.1f} s), {wall:.0f} s in all |",
        f"| by each twentieth of the run | {', '.join(f'{one:.2f}' for one in rates) or '-'} |",
        f"| seconds of an attempt | {seconds / done:.2f} |",
        f"| memory of the driver | {memory[-1]:.0f} MB, {growth:+.1f} MB since the first tenth |",
        f"| outcomes | {', '.join(f'{number} {kind}' for kind, number in outcomes.items())} |",
        f"| left behind | {left} sandboxes |",
    ]
    if set(outcomes) != {"resolved"} or growth > GROWTH_MB or left:
        raise SystemExit("\n".join([*lines, "not good enough"]))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="attempts (default: 200; the full run is 20000)")
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1, help="sandboxes at a time (default: cores)")
    parser.add_argument("--seconds", type=float, default=1e9, help="break off after so many, and say what was done")
    parser.add_argument("--ray-address", metavar="HOST:PORT", help="of a cluster (default: one of this machine)")
    args = parser.parse_args()
    print("\n".join(asyncio.run(measure(args.count, args.slots, args.ray_address, args.seconds))))


if __name__ == "__main__":
    main()
