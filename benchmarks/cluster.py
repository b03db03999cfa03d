"""`make bench-ray`: a cluster of two nodes on this machine, with real containers; one is killed in the middle.

Fails unless every attempt has one result, all of them resolved, and no container is left.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import aclosing
from pathlib import Path
from typing import Any

SLOTS = 2
REPEATS = 8
STARTS = 4
FIX = "sleep 3; sed -i 's/gcd(a % b, b)/gcd(b, a % b)/' python_programs/gcd.py"


class Quiet:
    def phase(self, attempt: str, name: str) -> None: ...

    def retry(self, attempt: str, phase: str, why: str) -> None: ...


def orphans() -> list[str]:
    """Containers of qcode's whose process is gone."""
    listing = ["docker", "ps", "-a", "--filter", "label=qcode", "--format", '{{.Label "qcode.owner"}}']
    owners = subprocess.run(listing, capture_output=True, text=True, check=True).stdout.split()
    return [owner for owner in owners if not Path("/proc", owner.partition("/")[0]).exists()]


def begun(node: dict[str, Any]) -> tuple[Any, Any]:
    """A cluster of two nodes, and the one that is not its head. Ray gives a node half a minute, which is not always
    enough on a machine that has other work: then it is tried again."""
    from ray.cluster_utils import Cluster

    for left in reversed(range(STARTS)):
        cluster = Cluster()
        try:
            cluster.add_node(**node, include_dashboard=False)
            other = cluster.add_node(**node)
            cluster.wait_for_nodes()
            return cluster, other
        except Exception as error:
            cluster.shutdown()
            if not left or "timed out during startup" not in str(error):
                raise
            print(f"{error} Once more.", file=sys.stderr)
    raise AssertionError("the last try raises")


async def measure(dataset: Path) -> list[str]:
    # Nodes start slowly where two cores have other work too.
    os.environ |= {"RAY_USAGE_STATS_ENABLED": "0", "RAY_agent_register_timeout_ms": "600000"}
    from qcode.app.options import RunOptions
    from qcode_evals.running.executors.ray import SLOT, RayExecutor
    from qcode_evals.running.making import Job
    from qcode_evals.running.plans import Plan
    from qcode_evals.tasks.dataset import load

    (gcd,) = [row for row in load(dataset) if row.instance_id == "quixbugs__gcd"]
    cluster, other = begun({"num_cpus": 1, "resources": {SLOT: SLOTS}})
    done: list[tuple[int, str]] = []
    killed = 0
    try:
        with tempfile.TemporaryDirectory(prefix="qcode-bench-") as name:
            script = Path(name) / "model.jsonl"
            text = f"<tool_call>\n<function=bash>\n<parameter=command>\n{FIX}\n</parameter>\n</function>\n</tool_call>"
            answers = [{"text": text}, {"text": "Done.", "repeat": 5}]
            script.write_text("".join(json.dumps(answer) + "\n" for answer in answers), encoding="utf-8")
            plan = Plan("qcode", RunOptions(repo=Path(), model=f"scripted:{script}"), 4)
            executor = RayExecutor(plan, Quiet(), SLOTS, cluster.address)
            began = time.monotonic()
            async with aclosing(executor.run([Job(gcd, repeat, "key") for repeat in range(REPEATS)])) as finished:
                async for made in finished:
                    done.append((made.attempt.repeat, str(made.attempt.outcome)))
                    assert made.trajectory is not None
                    if not killed:
                        killed = len(done)
                        await asyncio.to_thread(cluster.remove_node, other, allow_graceful=False)
            wall = time.monotonic() - began
    finally:
        cluster.shutdown()
    for _ in range(50):
        if not (left := orphans()):
            break
        await asyncio.sleep(0.2)
    good = sorted(done) == [(repeat, "resolved") for repeat in range(REPEATS)] and not left
    lines = [
        f"two nodes of {SLOTS} sandboxes, one killed after {killed} of {REPEATS} attempts: "
        f"{len(done)} results in {wall:.1f} s, {sum(outcome == 'resolved' for _, outcome in done)} resolved, "
        f"{len(left)} containers left"
    ]
    if not good:
        raise SystemExit("\n".join([*lines, f"not good enough: {sorted(done)}"]))
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dataset", type=Path, required=True, help="rows with quixbugs__gcd among them")
    print("\n".join(asyncio.run(measure(parser.parse_args().dataset))))


if __name__ == "__main__":
    main()
