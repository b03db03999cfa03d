"""What qcode adds to a step: from the server's answer (`echo hi`) to the next request, in a run of 50 steps."""

import asyncio
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from measuring import ENVIRONMENT, qcode_run, repository
from server import InstantServer

STEPS = 50
RUNS = 3


async def measure() -> list[str]:
    rows = ["| a step of `echo hi`, 50 in a row | median | 95th percentile | |", "| --- | --- | --- | --- |"]
    with tempfile.TemporaryDirectory() as folder:
        repo = repository(Path(folder))
        floor = [sys.executable, "-P", str(Path(__file__).with_name("sdk_floor.py"))]
        base = await row(rows, "25 lines on the openai SDK, host", floor, "")
        await row(rows, "qcode, host", qcode_run(repo, sandbox="none"), "target: under 5 ms", base)
        await row(rows, "qcode, Docker", qcode_run(repo, sandbox="docker"), "target: under 15 ms", base)
    return rows


async def row(rows: list[str], name: str, command: list[str], target: str, base: float | None = None) -> float:
    gaps: list[float] = []
    for _ in range(RUNS):
        async with InstantServer(steps=STEPS) as server:
            address = [server.url] if "sdk_floor" in command[-1] else ["--base-url", server.url]
            process = await asyncio.create_subprocess_exec(
                *command, *address, stdout=subprocess.DEVNULL, env=ENVIRONMENT
            )
            if await process.wait():
                raise RuntimeError(f"{command} failed")
            # The first step also waits for the sandbox to start.
            gaps += [
                arrival - answer for answer, arrival in zip(server.answered[1:], server.arrivals[2:], strict=False)
            ]
    median = statistics.median(gaps)
    ratio = f"{median / base:.2f} times the SDK loop; " if base else ""
    high = statistics.quantiles(gaps, n=20)[-1]
    rows.append(f"| {name} | {1000 * median:.1f} ms | {1000 * high:.1f} ms | {ratio}{target} |")
    return median
